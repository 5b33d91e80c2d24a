"""A provider's day beside ours: whose period was paid, and who the provider has; what differs is decided by a person.

By the provider's word where there is one: its list of the day, else its answers about each service; else by what we
have on record ourselves. Whoever changes a day holds its provider's lock.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.models import Offer
from apps.core import clock, due, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.providers.models import Provider
from apps.providers.portal.models import Entitlement, ServiceList
from apps.settlements import asking, differences
from apps.settlements.asking import Ours
from apps.settlements.provider_models import ProviderDay, ProviderDifference, ProviderDifferenceKind, Source

KIND = ProviderDay.KIND
TASK = "settlements.provider_day"
OVERDUE = timedelta(days=3)
"""After which staff are told that a day is not reconciled."""
_K = ProviderDifferenceKind


def check(provider: Provider, day: date, *, is_test: bool = False, actor: str = "") -> ProviderDay:
    """Compares a day anew, or has its provider asked first; decisions about what still differs stay, and a day by the
    provider's word in which nothing is left to decide is closed. Raises Refused `day_closed`."""
    known = ProviderDay.objects.filter(provider=provider, day=day, is_test=is_test)
    if known.filter(state=ProviderDay.State.CLOSED).exists():
        raise Refused("day_closed", _("Этот день закрыт"))
    ours = list(_ours(provider, day, is_test))
    told = ServiceList.objects.filter(provider=provider, day=day, is_test=is_test).first()
    costs: dict[UUID, Decimal | None] | None = None
    asked: asking.Asked | None = None
    source = Source.OWN
    if told is not None:
        source, costs = Source.FILE, dict(told.lines.values_list("named", "cost"))
    elif (asked := asking.ask(provider, day, ours, is_test=is_test)) is not None:
        source, costs = Source.ASKED, asked.on
        if asked.left:
            return _asked_in_part(provider, day, asked, is_test)
    found, matched, provisioned = _compared(provider, ours, costs)
    with transaction.atomic():
        row = _locked(provider, day, is_test)
        row.source, row.file = source, told.name if told else ""
        row.charged, row.provisioned = sum(one.is_charged for one in ours), provisioned
        row.matched, row.checked_at = matched, clock.wall()
        row.asked = row.to_ask = asked.count if asked is not None else 0
        row.save()
        # Asked again another time, it is asked anew.
        row.answers.all().delete()
        differences.rewrite(row, list(_K), found)
        data = {"day": str(day), "matched": matched, "differences": len(found), "source": str(source)}
        journal.record("provider-day.checked", KIND, row.pk, actor=actor, data=data)
        _close_if_done(row, actor)
    return row


def _asked_in_part(provider: Provider, day: date, asked: asking.Asked, is_test: bool) -> ProviderDay:
    """It is being asked; until its last answer nothing is compared."""
    with transaction.atomic():
        row = _locked(provider, day, is_test)
        row.source, row.checked_at = Source.ASKED, clock.wall()
        row.asked, row.to_ask = asked.count, asked.count + asked.left
        row.save()
    return row


def decide(difference_id: UUID, *, note: str, actor: str) -> ProviderDifference:
    """A person says what is done about one; after the last, the day is closed. Raises Refused: `day_closed`,
    `no_reason`; DoesNotExist."""
    with transaction.atomic():
        held = ProviderDifference.objects.select_related("day__provider").get(pk=difference_id).day
        row = _locked(held.provider, held.day, held.is_test)
        one: ProviderDifference = differences.explain(row, difference_id, note=note, actor=actor)
        data = {"of": str(one.named)}
        journal.record("provider-day.decided", KIND, row.pk, actor=actor, data=data)
        _close_if_done(row, actor)
    return one


def close(day_id: UUID, *, actor: str) -> ProviderDay:
    """Ends a day, also one by our own data alone. Raises Refused: `day_closed`, `differs`."""
    with transaction.atomic():
        held = ProviderDay.objects.select_related("provider").get(pk=day_id)
        row = _locked(held.provider, held.day, held.is_test)
        differences.all_explained(row)
        _end(row, actor)
    return row


def plan() -> int:
    """Plans this morning's look at each provider that somebody sells; how many."""
    sold = Offer.objects.values("tariff__product__provider").distinct()
    providers = Provider.objects.filter(pk__in=sold, is_archived=False)
    for provider in providers:
        due.schedule(TASK, UUID(int=provider.pk), clock.wall(), wall=True)
    return len(providers)


def look(provider_number: UUID) -> None:
    """Due work: yesterday of a provider, and its days that nobody has closed."""
    provider = Provider.objects.get(pk=provider_number.int)
    yesterday = clock.wall().date() - timedelta(days=1)
    open_days = ProviderDay.objects.filter(provider=provider, is_test=False, state=ProviderDay.State.OPEN)
    days = {
        yesterday,
        *open_days.filter(day__gte=yesterday - timedelta(days=asking.BACK - 1)).values_list("day", flat=True),
    }
    for day in sorted(days):
        is_closed = ProviderDay.objects.filter(
            provider=provider, day=day, is_test=False, state=ProviderDay.State.CLOSED
        )
        if not is_closed.exists():
            check(provider, day)
    left = ProviderDifference.objects.filter(day=OuterRef("pk"), explained_at=None)
    for row in open_days.filter(~Exists(left), day__lt=yesterday - OVERDUE):
        work.open_for(None, KIND, row.pk, str(_("День не сверен с поставщиком: %s")) % row)


