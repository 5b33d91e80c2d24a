import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels", "0004_base_move")]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("offers:read", "Предложения: чтение"),
                        ("customers:read", "Клиенты: чтение"),
                        ("customers:write", "Клиенты: изменение"),
                        ("orders:read", "Заказы: чтение"),
                        ("orders:write", "Заказы: оформление"),
                        ("subscriptions:read", "Подписки: чтение"),
                        ("subscriptions:write", "Подписки: изменение"),
                        ("invoices:read", "Счета: чтение"),
                        ("base:move", "Перенос базы из прежней системы"),
                        ("clock:move", "Часы песочницы"),
                    ],
                    max_length=40,
                ),
                default=list,
                size=None,
                verbose_name="права",
            ),
        ),
    ]
