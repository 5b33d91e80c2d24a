"""What «Пульт исполнения» shows: what is open, by state and age, by provider, row by row; never what was done."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import (
    Case,
    Count,
    Exists,
    IntegerField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Product
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.models import Due, WorkItem
from apps.core.money import Money
from apps.orders.control import timing
from apps.orders.fulfilment import FULFIL, KIND
from apps.orders.models import OPEN_STATES, FulfilmentState
from apps.partners.models import Partner
from apps.providers.models import OpenRequest, Provider

BANDS = (
    ("fresh", _("до 15 минут"), timedelta(minutes=15)),
    ("quarter", _("15–60 минут"), timedelta(hours=1)),
    ("hour", _("1–4 часа"), timedelta(hours=4)),
    ("hours", _("4–24 часа"), timedelta(days=1)),
    ("day", _("больше суток"), None),
)
"""Ages from the moment it was to be done: code, words, and until when."""
IN_LANES = (FulfilmentState.QUEUED, FulfilmentState.IN_PROGRESS)
"""What waits for its first attempt, or is being asked for now, stands in its lane only."""

ALWAYS = (*IN_LANES, FulfilmentState.RETRY, FulfilmentState.UNKNOWN, FulfilmentState.NEEDS_STAFF)
"""Columns that stand there though they are empty."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of what is open: of one partner's console (`partner_id` fixed there), and as staff have chosen."""

    partner_id: int | None = None
    provider_id: int | None = None
    product_id: int | None = None
    state: str = ""
    age: str = ""
    owner_id: int | None = None
    number: str = ""

    def rows(self, *, everything: bool = False) -> QuerySet[OpenRequest]:
        """The rows, oldest first; with `everything` those of all states and ages, for the counters."""
        found = OpenRequest.objects.all()
        for name in ("partner_id", "provider_id", "product_id"):
            if (value := getattr(self, name)) is not None:
                found = found.filter(**{name: value})
        if self.owner_id is not None:
            found = found.filter(Exists(_items().filter(owner_id=self.owner_id)))
        if self.number:
            found = found.filter(number=self.number)
        if everything:
            return found
        if self.state:
            found = found.filter(state=self.state)
        return found.filter(_of_band(self.age, clock.wall())) if self.age else found


def _items() -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(
        kind=KIND, partner_id=OuterRef("partner_id"), object_id=OuterRef("request_id")
    )


def _of_band(code: str, now: datetime) -> Q:
    older_than: timedelta | None = None
    for name, _words, until in BANDS:
        if name == code:
            found = Q(opened_at__gt=now - until) if until else Q()
            return found & Q(opened_at__lte=now - older_than) if older_than else found
        older_than = until
    return Q()


@dataclass(slots=True)
class Column:
    """A state: how many stand in it, since when, and how old they are."""

    state: str
    title: Any
    count: int = 0
    oldest: datetime | None = None
    bands: list[int] = field(default_factory=lambda: [0] * len(BANDS))

    def add(self, count: int, oldest: datetime | None, band: int) -> None:
        """More of them, of one band."""
        self.count += count
        self.bands[band] += count
        self.oldest = min(filter(None, (self.oldest, oldest)), default=None)


@dataclass(slots=True)
class Lane:
    """A provider as it is reached: whether it answers, what waits for it."""

    connection: Connection | None
    provider: Provider | None
    queued: int = 0
    asked: int = 0
    oldest: datetime | None = None
    states: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    late: float | None = None
    """Within how many seconds 95 of 100 were delivered in the last hour; None where nothing was."""

    @property
    def title(self) -> str:
        """Its provider's name."""
        return str(self.provider or self.connection or "—")

    @property
    def total(self) -> int:
        """All that is open there."""
        return self.queued + self.asked + sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Notice:
    """Something of a provider, besides its requests, that waits for the platform's staff."""

    provider: str
    text: str
    details: str = ""
    url: str = ""


