"""A gateway's day beside ours: what it has and we have not, what we have and it has not, other sums, other fees.

The gateway's register is compared with all partners' payments and refunds at once: each line is found by the
gateway's id, whatever day it has here; ours are looked for in its register with some hours to either side, for what
it took before midnight we may have settled after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors.models import Connection, GatewayReference
from apps.core import clock, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.payments.gateway import EntryKind, Gateway, RegisterEntry
from apps.payments.models import Payment, PaymentState, Refund, RefundState
from apps.settlements.models import Difference, DifferenceKind, GatewayDay

KIND = "settlements.GatewayDay"
MARGIN = timedelta(hours=3)
"""By how much a gateway's moment of a payment may differ from ours."""
TAKEN = (PaymentState.SUCCEEDED, PaymentState.REFUNDED)
ZERO = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Ours:
    """What we say of a line of the register."""

    partner_id: int
    object_id: UUID
    amount: Decimal
    currency: str
    fee: Decimal | None
    is_done: bool


@dataclass(slots=True)
class Compared:
    """What came of comparing one day."""

    matched: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, kind: str, entry: str, gateway_id: str, **fields: Any) -> None:
        self.differences.append(
            Difference(id=uuid7(), kind=kind, entry=entry, gateway_id=gateway_id, **fields)
        )


def check(
    connection_id: int, day: date, *, entries: Sequence[RegisterEntry] | None = None, actor: str = ""
) -> GatewayDay:
    """Compares a day anew, by the gateway's own register or by `entries` of its file (all of [day - 3 h, day + 3 h]).

    Explanations of what still differs stay. Raises Refused: `day_closed`, `no_register` where the gateway tells it
    only by a file, and ConnectorError.
    """
    connection = Connection.objects.select_related("legal_entity").get(pk=connection_id)
    since, until = bounds(connection, day)
    if GatewayDay.objects.filter(connection=connection, day=day, state=GatewayDay.State.CLOSED).exists():
        raise Refused("day_closed", _("Этот день закрыт"))
    if entries is None:
        gateway: Gateway = connection.open()
        entries = gateway.register(since - MARGIN, until + MARGIN)
    if entries is None:
        raise Refused("no_register", _("Этот шлюз отдаёт реестр только файлом: загрузите его"))
    within = [one for one in entries if one.at is None or since <= one.at < until]
    compared = _compare(connection, entries, within, since, until)
    return _keep(connection, day, within, compared, actor)


def bounds(connection: Connection, day: date) -> tuple[datetime, datetime]:
    """The moments between which a day of a connection lies."""
    entity = connection.legal_entity
    zone = ZoneInfo(entity.time_zone if entity else "Europe/Moscow")
    start, end = (datetime.combine(one, time(), tzinfo=zone) for one in (day, day + timedelta(days=1)))
    return start, end


def _compare(
    connection: Connection,
    entries: Sequence[RegisterEntry],
    within: Sequence[RegisterEntry],
    since: datetime,
    until: datetime,
) -> Compared:
    found, compared = _ours(connection, within), Compared()
    for one in within:
        ours = found.get((one.kind, one.gateway_id))
        if ours is None:
            compared.add(DifferenceKind.MISSING_HERE, one.kind, one.gateway_id, theirs=one.amount.amount)
            continue
        about = {"partner_id": ours.partner_id, "object_id": ours.object_id}
        differs = False
        if not ours.is_done:
            compared.add(
                DifferenceKind.STATE, one.kind, one.gateway_id, theirs=one.amount.amount, ours=ZERO, **about
            )
            differs = True
        if (ours.amount, ours.currency) != (one.amount.amount, one.amount.currency):
            sums = {"ours": ours.amount, "theirs": one.amount.amount}
            compared.add(DifferenceKind.AMOUNT, one.kind, one.gateway_id, **sums, **about)
            differs = True
        if one.fee is not None and ours.fee is not None and ours.fee != one.fee:
            sums = {"ours": ours.fee, "theirs": one.fee}
            compared.add(DifferenceKind.FEE, one.kind, one.gateway_id, **sums, **about)
            differs = True
        compared.matched += not differs
    told = {(one.kind, one.gateway_id) for one in entries}
    for kind, gateway_id, ours in _settled(connection, since, until):
        if (kind, gateway_id) not in told:
            about = {"partner_id": ours.partner_id, "object_id": ours.object_id}
            compared.add(DifferenceKind.MISSING_THERE, kind, gateway_id, ours=ours.amount, **about)
    return compared


def _ours(connection: Connection, entries: Sequence[RegisterEntry]) -> dict[tuple[str, str], Ours]:
    """What we have of these lines, by kind and the gateway's id."""
    known = GatewayReference.objects.filter(
        connection=connection, gateway_id__in={one.payment_gateway_id for one in entries}
    )
    partners: dict[int, list[str]] = defaultdict(list)
    for partner_id, gateway_id in known.values_list("partner_id", "gateway_id"):
        partners[partner_id].append(gateway_id)
    found: dict[tuple[str, str], Ours] = {}
    for partner_id, payment_ids in sorted(partners.items()):
        with in_partner(partner_id):
            mine = Payment.objects.filter(connection=connection, gateway_id__in=payment_ids)
            for payment in mine:
                found[EntryKind.PAYMENT, payment.gateway_id] = _payment(partner_id, payment)
            for refund in Refund.objects.filter(payment__in=mine).exclude(gateway_id=""):
                found[EntryKind.REFUND, refund.gateway_id] = _refund(partner_id, refund)
    return found


