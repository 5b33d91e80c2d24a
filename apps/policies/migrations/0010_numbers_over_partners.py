"""Numbers that one payer counts over all partners: payment orders of one account."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0005_clawback_days"),
        ("policies", "0009_refunds_and_disputes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="numbersequence",
            name="partner",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="partners.partner",
                verbose_name="партнёр",
            ),
        ),
    ]
