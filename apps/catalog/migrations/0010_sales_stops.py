"""Times in which something is not sold: planned works, stops by hand, and the history of the others."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.clock
import apps.core.fields


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0009_offer_hold_first"),
        ("providers", "0005_sales_stops"),
    ]

    operations = [
        migrations.CreateModel(
            name="SalesStop",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("hand", "остановлено вручную"),
                            ("works", "плановые работы"),
                            ("circuit", "поставщик не отвечает"),
                            ("keys", "нет ключей"),
                        ],
                        default="works",
                        max_length=8,
                        verbose_name="причина",
                    ),
                ),
                ("starts_at", models.DateTimeField(default=apps.core.clock.wall, verbose_name="с")),
                (
                    "ends_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="Откроется само; пусто: пока не закончите",
                        null=True,
                        verbose_name="по",
                    ),
                ),
                (
                    "closed_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="продажи открыты"),
                ),
                (
                    "message",
                    apps.core.fields.TranslatedField(
                        blank=True,
                        help_text="Пусто: «Временно не продаётся» и срок",
                        verbose_name="что сказать клиенту",
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=300, verbose_name="для своих")),
                (
                    "made_by",
                    models.CharField(
                        blank=True, editable=False, max_length=150, verbose_name="кто остановил"
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.product",
                        verbose_name="продукт",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sales_stops",
                        to="providers.provider",
                        verbose_name="поставщик",
                    ),
                ),
                (
                    "tariff",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.tariff",
                        verbose_name="тариф",
                    ),
                ),
            ],
            options={
                "verbose_name": "остановка продаж",
                "verbose_name_plural": "остановки продаж",
                "ordering": ["-starts_at", "-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("closed_at", None)),
                        fields=["provider", "product", "tariff"],
                        name="catalog_stop_open",
                    ),
                    models.Index(fields=["-starts_at", "-id"], name="catalog_stop_list"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("product", None), ("provider__isnull", False), ("tariff", None)),
                            models.Q(("product__isnull", False), ("provider", None), ("tariff", None)),
                            models.Q(("product", None), ("provider", None), ("tariff__isnull", False)),
                            _connector="OR",
                        ),
                        name="catalog_stop_of_one",
                        violation_error_message="Укажите одно: поставщика, продукт или тариф",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ends_at", None), ("ends_at__gt", models.F("starts_at")), _connector="OR"
                        ),
                        name="catalog_stop_in_order",
                        violation_error_message="Окончание раньше начала",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cause", "works"), _negated=True),
                            ("ends_at__isnull", False),
                            _connector="OR",
                        ),
                        name="catalog_works_end",
                        violation_error_message="У плановых работ есть окончание",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("cause__in", ["circuit", "keys"]), ("closed_at", None)),
                        fields=("cause", "provider", "tariff"),
                        name="catalog_stop_noticed_once",
                        nulls_distinct=False,
                    ),
                ],
            },
        ),
    ]
