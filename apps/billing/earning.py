"""Income that is earned with the days of a line: what is recognised of it, and what was and is not any more."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from apps.billing import economics, recognition
from apps.billing.given_back import Taken, late_of, refunded_of, taken_of
from apps.billing.models import CreditNoteLine, Invoice, InvoiceLine
from apps.billing.posting_parts import NOTE, ZERO, base_of, fees_of, lines_of, moved, post, transfers
from apps.core import clock
from apps.ledger.ledger import Account


def recognised(invoice: Invoice, today: date) -> None:
    """What is earned of a paid invoice by its days: at each month's end a part, the rest where a line is over.

    Each is the difference to what is recognised so far, posted to the last day that it is of: late or repeated, it
    comes to the same. What partner and provider earn with the service is theirs where a line is over.
    """
    lines = lines_of(invoice)
    fees, taken, done = fees_of(invoice, lines), taken_of(invoice, lines), recognised_lines(invoice)
    known, gone = recognised_parts(invoice), gone_of(lines, taken)
    for line in lines:
        span = _span(line)
        if span is None or line.position in done:
            continue
        own, sums = own_of(line, fees[line.pk], taken[line.pk]), known[line.position]
        base = replace(base_of(invoice, line), debit=Account.DEFERRED, credit=Account.REVENUE)
        for day in recognition.month_ends(span, today):
            name = f"month-{day - timedelta(days=1):%Y%m}-{line.position}"
            more = recognition.earned(own, line.amount, span, gone[line.pk], day) - sums.amount
            if more > 0 and name not in sums.names:
                sums.amount += more
                post(invoice, [replace(base, amount=more, name=name)], day=day - timedelta(days=1))
        if span.end <= today:
            rest = replace(base, amount=max(own - sums.amount, ZERO), name=f"recognised-{line.position}")
            left = line.amount - taken[line.pk].gross
            late = late_of(invoice, line)
            moves = economics.earned(line, fees[line.pk], left, economics.SERVICE, late=late)
            last = [moved(invoice, line, move, f"{move.name}-{line.position}") for move in moves]
            post(invoice, [rest, *last], day=span.end - timedelta(days=1))


def _span(line: InvoiceLine) -> recognition.Span | None:
    if line.period_start is None or line.period_end is None:
        return None
    return recognition.Span(line.period_start, line.period_end)


def own_of(line: InvoiceLine, fee: Decimal, taken: "Taken") -> Decimal:
    """What of a line is, or becomes, revenue where so much is gone of it: an agent's is its commission."""
    if economics.is_agency(line):
        return economics.own_income(line, fee, line.amount - taken.gross)
    return line.amount - line.vat - (taken.gross - taken.vat)


@dataclass(slots=True)
class _Parts:
    """What is recognised of a line at months' ends, less what was taken back of it."""

    amount: Decimal = Decimal("0.00")
    names: set[str] = field(default_factory=set)


def recognised_parts(invoice: Invoice) -> dict[int, _Parts]:
    """By the line's position."""
    found: dict[int, _Parts] = defaultdict(_Parts)
    mine = transfers().filter(document_id=invoice.pk, posting__startswith="month-")
    for name, amount in mine.values_list("posting", "amount"):
        parts = found[int(name.rpartition("-")[2])]
        parts.names.add(name)
        parts.amount += amount
    if not found:
        return found
    for name, amount in refunded_of(invoice).items():
        if name.startswith("credit-unearned-"):
            found[int(name.rpartition("-")[2])].amount -= amount
    of_note: dict[UUID, list[int]] = defaultdict(list)
    parts_of_notes = CreditNoteLine.objects.filter(invoice_line__invoice=invoice).order_by(
        "credit_note_id", "pk"
    )
    for key, position in parts_of_notes.values_list("credit_note_id", "invoice_line__position"):
        of_note[key].append(position)
    back = transfers().filter(
        document_kind=NOTE, document_id__in=list(of_note), posting__startswith="unearned-"
    )
    for key, name, amount in back.values_list("document_id", "posting", "amount"):
        found[of_note[key][int(name.rpartition("-")[2]) - 1]].amount -= amount
    return found


def gone_of(lines: Iterable[InvoiceLine], taken: dict[UUID, "Taken"]) -> dict[UUID, list[recognition.Gone]]:
    """What went back of each line, with the days that it was of: a refund is of all days alike."""
    found: dict[UUID, list[recognition.Gone]] = {line.pk: [] for line in lines}
    notes = CreditNoteLine.objects.filter(invoice_line__in=list(found)).order_by("pk")
    noted: dict[UUID, Decimal] = defaultdict(Decimal)
    for key, amount, start, end in notes.values_list(
        "invoice_line_id", "amount", "period_start", "period_end"
    ):
        noted[key] += amount
        found[key].append(recognition.Gone(amount, recognition.Span(start, end) if start and end else None))
    for key, gone in found.items():
        if refunded := taken[key].gross - noted[key]:
            gone.append(recognition.Gone(refunded))
    return found


def unearned(line: InvoiceLine, own: Decimal, gone: list[recognition.Gone], so_far: Decimal) -> Decimal:
    """What was recognised of a line's days and is not earned after all, as so much went back of it."""
    span = _span(line)
    if span is None or not so_far:
        return ZERO
    day = recognition.known_on(span, clock.today())
    return max(so_far - recognition.earned(own, line.amount, span, gone, day), ZERO)


def recognised_lines(invoice: Invoice) -> set[int]:
    """Positions of the lines whose income is recognised in full."""
    names = transfers().filter(document_id=invoice.pk, posting__startswith="recognised-")
    return {int(name.rpartition("-")[2]) for name in names.values_list("posting", flat=True)}
