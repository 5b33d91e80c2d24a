"""A day of a gateway's register beside ours: each line finds whom it is about, what is left over differs.

A line is found by the gateway's number or by ours; a refund whose register tells no number of it, by its payment and
amount. What we settled in the day is looked for in the register with some hours to either side, then in the days
that were compared before, then, where the gateway answers, in its days since the payment was begun.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Max, Q

from apps.connectors.models import Connection, GatewayReference
from apps.core import clock
from apps.core.ids import uuid7
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.payments.dispute_models import Dispute
from apps.payments.gateway import EntryKind, RegisterEntry
from apps.payments.models import Payment, PaymentState, Refund, RefundState
from apps.payments.receipt_models import COUNTING, Receipt, ReceiptCause, ReceiptState
from apps.policies.fiscal import rule_of
from apps.settlements.models import DayState, Difference, DifferenceKind, RegisterLine

MARGIN = timedelta(hours=3)
"""By how much a gateway's moment of a payment may differ from ours."""
FARTHEST = timedelta(days=31)
"""For how long back a payment that its day's register lacks is looked for."""
TAKEN = (PaymentState.SUCCEEDED, PaymentState.REFUNDED)
ZERO = Decimal("0.00")
Ask = Callable[[datetime, datetime], Sequence[RegisterEntry]]


@dataclass(frozen=True, slots=True)
class Ours:
    """What we say of a line of the register."""

    kind: str
    partner_id: int
    object_id: UUID
    gateway_id: str
    payment_gateway_id: str
    reference: int
    amount: Decimal
    currency: str
    fee: Decimal | None
    """None where the gateway tells it by its register only."""
    is_done: bool
    began_at: datetime

    @property
    def about(self) -> dict[str, Any]:
        return {"partner_id": self.partner_id, "object_id": self.object_id}


@dataclass(slots=True)
class Compared:
    """What came of comparing one day."""

    matched: int = 0
    own_payments: Decimal = ZERO
    own_refunds: Decimal = ZERO
    lines: list[RegisterLine] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def add(self, kind: str, entry: str, gateway_id: str, **fields: Any) -> None:
        self.differences.append(
            Difference(id=uuid7(), kind=kind, entry=entry, gateway_id=gateway_id, **fields)
        )


def bounds(connection: Connection, day: date) -> tuple[datetime, datetime]:
    """The moments between which a day of a connection lies."""
    zone = zone_of(connection)
    start, end = (datetime.combine(one, time(), tzinfo=zone) for one in (day, day + timedelta(days=1)))
    return start, end


def zone_of(connection: Connection) -> ZoneInfo:
    """In which a connection's days are told: its legal entity's."""
    entity = connection.legal_entity
    return ZoneInfo(entity.time_zone if entity else "Europe/Moscow")


def today_of(connection: Connection) -> date:
    """The connection's day now: a test one's by the clock of the sandbox that is farthest ahead."""
    now = clock.wall()
    if connection.is_test:
        latest = served(connection).aggregate(latest=Max("clock_at"))["latest"]
        now = max(now, latest) if latest else now
    return now.astimezone(zone_of(connection)).date()


def served(connection: Connection) -> Any:
    """Partners that have ever paid through a connection."""
    known = GatewayReference.objects.filter(connection=connection).values("partner_id")
    return Partner.objects.filter(pk__in=known).order_by("pk")


def compare(
    connection: Connection, day: date, entries: Sequence[RegisterEntry], *, ask: Ask | None = None
) -> Compared:
    """Compares a day with its entries (those within some hours of it too). `ask` reads other days of the register."""
    since, until = bounds(connection, day)
    compared, settled = Compared(), list(_settled(connection, since, until))
    entries = [*entries, *_elsewhere(connection, entries, settled, since, ask)]
    found = _Found(connection, entries)
    told: set[UUID] = set()
    for one in entries:
        ours, is_again = found.take(one)
        if ours is not None:
            told.add(ours.object_id)
        if one.at is None or since <= one.at < until:
            _one(compared, one, ours, found.reference(one, ours), is_again=is_again)
    for ours in settled:
        compared.own_payments += ours.amount if ours.kind == EntryKind.PAYMENT else ZERO
        compared.own_refunds += ours.amount if ours.kind == EntryKind.REFUND else ZERO
    _missing(connection, day, compared, [one for one in settled if one.object_id not in told])
    _receipts(connection, day, compared, settled)
    return compared


