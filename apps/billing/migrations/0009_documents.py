"""Acts and receipts, money that came past our gateway, less debt by credit notes; nothing in closed books."""

from decimal import Decimal

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import apps.core.fields
import apps.core.ids

INVOICE = """
CREATE OR REPLACE FUNCTION billing_keep_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved text[] := ARRAY['state', 'paid_at', 'closed_at', 'debt_credited'];
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    -- A moment is set together with the state that it belongs to, and by nothing else; debt only grows less, and only
    -- while it is owed.
    IF TG_OP = 'UPDATE'
        AND (to_jsonb(NEW) - moved) = (to_jsonb(OLD) - moved)
        AND (NEW.debt_credited = OLD.debt_credited
            OR (NEW.debt_credited > OLD.debt_credited AND OLD.state = 'open' AND NEW.state = 'open'))
        AND (NEW.paid_at IS NOT DISTINCT FROM OLD.paid_at OR (OLD.state = 'open' AND NEW.state = 'paid'))
        AND (NEW.closed_at IS NOT DISTINCT FROM OLD.closed_at OR NEW.state <> OLD.state AND NEW.state <> 'paid')
        AND (NEW.state = OLD.state
            OR (OLD.state = 'open' AND NEW.state IN ('paid', 'void'))
            OR (OLD.state = 'paid' AND NEW.state = 'refunded'))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Invoice % is issued: % is refused', OLD.number, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""
ISSUED = "state <> ''draft'' AND id IN (SELECT id FROM stale WHERE state = ''draft'')"


def _open(table: str, which: str = "true", event: str = "INSERT", tables: str = "") -> migrations.RunSQL:
    """The database refuses a document of a day whose books are closed."""
    name = f"{table}_open_{event.lower()}"
    return migrations.RunSQL(
        f"CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING NEW TABLE AS fresh{tables}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION public.partners_refuse_closed('legal_entity_id', '{which}')",
        f"DROP TRIGGER {name} ON {table}",
    )


def _kept(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change()",
        f"DROP TRIGGER {table}_kept ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_company"),
        ("billing", "0008_line_part"),
        ("core", "0002_refuse_change"),
        ("partners", "0004_books"),
    ]

    operations = [
        migrations.AddField(
            model_name="invoice",
            name="debt_credited",
            field=models.DecimalField(
                db_default=Decimal("0.00"),
                decimal_places=2,
                default=Decimal("0.00"),
                editable=False,
                max_digits=14,
                verbose_name="снято с долга",
            ),
        ),
        migrations.AddField(
            model_name="invoice",
            name="parties",
            field=models.JSONField(blank=True, editable=False, null=True, verbose_name="стороны"),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("debt_credited__gte", 0),
                    (
                        "total__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("credit_applied"), "+", models.F("debt_credited")
                        ),
                    ),
                ),
                name="billing_invoice_debt",
            ),
        ),
        migrations.CreateModel(
            name="Document",
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
                            ("act", "Акт"),
                            ("receipt", "Квитанция об оплате"),
                            ("refund_receipt", "Квитанция о возврате"),
                        ],
                        max_length=14,
                        verbose_name="документ",
                    ),
                ),
                ("number", models.CharField(max_length=40, verbose_name="номер")),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to="accounts.customer",
                        verbose_name="клиент",
                    ),
                ),
                (
                    "legal_entity",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="partners.legalentity",
                        verbose_name="продавец",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to="billing.invoice",
                        verbose_name="счёт",
                    ),
                ),
                ("business_date", models.DateField(verbose_name="дата")),
                ("period_start", models.DateField(blank=True, null=True, verbose_name="с")),
                ("period_end", models.DateField(blank=True, null=True, verbose_name="до")),
                ("total", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="сумма")),
                (
                    "vat",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        max_digits=14,
                        verbose_name="в том числе НДС",
                    ),
                ),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("lines", models.JSONField(verbose_name="строки")),
                ("parties", models.JSONField(blank=True, null=True, verbose_name="стороны")),
                ("details", models.CharField(blank=True, max_length=200, verbose_name="чем оплачено")),
                ("issued_at", models.DateTimeField(verbose_name="выставлен")),
                ("key", models.CharField(max_length=100, verbose_name="ключ")),
            ],
            options={
                "verbose_name": "документ",
                "verbose_name_plural": "акты и квитанции",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=("number",), name="billing_document_number"),
                    models.UniqueConstraint(fields=("key",), name="billing_document_once"),
                    models.CheckConstraint(
                        condition=models.Q(("total__gte", 0), ("vat__gte", 0)),
                        name="billing_document_amounts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OutsidePayment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outside_payments",
                        to="billing.invoice",
                        verbose_name="счёт",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.customer",
                        verbose_name="клиент",
                    ),
                ),
                (
                    "legal_entity",
                    apps.core.fields.PublicReference(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="partners.legalentity",
                        verbose_name="продавец",
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("bank", "банковский перевод"),
                            ("partner_report", "отчёт партнёра"),
                            ("partner_charge", "списание партнёром"),
                        ],
                        max_length=14,
                        verbose_name="откуда",
                    ),
                ),
                ("reference", models.CharField(max_length=60, verbose_name="номер платёжного поручения")),
                ("paid_date", models.DateField(verbose_name="дата платежа")),
                ("business_date", models.DateField(verbose_name="дата проводки")),
                (
                    "amount",
                    models.DecimalField(decimal_places=2, max_digits=14, verbose_name="в оплату счёта"),
                ),
                (
                    "to_balance",
                    models.DecimalField(
                        decimal_places=2, default=Decimal("0.00"), max_digits=14, verbose_name="на баланс"
                    ),
                ),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто внёс")),
                ("entered_at", models.DateTimeField(verbose_name="внесена")),
                ("key", models.CharField(max_length=100, verbose_name="ключ")),
            ],
            options={
                "verbose_name": "поступление",
                "verbose_name_plural": "поступления",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=("key",), name="billing_outside_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount__gte", 0),
                            ("to_balance__gte", 0),
                            models.Q(("amount", 0), ("to_balance", 0), _negated=True),
                        ),
                        name="billing_outside_amounts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ChargeRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="charge_requests",
                        to="billing.invoice",
                        verbose_name="счёт",
                    ),
                ),
                ("amount", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="сумма")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Ждём партнёра"),
                            ("charged", "Списано"),
                            ("refused", "Отказано"),
                            ("called_off", "Отозван"),
                        ],
                        default="waiting",
                        max_length=10,
                        verbose_name="состояние",
                    ),
                ),
                (
                    "reference",
                    models.CharField(blank=True, max_length=60, verbose_name="номер списания у партнёра"),
                ),
                ("reason", models.CharField(blank=True, max_length=60, verbose_name="почему отказано")),
                ("created_at", models.DateTimeField(verbose_name="создан")),
                ("answered_at", models.DateTimeField(blank=True, null=True, verbose_name="ответ")),
            ],
            options={
                "verbose_name": "запрос на списание",
                "verbose_name_plural": "запросы на списание",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("invoice"),
                        condition=models.Q(("state__in", ["waiting", "charged"])),
                        name="billing_request_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "waiting"), ("answered_at__isnull", False), _connector="XOR"
                        ),
                        name="billing_request_answered",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CollectionReport",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="отчёт")),
                ("source", models.CharField(max_length=10, verbose_name="откуда")),
                ("key", models.CharField(max_length=100, verbose_name="ключ")),
                ("actor", models.CharField(blank=True, max_length=150, verbose_name="кто загрузил")),
                ("created_at", models.DateTimeField(verbose_name="загружен")),
            ],
            options={
                "verbose_name": "отчёт партнёра о сборах",
                "verbose_name_plural": "отчёты партнёра о сборах",
                "ordering": ["-id"],
                "constraints": [models.UniqueConstraint(fields=("key",), name="billing_report_once")],
            },
        ),
        migrations.CreateModel(
            name="CollectionRow",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rows",
                        to="billing.collectionreport",
                        verbose_name="отчёт",
                    ),
                ),
                ("position", models.PositiveIntegerField(verbose_name="строка")),
                ("number", models.CharField(max_length=60, verbose_name="номер счёта")),
                (
                    "amount",
                    models.DecimalField(
                        blank=True, decimal_places=2, max_digits=14, null=True, verbose_name="собрано"
                    ),
                ),
                ("paid_date", models.DateField(blank=True, null=True, verbose_name="дата")),
                (
                    "invoice",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.invoice",
                        verbose_name="счёт",
                    ),
                ),
                (
                    "expected",
                    models.DecimalField(
                        blank=True, decimal_places=2, max_digits=14, null=True, verbose_name="по счёту"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("matched", "Сошлось"),
                            ("different", "Другая сумма"),
                            ("unknown", "Такого счёта нет"),
                            ("repeated", "Уже оплачен"),
                            ("bad", "Не разобрана"),
                        ],
                        max_length=10,
                        verbose_name="сверка",
                    ),
                ),
            ],
            options={
                "verbose_name": "строка отчёта",
                "verbose_name_plural": "строки отчёта",
                "ordering": ["position"],
                "constraints": [],
            },
        ),
        migrations.RunSQL(INVOICE, migrations.RunSQL.noop),
        _open("billing_invoice", "state <> ''draft''"),
        _open("billing_invoice", ISSUED, "UPDATE", " OLD TABLE AS stale"),
        *(_open(table) for table in ("billing_creditnote", "billing_document", "billing_outsidepayment")),
        *(
            _kept(table)
            for table in (
                "billing_document",
                "billing_outsidepayment",
                "billing_collectionreport",
                "billing_collectionrow",
            )
        ),
    ]
