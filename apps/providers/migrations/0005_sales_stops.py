"""Whether a provider's products are sold while it is down, and what is promised then."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0005_portal"),
    ]

    operations = [
        migrations.AddField(
            model_name="provider",
            name="promise_hours",
            field=models.PositiveSmallIntegerField(
                db_default=24,
                default=24,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(720),
                ],
                verbose_name="обещать выдачу за, часов",
            ),
        ),
        migrations.AddField(
            model_name="provider",
            name="sells_when_down",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Когда поставщик не отвечает, у него плановые работы или кончились ключи: продавать, обещая срок. Иначе продажи закрываются и сами открываются",
                verbose_name="принимать заказы с обещанием срока",
            ),
        ),
    ]