def _one(
    compared: Compared, one: RegisterEntry, ours: Ours | None, reference: str, *, is_again: bool
) -> None:
    """Compares one line with what it is about."""
    theirs = one.amount.amount
    line = RegisterLine(
        position=len(compared.lines) + 1,
        entry=one.kind,
        gateway_id=one.gateway_id,
        payment_gateway_id=one.payment_gateway_id,
        reference=reference,
        amount=theirs,
        fee=one.fee,
        at=one.at,
    )
    compared.lines.append(line)
    number = _number(compared, one)
    if ours is None:
        compared.add(DifferenceKind.MISSING_HERE, one.kind, number, theirs=theirs)
        return
    line.partner_id, line.object_id, line.is_settled = ours.partner_id, ours.object_id, ours.is_done
    if is_again:
        compared.add(DifferenceKind.DUPLICATE, one.kind, number, theirs=theirs, **ours.about)
        return
    line.own_fee = ours.fee or ZERO
    if ours.kind == EntryKind.DISPUTE:
        # Not every register tells of them: ours are counted where this one does.
        compared.own_refunds += ours.amount
    before = len(compared.differences)
    if not ours.is_done:
        compared.add(DifferenceKind.STATE, one.kind, number, theirs=theirs, ours=ZERO, **ours.about)
    if (ours.amount, ours.currency) != (theirs, one.amount.currency):
        compared.add(DifferenceKind.AMOUNT, one.kind, number, ours=ours.amount, theirs=theirs, **ours.about)
    if one.fee is not None and ours.fee is not None and ours.fee != one.fee:
        compared.add(DifferenceKind.FEE, one.kind, number, ours=ours.fee, theirs=one.fee, **ours.about)
    compared.matched += len(compared.differences) == before


def _number(compared: Compared, one: RegisterEntry) -> str:
    """What a difference of this line is called: each of a payment's refunds without a number has its own."""
    name = one.gateway_id or one.payment_gateway_id or one.reference
    same = sum(
        (line.entry, line.gateway_id or line.payment_gateway_id or line.reference) == (one.kind, name)
        for line in compared.lines
    )
    return name if same < 2 else f"{name[:90]} ({same})"


class _Found:
    """What we have of the lines of a register, each taken once."""

    def __init__(self, connection: Connection, entries: Sequence[RegisterEntry]) -> None:
        self._tells_fee = connection.connector_class.tells_fee  # type: ignore[attr-defined]
        self._references = _references(connection, entries)
        self._payments: dict[str, Ours] = {}
        self._refunds: dict[str, Ours] = {}
        self._of_payment: dict[str, list[Ours]] = defaultdict(list)
        self._taken: Counter[UUID] = Counter()
        for ours in _known(connection, self._references, self._tells_fee):
            if ours.kind == EntryKind.PAYMENT:
                self._payments[str(ours.reference)] = ours
            else:
                if ours.gateway_id and ours.kind == EntryKind.REFUND:
                    self._refunds[ours.gateway_id] = ours
                self._of_payment[str(ours.reference)].append(ours)

    def take(self, one: RegisterEntry) -> tuple[Ours | None, bool]:
        """What a line is about, and whether another line was about it already."""
        reference = self._reference(one)
        ours = (
            self._payments.get(reference) if one.kind == EntryKind.PAYMENT else self._refund(one, reference)
        )
        if ours is None:
            return None, False
        self._taken[ours.object_id] += 1
        return ours, self._taken[ours.object_id] > 1

    def reference(self, one: RegisterEntry, ours: Ours | None) -> str:
        """Our number of a line's payment, if it is ours at all."""
        return str(ours.reference) if ours else self._reference(one)

    def _reference(self, one: RegisterEntry) -> str:
        known = self._references.get(one.payment_gateway_id) if one.payment_gateway_id else None
        return str(known) if known else one.reference

    def _refund(self, one: RegisterEntry, reference: str) -> Ours | None:
        if one.kind == EntryKind.REFUND and one.gateway_id and one.gateway_id in self._refunds:
            return self._refunds[one.gateway_id]
        # Ours may not know its number yet, or the register tells none.
        for ours in self._of_payment[reference]:
            if ours.kind != one.kind:
                continue
            # A bank's number of a chargeback is not the register's: its sum tells.
            unnamed = not one.gateway_id or not ours.gateway_id or one.kind == EntryKind.DISPUTE
            if unnamed and not self._taken[ours.object_id] and ours.amount == one.amount.amount:
                return ours
        return None


