"""Each morning: yesterday of every gateway that served payments, days left open, files and payouts that are late.

Beat plans it (`plan`), due work does it, one gateway at a time: one that is down delays no other. A gateway through
which nobody has ever paid costs nothing, nor does any partner. One that is switched off is asked nothing, and still
staff hear which of its days are not compared, and which payouts have not come.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Exists, Max, OuterRef, Q
from django.db.models.functions import TruncDate
from django.utils.translation import gettext_lazy as _

from apps.connectors.base import Kind
from apps.connectors.models import Connection, GatewayReference
from apps.core import clock, due, work
from apps.core.tenancy import in_partner
from apps.payments.models import Payment, Refund, RefundState
from apps.settlements import differences, gateway_terms, reconciliation, uploading
from apps.settlements.comparing import FARTHEST, TAKEN, bounds, served, today_of, zone_of
from apps.settlements.models import OF_PAYOUT, GatewayDay, GatewayTerms

TASK = "settlements.morning"
AT = time(6, 30)
"""In the zone of the gateway's legal entity: by then the night's payments are settled on both sides."""
BACK = 10
"""Days back that are looked at again while they are open."""
AFTERWARDS = timedelta(days=62)
"""For how long after its last known day a gateway that is switched off may have days that nobody has compared."""


def plan() -> int:
    """Plans this morning's look at each gateway that served payments; how many. Test ones are looked at by hand.

    One that is switched off is looked at as long as a day of it is open, or it may have days that nobody has compared.
    """
    used = GatewayReference.objects.filter(connection=OuterRef("pk"))
    days = GatewayDay.objects.filter(connection=OuterRef("pk"))
    lately = Q(state=GatewayDay.State.OPEN) | Q(day__gte=clock.wall().date() - AFTERWARDS)
    gateways = Connection.objects.filter(
        Q(is_enabled=True) | ~Exists(days) | Exists(days.filter(lately)),
        Exists(used),
        kind=Kind.PAYMENT,
        is_test=False,
    )
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
    elif connection.is_enabled:
        for day in _days(connection):
            reconciliation.check(connection.pk, day)
        work.close_for(None, uploading.KIND, terms.pk)
    else:
        _tell_of_days(terms, connection)
    differences.overdue(connection)


def _tell_of_days(terms: GatewayTerms, connection: Connection) -> None:
    """Staff hear of days with payments that are not compared, since their gateway is switched off and asked nothing."""
    yesterday = today_of(connection) - timedelta(days=1)
    latest = _latest(connection)
    first = latest + timedelta(days=1) if latest else yesterday - timedelta(days=BACK)
    wanted = _took(connection, max(first, yesterday - FARTHEST), yesterday)
    if wanted:
        reason = _("День не сверен: подключение выключено. С %s") % f"{min(wanted):%d.%m.%Y}"
        work.open_for(None, uploading.KIND, terms.pk, str(reason))
    elif first >= yesterday - FARTHEST:
        # What is older than we look at is not compared because of that.
        work.close_for(None, uploading.KIND, terms.pk)


def _latest(connection: Connection) -> date | None:
    found: date | None = GatewayDay.objects.filter(connection=connection).aggregate(one=Max("day"))["one"]
    return found


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
    start = min(known, default=None)
    if start is None:
        # It was off for longer.
        latest = _latest(connection)
        start = max(latest + timedelta(days=1), yesterday - FARTHEST) if latest else yesterday
    for number in range((yesterday - start).days + 1):
        day = start + timedelta(days=number)
        if day not in known or day in again:
            yield day


def _ask_for_file(terms: GatewayTerms, connection: Connection) -> None:
    """Staff are asked for a register once a day with payments is older than the terms allow."""
    last = today_of(connection) - timedelta(days=terms.file_within_days)
    first = last - timedelta(days=BACK)
    known = GatewayDay.objects.filter(connection=connection, day__gte=first, day__lte=last)
    wanted = _took(connection, first, last) - set(known.values_list("day", flat=True))
    if wanted:
        reason = _("Нужен реестр: с %s") % f"{min(wanted):%d.%m.%Y}"
        work.open_for(None, uploading.KIND, terms.pk, str(reason))
    elif connection.is_enabled:
        # Of one that takes nothing any more days grow too old to be seen here: only a file ends it then.
        work.close_for(None, uploading.KIND, terms.pk)


def _took(connection: Connection, first: date, last: date) -> set[date]:
    """On which of these days any partner was paid or gave back through a gateway."""
    within = {
        "settled_at__gte": bounds(connection, first)[0],
        "settled_at__lt": bounds(connection, last)[1],
    }
    of_day = TruncDate("settled_at", tzinfo=zone_of(connection))
    found: set[date] = set()
    for partner in served(connection):
        with in_partner(partner):
            paid = Payment.objects.filter(connection=connection, state__in=TAKEN, amount__gt=0, **within)
            given = Refund.objects.filter(
                payment__connection=connection, state=RefundState.SUCCEEDED, **within
            )
            for rows in (paid, given):
                found.update(rows.order_by().values_list(of_day, flat=True).distinct())
    return found