def go_on(day_id: UUID) -> None:
    """Due work: all that was asked of a provider about a day is answered."""
    row = ProviderDay.objects.select_related("provider").get(pk=day_id)
    if row.state == ProviderDay.State.OPEN:
        check(row.provider, row.day, is_test=row.is_test)


def _locked(provider: Provider, day: date, is_test: bool) -> ProviderDay:
    """A day that is open, under its provider's lock. Raises Refused `day_closed`."""
    Provider.objects.select_for_update(no_key=True).get(pk=provider.pk)
    row, _is_new = ProviderDay.objects.get_or_create(
        provider=provider, day=day, is_test=is_test, defaults={"checked_at": clock.wall()}
    )
    if row.state == ProviderDay.State.CLOSED:
        raise Refused("day_closed", _("Этот день закрыт"))
    return row


def _close_if_done(row: ProviderDay, actor: str) -> None:
    if row.source != Source.OWN and not row.differences.filter(explained_at=None).exists():
        _end(row, actor)


def _end(row: ProviderDay, actor: str) -> None:
    differences.end(row, actor=actor)
    # What was not answered need not be.
    row.answers.all().delete()
    journal.record("provider-day.closed", KIND, row.pk, actor=actor, data={"day": str(row.day)})


# -- what was charged ------------------------------------------------------------------------------------

# Paid until when, as it was known at the end of the day: what was paid, granted or renewed makes a fulfilment.
_OURS = """
SELECT s.id, s.request_id, paid.amount,
    paid.period_end > %(day)s AND (s.off_at IS NULL OR s.off_at >= %(until)s)
        AND s.state NOT IN ('cancelled', 'aborted'),
    s.activated_at < %(until)s AND (s.off_at IS NULL OR s.off_at >= %(until)s) AND s.state <> 'suspended'
FROM orders_service s
JOIN public.catalog_product p ON p.id = s.product_id AND p.provider_id = %(provider)s
LEFT JOIN LATERAL (
    SELECT f.period_end, COALESCE(i.total, b.total, 0) AS amount
    FROM orders_fulfilment f
    LEFT JOIN orders_orderitem i ON i.id = f.item_id
    LEFT JOIN billing_invoice b ON b.id = f.invoice_id
    WHERE f.service_id = s.id AND f.action IN ('provision', 'extend') AND f.state <> 'failed'
        AND f.created_at < %(until)s AND f.period_end IS NOT NULL
    ORDER BY f.period_end DESC LIMIT 1
) paid ON true
WHERE s.created_at < %(until)s AND (s.off_at IS NULL OR s.off_at >= %(since)s)
"""


def _ours(provider: Provider, day: date, is_test: bool) -> Iterator[Ours]:
    selling = Offer.objects.filter(tariff__product__provider=provider).values("partner")
    for partner in Partner.objects.filter(pk__in=selling, is_sandbox=is_test).order_by("pk"):
        with in_partner(partner):
            since, until = (
                datetime.combine(one, time(), tzinfo=clock.zone()) for one in (day, day + timedelta(days=1))
            )
            given: dict[str, Any] = {"provider": provider.pk, "day": day, "since": since, "until": until}
            with connection.cursor() as cursor:
                cursor.execute(_OURS, given)
                rows = cursor.fetchall()
        for key, request_id, amount, is_charged, is_on in rows:
            yield Ours(key, request_id, partner, amount or Decimal(0), bool(is_charged), bool(is_on))


# -- what is there ---------------------------------------------------------------------------------------


def _compared(
    provider: Provider, ours: list[Ours], costs: dict[UUID, Decimal | None] | None
) -> tuple[list[ProviderDifference], int, int]:
    """What differs, how many agree, and how many the provider has."""
    if costs is None:
        costs = {one.id: None for one in ours if one.is_on}
    found, matched, seen = [], 0, set()
    for one in ours:
        named = {one.id, one.request_id} & costs.keys()
        seen |= named
        if one.is_charged and not named:
            found.append(_difference(_K.NOT_PROVISIONED, one, one.amount))
        elif named and not one.is_charged:
            cost = costs[next(iter(named))]
            found.append(_difference(_K.NOT_CHARGED, one, one.amount if cost is None else cost))
        elif named:
            matched += 1
    found += _others(provider, {key: cost for key, cost in costs.items() if key not in seen})
    return found, matched, len(costs)


def _others(provider: Provider, costs: dict[UUID, Decimal | None]) -> Iterator[ProviderDifference]:
    """What the provider has beyond ours of the day: switched off before it, or never heard of."""
    mine = Entitlement.objects.filter(provider_id=provider.pk)
    known: dict[UUID, Entitlement] = {}
    for field in ("request_id", "service_id"):
        known |= {getattr(one, field): one for one in mine.filter(**{f"{field}__in": list(costs)})}
    for named, cost in costs.items():
        right = known.get(named)
        yield ProviderDifference(
            id=uuid7(),
            kind=_K.NOT_CHARGED if right else _K.UNKNOWN,
            named=named,
            partner_id=right.partner_id if right else None,
            service_id=right.service_id if right else None,
            amount=cost or Decimal("0.00"),
        )


def _difference(kind: str, one: Ours, amount: Decimal) -> ProviderDifference:
    return ProviderDifference(
        id=uuid7(), kind=kind, named=one.request_id, partner=one.partner, service_id=one.id, amount=amount
    )
