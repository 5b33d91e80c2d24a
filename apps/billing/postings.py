"""What an invoice writes to the ledger at each step of its life."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet, Sum

from apps.billing import economics, periods, recognition
from apps.billing.economics import Move
from apps.billing.models import (
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoicePurpose,
    InvoiceState,
)
from apps.billing.payout_models import BalancePayout
from apps.catalog.models import Trade
from apps.core import clock
from apps.core.money import rounded, vat_inside
from apps.core.tenancy import current_partner
from apps.ledger.ledger import Account, Owner, Posting, Sale, post
from apps.ledger.models import Transfer
from apps.partners.models import ShareBase
from apps.payments.models import Refund

if TYPE_CHECKING:
    from apps.billing.run import Bill

KIND, CREDIT, NOTE, PAYOUT = "invoice", "credit", "credit_note", "payout"
ZERO = Decimal("0.00")


def issued(invoice: Invoice) -> None:
    """The customer owes: receivable from deferred income and VAT (or a principal), less what the balance pays."""
    _post(invoice, _whole_debt(invoice))


def of_bill(bill: "Bill") -> Iterator[Posting]:
    """`issued` of an invoice that is yet to be written: net and VAT of each line, and what the balance pays."""
    subscription = bill.subscription
    for position, line in enumerate(bill.lines, start=1):
        is_agency = line.terms.get("trade") == Trade.AGENCY
        base = Posting(
            debit=Account.RECEIVABLE,
            credit=Account.AGENCY if is_agency else Account.DEFERRED,
            amount=line.charge.amount - line.vat,
            name=f"net-{position}",
            currency=subscription.currency,
            owner=line.terms["owner"],
            kind=Sale.RENEWAL,
            seller_id=subscription.legal_entity_id,
            customer_id=subscription.customer_id,
            subscription_id=line.facts.subscription.pk,
            channel_id=subscription.channel_id,
            product_id=line.facts.subscription.product_id,
            tariff_version_id=line.facts.term(line.charge.phase).tariff_version_id,
            provider_id=line.terms["provider_id"],
            vat_rate=line.vat_rate,
        )
        yield base
        if line.vat:
            credit = Account.AGENCY if is_agency else Account.VAT
            yield replace(base, credit=credit, amount=line.vat, name=f"vat-{position}")
    if bill.credit_applied:
        yield replace(
            base,
            debit=Account.ADVANCES,
            credit=Account.RECEIVABLE,
            amount=bill.credit_applied,
            name="balance",
        )


def taken_back(invoice: Invoice) -> None:
    """The mirror of `issued`, less what notes have taken off the debt: the invoice is void."""
    _post(
        invoice,
        [
            replace(posting, debit=posting.credit, credit=posting.debit, name=f"void-{posting.name}")
            for posting in _whole_debt(invoice, less_notes=True)
        ],
    )


def paid(invoice: Invoice) -> None:
    """Partner and provider have earned what is theirs with the payment, by the terms in force at the sale."""
    lines = _lines(invoice)
    fees = _fees(invoice, lines)
    _post(
        invoice,
        [
            _moved(invoice, line, move, f"{move.name}-{line.position}")
            for line in lines
            for move in economics.earned(line, fees[line.pk], line.amount - line.credited, economics.PAYMENT)
        ],
    )


def credited(invoice: Invoice, amount: Decimal, *, document_id: UUID) -> None:
    """So much of a paid invoice is owed no more, nor earned by anybody: `amount` of it went back.

    `document_id` is the refund's: it credits once. It is spread over what is left of the lines, so that the parts
    of an invoice that went back piece by piece add up to the whole of it to the last kopeck.
    """
    lines = _lines(invoice)
    fees, taken, done = _fees(invoice, lines), taken_of(invoice, lines), _recognised_lines(invoice)
    known, went = _recognised_parts(invoice), _gone(lines, taken)
    postings = []
    for line, gross in _spread(amount, lines, taken):
        was, is_earned = taken[line.pk], line.position in done
        tax = was.rest_of_vat(line, gross)
        base = replace(_base(invoice, line), credit=Account.RECEIVABLE, kind=Sale.REFUND)
        sides = _sides_of_credit(line, is_earned=is_earned)
        postings += [
            replace(base, debit=sides[0], amount=gross - tax, name=f"credit-net-{line.position}"),
            replace(base, debit=sides[1], amount=tax, name=f"credit-vat-{line.position}"),
        ]
        for move in _back(invoice, line, fees[line.pk], was.gross, was.gross + gross, is_earned=is_earned):
            posting = _moved(invoice, line, move, f"credit-{move.name}-{line.position}")
            postings.append(replace(posting, kind=Sale.REFUND))
        if not is_earned:
            own = _own(line, fees[line.pk], Taken(was.gross + gross, was.vat + tax))
            gone = [*went[line.pk], recognition.Gone(gross)]
            back = _unearned(line, own, gone, known[line.position].amount)
            postings.append(_reversed(base, back, f"credit-unearned-{line.position}"))
    _post(invoice, postings, kind=CREDIT, document_id=document_id)


def note(credit: CreditNote) -> None:
    """A credit note: income and VAT go back, to the debt, the balance or the payer; what others earned with it.

    Its lines are written, and counted in what is credited of the invoice's.
    """
    parts = list(credit.lines.select_related("invoice_line__invoice").order_by("pk"))
    invoice = parts[0].invoice_line.invoice
    lines = {one.invoice_line_id: one.invoice_line for one in parts}
    fees, done = _fees(invoice, _lines(invoice)), _recognised_lines(invoice)
    taken, known = taken_of(invoice, lines.values()), _recognised_parts(invoice)
    went, last = _gone(lines.values(), taken), {one.invoice_line_id: one for one in parts}
    gone = {key: one.gross for key, one in taken.items()}
    for one in parts:
        gone[one.invoice_line_id] -= one.amount
    postings = []
    for position, one in enumerate(parts, start=1):
        line, was = lines[one.invoice_line_id], gone[one.invoice_line_id]
        is_earned = line.position in done
        base = replace(_base(invoice, line), credit=Account.RECEIVABLE, kind=Sale.REFUND)
        sides = _sides_of_credit(line, is_earned=is_earned)
        postings += [
            replace(base, debit=sides[0], amount=one.amount - one.vat, name=f"net-{position}"),
            replace(base, debit=sides[1], amount=one.vat, name=f"vat-{position}"),
        ]
        gone[one.invoice_line_id] = becomes = was + one.amount
        if credit.invoice.state == InvoiceState.PAID:
            for move in _back(invoice, line, fees[line.pk], was, becomes, is_earned=is_earned):
                posting = _moved(invoice, line, move, f"{move.name}-{position}")
                postings.append(replace(posting, kind=Sale.REFUND))
        # Several parts of one line are counted together, with the last of them.
        if not is_earned and last[line.pk] is one:
            own = _own(line, fees[line.pk], taken[line.pk])
            back = _unearned(line, own, went[line.pk], known[line.position].amount)
            postings.append(_reversed(base, back, f"unearned-{position}"))
    if credit.to_balance:
        postings.append(
            replace(
                base,
                debit=Account.RECEIVABLE,
                credit=Account.ADVANCES,
                amount=credit.to_balance,
                name="balance",
            )
        )
    post(NOTE, credit.pk, postings, occurred_at=clock.now(), business_date=clock.today())


def paid_out(payout: BalancePayout, invoice: Invoice) -> None:
    """So much of the balance is owed in money now: its refund, on its way, settles that."""
    base = replace(_base(invoice, _lines(invoice)[-1]), kind=Sale.REFUND, name="paid-out")
    _post(
        invoice,
        [replace(base, debit=Account.ADVANCES, credit=Account.RECEIVABLE, amount=payout.amount)],
        kind=PAYOUT,
        document_id=payout.pk,
    )


def payout_returned(payout: BalancePayout, invoice: Invoice) -> None:
    """The mirror of `paid_out`: the gateway would not send it."""
    base = replace(_base(invoice, _lines(invoice)[-1]), kind=Sale.REFUND, name="returned")
    _post(
        invoice,
        [replace(base, debit=Account.RECEIVABLE, credit=Account.ADVANCES, amount=payout.amount)],
        kind=PAYOUT,
        document_id=payout.pk,
    )


def note_returned(credit: CreditNote) -> None:
    """What a credit note was to send back could not be sent: it stands on the balance, beside what it put there."""
    last = credit.lines.select_related("invoice_line__invoice").order_by("pk").reverse()[0]
    invoice = last.invoice_line.invoice
    base = replace(_base(invoice, last.invoice_line), kind=Sale.REFUND, name="returned")
    _post(
        invoice,
        [replace(base, debit=Account.RECEIVABLE, credit=Account.ADVANCES, amount=credit.to_refund)],
        kind=NOTE,
        document_id=credit.pk,
    )


def is_note_returned(credit: CreditNote) -> bool:
    """Whether what a credit note was to send back stands on the balance instead."""
    return _mine().filter(document_kind=NOTE, document_id=credit.pk, posting="returned").exists()


def _reversed(base: Posting, amount: Decimal, name: str) -> Posting:
    """Revenue of days that were recognised goes back to what is yet to be earned, and from there to the customer."""
    return replace(base, debit=Account.REVENUE, credit=Account.DEFERRED, amount=amount, name=name)


def is_credited(refund: Refund) -> bool:
    """Whether a refund has been taken off its invoice already."""
    return _mine().filter(document_kind=CREDIT, document_id=refund.pk).exists()


def credited_so_far(invoice: Invoice) -> Decimal:
    """What stands in the ledger as given back of an invoice by refunds."""
    back = _refunded(invoice)
    return sum(
        (amount for name, amount in back.items() if name.startswith(("credit-net", "credit-vat"))),
        Decimal("0.00"),
    )


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
    back = _refunded(invoice)
    for line in lines:
        net, vat = back[f"credit-net-{line.position}"], back[f"credit-vat-{line.position}"]
        found[line.pk].gross, found[line.pk].vat = found[line.pk].gross + net + vat, found[line.pk].vat + vat
    return found


def left_of_lines(invoice: Invoice, lines: Iterable[InvoiceLine]) -> dict[UUID, Decimal]:
    """By line: what neither notes nor refunds that were made have taken of it. Never less than nothing."""
    lines = list(lines)
    taken = taken_of(invoice, lines)
    return {line.pk: max(line.amount - taken[line.pk].gross, Decimal("0.00")) for line in lines}


def _refunded(invoice: Invoice) -> dict[str, Decimal]:
    """By posting: what stands in the ledger as given back of an invoice by refunds."""
    refunds = Refund.objects.filter(payment__invoice_payment__invoice=invoice).values_list("pk", flat=True)
    found: dict[str, Decimal] = defaultdict(Decimal)
    if keys := list(refunds):
        mine = _mine().filter(document_kind=CREDIT, document_id__in=keys)
        for name, amount in mine.values_list("posting", "amount"):
            found[name] += amount
    return found


def _spread(
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


def _sides_of_credit(line: InvoiceLine, *, is_earned: bool) -> tuple[str, str]:
    """What is debited for the net and for the VAT of a line that is owed no more."""
    income = economics.income(line)
    return Account.REVENUE if is_earned and income == Account.DEFERRED else income, economics.tax(line)


def _back(
    invoice: Invoice, line: InvoiceLine, fee: Decimal, was: Decimal, becomes: Decimal, *, is_earned: bool
) -> Iterator[Move]:
    """What others had earned of a paid line and earn no more; a commission that was revenue is taken out of it."""
    moments = (economics.PAYMENT, economics.SERVICE) if is_earned else (economics.PAYMENT,)
    last = economics.window_ends(line, _paid_on(invoice))
    is_late = last is not None and clock.today() > last
    for move in economics.taken_back(line, fee, was, becomes, moments=moments, is_late=is_late):
        if is_earned and move.name == "commission":
            yield replace(move, debit=Account.REVENUE)
        else:
            yield move


def _paid_on(invoice: Invoice) -> date | None:
    return clock.local(invoice.paid_at).date() if invoice.paid_at else None


def _late(invoice: Invoice, line: InvoiceLine) -> Decimal:
    """What went back of a line after the window in which it takes the partner's share with it; VAT included."""
    last = economics.window_ends(line, _paid_on(invoice))
    if last is None:
        return ZERO
    since = periods.midnight(last + timedelta(days=1))
    notes = CreditNoteLine.objects.filter(invoice_line=line, credit_note__issued_at__gte=since)
    noted = notes.aggregate(total=Sum("amount"))["total"] or ZERO
    refunds = Refund.objects.filter(payment__invoice_payment__invoice=invoice).values_list("pk", flat=True)
    names = [f"credit-net-{line.position}", f"credit-vat-{line.position}"]
    back = _mine().filter(
        document_kind=CREDIT, document_id__in=list(refunds), posting__in=names, occurred_at__gte=since
    )
    return noted + (back.aggregate(total=Sum("amount"))["total"] or ZERO)