_sources: list[Callable[[], Iterable[Notice]]] = []


def also(source: Callable[[], Iterable[Notice]]) -> Callable[[], Iterable[Notice]]:
    """Registers what else stands on the platform's board: one query, whatever there is."""
    _sources.append(source)
    return source


def notices() -> list[Notice]:
    """All that was registered, as it stands now."""
    return [one for source in _sources for one in source()]


@dataclass(frozen=True, slots=True)
class Board:
    """All counters of one moment."""

    columns: list[Column]
    lanes: list[Lane]
    open: int


def board(asked: Filter) -> Board:
    """The counters, in a fixed number of queries, however many partners there are."""
    now = clock.wall()
    columns = {state.value: Column(state.value, state.label) for state in OPEN_STATES}
    lanes: dict[tuple[int | None, int | None], Lane] = {}
    found = asked.rows(everything=True)
    counted = (
        found.annotate(band=_band(now))
        .values("state", "band", "provider_id", "connection_id")
        .annotate(count=Count("pk"), oldest=Min("opened_at"))
        .order_by()
    )
    waiting = [] if asked.owner_id or asked.number or asked.product_id else _in_lanes(asked, now)
    providers = _providers(waiting)
    for row in counted:
        if column := columns.get(row["state"]):
            column.add(row["count"], row["oldest"], row["band"])
        lane = lanes.setdefault((row["provider_id"], row["connection_id"]), Lane(None, None))
        lane.states[row["state"]] += row["count"]
        lane.oldest = min(filter(None, (lane.oldest, row["oldest"])), default=None)
    for key, is_asked, band, count, oldest in waiting:
        provider = providers.get(key)
        if asked.provider_id and asked.provider_id != provider:
            continue
        columns[(FulfilmentState.IN_PROGRESS if is_asked else FulfilmentState.QUEUED).value].add(
            count, oldest, band
        )
        lane = lanes.setdefault((provider, key), Lane(None, None))
        lane.queued, lane.asked = lane.queued + (not is_asked) * count, lane.asked + is_asked * count
        lane.oldest = min(filter(None, (lane.oldest, oldest)), default=None)
    if not (asked.owner_id or asked.number or asked.product_id):
        for whose, seconds in timing.late(partner_id=asked.partner_id, provider_id=asked.provider_id).items():
            lanes.setdefault(whose, Lane(None, None)).late = seconds
    _name(lanes)
    ordered = sorted(lanes.values(), key=lambda one: (not _is_open(one), -one.total, one.title))
    return Board(list(columns.values()), ordered, sum(one.count for one in columns.values()))


def _is_open(one: Lane) -> bool:
    return one.connection is not None and one.connection.opened_at is not None


def _band(now: datetime) -> Case:
    whens = [
        When(opened_at__gt=now - until, then=Value(place))
        for place, (_code, _words, until) in enumerate(BANDS)
        if until
    ]
    return Case(*whens, default=Value(len(BANDS) - 1), output_field=IntegerField())


def _in_lanes(asked: Filter, now: datetime) -> list[tuple[int, bool, int, int, datetime]]:
    """Of what waits for its first attempt: (lane, whether it is being asked for, band, count, since when) each."""
    of_partner = "AND partner_id = %(partner)s" if asked.partner_id is not None else ""
    limits = [now - until for _code, _words, until in BANDS if until]
    with connection.cursor() as cursor:
        cursor.execute(
            _LANES.format(of_partner=of_partner),
            {"kind": FULFIL, "now": now, "partner": asked.partner_id, "limits": limits},
        )
        return list(cursor.fetchall())


