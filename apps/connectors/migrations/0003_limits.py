"""A connection may have limits of its own."""

import django.core.validators
from django.db import migrations, models

HELP = "Пусто: сколько принято для этого сервиса"


class Migration(migrations.Migration):
    dependencies = [("connectors", "0002_kept")]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="in_flight",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text=HELP,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(500),
                ],
                verbose_name="запросов одновременно",
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="per_second",
            field=models.FloatField(
                blank=True,
                help_text=HELP,
                null=True,
                validators=[django.core.validators.MinValueValidator(0.1)],
                verbose_name="запросов в секунду",
            ),
        ),
    ]
