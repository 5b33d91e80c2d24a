"""What went back of an invoice's lines so far, and of the next part its VAT.

A refund takes VAT in the proportion of the line, a credit note at the line's rate; the last part has all that is left.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from apps.billing import economics, periods
from apps.billing.models import CreditNoteLine, Invoice, InvoiceLine
from apps.billing.posting_parts import CREDIT, ZERO, paid_on, transfers
from apps.core.money import rounded, vat_inside
from apps.payments.models import Refund


@dataclass(slots=True)
class Taken:
    """What is credited of a line so far, by notes and refunds together."""

    gross: Decimal = Decimal("0.00")
    vat: Decimal = Decimal("0.00")

    def rest_of_vat(self, line: InvoiceLine, gross: Decimal) -> Decimal:
        """The VAT of `gross` more: the last part of a line has all that is left of its VAT."""
        if self.gross + gross >= line.amount:
            return line.vat - self.vat
        wanted = rounded(line.vat * (self.gross + gross) / line.amount) - self.vat
        return max(min(wanted, line.vat - self.vat), Decimal("0.00"))

    def take(self, line: InvoiceLine, gross: Decimal) -> Decimal:
        """The VAT of a note's part, at the line's rate, which is counted from now on; the last part has the rest."""
        rest = line.vat - self.vat
        tax = rest if self.gross + gross >= line.amount else min(vat_inside(gross, line.vat_rate), rest)
        self.gross, self.vat = self.gross + gross, self.vat + tax
        return tax


def taken_of(invoice: Invoice, lines: Iterable[InvoiceLine]) -> dict[UUID, Taken]:
    """What is credited of lines so far, by line. Read it under the invoice's lock."""
    found = {line.pk: Taken() for line in lines}
    notes = CreditNoteLine.objects.filter(invoice_line__in=list(found))
    for key, amount, vat in notes.values_list("invoice_line_id", "amount", "vat"):
        found[key].gross, found[key].vat = found[key].gross + amount, found[key].vat + vat
    back = refunded_of(invoice)
    for line in lines:
        net, vat = back[f"credit-net-{line.position}"], back[f"credit-vat-{line.position}"]
        found[line.pk].gross, found[line.pk].vat = found[line.pk].gross + net + vat, found[line.pk].vat + vat
    return found


def left_of_lines(invoice: Invoice, lines: Iterable[InvoiceLine]) -> dict[UUID, Decimal]:
    """By line: what neither notes nor refunds that were made have taken of it. Never less than nothing."""
    lines = list(lines)
    taken = taken_of(invoice, lines)
    return {line.pk: max(line.amount - taken[line.pk].gross, Decimal("0.00")) for line in lines}


def credited_so_far(invoice: Invoice) -> Decimal:
    """What stands in the ledger as given back of an invoice by refunds."""
    back = refunded_of(invoice)
    return sum(
        (amount for name, amount in back.items() if name.startswith(("credit-net", "credit-vat"))),
        Decimal("0.00"),
    )


def refunded_of(invoice: Invoice) -> dict[str, Decimal]:
    """By posting: what stands in the ledger as given back of an invoice by refunds."""
    refunds = Refund.objects.filter(payment__invoice_payment__invoice=invoice).values_list("pk", flat=True)
    found: dict[str, Decimal] = defaultdict(Decimal)
    if keys := list(refunds):
        mine = transfers().filter(document_kind=CREDIT, document_id__in=keys)
        for name, amount in mine.values_list("posting", "amount"):
            found[name] += amount
    return found


def spread(
    amount: Decimal, lines: list[InvoiceLine], taken: dict[UUID, Taken]
) -> Iterator[tuple[InvoiceLine, Decimal]]:
    """Parts of `amount` in proportion to what is left of each line, which none of them exceeds."""
    left = [line.amount - taken[line.pk].gross for line in lines]
    whole, below = sum(left, Decimal(0)), Decimal(0)
    for line, rest in zip(lines, left, strict=True):
        above = below + rest
        part = rounded(amount * above / whole) - rounded(amount * below / whole) if whole else Decimal(0)
        below = above
        if part:
            yield line, part


def late_of(invoice: Invoice, line: InvoiceLine) -> Decimal:
    """What went back of a line after the window in which it takes the partner's share with it; VAT included."""
    last = economics.window_ends(line, paid_on(invoice))
    if last is None:
        return ZERO
    since = periods.midnight(last + timedelta(days=1))
    notes = CreditNoteLine.objects.filter(invoice_line=line, credit_note__issued_at__gte=since)
    noted = notes.aggregate(total=Sum("amount"))["total"] or ZERO
    refunds = Refund.objects.filter(payment__invoice_payment__invoice=invoice).values_list("pk", flat=True)
    names = [f"credit-net-{line.position}", f"credit-vat-{line.position}"]
    back = transfers().filter(
        document_kind=CREDIT, document_id__in=list(refunds), posting__in=names, occurred_at__gte=since
    )
    return noted + (back.aggregate(total=Sum("amount"))["total"] or ZERO)
