"""A gateway's day beside ours: compared as often as it takes, explained by a person, closed by one tick.

What is compared and how stands in `comparing`; what of it came to the bank, in `payouts`. Whoever changes a day holds
the lock of its gateway's terms, so that a day is compared, paid out and closed one after the other.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors.models import Connection
from apps.core import clock, faults
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments.gateway import EntryKind, Gateway, RegisterEntry
from apps.settlements import chargebacks, comparing, differences, gateway_terms, payouts
from apps.settlements.comparing import MARGIN, Compared, bounds
from apps.settlements.models import (
    OF_PAYOUT,
    Difference,
    DifferenceKind,
    GatewayDay,
    RegisterLine,
)

__all__ = ["KIND", "MARGIN", "bounds", "check", "close", "explain", "stored"]

KIND = differences.DAY
FAULT_POINTS = ("settlements.register-read-not-kept", "settlements.day-kept")
ZERO = Decimal("0.00")


def check(
    connection_id: int,
    day: date,
    *,
    entries: Sequence[RegisterEntry] | None = None,
    source: str = "",
    actor: str = "",
) -> GatewayDay:
    """Compares a day anew: by the gateway's own register, or by `entries` of the file that `source` names.

    Explanations of what still differs stay. Raises Refused: `day_closed`, `no_register` where the gateway tells it
    only by a file and none was given for the day, and ConnectorError.
    """
    connection = Connection.objects.select_related("legal_entity").get(pk=connection_id)
    if GatewayDay.objects.filter(connection=connection, day=day, state=GatewayDay.State.CLOSED).exists():
        raise Refused("day_closed", _("Этот день закрыт"))
    ask: comparing.Ask | None = None
    if entries is None:
        entries, ask, source = _read(connection, day)
    chargebacks.open_cases(connection, entries, actor=actor)
    compared = comparing.compare(connection, day, entries, ask=ask)
    faults.at("settlements.register-read-not-kept")
    row = _keep(connection, day, compared, source, actor)
    faults.at("settlements.day-kept")
    payouts.settle_waiting(connection, actor=actor)
    row.refresh_from_db()
    return row


def _read(connection: Connection, day: date) -> tuple[Sequence[RegisterEntry], comparing.Ask | None, str]:
    """The register of a day, with some hours to either side, how to read more of it, and what file it came from."""
    if connection.connector_class.register_is_file:  # type: ignore[attr-defined]
        known = GatewayDay.objects.filter(connection=connection, day=day).first()
        if known is None:
            raise Refused("no_register", _("Этот шлюз отдаёт реестр только файлом: загрузите его"))
        return stored(known), None, known.source
    gateway: Gateway = connection.open()

    def ask(since: Any, until: Any) -> Sequence[RegisterEntry]:
        return gateway.register(since, until) or []

    since, until = bounds(connection, day)
    return ask(since - MARGIN, until + MARGIN), ask, ""


def stored(row: GatewayDay) -> list[RegisterEntry]:
    """The register of a day as it was compared last."""
    return [
        RegisterEntry(
            kind=EntryKind(line.entry),
            gateway_id=line.gateway_id,
            payment_gateway_id=line.payment_gateway_id,
            amount=Money(line.amount, row.currency),
            fee=line.fee,
            at=line.at,
            reference=line.reference,
        )
        for line in row.lines.all()
    ]


def _keep(connection: Connection, day: date, compared: Compared, source: str, actor: str) -> GatewayDay:
    with transaction.atomic():
        terms = gateway_terms.lock(connection)
        row, _is_new = GatewayDay.objects.get_or_create(
            connection=connection, day=day, defaults={"checked_at": clock.now()}
        )
        if row.state == GatewayDay.State.CLOSED:
            raise Refused("day_closed", _("Этот день закрыт"))
        of = {kind: [one for one in compared.lines if one.entry == kind] for kind in EntryKind}
        row.payments = _sum(one.amount for one in of[EntryKind.PAYMENT])
        back = [*of[EntryKind.REFUND], *of[EntryKind.DISPUTE]]
        row.refunds = _sum(one.amount for one in back)
        row.fees = _sum(one.own_fee if one.fee is None else one.fee for one in compared.lines)
        row.own_payments, row.own_refunds = compared.own_payments, compared.own_refunds
        row.matched, row.checked_at, row.source = compared.matched, clock.now(), source[:200]
        row.save()
        row.lines.all().delete()
        for line in compared.lines:
            line.day = row
        RegisterLine.objects.bulk_create(compared.lines, batch_size=1000)
        kinds = [kind for kind in DifferenceKind if kind not in OF_PAYOUT]
        differences.rewrite(row, kinds, compared.differences)
        differences.refresh(terms, row)
        data = {"day": str(day), "matched": row.matched, "differences": len(compared.differences)}
        journal.record("gateway-day.checked", KIND, row.pk, actor=actor, data=data)
    return row


def explain(difference_id: UUID, *, note: str, actor: str) -> Difference:
    """A person says why something differs. Raises Refused: `day_closed`, `no_reason`; DoesNotExist."""
    with transaction.atomic():
        row = _open(Difference.objects.values_list("day_id", flat=True).get(pk=difference_id))
        one: Difference = differences.explain(row, difference_id, note=note, actor=actor)
        journal.record("gateway-day.explained", KIND, row.pk, actor=actor, data={"of": one.gateway_id})
    return one


def close(day_id: UUID, *, actor: str) -> GatewayDay:
    """Ends the reconciliation of a day: from now on nothing of it changes.

    Raises Refused: `day_closed`, `differs`, `no_payout` where one is to come and nobody has explained why not.
    """
    with transaction.atomic():
        row = _open(day_id)
        differences.all_explained(row)
        if differences.is_awaited(row):
            raise Refused("no_payout", _("Выплата за этот день ещё не пришла: %s") % row.net)
        differences.end(row, actor=actor)
        journal.record("gateway-day.closed", KIND, row.pk, actor=actor, data={"day": str(row.day)})
    return row


def _open(day_id: UUID) -> GatewayDay:
    """A day under its gateway's lock. Raises Refused `day_closed`."""
    gateway_terms.lock(GatewayDay.objects.select_related("connection").get(pk=day_id).connection)
    row = GatewayDay.objects.select_related("connection").get(pk=day_id)
    if row.state == GatewayDay.State.CLOSED:
        raise Refused("day_closed", _("Этот день закрыт"))
    return row


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
