"""Changes that wait for money, seats of a subscription, trials that were had."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_phase_triggers"),
        ("catalog", "0005_lifecycle_offers_prices"),
    ]

    operations = [
        migrations.CreateModel(
            name="Seat",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(verbose_name="место")),
                ("name", apps.core.fields.EncryptedField(blank=True, verbose_name="имя")),
                ("email", apps.core.fields.EncryptedField(blank=True, verbose_name="e-mail")),
                ("phone", apps.core.fields.EncryptedField(blank=True, verbose_name="телефон")),
                ("assigned_at", models.DateTimeField(verbose_name="назначено")),
                ("released_at", models.DateTimeField(blank=True, null=True, verbose_name="освобождено")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="seats",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
            ],
            options={
                "verbose_name": "место",
                "verbose_name_plural": "места",
                "ordering": ["position", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("subscription"),
                        models.F("position"),
                        condition=models.Q(("released_at", None)),
                        name="billing_seat_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SubscriptionChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("quantity", models.PositiveSmallIntegerField(default=1, verbose_name="количество")),
                ("start_date", models.DateField(verbose_name="с")),
                (
                    "credit",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        max_digits=14,
                        verbose_name="зачтётся за неиспользованные дни",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Ждёт оплаты"),
                            ("applied", "Применена"),
                            ("dropped", "Не состоялась"),
                        ],
                        default="waiting",
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=200, verbose_name="почему")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                ("created_at", models.DateTimeField(verbose_name="создана")),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="завершена")),
                (
                    "invoice",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="change",
                        to="billing.invoice",
                        verbose_name="счёт",
                    ),
                ),
                (
                    "offer",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="catalog.offer",
                        verbose_name="предложение",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        db_index=False,
                        related_name="changes",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
                (
                    "tariff_version",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="catalog.tariffversion",
                        verbose_name="редакция тарифа",
                    ),
                ),
            ],
            options={
                "verbose_name": "смена условий",
                "verbose_name_plural": "смены условий",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("subscription"),
                        condition=models.Q(("state", "waiting")),
                        name="billing_one_change_at_a_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TrialUse",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("product_id", models.BigIntegerField()),
                ("digest", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField()),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.subscription",
                    ),
                ),
            ],
            options={
                "verbose_name": "использованный пробный период",
                "verbose_name_plural": "использованные пробные",
                "constraints": [
                    models.UniqueConstraint(
                        models.F("product_id"), models.F("digest"), name="billing_trial_once"
                    )
                ],
            },
        ),
    ]
