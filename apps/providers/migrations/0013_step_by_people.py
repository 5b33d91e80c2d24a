from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0012_delivery_time"),
    ]

    operations = [
        migrations.AlterField(
            model_name="providerrequest",
            name="kind",
            field=models.CharField(
                choices=[
                    ("provision", "Подключить"),
                    ("register", "Зарегистрировать"),
                    ("extend", "Продлить"),
                    ("cancel", "Отключить"),
                ],
                max_length=10,
                verbose_name="что сделать",
            ),
        ),
    ]