def _settled(connection: Connection, since: datetime, until: datetime) -> Iterator[tuple[str, str, Ours]]:
    """What we say was settled in a day, in every partner that the connection has served."""
    served = GatewayReference.objects.filter(connection=connection).values("partner_id")
    for partner in Partner.objects.filter(pk__in=served).order_by("pk"):
        with in_partner(partner):
            payments = Payment.objects.filter(
                connection=connection,
                state__in=TAKEN,
                settled_at__gte=since,
                settled_at__lt=until,
                # A method saved without a payment is no line of a register.
                amount__gt=0,
            )
            for payment in payments:
                yield EntryKind.PAYMENT, payment.gateway_id, _payment(partner.pk, payment)
            refunds = Refund.objects.filter(
                payment__connection=connection,
                state=RefundState.SUCCEEDED,
                settled_at__gte=since,
                settled_at__lt=until,
            )
            for refund in refunds:
                yield EntryKind.REFUND, refund.gateway_id, _refund(partner.pk, refund)


def _payment(partner_id: int, row: Payment) -> Ours:
    return Ours(partner_id, row.pk, row.amount, row.currency, row.fee, row.state in TAKEN)


def _refund(partner_id: int, row: Refund) -> Ours:
    return Ours(partner_id, row.pk, row.amount, row.currency, None, row.state == RefundState.SUCCEEDED)


def _keep(
    connection: Connection, day: date, within: Sequence[RegisterEntry], compared: Compared, actor: str
) -> GatewayDay:
    with transaction.atomic():
        row, _is_new = GatewayDay.objects.select_for_update().get_or_create(
            connection=connection, day=day, defaults={"checked_at": clock.now()}
        )
        if row.state == GatewayDay.State.CLOSED:
            raise Refused("day_closed", _("Этот день закрыт"))
        row.payments = _sum(one.amount.amount for one in within if one.kind == EntryKind.PAYMENT)
        row.refunds = _sum(one.amount.amount for one in within if one.kind == EntryKind.REFUND)
        row.fees = _sum(one.fee or ZERO for one in within)
        row.matched, row.checked_at = compared.matched, clock.now()
        row.save()
        explained = {
            (one.kind, one.entry, one.gateway_id, one.ours, one.theirs): one
            for one in row.differences.exclude(explained_at=None)
        }
        row.differences.all().delete()
        for one in compared.differences:
            one.day = row
            known = explained.get((one.kind, one.entry, one.gateway_id, one.ours, one.theirs))
            if known is not None:
                one.note, one.explained_by, one.explained_at = (
                    known.note,
                    known.explained_by,
                    known.explained_at,
                )
        Difference.objects.bulk_create(compared.differences)
        _tell(row)
        data = {"day": str(day), "matched": row.matched, "differences": len(compared.differences)}
        journal.record("gateway-day.checked", KIND, row.pk, actor=actor, data=data)
    return row


def explain(difference_id: UUID, *, note: str, actor: str) -> Difference:
    """A person says why something differs. Raises Refused: `day_closed`, `no_reason`."""
    if not note.strip():
        raise Refused("no_reason", _("Напишите, почему не сошлось"), status=400)
    with transaction.atomic():
        one = Difference.objects.get(pk=difference_id)
        row = _open(one.day_id)
        one.note, one.explained_by, one.explained_at = note.strip()[:200], actor[:150], clock.now()
        one.save(update_fields=["note", "explained_by", "explained_at"])
        _tell(row)
        journal.record("gateway-day.explained", KIND, row.pk, actor=actor, data={"of": one.gateway_id})
    return one


def close(day_id: UUID, *, actor: str) -> GatewayDay:
    """Ends the reconciliation of a day: from now on nothing of it changes. Raises Refused: `day_closed`, `differs`."""
    with transaction.atomic():
        row = _open(day_id)
        left = row.differences.filter(explained_at=None).count()
        if left:
            raise Refused("differs", _("Осталось объяснить расхождений: %d") % left, left=left)
        row.state, row.closed_by, row.closed_at = GatewayDay.State.CLOSED, actor[:150], clock.now()
        row.save(update_fields=["state", "closed_by", "closed_at"])
        work.close_for(None, KIND, row.pk)
        journal.record("gateway-day.closed", KIND, row.pk, actor=actor, data={"day": str(row.day)})
    return row


def _open(day_id: UUID) -> GatewayDay:
    row = GatewayDay.objects.select_for_update().get(pk=day_id)
    if row.state == GatewayDay.State.CLOSED:
        raise Refused("day_closed", _("Этот день закрыт"))
    return row


def _tell(row: GatewayDay) -> None:
    left = row.differences.filter(explained_at=None).count()
    if left:
        work.open_for(None, KIND, row.pk, str(_("Не сошлось со шлюзом: %d") % left))
    else:
        work.close_for(None, KIND, row.pk)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