# Along the index of lanes. What was put off stands on the board already.
_LANES = """
SELECT lane, COALESCE(leased_until > %(now)s, false),
    (SELECT count(*) FROM unnest(%(limits)s::timestamptz[]) AS edge WHERE due_at <= edge)::int,
    count(*), min(due_at)
FROM public.core_due due
WHERE lane IS NOT NULL AND kind = %(kind)s AND due_at <= %(now)s {of_partner} AND NOT EXISTS (
    SELECT FROM public.providers_openrequest held
    WHERE held.partner_id = due.partner_id AND held.request_id = due.object_id
)
GROUP BY 1, 2, 3
"""


def first_in_lanes(asked: Filter, limit: int) -> list[Due]:
    """The oldest of what waits for its first attempt: their numbers are known to their partners only."""
    rows = Due.objects.filter(kind=FULFIL, lane__isnull=False, due_at__lte=clock.wall())
    if asked.partner_id is not None:
        rows = rows.filter(partner_id=asked.partner_id)
    held = OpenRequest.objects.filter(partner_id=OuterRef("partner_id"), request_id=OuterRef("object_id"))
    return list(rows.filter(~Exists(held)).order_by("due_at")[:limit])


def _providers(waiting: Iterable[tuple[int, bool, int, int, datetime]]) -> dict[int, int]:
    """Whose a lane is: the provider by connection."""
    keys = {row[0] for row in waiting}
    if not keys:
        return {}
    rows = Provider.objects.filter(Q(connection__in=keys) | Q(test_connection__in=keys))
    found: dict[int, int] = {}
    for key, real, test in rows.values_list("pk", "connection_id", "test_connection_id"):
        found.update({one: key for one in (real, test) if one in keys})
    return found


def _name(lanes: Mapping[tuple[int | None, int | None], Lane]) -> None:
    providers = Provider.objects.in_bulk([one for one, _key in lanes if one])
    connections = Connection.objects.in_bulk([one for _key, one in lanes if one])
    for (provider, key), lane in lanes.items():
        lane.provider, lane.connection = providers.get(provider or 0), connections.get(key or 0)


def total(rows: QuerySet[OpenRequest]) -> Money:
    """What was paid for all of these, each item once, in roubles."""
    once = (
        rows.filter(currency="RUB")
        .order_by()
        .values("partner_id", "item_id", "invoice_id", "amount")
        .distinct()
    )
    return Money(once.aggregate(sum=Sum("amount"))["sum"] or Decimal("0.00"))


@dataclass(frozen=True, slots=True)
class Shown:
    """One row with the names of what it is about."""

    row: OpenRequest
    partner: Partner | None
    provider: str
    product: str
    owner: str
    band: int

    @property
    def state(self) -> str:
        """Its state in words."""
        return str(dict(FulfilmentState.choices).get(self.row.state, self.row.state))

    @property
    def money(self) -> Money:
        """What was paid for it."""
        return Money(self.row.amount, self.row.currency)


def shown(rows: Iterable[OpenRequest]) -> list[Shown]:
    """These rows with names, read for all of them at once."""
    found, now = list(rows), clock.wall()
    partners = Partner.objects.in_bulk({one.partner_id for one in found})
    providers = Provider.objects.in_bulk({one.provider_id for one in found if one.provider_id})
    products = Product.objects.in_bulk({one.product_id for one in found if one.product_id})
    return [
        Shown(
            one,
            partners.get(one.partner_id),
            str(providers.get(one.provider_id or 0, "—")),
            str(getattr(products.get(one.product_id or 0), "name", "—")),
            getattr(one, "owner", None) or "",
            band_of(one.opened_at, now),
        )
        for one in found
    ]


def with_owner(rows: QuerySet[OpenRequest]) -> QuerySet[OpenRequest]:
    """The rows, each with who is at it (`owner`)."""
    return rows.annotate(owner=Subquery(_items().values("owner__username")[:1]))


def band_of(moment: datetime, now: datetime) -> int:
    """The place of its band."""
    age = now - moment
    return next(
        (place for place, (_c, _w, until) in enumerate(BANDS) if until and age < until), len(BANDS) - 1
    )
