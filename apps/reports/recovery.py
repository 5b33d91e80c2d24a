"""The report «Неоплаты»: what charges failed to bring, and what of it came after all, by policy, month and decline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce, TruncMonth
from django.utils import formats
from django.utils.translation import gettext_lazy as _

from apps.partners.models import Partner
from apps.policies.dunning import DeclineClass
from apps.policies.dunning_models import DunningResult, ResultState

DIMENSIONS = {
    "month": _("Месяц"),
    "policy": _("Политика"),
    "decline": _("Причина отказа"),
    "partner": _("Партнёр"),
}
_COLUMNS = {
    "month": "month",
    "policy": "version__policy__name",
    "decline": "decline_class",
    "partner": "partner_id",
}
MEASURES = {
    "count": _("Неоплат"),
    "failed": _("Не списано"),
    "recovered": _("Взыскано"),
    "lost": _("Потеряно"),
    "running": _("Ещё идёт"),
    "stopped": _("Прекращено"),
    "rate": _("Взыскано, %"),
}
_NONE = Decimal("0.00")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the report is asked: by the day of the first failure, both days included.

    `partner_id` is a must on a partner's console. Without it all partners are summed up, sandboxes left out.
    """

    since: date
    until: date
    by: tuple[str, ...] = ("month",)
    partner_id: int | None = None
    sandbox: bool = False


@dataclass(frozen=True)
class Row:
    """One line: a name for each dimension asked for, and the sums. They add up: failed is all the others."""

    names: tuple[Any, ...]
    currency: str
    count: int
    failed: Decimal
    recovered: Decimal
    lost: Decimal
    running: Decimal
    stopped: Decimal

    @property
    def rate(self) -> Decimal:
        """Of what is decided: what came, in per cent. What the customer cancelled was neither won nor lost."""
        decided = self.recovered + self.lost
        return (self.recovered * 100 / decided).quantize(Decimal("0.1")) if decided else _NONE

    def values(self) -> tuple[Any, ...]:
        """The sums in the order of MEASURES."""
        return tuple(getattr(self, name) for name in MEASURES)


def answer(question: Question) -> list[Row]:
    """The lines of the report, in the order of its dimensions: one query, however many partners."""
    found = DunningResult.objects.filter(
        started_date__range=(question.since, question.until), is_sandbox=question.sandbox
    )
    if question.partner_id is not None:
        found = found.filter(partner_id=question.partner_id)
    columns = [_COLUMNS[name] for name in question.by]
    if "month" in columns:
        found = found.annotate(month=TruncMonth("started_date"))
    sums = found.order_by(*columns, "currency").values(*columns, "currency")
    lines = list(sums.annotate(count=Count("pk"), failed=Sum("amount"), **_by_state()))
    partners = _partners(lines) if "partner" in question.by else {}
    return [_row(question.by, line, partners) for line in lines]


def totals(rows: Iterable[Row]) -> list[Row]:
    """One line for each currency."""
    by_currency: dict[str, list[Row]] = {}
    for row in rows:
        by_currency.setdefault(row.currency, []).append(row)
    return [_sum(currency, mine) for currency, mine in sorted(by_currency.items())]


def _by_state() -> dict[str, Coalesce]:
    return {
        str(state): Coalesce(Sum("amount", filter=Q(state=state)), _NONE)
        for state in (
            ResultState.RECOVERED.value,
            ResultState.LOST.value,
            ResultState.RUNNING.value,
            ResultState.STOPPED.value,
        )
    }


def _row(by: Sequence[str], line: dict[str, Any], partners: dict[int, str]) -> Row:
    names = []
    for name in by:
        value = line[_COLUMNS[name]]
        if name == "decline":
            value = str(DeclineClass(value).label)
        elif name == "month":
            value = formats.date_format(value, "F Y").lower()
        elif name == "partner":
            value = partners.get(value, "—")
        names.append(value)
    sums = (line[name] for name in ("count", "failed", "recovered", "lost", "running", "stopped"))
    return Row(tuple(names), line["currency"], *sums)


def _sum(currency: str, rows: Sequence[Row]) -> Row:
    names = ("failed", "recovered", "lost", "running", "stopped")
    sums = (sum((getattr(row, name) for row in rows), _NONE) for name in names)
    return Row((), currency, sum(row.count for row in rows), *sums)


def _partners(lines: list[dict[str, Any]]) -> dict[int, str]:
    keys = {line["partner_id"] for line in lines}
    return dict(Partner.objects.filter(pk__in=keys).values_list("pk", "name"))