def _moved(invoice: Invoice, line: InvoiceLine, move: Move, name: str) -> Posting:
    return replace(_base(invoice, line), debit=move.debit, credit=move.credit, amount=move.amount, name=name)


def _fees(invoice: Invoice, lines: list[InvoiceLine]) -> dict[UUID, Decimal]:
    """Each line's part of what the gateway kept of the invoice's payment; looked up only where terms ask for it."""
    fees = dict.fromkeys((line.pk for line in lines), Decimal("0.00"))
    asked = (line.terms.get(f"{name}_base") for line in lines for name in ("share", "cost"))
    if ShareBase.FEE not in asked or not invoice.total:
        return fees
    link = InvoicePayment.objects.select_related("payment").filter(invoice=invoice, failed=False).first()
    # A partner's own gateway charges the partner.
    fee = link.payment.fee if link and lines[0].terms["owner"] == Owner.OPERATOR else Decimal(0)
    below = Decimal(0)
    for line in lines:
        above = below + line.amount
        fees[line.pk] = rounded(fee * above / invoice.total) - rounded(fee * below / invoice.total)
        below = above
    return fees


def _recognised_lines(invoice: Invoice) -> set[int]:
    names = _mine().filter(document_id=invoice.pk, posting__startswith="recognised-")
    return {int(name.rpartition("-")[2]) for name in names.values_list("posting", flat=True)}


