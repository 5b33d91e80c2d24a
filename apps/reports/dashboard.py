"""The first page of each console: «Сводка» of the platform, «Сегодня» of a partner."""

import json
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Sum
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from apps.billing.models import Subscription
from apps.callcenters.models import CustomerRequest
from apps.connectors.base import Kind
from apps.connectors.models import Connection
from apps.core import clock, links
from apps.core.admin import item_link
from apps.core.health import UNSETTLED
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.ledger.models import Account, Sale, Transfer
from apps.orders.models import FulfilmentState
from apps.partners.models import Partner
from apps.providers.models import OpenRequest
from apps.reports import sales
from apps.reports.models import Sales

DAYS = 14
LATEST = 8
LONGEST_PERIOD = timedelta(days=400)
"""A subscription paid longer ago than this has nothing left of what was paid."""
SHOWN_CURRENCY = "RUB"


def dashboard(request: Any, context: dict[str, Any]) -> dict[str, Any]:
    """Figures as they are now, over the ledger and the queue."""
    partner: Partner | None = request.tenant
    money = request.rights.may("manager", "finance")
    context["title"] = _("Сводка") if partner is None else _("Сегодня")
    context["partner"] = partner
    context["figures"] = [*(_takings(partner) if money else []), *_standing(partner)]
    context["chart"] = _chart(partner) if money else ""
    context["report_url"] = links.list_of(Sales) if money else ""
    context["work_url"] = links.list_of(WorkItem)
    context["kinds"], context["oldest"], context["unsettled"] = _queue(partner)
    context["latest"] = _latest(partner)
    if partner is not None:
        context["storefront_url"] = partner.url("/")
    return context


def _question(partner: Partner | None, since: date, until: date) -> sales.Question:
    return sales.Question(
        since=since,
        until=until,
        partner_id=partner.pk if partner else None,
        own_sandbox=bool(partner and partner.is_sandbox),
    )


def _takings(partner: Partner | None) -> list[dict[str, str]]:
    today = clock.today()
    month = _sum(sales.transfers(_question(partner, today.replace(day=1), today)), today)
    report = links.list_of(Sales)
    return [
        _figure(_("Поступило сегодня"), _money(month["today"]), "payments", report),
        _figure(_("С начала месяца"), _money(month["total"]), "calendar_month", report),
        _figure(
            _("Новые продажи за месяц"),
            f"{month['new']}",
            "add_shopping_cart",
            report,
            _money(month["new_sum"]),
        ),
        _figure(
            _("Продления за месяц"), f"{month['renewal']}", "autorenew", report, _money(month["renewal_sum"])
        ),
    ]


def _sum(transfers: QuerySet[Transfer], today: date) -> dict[str, Any]:
    taken = sales.TAKEN & Q(currency=SHOWN_CURRENCY)
    fresh, again = taken & ~Q(kind=Sale.RENEWAL), taken & Q(kind=Sale.RENEWAL)
    return transfers.aggregate(
        today=Sum("amount", filter=taken & Q(business_date=today)),
        total=Sum("amount", filter=taken),
        new=Count("pk", filter=fresh),
        new_sum=Sum("amount", filter=fresh),
        renewal=Count("pk", filter=again),
        renewal_sum=Sum("amount", filter=again),
    )


def _standing(partner: Partner | None) -> list[dict[str, str]]:
    if partner is None:
        partners = Partner.objects.filter(status=Partner.Status.LIVE)
        return [
            _figure(_("Активные подписки"), str(_active_by_ledger()), "group", links.list_of(Partner)),
            _figure(_("Работающие партнёры"), str(partners.count()), "handshake", links.list_of(Partner)),
            *_hanging(None),
        ]
    requests = CustomerRequest.objects.open()
    return [
        _figure(
            _("Активные подписки"),
            str(Subscription.objects.live().count()),
            "group",
            links.list_of(Subscription),
        ),
        *_hanging(partner),
        _figure(
            _("Открытые обращения"), str(requests.count()), "support_agent", links.list_of(CustomerRequest)
        ),
    ]


