from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_company")]

    operations = [
        migrations.AddField(
            model_name="customer",
            name="wants_documents",
            field=models.BooleanField(
                db_default=False, default=False, verbose_name="присылать документы на почту"
            ),
        ),
    ]
