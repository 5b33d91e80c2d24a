"""Numbering is called so on the screen, as in the sidebar."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("policies", "0003_past_rates")]
    operations = [
        migrations.AlterModelOptions(
            "numbersequence", {"verbose_name": "нумерация", "verbose_name_plural": "нумерация"}
        )
    ]
