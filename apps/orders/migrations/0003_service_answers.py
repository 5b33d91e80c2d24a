"""What a service was asked for when it was given out."""

from django.db import migrations

import apps.core.fields


class Migration(migrations.Migration):
    dependencies = [("orders", "0002_order_answers")]

    operations = [
        migrations.AddField(
            "service",
            "answers_text",
            apps.core.fields.EncryptedField(blank=True, verbose_name="данные для выдачи"),
        ),
    ]