def _references(connection: Connection, entries: Iterable[RegisterEntry]) -> dict[str, int]:
    """Our numbers of the payments of these lines, by the gateway's numbers and by themselves."""
    entries = list(entries)
    ids = {one.payment_gateway_id for one in entries if one.payment_gateway_id}
    numbers = {int(one.reference) for one in entries if _is_number(one.reference)}
    known = GatewayReference.objects.filter(connection=connection)
    found = {one: pk for pk, one in known.filter(gateway_id__in=ids).values_list("pk", "gateway_id")}
    return found | {str(pk): pk for pk in known.filter(pk__in=numbers).values_list("pk", flat=True)}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _known(connection: Connection, references: dict[str, int], tells_fee: bool) -> Iterator[Ours]:
    rows = GatewayReference.objects.filter(pk__in=set(references.values()))
    partners: dict[int, list[int]] = defaultdict(list)
    for pk, partner_id in rows.values_list("pk", "partner_id"):
        partners[partner_id].append(pk)
    for partner_id, pks in sorted(partners.items()):
        with in_partner(partner_id):
            mine = Payment.objects.filter(connection=connection, reference_id__in=pks)
            for payment in mine:
                yield _payment(partner_id, payment, tells_fee)
            refunds = Refund.objects.filter(payment__in=mine).exclude(state=RefundState.FAILED)
            for refund in refunds.select_related("payment").order_by("pk"):
                yield _refund(partner_id, refund)
            taken = Dispute.objects.filter(payment__in=mine, is_taken=True)
            for dispute in taken.select_related("payment").order_by("pk"):
                yield _dispute(partner_id, dispute)


def _settled(connection: Connection, since: datetime, until: datetime) -> Iterator[Ours]:
    """What we say was settled in a day, in every partner that the connection has served."""
    tells_fee = connection.connector_class.tells_fee  # type: ignore[attr-defined]
    within = {"settled_at__gte": since, "settled_at__lt": until}
    for partner in served(connection):
        with in_partner(partner):
            # A method saved without a payment is no line of a register.
            taken = Payment.objects.filter(connection=connection, state__in=TAKEN, amount__gt=0, **within)
            for payment in taken:
                yield _payment(partner.pk, payment, tells_fee)
            refunds = Refund.objects.filter(
                payment__connection=connection, state=RefundState.SUCCEEDED, **within
            )
            for refund in refunds.select_related("payment"):
                yield _refund(partner.pk, refund)


def _payment(partner_id: int, row: Payment, tells_fee: bool) -> Ours:
    return Ours(
        EntryKind.PAYMENT,
        partner_id,
        row.pk,
        row.gateway_id,
        row.gateway_id,
        row.reference_id,
        row.amount,
        row.currency,
        row.fee if tells_fee else None,
        row.state in TAKEN,
        row.created_at,
    )


def _refund(partner_id: int, row: Refund) -> Ours:
    return _given_back(EntryKind.REFUND, partner_id, row, row.state == RefundState.SUCCEEDED, row.created_at)


def _dispute(partner_id: int, row: Dispute) -> Ours:
    return _given_back(EntryKind.DISPUTE, partner_id, row, True, row.opened_at)


