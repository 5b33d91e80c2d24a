"""The report «Продажи»: what came in and went back, by any of its dimensions, in one query over the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncMonth
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import Product, TariffVersion
from apps.channels.models import Channel
from apps.core.tenancy import in_partner
from apps.ledger.models import Account, Sale, Transfer
from apps.partners.models import Partner

HELD = (Account.CLEARING, Account.PARTNER_PAYABLE, Account.BANK)
"""Where a customer's money is: at the platform's gateway, at the partner's own, in the bank."""
TAKEN = Q(debit__in=HELD, credit=Account.RECEIVABLE)
GIVEN_BACK = Q(debit=Account.RECEIVABLE, credit__in=HELD)

DIMENSIONS = {
    "day": _("День"),
    "month": _("Месяц"),
    "partner": _("Партнёр"),
    "product": _("Продукт"),
    "tariff": _("Тариф"),
    "channel": _("Канал"),
    "kind": _("Вид продажи"),
}
_COLUMNS = {
    "day": ("business_date",),
    "month": ("month",),
    "partner": ("partner_id",),
    "product": ("product_id",),
    # The ledger stands below the catalogue: it knows the version, and the version knows its tariff.
    "tariff": ("tariff_version_id",),
    "channel": ("partner_id", "channel_id"),
    "kind": ("kind",),
}
MEASURES = {
    "count": _("Продаж"),
    "new": _("Новые, сумма"),
    "renewal": _("Продления, сумма"),
    "taken": _("Поступило"),
    "refunded": _("Возвращено"),
    "net": _("Итого"),
}
_NONE = Decimal("0.00")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the report is asked. Days are business dates, both included; None is no limit.

    `partner_id` is a must on a partner's console. Without it all partners are summed up, sandboxes left out.
    """

    since: date
    until: date
    by: tuple[str, ...] = ("day",)
    partner_id: int | None = None
    product_id: int | None = None
    channel: str = ""
    kind: str = ""
    own_sandbox: bool = False
    """True on the console of a sandbox partner, which sees its own."""


@dataclass(frozen=True)
class Row:
    """One line: a value and its name for each dimension asked for, and the sums."""

    keys: tuple[Any, ...]
    names: tuple[Any, ...]
    """Dates stay dates, everything else is text."""
    currency: str
    count: int
    new: Decimal
    renewal: Decimal
    refunded: Decimal

    @property
    def taken(self) -> Decimal:
        """All that came in."""
        return self.new + self.renewal

    @property
    def net(self) -> Decimal:
        """What was kept."""
        return self.taken - self.refunded

    def values(self) -> tuple[Any, ...]:
        """The sums in the order of MEASURES."""
        return tuple(getattr(self, name) for name in MEASURES)


def transfers(question: Question) -> QuerySet[Transfer]:
    """The transfers that the question is about."""
    found = Transfer.objects.filter(TAKEN | GIVEN_BACK).filter(
        business_date__range=(question.since, question.until)
    )
    if not question.own_sandbox:
        found = found.filter(is_sandbox=False)
    limits = {
        "partner_id": question.partner_id,
        "product_id": question.product_id,
        "kind": question.kind or None,
    }
    found = found.filter(**{name: value for name, value in limits.items() if value is not None})
    if question.channel:
        found = found.filter(channel_id__in=_channels_called(question))
    return found


def answer(question: Question) -> list[Row]:
    """The lines of the report, in the order of its dimensions."""
    columns = list(dict.fromkeys(column for name in question.by for column in _COLUMNS[name]))
    found = transfers(question)
    if "month" in columns:
        found = found.annotate(month=TruncMonth("business_date"))
    sums = (
        found.order_by()
        .values(*columns, "currency")
        .annotate(
            count=Count("pk", filter=TAKEN),
            new=_sum(TAKEN & ~Q(kind=Sale.RENEWAL)),
            renewal=_sum(TAKEN & Q(kind=Sale.RENEWAL)),
            refunded=_sum(GIVEN_BACK),
        )
    )
    return _rows(question.by, list(sums))


def totals(rows: Iterable[Row]) -> list[Row]:
    """One line for each currency."""
    return sorted(_merged(((), (), row) for row in rows), key=lambda row: row.currency)


def _sum(condition: Q) -> Coalesce:
    return Coalesce(Sum("amount", filter=condition), _NONE)


def _rows(by: tuple[str, ...], sums: list[dict[str, Any]]) -> list[Row]:
    named = [_Names(name, sums) for name in by]
    parts = []
    for line in sums:
        row = Row((), (), line["currency"], *(line[name] for name in ("count", "new", "renewal", "refunded")))
        parts.append((tuple(n.key(line) for n in named), tuple(n.name(line) for n in named), row))
    # Versions of one tariff are one line.
    return sorted(_merged(parts), key=lambda row: (*_order(row.names), row.currency))


def _order(names: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(str(name) for name in names)


def _merged(parts: Iterable[tuple[tuple[Any, ...], tuple[Any, ...], Row]]) -> list[Row]:
    found: dict[tuple[Any, ...], Row] = {}
    for keys, names, row in parts:
        before = found.get((*keys, row.currency)) or Row(keys, names, row.currency, 0, _NONE, _NONE, _NONE)
        found[(*keys, row.currency)] = Row(
            keys,
            names,
            row.currency,
            before.count + row.count,
            before.new + row.new,
            before.renewal + row.renewal,
            before.refunded + row.refunded,
        )
    return list(found.values())


class _Names:
    """Turns one dimension's ids into what is shown, with one query for all lines."""

    def __init__(self, dimension: str, sums: list[dict[str, Any]]) -> None:
        self.dimension = dimension
        self.known: dict[Any, Any] = {}
        if dimension == "partner":
            self.known = {
                p.pk: p.name for p in Partner.objects.filter(pk__in={s["partner_id"] for s in sums})
            }
        elif dimension == "product":
            products = Product.objects.filter(pk__in={s["product_id"] for s in sums})
            self.known = {product.pk: str(product.name) for product in products}
        elif dimension == "tariff":
            versions = TariffVersion.objects.select_related("tariff__product")
            versions = versions.filter(pk__in={s["tariff_version_id"] for s in sums})
            self.known = {version.pk: (version.tariff_id, str(version.tariff)) for version in versions}
        elif dimension == "channel":
            self.known = _channel_names({s["partner_id"] for s in sums if s["channel_id"]})
        elif dimension == "kind":
            self.known = dict(Sale.choices)

    def key(self, line: dict[str, Any]) -> Any:
        """What lines are told apart by."""
        if self.dimension == "tariff":
            return self.known.get(line["tariff_version_id"], (None, ""))[0]
        return line[_COLUMNS[self.dimension][-1]]

    def name(self, line: dict[str, Any]) -> Any:
        """What is shown: a date, or text."""
        if self.dimension in {"day", "month"}:
            return self.key(line)
        if self.dimension == "tariff":
            return self.known.get(line["tariff_version_id"], (None, "—"))[1]
        return str(self.known.get(self.key(line)) or "—")


def _channel_names(partner_ids: Iterable[int]) -> dict[Any, str]:
    # Channels live with their partners: one short query for each partner that sold anything.
    found: dict[Any, str] = {}
    for partner in Partner.objects.filter(pk__in=list(partner_ids)):
        with in_partner(partner):
            found.update({channel.pk: channel.name for channel in Channel.objects.all()})
    return found


def _channels_called(question: Question) -> list[Any]:
    """Ids of the channels with a code: every partner has a «web» of its own."""
    partners = Partner.objects.exclude(status=Partner.Status.SETUP)
    if question.partner_id is not None:
        partners = partners.filter(pk=question.partner_id)
    elif not question.own_sandbox:
        partners = partners.filter(is_sandbox=False)
    found: list[Any] = []
    for partner in partners:
        with in_partner(partner):
            found.extend(Channel.objects.filter(code=question.channel).values_list("pk", flat=True))
    return found
