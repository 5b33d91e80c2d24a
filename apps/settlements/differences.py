"""What differs in a gateway's day, and in the payout that it is paid out by: told to staff until it is explained."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connection
from apps.core import clock, work
from apps.core.errors import Refused
from apps.settlements import payout_postings
from apps.settlements.comparing import today_of
from apps.settlements.gateway_terms import lock, terms_of
from apps.settlements.models import (
    OF_PAYOUT,
    Difference,
    DifferenceKind,
    GatewayDay,
    GatewayPayout,
    GatewayTerms,
)

DAY = "settlements.GatewayDay"
ZERO = Decimal("0.00")


def refresh(terms: GatewayTerms, row: GatewayDay) -> None:
    """What a payout must come to, and what differs in it, after one of its days has changed. Under the lock."""
    payout = row.payout
    if payout is None:
        rewrite(row, OF_PAYOUT, _absent(terms, row))
        return
    days = list(payout.days.order_by("day"))
    payout.expected = sum((one.net.amount for one in days), ZERO)
    payout.save(update_fields=["expected"])
    still_open = [one for one in days if one.state == GatewayDay.State.OPEN]
    for one in still_open:
        told = [_short(payout)] if one == still_open[-1] and payout.difference.amount else []
        rewrite(one, OF_PAYOUT, told)
    payout_postings.post(payout)


def _absent(terms: GatewayTerms, row: GatewayDay) -> list[Difference]:
    if row.payout_id is not None or not _is_expected(terms, row) or row.net.amount <= 0:
        return []
    connection = Connection.objects.select_related("legal_entity").get(pk=row.connection_id)
    if today_of(connection) <= row.day + timedelta(days=terms.payout_within_days):
        return []
    return [
        Difference(
            kind=DifferenceKind.PAYOUT_ABSENT, entry="payout", gateway_id=str(row.day), ours=row.net.amount
        )
    ]


def _short(payout: GatewayPayout) -> Difference:
    return Difference(
        kind=DifferenceKind.PAYOUT_AMOUNT,
        entry="payout",
        gateway_id=payout.line.number or str(payout.pk),
        ours=payout.expected,
        theirs=payout.amount,
    )


def _is_expected(terms: GatewayTerms, row: GatewayDay) -> bool:
    return bool(terms.payer_inn) and row.connection.partner_id is None


def is_awaited(row: GatewayDay) -> bool:
    """Whether money of a day is still to come, and nobody has said why it does not."""
    if row.payout_id is not None or not row.net.amount or not _is_expected(terms_of(row.connection), row):
        return False
    said = row.differences.filter(kind=DifferenceKind.PAYOUT_ABSENT).exclude(explained_at=None)
    return not said.exists()


def overdue(connection: Connection) -> None:
    """Says of which days no money has come in time."""
    with transaction.atomic():
        terms = lock(connection)
        for row in _unpaid(connection, terms):
            refresh(terms, row)
            tell(row)


def _unpaid(connection: Connection, terms: GatewayTerms) -> "QuerySet[GatewayDay]":
    before = today_of(connection) - timedelta(days=terms.payout_within_days)
    rows = GatewayDay.objects.filter(
        connection=connection, state=GatewayDay.State.OPEN, payout=None, day__lt=before
    )
    return rows.exclude(differences__kind=DifferenceKind.PAYOUT_ABSENT).select_related("connection")


def rewrite(row: Any, kinds: Iterable[str], found: Sequence[Any]) -> None:
    """Replaces a day's differences of some kinds; what is the same as before keeps its explanation."""
    old = row.differences.filter(kind__in=list(kinds))
    explained = {one.sameness: one for one in old.exclude(explained_at=None)}
    old.delete()
    for one in found:
        one.day = row
        if known := explained.get(one.sameness):
            one.note, one.explained_by, one.explained_at = (
                known.note,
                known.explained_by,
                known.explained_at,
            )
    row.differences.model.objects.bulk_create(found)
    tell(row)


def tell(row: Any) -> None:
    """Staff look at a day while something of it is not explained."""
    left = row.differences.filter(explained_at=None).count()
    if left:
        work.open_for(None, row.KIND, row.pk, str(row.DIFFERS) % left)
    else:
        work.close_for(None, row.KIND, row.pk)


def explain(row: Any, difference_id: UUID, *, note: str, actor: str) -> Any:
    """A person says why something of a day differs, under the day's lock. Raises Refused `no_reason`; DoesNotExist."""
    if not note.strip():
        raise Refused("no_reason", _("Напишите, почему не сошлось"), status=400)
    # Compared again meanwhile, it may be gone: read under the lock.
    one = row.differences.get(pk=difference_id)
    one.note, one.explained_by, one.explained_at = note.strip()[:200], actor[:150], clock.now()
    one.save(update_fields=["note", "explained_by", "explained_at"])
    tell(row)
    return one


def all_explained(row: Any) -> None:
    """Raises Refused `differs` where something of a day is not."""
    left = row.differences.filter(explained_at=None).count()
    if left:
        raise Refused("differs", _("Осталось объяснить расхождений: %d") % left, left=left)


def end(row: Any, *, actor: str) -> None:
    """A day is closed, under its lock: from now on nothing of it changes."""
    row.state, row.closed_by, row.closed_at = row.State.CLOSED, actor[:150], clock.now()
    row.save(update_fields=["state", "closed_by", "closed_at"])
    work.close_for(None, row.KIND, row.pk)
