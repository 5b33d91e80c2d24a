"""Calls come in signed, through a connection: no key ever opened them, and keys lose the right that opened nothing."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels", "0002_one_index_a_text")]

    operations = [
        migrations.RunSQL(
            "UPDATE channels_apikey SET scopes = array_remove(scopes, 'calls:write')"
            " WHERE 'calls:write' = ANY(scopes)",
            migrations.RunSQL.noop,
        ),
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
                    ],
                    max_length=40,
                ),
                default=list,
                size=None,
                verbose_name="права",
            ),
        ),
    ]
