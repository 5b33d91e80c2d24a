"""Debts that are chased, and bills out of bounds that wait for a person."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids

CLASSES = [
    ("funds", "Не хватает денег или превышен лимит"),
    ("technical", "Технический сбой банка или шлюза"),
    ("unknown", "Банк отказал, не назвав причину"),
    ("card", "Карта просрочена или недействительна"),
    ("fraud", "Карта заблокирована, подозрение на мошенничество"),
    ("revoked", "Клиент отозвал способ оплаты, или его нет"),
]
STATES = [
    ("running", "Идёт"),
    ("recovered", "Оплачено"),
    ("lost", "Не оплачено"),
    ("stopped", "Прекращено"),
]
PARKED = [("waiting", "На проверке"), ("released", "Разрешён"), ("voided", "Отклонён")]


def key():
    return models.UUIDField(default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False)


def amount(name, **options):
    return models.DecimalField(decimal_places=2, max_digits=14, verbose_name=name, **options)


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_documents"), ("policies", "0005_dunning")]

    operations = [
        migrations.CreateModel(
            name="Dunning",
            fields=[
                ("id", key()),
                (
                    "state",
                    models.CharField(choices=STATES, default="running", max_length=10, verbose_name="итог"),
                ),
                (
                    "first_class",
                    models.CharField(choices=CLASSES, max_length=10, verbose_name="первый отказ"),
                ),
                (
                    "decline_class",
                    models.CharField(choices=CLASSES, max_length=10, verbose_name="последний отказ"),
                ),
                ("reason", models.CharField(blank=True, max_length=60, verbose_name="слово шлюза")),
                ("amount", amount("долг")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("started_at", models.DateTimeField(verbose_name="начато")),
                ("started_date", models.DateField(verbose_name="первый отказ, день")),
                ("done_day", models.SmallIntegerField(default=-1)),
                ("done_rank", models.SmallIntegerField(default=0)),
                ("retries", models.PositiveSmallIntegerField(default=0, verbose_name="повторов")),
                ("message_if_failed", models.CharField(blank=True, max_length=30)),
                ("next_date", models.DateField(blank=True, null=True, verbose_name="следующий шаг")),
                ("next_action", models.CharField(blank=True, max_length=10, verbose_name="что дальше")),
                (
                    "suspended_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="услуга приостановлена"),
                ),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="закончено")),
                ("recovered_by", models.CharField(blank=True, max_length=10, verbose_name="чем оплачено")),
                ("log", models.JSONField(blank=True, default=list, verbose_name="что сделано")),
                (
                    "invoice",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="dunning",
                        to="billing.invoice",
                        verbose_name="счёт",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="dunnings",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
                (
                    "version",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="policies.dunningversion",
                        verbose_name="политика",
                    ),
                ),
            ],
            options={
                "verbose_name": "неоплата",
                "verbose_name_plural": "неоплаты",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("subscription"),
                        condition=models.Q(("state", "running")),
                        name="billing_dunning_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at", None), ("state", "running")),
                            models.Q(
                                models.Q(("state", "running"), _negated=True), ("closed_at__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="billing_dunning_closed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ParkedBill",
            fields=[
                ("id", key()),
                (
                    "state",
                    models.CharField(
                        choices=PARKED, default="waiting", max_length=10, verbose_name="решение"
                    ),
                ),
                ("reason", models.CharField(max_length=300, verbose_name="почему остановлен")),
                ("total", amount("сумма счёта")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("usual", amount("обычно за то же", default=Decimal("0.00"))),
                ("billed_from", models.DateField(verbose_name="с какого дня")),
                ("lines", models.JSONField(default=list, verbose_name="что в счёте")),
                ("parked_at", models.DateTimeField(verbose_name="остановлен")),
                ("decided_at", models.DateTimeField(blank=True, null=True, verbose_name="решено")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто решил")),
                ("note", models.CharField(blank=True, max_length=300, verbose_name="почему так")),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="parked_bills",
                        to="billing.subscription",
                        verbose_name="подписка",
                    ),
                ),
            ],
            options={
                "verbose_name": "счёт на проверке",
                "verbose_name_plural": "счета на проверке",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("subscription"),
                        condition=models.Q(("state", "waiting")),
                        name="billing_parked_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "waiting"),
                            models.Q(("decided_at__isnull", False), models.Q(("note", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="billing_parked_decided",
                    ),
                ],
            },
        ),
    ]