def _hanging(partner: Partner | None) -> list[dict[str, str]]:
    """What was paid and is not delivered: of what is open only, so that its cost does not grow with what was done."""
    rows = OpenRequest.objects.filter(partner_id=partner.pk) if partner else OpenRequest.objects.all()
    found = rows.aggregate(
        all=Count("pk"),
        oldest=Min("opened_at"),
        staff=Count("pk", filter=Q(state=FulfilmentState.NEEDS_STAFF)),
        waits=Min("since", filter=Q(state=FulfilmentState.NEEDS_STAFF)),
    )
    board, now = links.list_of(OpenRequest), clock.wall()

    def since(moment: datetime | None) -> str:
        return _("старшее ждёт {age}").format(age=timesince(moment, now, depth=1)) if moment else ""

    figures = [
        _figure(_("Не исполнено"), str(found["all"]), "monitoring", board, since(found["oldest"])),
        _figure(
            _("Нужен сотрудник"),
            str(found["staff"]),
            "person_alert",
            f"{board}?state={FulfilmentState.NEEDS_STAFF}",
            since(found["waits"]),
        ),
    ]
    if partner is None:
        down = Connection.objects.filter(kind=Kind.PROVIDER, is_test=False, opened_at__isnull=False)
        figures.append(_figure(_("Поставщики не отвечают"), str(down.count()), "cloud_off", board))
    return figures


def _active_by_ledger() -> int:
    """Subscriptions with money for days to come: paid in advance, not yet all earned."""
    ahead = Transfer.objects.filter(
        Q(credit=Account.DEFERRED) | Q(debit=Account.DEFERRED),
        is_sandbox=False,
        subscription_id__isnull=False,
        business_date__gte=clock.today() - LONGEST_PERIOD,
    )
    by_subscription = (
        ahead.order_by()
        .values("subscription_id")
        .annotate(
            came=Sum("amount", filter=Q(credit=Account.DEFERRED), default=Decimal(0)),
            went=Sum("amount", filter=Q(debit=Account.DEFERRED), default=Decimal(0)),
        )
    )
    return sum(1 for line in by_subscription.iterator() if line["came"] > line["went"])


def _chart(partner: Partner | None) -> str:
    """Data for a bar chart of the last days: new sales and renewals on top of each other."""
    today = clock.today()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    found: dict[date, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in sales.answer(_question(partner, days[0], today)):
        if row.currency == SHOWN_CURRENCY:
            found[row.names[0]] = [row.new, row.renewal]
    return bars([f"{day:%d.%m}" for day in days], [found[day] for day in days])


def bars(labels: list[str], values: list[list[Decimal]]) -> str:
    """JSON for unfold's bar chart; each value is [new, renewal]."""
    looks = [(_("Новые продажи"), "var(--color-primary-600)"), (_("Продления"), "var(--color-primary-300)")]
    return json.dumps(
        {
            "labels": labels,
            "datasets": [
                {
                    "label": name,
                    "data": [float(value[number]) for value in values],
                    "backgroundColor": colour,
                    "displayYAxis": True,
                    "stack": "sales",
                    "borderRadius": 3,
                    "maxBarThickness": 36,
                }
                for number, (name, colour) in enumerate(looks)
            ],
        }
    )


def _items(partner: Partner | None) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(partner_id=partner.pk) if partner else WorkItem.objects.all()


def _queue(partner: Partner | None) -> tuple[list[dict[str, Any]], str, str]:
    """Lines by kind, how long the oldest waits, and how long the oldest of those that nobody could settle."""
    lines = list(
        _items(partner).order_by().values("kind").annotate(size=Count("pk"), oldest=Min("opened_at"))
    )
    most = max((line["size"] for line in lines), default=1)
    work_url, now = links.list_of(WorkItem), clock.wall()
    kinds = [
        {
            "title": links.title(line["kind"]),
            "size": line["size"],
            "share": round(100 * line["size"] / most),
            "age": timesince(line["oldest"], now, depth=1),
            "url": f"{work_url}?kind={line['kind']}",
        }
        for line in sorted(lines, key=lambda line: -line["size"])
    ]
    unsettled = [line for line in lines if line["kind"] in UNSETTLED]
    return kinds, _oldest(lines, now), _oldest(unsettled, now)


def _oldest(lines: list[Any], now: datetime) -> str:
    oldest = min((line["oldest"] for line in lines), default=None)
    return timesince(oldest, now, depth=1) if oldest else ""


def _latest(partner: Partner | None) -> list[dict[str, Any]]:
    items = list(_items(partner).select_related("owner").order_by("-opened_at")[:LATEST])
    named = Partner.objects.in_bulk([item.partner_id for item in items if item.partner_id])
    now = clock.wall()
    return [
        {
            "link": item_link(item, getattr(named.get(item.partner_id or 0), "slug", "")),
            "partner": getattr(named.get(item.partner_id or 0), "name", "—"),
            "reason": item.reason,
            "age": timesince(item.opened_at, now, depth=1),
            "owner": item.owner.get_username() if item.owner else "",
        }
        for item in items
    ]


def _figure(title: str, value: str, icon: str, url: str, note: str = "") -> dict[str, str]:
    return {"title": title, "value": value, "icon": icon, "url": url, "note": note}


def _money(amount: Decimal | None) -> str:
    return str(Money(amount or Decimal("0.00"), SHOWN_CURRENCY))
