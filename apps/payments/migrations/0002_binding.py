"""Cards are bound by a rouble that goes back, and are known again by a fingerprint."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        migrations.AddField(
            "paymentmethod",
            "fingerprint",
            models.CharField(blank=True, default="", editable=False, max_length=64),
        ),
        migrations.AlterField(
            "payment",
            "purpose",
            models.CharField(
                choices=[("new", "новая продажа"), ("renewal", "продление"), ("binding", "привязка карты")],
                max_length=10,
                verbose_name="назначение",
            ),
        ),
    ]