def _mine() -> QuerySet[Transfer]:
    return Transfer.objects.filter(partner_id=current_partner().pk)


def recognised(invoice: Invoice, today: date) -> None:
    """What is earned of a paid invoice by its days: at each month's end a part, the rest where a line is over.

    Each is the difference to what is recognised so far, posted to the last day that it is of: late or repeated, it
    comes to the same. What partner and provider earn with the service is theirs where a line is over.
    """
    lines = _lines(invoice)
    fees, taken, done = _fees(invoice, lines), taken_of(invoice, lines), _recognised_lines(invoice)
    known, gone = _recognised_parts(invoice), _gone(lines, taken)
    for line in lines:
        span = _span(line)
        if span is None or line.position in done:
            continue
        own, sums = _own(line, fees[line.pk], taken[line.pk]), known[line.position]
        base = replace(_base(invoice, line), debit=Account.DEFERRED, credit=Account.REVENUE)
        for day in recognition.month_ends(span, today):
            name = f"month-{day - timedelta(days=1):%Y%m}-{line.position}"
            more = recognition.earned(own, line.amount, span, gone[line.pk], day) - sums.amount
            if more > 0 and name not in sums.names:
                sums.amount += more
                _post(invoice, [replace(base, amount=more, name=name)], day=day - timedelta(days=1))
        if span.end <= today:
            rest = replace(base, amount=max(own - sums.amount, ZERO), name=f"recognised-{line.position}")
            left = line.amount - taken[line.pk].gross
            late = _late(invoice, line)
            moves = economics.earned(line, fees[line.pk], left, economics.SERVICE, late=late)
            last = [_moved(invoice, line, move, f"{move.name}-{line.position}") for move in moves]
            _post(invoice, [rest, *last], day=span.end - timedelta(days=1))


