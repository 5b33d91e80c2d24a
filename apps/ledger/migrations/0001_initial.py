"""The app's tables."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("connectors", "0001_initial"),
        ("partners", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Transfer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("document_kind", models.CharField(max_length=40, verbose_name="вид документа")),
                ("document_id", models.UUIDField(verbose_name="документ")),
                ("posting", models.CharField(max_length=60, verbose_name="проводка")),
                (
                    "debit",
                    models.CharField(
                        choices=[
                            ("receivable", "Расчёты с клиентами"),
                            ("clearing", "Деньги у шлюза"),
                            ("bank", "Расчётный счёт"),
                            ("deferred", "Доходы будущих периодов"),
                            ("revenue", "Выручка"),
                            ("vat", "НДС"),
                            ("fee", "Комиссия шлюза"),
                            ("refund", "Возвраты клиентам"),
                            ("partner_share", "Вознаграждение партнёров"),
                            ("partner_payable", "Расчёты с партнёрами"),
                            ("provider_cost", "Себестоимость"),
                            ("provider_payable", "Расчёты с поставщиками"),
                            ("write_off", "Списания"),
                        ],
                        max_length=20,
                        verbose_name="дебет",
                    ),
                ),
                (
                    "credit",
                    models.CharField(
                        choices=[
                            ("receivable", "Расчёты с клиентами"),
                            ("clearing", "Деньги у шлюза"),
                            ("bank", "Расчётный счёт"),
                            ("deferred", "Доходы будущих периодов"),
                            ("revenue", "Выручка"),
                            ("vat", "НДС"),
                            ("fee", "Комиссия шлюза"),
                            ("refund", "Возвраты клиентам"),
                            ("partner_share", "Вознаграждение партнёров"),
                            ("partner_payable", "Расчёты с партнёрами"),
                            ("provider_cost", "Себестоимость"),
                            ("provider_payable", "Расчёты с поставщиками"),
                            ("write_off", "Списания"),
                        ],
                        max_length=20,
                        verbose_name="кредит",
                    ),
                ),
                ("amount", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="сумма")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("occurred_at", models.DateTimeField(verbose_name="произошло")),
                ("business_date", models.DateField(verbose_name="дата")),
                ("recorded_at", models.DateTimeField(verbose_name="записано")),
                ("is_sandbox", models.BooleanField(default=False, verbose_name="песочница")),
                (
                    "owner",
                    models.CharField(
                        choices=[("operator", "платформы"), ("partner", "партнёра")],
                        default="operator",
                        max_length=10,
                        verbose_name="чьи деньги",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[("new", "новая продажа"), ("renewal", "продление"), ("refund", "возврат")],
                        max_length=10,
                        verbose_name="вид продажи",
                    ),
                ),
                ("customer_id", models.UUIDField(null=True, verbose_name="клиент")),
                ("subscription_id", models.UUIDField(null=True, verbose_name="подписка")),
                ("channel_id", models.UUIDField(null=True, verbose_name="канал продаж")),
                ("product_id", models.BigIntegerField(null=True, verbose_name="продукт")),
                ("tariff_version_id", models.BigIntegerField(null=True, verbose_name="редакция тарифа")),
                ("provider_id", models.BigIntegerField(null=True, verbose_name="поставщик")),
                (
                    "vat_rate",
                    models.DecimalField(
                        decimal_places=2, max_digits=5, null=True, verbose_name="ставка НДС, %"
                    ),
                ),
                (
                    "connection",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="connectors.connection",
                        verbose_name="подключение",
                    ),
                ),
                (
                    "partner",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="partners.partner",
                        verbose_name="партнёр",
                    ),
                ),
                (
                    "seller",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="partners.legalentity",
                        verbose_name="продавец",
                    ),
                ),
            ],
            options={
                "verbose_name": "проводка",
                "verbose_name_plural": "проводки",
                "indexes": [
                    models.Index(fields=["partner", "business_date"], name="ledger_transfer_partner_day"),
                    models.Index(fields=["business_date"], name="ledger_transfer_day"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("partner", "document_id", "posting"), name="ledger_transfer_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0)), name="ledger_transfer_amount"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("debit", models.F("credit")), _negated=True),
                        name="ledger_transfer_sides",
                    ),
                ],
            },
        ),
    ]