def _given_back(
    kind: EntryKind, partner_id: int, row: Refund | Dispute, is_done: bool, began_at: datetime
) -> Ours:
    """What went back of a payment, by us or by the payer's bank."""
    return Ours(
        kind,
        partner_id,
        row.pk,
        row.gateway_id,
        row.payment.gateway_id,
        row.payment.reference_id,
        row.amount,
        row.currency,
        None,
        is_done,
        began_at,
    )


# -- what the register of the day does not have ------------------------------------------------------


def _elsewhere(
    connection: Connection,
    entries: Sequence[RegisterEntry],
    settled: Sequence[Ours],
    since: datetime,
    ask: Ask | None,
) -> list[RegisterEntry]:
    """Lines of earlier days, where something of ours that was begun then is not among those of this day."""
    if ask is None:
        return []
    found = _Found(connection, entries)
    told = {ours.object_id for one in entries if (ours := found.take(one)[0])}
    begun = [one.began_at for one in settled if one.object_id not in told]
    start = max(min(begun, default=since), since - FARTHEST) - MARGIN
    end = since - MARGIN
    known = {(one.kind, one.gateway_id) for one in entries}
    return [one for one in ask(start, end) if (one.kind, one.gateway_id) not in known] if start < end else []


def _missing(connection: Connection, day: date, compared: Compared, settled: Sequence[Ours]) -> None:
    """Ours that the day's register does not have: in a day compared before, learned too late for one, or nowhere."""
    lines: dict[str, list[RegisterLine]] = defaultdict(list)
    others = RegisterLine.objects.filter(
        day__connection=connection, reference__in={str(one.reference) for one in settled}
    ).exclude(day__day=day)
    for known in others.select_related("day"):
        lines[known.reference].append(known)
    for ours in settled:
        line = next((one for one in lines[str(ours.reference)] if _is_about(one, ours)), None)
        if line is None:
            compared.add(
                DifferenceKind.MISSING_THERE, ours.kind, ours.gateway_id, ours=ours.amount, **ours.about
            )
        elif line.day.state == DayState.CLOSED and not line.is_settled:
            lines[line.reference].remove(line)
            compared.add(
                DifferenceKind.LATE,
                ours.kind,
                ours.gateway_id,
                ours=ours.amount,
                theirs=line.amount,
                **ours.about,
            )


def _is_about(line: RegisterLine, ours: Ours) -> bool:
    if line.entry != ours.kind:
        return False
    if line.object_id is not None:
        return line.object_id == ours.object_id
    return ours.kind == EntryKind.PAYMENT or line.gateway_id in ("", ours.gateway_id)


def _receipts(connection: Connection, day: date, compared: Compared, settled: Sequence[Ours]) -> None:
    """Where receipts are made through us, by our register or the gateway, each has one of its sum, not refused."""
    entity = connection.legal_entity_id
    rule = rule_of(entity, day) if entity else None
    if rule is None or not rule.is_asked(is_sandbox=connection.is_test):
        return
    by_partner: dict[int, list[Ours]] = defaultdict(list)
    for ours in settled:
        by_partner[ours.partner_id].append(ours)
    for partner_id, mine in by_partner.items():
        with in_partner(partner_id):
            made = _receipted([one.object_id for one in mine])
        for ours in mine:
            if made[ours.object_id] != ours.amount:
                sums = {"ours": ours.amount, "theirs": made[ours.object_id]}
                compared.add(DifferenceKind.RECEIPT, ours.kind, ours.gateway_id, **sums, **ours.about)


def _receipted(object_ids: Sequence[UUID]) -> dict[UUID, Decimal]:
    """What receipts of payments and refunds come to; of what was refused and not replaced, nothing."""
    made: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    counting = [state for state in COUNTING if state != ReceiptState.FAILED]
    about = Q(cause=ReceiptCause.PAYMENT, payment__in=object_ids) | Q(refund__in=object_ids)
    # A wrong one that is being corrected counts by the right one.
    for one in Receipt.objects.filter(about, state__in=counting, replaced_by=None):
        made[one.refund_id or one.payment_id] += one.total
    return made
