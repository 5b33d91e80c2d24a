"""A payment may bind a card."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_phases")]

    operations = [
        migrations.AlterField(
            "transfer",
            "kind",
            models.CharField(
                blank=True,
                choices=[
                    ("new", "новая продажа"),
                    ("renewal", "продление"),
                    ("refund", "возврат"),
                    ("binding", "привязка карты"),
                ],
                max_length=10,
                verbose_name="вид продажи",
            ),
        ),
    ]
