"""The report of unpaid renewals, as pages need models."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("policies", "0005_dunning"), ("reports", "0002_books")]

    operations = [
        migrations.CreateModel(
            name="Recovery",
            fields=[],
            options={
                "verbose_name": "неоплаты",
                "verbose_name_plural": "неоплаты",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("policies.dunningresult",),
        ),
    ]
