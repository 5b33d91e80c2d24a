"""What the customer answered to the product's questions, kept with the order."""

from django.db import migrations

import apps.core.fields


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name="answers_text",
            field=apps.core.fields.EncryptedField(blank=True, verbose_name="ответы клиента"),
        ),
    ]
