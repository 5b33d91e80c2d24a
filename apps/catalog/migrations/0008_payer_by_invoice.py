"""An offer may be for companies that pay by invoice."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0007_provider_terms")]

    operations = [
        migrations.AlterField(
            "offer",
            "payer",
            models.CharField(
                choices=[
                    ("charge", "клиент через шлюз"),
                    ("invoice", "организация по счёту"),
                    ("partner_reports", "партнёр собирает и отчитывается"),
                    ("partner_charges", "партнёр списывает по нашему запросу"),
                    ("partner_pays", "партнёр платит за клиентов"),
                ],
                default="charge",
                max_length=15,
                verbose_name="кто платит",
            ),
        ),
    ]