def _span(line: InvoiceLine) -> recognition.Span | None:
    if line.period_start is None or line.period_end is None:
        return None
    return recognition.Span(line.period_start, line.period_end)


def _own(line: InvoiceLine, fee: Decimal, taken: "Taken") -> Decimal:
    """What of a line is, or becomes, revenue where so much is gone of it: an agent's is its commission."""
    if economics.is_agency(line):
        return economics.own_income(line, fee, line.amount - taken.gross)
    return line.amount - line.vat - (taken.gross - taken.vat)


@dataclass(slots=True)
class _Parts:
    """What is recognised of a line at months' ends, less what was taken back of it."""

    amount: Decimal = Decimal("0.00")
    names: set[str] = field(default_factory=set)


def _recognised_parts(invoice: Invoice) -> dict[int, _Parts]:
    """By the line's position."""
    found: dict[int, _Parts] = defaultdict(_Parts)
    mine = _mine().filter(document_id=invoice.pk, posting__startswith="month-")
    for name, amount in mine.values_list("posting", "amount"):
        parts = found[int(name.rpartition("-")[2])]
        parts.names.add(name)
        parts.amount += amount
    if not found:
        return found
    for name, amount in _refunded(invoice).items():
        if name.startswith("credit-unearned-"):
            found[int(name.rpartition("-")[2])].amount -= amount
    of_note: dict[UUID, list[int]] = defaultdict(list)
    parts_of_notes = CreditNoteLine.objects.filter(invoice_line__invoice=invoice).order_by(
        "credit_note_id", "pk"
    )
    for key, position in parts_of_notes.values_list("credit_note_id", "invoice_line__position"):
        of_note[key].append(position)
    back = _mine().filter(document_kind=NOTE, document_id__in=list(of_note), posting__startswith="unearned-")
    for key, name, amount in back.values_list("document_id", "posting", "amount"):
        found[of_note[key][int(name.rpartition("-")[2]) - 1]].amount -= amount
    return found


