"""Promo codes with their limits and budget, offers to those who leave, and their answers."""

from decimal import Decimal

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_company"), ("billing", "0010_dunning")]

    operations = [
        migrations.CreateModel(
            name="Promotion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="Его видит клиент в счёте", max_length=100, verbose_name="название"
                    ),
                ),
                (
                    "percent",
                    models.DecimalField(
                        decimal_places=2, default=Decimal("0"), max_digits=5, verbose_name="скидка, %"
                    ),
                ),
                (
                    "amount",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        max_digits=14,
                        verbose_name="или сумма за период",
                    ),
                ),
                (
                    "periods",
                    models.PositiveSmallIntegerField(
                        blank=True, help_text="Пусто: навсегда", null=True, verbose_name="на сколько периодов"
                    ),
                ),
                ("valid_from", models.DateField(blank=True, null=True, verbose_name="действует с")),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="действует по")),
                (
                    "tariff_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        blank=True,
                        default=list,
                        size=None,
                        verbose_name="только тарифы",
                    ),
                ),
                (
                    "channel_codes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40),
                        blank=True,
                        default=list,
                        size=None,
                        verbose_name="только каналы",
                    ),
                ),
                (
                    "per_customer",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        default=1,
                        help_text="Пусто: сколько угодно",
                        null=True,
                        verbose_name="раз на клиента",
                    ),
                ),
                (
                    "total_limit",
                    models.PositiveIntegerField(
                        blank=True, help_text="Пусто: сколько угодно", null=True, verbose_name="раз всего"
                    ),
                ),
                (
                    "budget",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Скидка за все её периоды занимает бюджет сразу; кончился — коды не действуют",
                        max_digits=14,
                        null=True,
                        verbose_name="бюджет скидок",
                    ),
                ),
                ("is_new_only", models.BooleanField(default=True, verbose_name="только для новых покупок")),
                ("is_active", models.BooleanField(default=True, verbose_name="действует")),
                ("used", models.PositiveIntegerField(default=0, editable=False, verbose_name="использован")),
                (
                    "spent",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        editable=False,
                        max_digits=14,
                        verbose_name="занято бюджета",
                    ),
                ),
                ("created_at", models.DateTimeField(editable=False, verbose_name="создан")),
                (
                    "actor",
                    models.CharField(blank=True, editable=False, max_length=150, verbose_name="кто создал"),
                ),
            ],
            options={
                "verbose_name": "промокод",
                "verbose_name_plural": "промокоды",
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("amount", 0), ("percent__gt", 0), ("percent__lte", 100)),
                            models.Q(("amount__gt", 0), ("percent", 0)),
                            _connector="OR",
                        ),
                        name="billing_promotion_size",
                        violation_error_message="Укажите либо процент до 100, либо сумму",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("budget", None), ("periods__isnull", False), _connector="OR"),
                        name="billing_promotion_budget_ends",
                        violation_error_message="У бессрочной скидки не бывает бюджета: укажите, на сколько периодов",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("total_limit", None), ("used__lte", models.F("total_limit")), _connector="OR"
                            ),
                            models.Q(("budget", None), ("spent__lte", models.F("budget")), _connector="OR"),
                        ),
                        name="billing_promotion_within",
                        violation_error_message="Столько уже использовано: меньше поставить нельзя",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PromoCode",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("code", models.CharField(max_length=40, verbose_name="код")),
                ("limit", models.PositiveIntegerField(blank=True, null=True, verbose_name="раз")),
                ("used", models.PositiveIntegerField(default=0, verbose_name="использован")),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="codes",
                        to="billing.promotion",
                        verbose_name="промокод",
                    ),
                ),
            ],
            options={
                "verbose_name": "код",
                "verbose_name_plural": "коды",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="RetentionOffer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "name",
                    apps.core.fields.TranslatedField(
                        help_text="Словами для клиента: «Оставайтесь: скидка 30 % на 3 месяца»",
                        verbose_name="что предложить",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("discount", "скидка"), ("pause", "пауза")],
                        max_length=10,
                        verbose_name="вид",
                    ),
                ),
                (
                    "percent",
                    models.DecimalField(
                        decimal_places=2, default=Decimal("0"), max_digits=5, verbose_name="скидка, %"
                    ),
                ),
                (
                    "periods",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="на сколько периодов"
                    ),
                ),
                (
                    "pause_days",
                    models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="пауза, дней"),
                ),
                (
                    "tariff_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        blank=True,
                        default=list,
                        size=None,
                        verbose_name="только тарифы",
                    ),
                ),
                ("sort", models.PositiveIntegerField(default=100, verbose_name="порядок")),
                ("is_active", models.BooleanField(default=True, verbose_name="действует")),
            ],
            options={
                "verbose_name": "удерживающее предложение",
                "verbose_name_plural": "удерживающие предложения",
                "ordering": ["sort", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind", "discount"),
                                ("percent__gt", 0),
                                ("percent__lte", 100),
                                ("periods__gt", 0),
                                ("periods__isnull", False),
                            ),
                            models.Q(
                                ("kind", "pause"),
                                ("pause_days__isnull", False),
                                ("pause_days__range", (1, 180)),
                            ),
                            _connector="OR",
                        ),
                        name="billing_retention_terms",
                        violation_error_message="Скидка: процент до 100 и сколько периодов. Пауза: от 1 до 180 дней",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LeavingAnswer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("dear", "Дорого"),
                            ("unused", "Редко пользуюсь"),
                            ("lacks", "Не хватает возможностей"),
                            ("broken", "Что-то не работает"),
                            ("other_product", "Нашёл другой сервис"),
                            ("other", "Другая причина"),
                        ],
                        max_length=20,
                        verbose_name="причина",
                    ),
                ),
                ("stayed", models.BooleanField(verbose_name="остался")),
                ("at", models.DateTimeField(verbose_name="когда")),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="leaving",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
                (
                    "offer",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="answers",
                        to="billing.retentionoffer",
                        verbose_name="предложение",
                    ),
                ),
            ],
            options={
                "verbose_name": "ответ уходящего",
                "verbose_name_plural": "ответы уходящих",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="PromoRedemption",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("percent", models.DecimalField(decimal_places=2, max_digits=5, verbose_name="скидка, %")),
                (
                    "amount",
                    models.DecimalField(decimal_places=2, max_digits=14, verbose_name="скидка за период"),
                ),
                ("periods", models.PositiveSmallIntegerField(null=True, verbose_name="периодов")),
                (
                    "cost",
                    models.DecimalField(decimal_places=2, max_digits=14, verbose_name="занимает бюджета"),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("reserved", "Ждёт оплаты"),
                            ("applied", "Применён"),
                            ("released", "Освобождён"),
                        ],
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                ("created_at", models.DateTimeField(verbose_name="введён")),
                (
                    "code",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="billing.promocode",
                        verbose_name="код",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="accounts.customer",
                        verbose_name="клиент",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="billing.promotion",
                        verbose_name="промокод",
                    ),
                ),
            ],
            options={
                "verbose_name": "использование промокода",
                "verbose_name_plural": "использования промокодов",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(models.F("promotion"), models.F("customer"), name="billing_redemption_of")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="promocode",
            constraint=models.UniqueConstraint(fields=("code",), name="billing_promocode_once"),
        ),
        migrations.AddConstraint(
            model_name="promocode",
            constraint=models.CheckConstraint(
                condition=models.Q(("limit", None), ("used__lte", models.F("limit")), _connector="OR"),
                name="billing_promocode_within",
            ),
        ),
        migrations.AddConstraint(
            model_name="leavinganswer",
            constraint=models.UniqueConstraint(
                models.F("subscription"), condition=models.Q(("stayed", True)), name="billing_retained_once"
            ),
        ),
    ]
