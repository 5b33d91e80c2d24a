"""Each morning: yesterday of every gateway that served payments, days left open, files and payouts that are late.

Beat plans it (`plan`), due work does it, one gateway at a time: one that is down delays no other. A gateway through
which nobody has ever paid costs nothing, nor does any partner.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from apps.connectors.base import Kind
from apps.connectors.models import Connection, GatewayReference
from apps.core import clock, due, work
from apps.core.tenancy import in_partner
from apps.payments.models import Payment, Refund, RefundState
from apps.settlements import differences, gateway_terms, reconciliation, uploading
from apps.settlements.comparing import TAKEN, bounds, served, today_of, zone_of
from apps.settlements.models import OF_PAYOUT, GatewayDay, GatewayTerms

TASK = "settlements.morning"
AT = time(6, 30)
"""In the zone of the gateway's legal entity: by then the night's payments are settled on both sides."""
BACK = 10
"""Days back that are looked at again while they are open."""


def plan() -> int:
    """Plans this morning's look at each gateway that served payments; how many. Test ones are looked at by hand."""
    used = GatewayReference.objects.filter(connection=OuterRef("pk"))
    gateways = Connection.objects.filter(Exists(used), kind=Kind.PAYMENT, is_test=False, is_enabled=True)
    count = 0
    for connection in gateways.select_related("legal_entity"):
        terms = gateway_terms.terms_of(connection)
        due.schedule(TASK, terms.pk, _next(connection), wall=True)
        count += 1
    return count


def _next(connection: Connection) -> datetime:
    """The coming morning, or now where it is past: beat may have been down when it came."""
    now = clock.wall()
    return max(datetime.combine(now.astimezone(zone_of(connection)), AT, tzinfo=zone_of(connection)), now)


def look(terms_id: UUID) -> None:
    """Checks what of a gateway is to be checked now. Raises ConnectorError."""
    terms = GatewayTerms.objects.select_related("connection__legal_entity").get(pk=terms_id)
    connection = terms.connection
    if connection.connector_class.register_is_file:  # type: ignore[attr-defined]
        _ask_for_file(terms, connection)
    else:
        for day in _days(connection):
            reconciliation.check(connection.pk, day)
    differences.overdue(connection)


def _days(connection: Connection) -> Iterator[date]:
    """Yesterday, days that were left out since the last one, and open ones in which something differs."""
    yesterday = today_of(connection) - timedelta(days=1)
    rows = GatewayDay.objects.filter(connection=connection, day__gte=yesterday - timedelta(days=BACK))
    known = set(rows.values_list("day", flat=True))
    differing = rows.filter(state=GatewayDay.State.OPEN, differences__explained_at=None)
    again = set(
        differing.exclude(differences=None)
        .exclude(differences__kind__in=OF_PAYOUT)
        .values_list("day", flat=True)
    )
    start = min(known, default=yesterday)
    for number in range((yesterday - start).days + 1):
        day = start + timedelta(days=number)
        if day not in known or day in again:
            yield day


def _ask_for_file(terms: GatewayTerms, connection: Connection) -> None:
    """Staff are asked for a register once a day with payments is older than the terms allow."""
    last = today_of(connection) - timedelta(days=terms.file_within_days)
    first = last - timedelta(days=BACK)
    known = GatewayDay.objects.filter(connection=connection, day__gte=first, day__lte=last)
    have = set(known.values_list("day", flat=True))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    wanted = [day for day in days if day not in have and _took(connection, day)]
    if wanted:
        reason = _("Нужен реестр: с %s") % f"{wanted[0]:%d.%m.%Y}"
        work.open_for(None, uploading.KIND, terms.pk, str(reason))
    else:
        work.close_for(None, uploading.KIND, terms.pk)


def _took(connection: Connection, day: date) -> bool:
    """Whether any partner was paid or gave back through a gateway on a day."""
    since, until = bounds(connection, day)
    within = {"settled_at__gte": since, "settled_at__lt": until}
    for partner in served(connection):
        with in_partner(partner):
            if Payment.objects.filter(connection=connection, state__in=TAKEN, **within).exists():
                return True
            given = Refund.objects.filter(state=RefundState.SUCCEEDED, payment__connection=connection)
            if given.filter(**within).exists():
                return True
    return False