def _gone(lines: Iterable[InvoiceLine], taken: dict[UUID, "Taken"]) -> dict[UUID, list[recognition.Gone]]:
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


def _unearned(line: InvoiceLine, own: Decimal, gone: list[recognition.Gone], so_far: Decimal) -> Decimal:
    """What was recognised of a line's days and is not earned after all, as so much went back of it."""
    span = _span(line)
    if span is None or not so_far:
        return ZERO
    day = recognition.known_on(span, clock.today())
    return max(so_far - recognition.earned(own, line.amount, span, gone, day), ZERO)


def _whole_debt(invoice: Invoice, *, less_notes: bool = False) -> list[Posting]:
    lines = _lines(invoice)
    taken = taken_of(invoice, lines) if less_notes and invoice.debt_credited else {}
    debt = [posting for line in lines for posting in _debt(invoice, line, taken.get(line.pk, Taken()))]
    if invoice.credit_applied:
        base = replace(_base(invoice, lines[-1]), debit=Account.ADVANCES, credit=Account.RECEIVABLE)
        debt.append(replace(base, amount=invoice.credit_applied, name="balance"))
    return debt


def _debt(invoice: Invoice, line: InvoiceLine, less: Taken) -> list[Posting]:
    base = replace(_base(invoice, line), credit=economics.income(line))
    amount, tax = line.amount - less.gross, line.vat - less.vat
    net = replace(base, amount=amount - tax, name=f"net-{line.position}")
    vat = replace(base, credit=economics.tax(line), amount=tax, name=f"vat-{line.position}")
    return [net, vat]


def _base(invoice: Invoice, line: InvoiceLine) -> Posting:
    return Posting(
        debit=Account.RECEIVABLE,
        credit=Account.DEFERRED,
        amount=Decimal(0),
        name="",
        currency=invoice.currency,
        owner=Owner(line.terms["owner"]),
        kind=Sale.NEW if invoice.purpose == InvoicePurpose.NEW else Sale.RENEWAL,
        seller_id=invoice.legal_entity_id,
        customer_id=invoice.customer_id,
        subscription_id=line.subscription_id or invoice.subscription_id,
        channel_id=invoice.channel_id,
        product_id=line.product_id,
        tariff_version_id=line.tariff_version_id,
        provider_id=line.terms["provider_id"],
        vat_rate=line.vat_rate,
    )


def _lines(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.all())


def _post(
    invoice: Invoice,
    postings: list[Posting],
    *,
    kind: str = KIND,
    document_id: UUID | None = None,
    day: date | None = None,
) -> None:
    document_id = document_id or invoice.pk
    post(kind, document_id, postings, occurred_at=clock.now(), business_date=day or clock.today())
