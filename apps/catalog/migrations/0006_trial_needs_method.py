"""Whether a trial begins with a card or without one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0005_lifecycle_offers_prices")]

    operations = [
        migrations.AddField(
            "tariffversion",
            "trial_needs_method",
            models.BooleanField(default=True, verbose_name="пробный период только с картой"),
        ),
    ]
