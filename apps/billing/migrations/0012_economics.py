"""Customers as their accounts are looked at."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("billing", "0011_promotions")]

    operations = [
        migrations.CreateModel(
            name="CustomerAccount",
            fields=[],
            options={
                "verbose_name": "взаиморасчёты с клиентом",
                "verbose_name_plural": "взаиморасчёты с клиентами",
                "ordering": ["-id"],
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("accounts.customer",),
        ),
    ]
