from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0013_step_by_people"),
    ]

    operations = [
        migrations.AddField(
            model_name="provider",
            name="pauses",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Пока подписка не оплачена или на паузе, просим его приостановить услугу, а потом возобновить: по API, в кабинете, письмом или через сотрудника. Снимите, если он этого не умеет: никого просить не будем",
                verbose_name="умеет приостанавливать",
            ),
        ),
        migrations.AlterField(
            model_name="providerrequest",
            name="kind",
            field=models.CharField(
                choices=[
                    ("provision", "Подключить"),
                    ("register", "Зарегистрировать"),
                    ("extend", "Продлить"),
                    ("cancel", "Отключить"),
                    ("suspend", "Приостановить"),
                    ("resume", "Возобновить"),
                ],
                max_length=10,
                verbose_name="что сделать",
            ),
        ),
    ]
