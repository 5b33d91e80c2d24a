"""Policies of dunning, the rules of charges, and how dunnings ended; the policy that everybody begins with."""

import json
from decimal import Decimal

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

CLASSES = [
    ("funds", "Не хватает денег или превышен лимит"),
    ("technical", "Технический сбой банка или шлюза"),
    ("unknown", "Банк отказал, не назвав причину"),
    ("card", "Карта просрочена или недействительна"),
    ("fraud", "Карта заблокирована, подозрение на мошенничество"),
    ("revoked", "Клиент отозвал способ оплаты, или его нет"),
]
FAILED, LAST = "renewal_failed", "last_warning"


def _step(day, action, message=""):
    return {"day": day, "action": action, "message": message}


TRIED = [
    _step(1, "retry", FAILED),
    _step(3, "retry", FAILED),
    _step(5, "retry"),
    _step(5, "end", FAILED),
]
BY_HAND = [_step(0, "remind", FAILED), _step(3, "remind", LAST), _step(5, "end", FAILED)]
USUAL = {
    "funds": [_step(0, "remind", FAILED), *TRIED],
    "technical": TRIED,
    "unknown": [_step(0, "remind", FAILED), *TRIED],
    "card": BY_HAND,
    "fraud": BY_HAND,
    "revoked": BY_HAND,
}
FORWARD = f"""
INSERT INTO policies_dunningpolicy (name, is_default) VALUES ('Обычная', true);
INSERT INTO policies_dunningversion (policy_id, number, timelines, actor, created_at)
SELECT id, 1, '{json.dumps(USUAL)}', '', now() FROM policies_dunningpolicy;
UPDATE policies_dunningpolicy SET current_id = (SELECT id FROM policies_dunningversion);
CREATE TRIGGER policies_dunning_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON policies_dunningversion
    FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change();
"""  # noqa: S608
BACKWARD = "DROP TRIGGER policies_dunning_kept ON policies_dunningversion; DELETE FROM policies_dunningpolicy"


def key():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0002_refuse_change"),
        ("partners", "0001_initial"),
        ("policies", "0004_words"),
    ]
    operations = [
        migrations.CreateModel(
            name="DunningPolicy",
            fields=[
                ("id", key()),
                ("name", models.CharField(max_length=100, unique=True, verbose_name="название")),
                (
                    "is_default",
                    models.BooleanField(default=False, verbose_name="для всех, у кого не выбрана другая"),
                ),
            ],
            options={
                "verbose_name": "политика неоплаты",
                "verbose_name_plural": "правила повторных списаний",
                "ordering": ["-is_default", "name"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("is_default"),
                        condition=models.Q(("is_default", True)),
                        name="policies_dunning_one_default",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DunningVersion",
            fields=[
                ("id", key()),
                ("number", models.PositiveIntegerField(verbose_name="редакция")),
                ("timelines", models.JSONField(verbose_name="шаги")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                ("created_at", models.DateTimeField(verbose_name="когда")),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="policies.dunningpolicy",
                        verbose_name="политика",
                    ),
                ),
            ],
            options={
                "verbose_name": "редакция политики",
                "verbose_name_plural": "редакции политики",
                "ordering": ["-number"],
                "constraints": [
                    models.UniqueConstraint(fields=("policy", "number"), name="policies_dunning_version")
                ],
            },
        ),
        migrations.AddField(
            model_name="dunningpolicy",
            name="current",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="policies.dunningversion",
                verbose_name="действующая редакция",
            ),
        ),
        migrations.CreateModel(
            name="DunningChoice",
            fields=[
                ("id", key()),
                ("tariff_id", models.BigIntegerField(blank=True, null=True, verbose_name="тариф")),
                (
                    "partner",
                    models.ForeignKey(
                        blank=True,
                        help_text="Пусто: у всех партнёров",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                        verbose_name="партнёр",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="choices",
                        to="policies.dunningpolicy",
                        verbose_name="политика",
                    ),
                ),
            ],
            options={
                "verbose_name": "выбор политики неоплаты",
                "verbose_name_plural": "кто по какой политике",
                "ordering": ["partner", "tariff_id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("partner", "tariff_id"),
                        name="policies_dunning_choice_once",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("partner__isnull", False), ("tariff_id__isnull", False), _connector="OR"
                        ),
                        name="policies_dunning_choice_of",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ChargeRules",
            fields=[
                ("id", key()),
                (
                    "notice_days",
                    models.PositiveSmallIntegerField(
                        default=3,
                        validators=[
                            django.core.validators.MinValueValidator(3),
                            django.core.validators.MaxValueValidator(30),
                        ],
                        verbose_name="предупреждать за, дней",
                    ),
                ),
                (
                    "require_notice",
                    models.BooleanField(
                        default=False,
                        help_text="Списание ждёт, пока предупреждение не будет отправлено за столько дней",
                        verbose_name="нет предупреждения, нет списания",
                    ),
                ),
                (
                    "most_invoices_a_day",
                    models.PositiveSmallIntegerField(
                        default=3,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="счетов одной подписки за день, не больше",
                    ),
                ),
                (
                    "most_periods",
                    models.PositiveSmallIntegerField(
                        default=3,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="периодов в одном счёте, не больше",
                    ),
                ),
                (
                    "most_times_usual",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("3.00"),
                        help_text="Обычное: медиана последних шести периодов этой подписки, за день и за штуку",
                        max_digits=6,
                        validators=[django.core.validators.MinValueValidator(Decimal("1.10"))],
                        verbose_name="дороже обычного, раз",
                    ),
                ),
                (
                    "most_amount",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Пусто: без предела",
                        max_digits=14,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(Decimal("0.01"))],
                        verbose_name="сумма счёта, не больше",
                    ),
                ),
                (
                    "partner",
                    models.OneToOneField(
                        blank=True,
                        help_text="Пусто: для всех, у кого нет своих правил",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                        verbose_name="партнёр",
                    ),
                ),
            ],
            options={
                "verbose_name": "правила списаний",
                "verbose_name_plural": "правила списаний",
                "ordering": [
                    models.OrderBy(models.F("partner"), nulls_first=True),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("partner"), name="policies_rules_once", nulls_distinct=False
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("most_times_usual__gt", 1), ("notice_days__range", (3, 30))),
                        name="policies_rules_sane",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DunningResult",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("partner_id", models.BigIntegerField(verbose_name="партнёр")),
                (
                    "decline_class",
                    models.CharField(choices=CLASSES, max_length=10, verbose_name="первый отказ"),
                ),
                ("amount", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="сумма")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("is_sandbox", models.BooleanField(default=False)),
                ("started_date", models.DateField(verbose_name="начато")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Идёт"),
                            ("recovered", "Оплачено"),
                            ("lost", "Не оплачено"),
                            ("stopped", "Прекращено"),
                        ],
                        max_length=10,
                        verbose_name="итог",
                    ),
                ),
                ("closed_date", models.DateField(blank=True, null=True, verbose_name="закончено")),
                (
                    "version",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="results",
                        to="policies.dunningversion",
                        verbose_name="редакция",
                    ),
                ),
            ],
            options={
                "verbose_name": "итог неоплаты",
                "verbose_name_plural": "итоги неоплат",
                "indexes": [
                    models.Index(
                        models.F("partner_id"), models.F("started_date"), name="policies_result_when"
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
