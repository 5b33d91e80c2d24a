"""A month of reconciliation as a table: gateways by days, how far each is. For the console."""

import calendar as calendars
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import formats
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.money import Money
from apps.settlements.models import DayState, GatewayDay


@dataclass(frozen=True, slots=True)
class Cell:
    """One day of one gateway."""

    mark: str
    style: str
    title: str
    url: str


@dataclass(slots=True)
class Calendar:
    """A month: its days, a row per gateway that has any of them, and the months beside it."""

    title: str
    before: str
    after: str
    days: list[date]
    rows: list[tuple[str, list[Cell | None]]] = field(default_factory=list)


def month_of(text: str | None) -> date:
    """The first day of «2026-11»; of the newest month that has days, or of this one, where it is none."""
    try:
        asked = date.fromisoformat(f"{text}-01")
        if not 2000 <= asked.year < 2100:
            raise ValueError(text)
        return asked
    except ValueError:
        newest = GatewayDay.objects.order_by("-day").values_list("day", flat=True).first()
        return (newest or clock.wall().date()).replace(day=1)


def of(first: date) -> Calendar:
    """The table of a month."""
    last = first.replace(day=calendars.monthrange(first.year, first.month)[1])
    rows = (
        GatewayDay.objects.filter(day__gte=first, day__lte=last)
        .select_related("connection__settlement_terms")
        .annotate(left=Count("differences", filter=Q(differences__explained_at=None)))
    )
    found: dict[str, dict[date, Cell]] = defaultdict(dict)
    for row in rows:
        found[str(row.connection)][row.day] = _cell(row, row.left)
    days = [first + timedelta(days=number) for number in range(last.day)]
    following = last + timedelta(days=1)
    return Calendar(
        title=formats.date_format(first, "F Y"),
        before=f"{first - timedelta(days=1):%Y-%m}",
        after=f"{following:%Y-%m}" if following <= clock.wall().date() + timedelta(days=31) else "",
        days=days,
        rows=[(name, [cells.get(day) for day in days]) for name, cells in sorted(found.items())],
    )


def _cell(row: Any, left: int) -> Cell:
    url = reverse("admin:settlements_gatewayday_change", args=[row.pk])
    told = _("%(day)s: у шлюза %(sum)s, комиссия %(fee)s") % {
        "day": f"{row.day:%d.%m.%Y}",
        "sum": Money(row.payments - row.refunds, row.currency),
        "fee": Money(row.fees, row.currency),
    }
    if row.state == DayState.CLOSED:
        return Cell("✓", "is-closed", told, url)
    if left:
        return Cell(str(left), "is-bad", told, url)
    terms = getattr(row.connection, "settlement_terms", None)
    if terms is not None and terms.payer_inn and row.payout_id is None and row.net.amount:
        return Cell("○", "armor-link", told, url)
    return Cell("●", "armor-link", told, url)
