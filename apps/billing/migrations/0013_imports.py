"""A base of another system on its way in, and mass actions."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("billing", "0012_economics"),
        ("catalog", "0005_lifecycle_offers_prices"),
        ("payments", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="BaseBatch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("planned", "В очереди"), ("done", "Перенесена"), ("undone", "Возвращена")],
                        default="planned",
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                ("size", models.PositiveIntegerField(default=0, verbose_name="подписок")),
                ("moved", models.PositiveIntegerField(default=0, verbose_name="перенесено")),
                ("left", models.JSONField(blank=True, default=list, verbose_name="осталось")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                ("created_at", models.DateTimeField(verbose_name="назначена")),
                ("done_at", models.DateTimeField(blank=True, null=True, verbose_name="перенесена")),
                ("undone_at", models.DateTimeField(blank=True, null=True, verbose_name="возвращена")),
            ],
            options={
                "verbose_name": "пачка переноса",
                "verbose_name_plural": "пачки переноса",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="MassAction",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("extend", "Продлить на дни в подарок"),
                            ("refund", "Вернуть часть последней оплаты"),
                            ("change", "Сменить тариф"),
                        ],
                        max_length=10,
                        verbose_name="что сделать",
                    ),
                ),
                ("params", models.JSONField(default=dict)),
                ("reason", models.CharField(max_length=200, verbose_name="почему")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("counting", "Считаем"),
                            ("ready", "Ждёт подтверждения"),
                            ("running", "Выполняется"),
                            ("done", "Выполнено"),
                            ("dropped", "Отменено"),
                        ],
                        default="counting",
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                ("size", models.PositiveIntegerField(default=0, verbose_name="подписок")),
                ("asked_by", models.CharField(max_length=150, verbose_name="кто начал")),
                ("confirmed_by", models.CharField(blank=True, max_length=150, verbose_name="кто подтвердил")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("created_at", models.DateTimeField(verbose_name="создано")),
                ("confirmed_at", models.DateTimeField(blank=True, null=True, verbose_name="подтверждено")),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="завершено")),
            ],
            options={
                "verbose_name": "массовое действие",
                "verbose_name_plural": "массовые действия",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="ShadowRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200, verbose_name="файл")),
                ("start_date", models.DateField(verbose_name="с")),
                ("end_date", models.DateField(verbose_name="до")),
                ("compared", models.PositiveIntegerField(default=0, verbose_name="подписок")),
                ("equal", models.PositiveIntegerField(default=0, verbose_name="списаний совпало")),
                ("explained", models.PositiveIntegerField(default=0, verbose_name="объяснено")),
                ("unexplained", models.PositiveIntegerField(default=0, verbose_name="не объяснено")),
                (
                    "ours",
                    models.DecimalField(
                        decimal_places=2, default=Decimal("0.00"), max_digits=14, verbose_name="мы списали бы"
                    ),
                ),
                (
                    "theirs",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        max_digits=14,
                        verbose_name="списала прежняя система",
                    ),
                ),
                ("differences", models.JSONField(default=list)),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                ("created_at", models.DateTimeField(verbose_name="сверено")),
            ],
            options={
                "verbose_name": "теневой месяц",
                "verbose_name_plural": "теневые месяцы",
                "ordering": ["-id"],
            },
        ),
        migrations.AlterField(
            model_name="subscriptionphase",
            name="kind",
            field=models.CharField(
                choices=[
                    ("trial", "пробный период"),
                    ("introductory", "вводная цена"),
                    ("regular", "обычные условия"),
                    ("change", "смена тарифа"),
                    ("price_change", "изменение цены"),
                    ("pause", "пауза"),
                    ("moved", "оплачено в прежней системе"),
                    ("gift", "дни в подарок"),
                ],
                max_length=15,
                verbose_name="что это",
            ),
        ),
        migrations.CreateModel(
            name="BaseImport",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200, verbose_name="файл")),
                (
                    "state",
                    models.CharField(
                        choices=[("looked", "Проверен, не загружен"), ("loaded", "Загружен")],
                        default="looked",
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                ("content", apps.core.fields.EncryptedField(blank=True)),
                ("rows", models.PositiveIntegerField(default=0, verbose_name="строк")),
                ("report", models.JSONField(default=dict)),
                ("loaded", models.JSONField(default=dict)),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                ("created_at", models.DateTimeField(verbose_name="проверен")),
                ("loaded_at", models.DateTimeField(blank=True, null=True, verbose_name="загружен")),
                (
                    "connection",
                    apps.core.fields.PublicReference(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="connectors.connection",
                        verbose_name="шлюз сохранённых способов",
                    ),
                ),
            ],
            options={
                "verbose_name": "файл базы",
                "verbose_name_plural": "перенос базы",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="BaseRow",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("external_id", models.CharField(max_length=100, verbose_name="номер в прежней системе")),
                (
                    "parent_external_id",
                    models.CharField(blank=True, max_length=100, verbose_name="дополнение к"),
                ),
                ("line", models.PositiveIntegerField(verbose_name="строка файла")),
                ("fingerprint", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Ждёт переноса"), ("moved", "Перенесена")],
                        default="waiting",
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                ("person", apps.core.fields.EncryptedJSONField(blank=True)),
                ("secrets", apps.core.fields.EncryptedJSONField(blank=True)),
                ("name", models.CharField(max_length=300, verbose_name="название")),
                (
                    "price",
                    models.DecimalField(decimal_places=2, max_digits=14, verbose_name="цена за период"),
                ),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("quantity", models.PositiveSmallIntegerField(default=1, verbose_name="количество")),
                (
                    "discount_percent",
                    models.DecimalField(
                        decimal_places=2, default=Decimal("0"), max_digits=5, verbose_name="скидка, %"
                    ),
                ),
                (
                    "discount_amount",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        max_digits=14,
                        verbose_name="скидка за период",
                    ),
                ),
                ("discount_until", models.DateField(blank=True, null=True, verbose_name="скидка до")),
                ("period_start", models.DateField(verbose_name="оплачено с")),
                ("next_charge_date", models.DateField(verbose_name="следующее списание")),
                ("cycle_day", models.PositiveSmallIntegerField(verbose_name="день списания")),
                ("started_date", models.DateField(blank=True, null=True, verbose_name="началась")),
                ("end_date", models.DateField(blank=True, null=True, verbose_name="заканчивается")),
                (
                    "batch",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rows",
                        to="billing.basebatch",
                        verbose_name="пачка",
                    ),
                ),
                (
                    "connection",
                    apps.core.fields.PublicReference(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="connectors.connection",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.customer",
                        verbose_name="клиент",
                    ),
                ),
                (
                    "method",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.paymentmethod",
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
                    "source",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="loaded_rows",
                        to="billing.baseimport",
                        verbose_name="файл",
                    ),
                ),
                (
                    "subscription",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="moved_from",
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
                "verbose_name": "подписка прежней системы",
                "verbose_name_plural": "подписки прежней системы",
                "ordering": ["external_id"],
                "constraints": [
                    models.UniqueConstraint(models.F("external_id"), name="billing_baserow_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="MassRow",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("new", "Ещё не посчитано"),
                            ("counted", "Посчитано"),
                            ("done", "Сделано"),
                            ("refused", "Отказано"),
                        ],
                        default="new",
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                (
                    "amount",
                    models.DecimalField(
                        decimal_places=2, default=Decimal("0.00"), max_digits=14, verbose_name="сумма"
                    ),
                ),
                ("result", models.CharField(blank=True, max_length=300, verbose_name="результат")),
                ("done_at", models.DateTimeField(blank=True, null=True, verbose_name="когда")),
                (
                    "action",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="billing.massaction",
                        verbose_name="действие",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
            ],
            options={
                "verbose_name": "строка действия",
                "verbose_name_plural": "строки действия",
                "ordering": ["id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["new", "counted"])),
                        fields=["action", "id"],
                        name="billing_massrow_open",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("action"), models.F("subscription"), name="billing_massrow_once"
                    )
                ],
            },
        ),
    ]
