"""What a partner has collected from its clients: its report, row by row, matched with the invoices it is about."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import money_in, outside
from apps.billing.models import Collection, Invoice, InvoiceState
from apps.billing.paperwork import CollectionReport, CollectionRow, MoneySource, RowState
from apps.core import clock
from apps.core.errors import Refused
from apps.core.money import Money

KIND = "billing.CollectionReport"
MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Given:
    """One row as the partner wrote it; None where it could not be read."""

    number: str
    amount: Decimal | None
    paid_date: date | None


def read(text: str) -> list[Given]:
    """Rows of a CSV file (`;`, `,` or tabs): number of the invoice; amount; date as 31.12.2026 or 2026-12-31.

    A first row of headings is left out. Raises Refused `bad_file` for a file without rows, or with too many.
    """
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    delimiter = max(";,\t", key=lambda one: lines[0].count(one)) if lines else ";"
    rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    if rows and _amount(rows[0][1] if len(rows[0]) > 1 else "") is None and len(rows) > 1:
        rows = rows[1:]
    if not rows or len(rows) > MOST_ROWS or not any(len(row) > 1 for row in rows):
        told = _("Нужен CSV: номер счёта; сумма; дата. Не больше %d строк") % MOST_ROWS
        raise Refused("bad_file", told, status=400)
    return [given(*[*row, "", "", ""][:3]) for row in rows]


def given(number: str, amount: object, day: object) -> Given:
    """One row from words."""
    return Given(str(number).strip()[:60], _amount(str(amount)), _day(str(day)))


def load(rows: Iterable[Given], *, name: str, source: str, key: str, actor: str) -> CollectionReport:
    """Keeps a report and pays the invoices that it matches to the kopeck; the others are its differences.

    Each row is done by itself: what does not match holds up nothing. The same `key` again is the same report.
    """
    rows = list(rows)
    with transaction.atomic():
        report, is_new = CollectionReport.objects.get_or_create(
            key=key[:100],
            defaults={
                "name": name[:100],
                "source": source,
                "actor": actor[:150],
                "created_at": clock.now(),
            },
        )
        if not is_new:
            return report
        known = _known(rows)
        done = [_match(report, position, row, known.get(row.number)) for position, row in enumerate(rows, 1)]
        CollectionRow.objects.bulk_create(done)
        counts = Counter(row.state for row in done)
        journal.record("collection.reported", KIND, report.pk, actor=actor, data=dict(counts))
    return report


def missing(report: CollectionReport) -> QuerySet[Invoice]:
    """Invoices that the partner was to collect by the report's day, and that no report has named."""
    return Invoice.objects.filter(
        collection=Collection.PARTNER_REPORTS,
        state=InvoiceState.OPEN,
        due_date__lt=clock.local(report.created_at).date(),
    ).order_by("due_date", "pk")


def _known(rows: list[Given]) -> dict[str, Invoice]:
    numbers = {row.number for row in rows if row.number}
    found = Invoice.objects.filter(number__in=numbers, collection=Collection.PARTNER_REPORTS)
    return {invoice.number: invoice for invoice in found}


def _match(report: CollectionReport, position: int, row: Given, invoice: Invoice | None) -> CollectionRow:
    state, expected = RowState.UNKNOWN, None
    if row.amount is None or row.paid_date is None or row.paid_date > clock.today():
        state = RowState.BAD
    elif invoice is not None:
        invoice.refresh_from_db()
        expected = money_in.left(invoice).amount
        if invoice.state != InvoiceState.OPEN:
            state, expected = RowState.REPEATED, None
        elif row.amount != expected:
            state = RowState.DIFFERENT
        else:
            state = RowState.MATCHED
            outside.receive(
                invoice_id=invoice.pk,
                source=MoneySource.PARTNER_REPORT,
                amount=Money(row.amount, invoice.currency),
                paid_date=row.paid_date,
                reference=f"{report.name}, {position}"[:60],
                key=f"report:{report.pk}:{position}",
                actor=report.actor,
            )
    return CollectionRow(
        report=report,
        position=position,
        number=row.number,
        amount=row.amount,
        paid_date=row.paid_date,
        invoice=invoice,
        expected=expected,
        state=state,
    )


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text.replace("\N{NO-BREAK SPACE}", "").replace(" ", "").replace(",", "."))
    except InvalidOperation:
        return None
    is_money = amount.is_finite() and 0 < amount < 10**12 and amount == amount.quantize(Decimal("0.01"))
    return amount if is_money else None


def _day(text: str) -> date | None:
    for form in ("%d.%m.%Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return None
