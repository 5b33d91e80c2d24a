from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_one_index_a_text")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="attachments",
            field=models.JSONField(blank=True, default=list, verbose_name="вложения"),
        ),
    ]
