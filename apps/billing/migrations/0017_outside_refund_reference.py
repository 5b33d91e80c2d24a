"""The number of an outside refund is of the bank's order too, not of the partner's alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_outside_refunds")]

    operations = [
        migrations.AlterField(
            model_name="outsiderefund",
            name="reference",
            field=models.CharField(blank=True, max_length=60, verbose_name="номер возврата"),
        ),
    ]
