"""What is open at providers, over all partners."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0003_receipts"),
    ]

    operations = [
        migrations.CreateModel(
            name="OpenRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("partner_id", models.BigIntegerField(verbose_name="партнёр")),
                ("request_id", models.UUIDField(verbose_name="запрос")),
                ("order_id", models.UUIDField(null=True, verbose_name="заказ")),
                ("invoice_id", models.UUIDField(null=True, verbose_name="счёт")),
                ("number", models.CharField(blank=True, max_length=40, verbose_name="номер")),
                ("action", models.CharField(max_length=10, verbose_name="что сделать")),
                ("state", models.CharField(max_length=16, verbose_name="состояние")),
                ("provider_id", models.BigIntegerField(null=True, verbose_name="поставщик")),
                ("connection_id", models.BigIntegerField(null=True, verbose_name="подключение")),
                ("product_id", models.BigIntegerField(null=True, verbose_name="продукт")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="попыток")),
                ("reason", models.CharField(blank=True, max_length=200, verbose_name="причина")),
                ("amount", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="сумма")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("opened_at", models.DateTimeField(verbose_name="с какого времени")),
                ("since", models.DateTimeField(verbose_name="в этом состоянии")),
                ("next_at", models.DateTimeField(null=True, verbose_name="следующая попытка")),
            ],
            options={
                "verbose_name": "незавершённое исполнение",
                "verbose_name_plural": "пульт исполнения",
                "ordering": ["opened_at", "id"],
                "indexes": [models.Index(fields=["opened_at"], name="providers_open_oldest")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("partner_id", "request_id"), name="providers_openrequest_once"
                    )
                ],
            },
        ),
    ]
