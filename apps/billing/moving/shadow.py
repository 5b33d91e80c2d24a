"""A shadow month: what we would have charged beside what the old system did. It writes down what differs, no more.

What differs is explained by what the old system itself says of that subscription and time; a likely cause that it
does not name is a hint, and stays unexplained until somebody has looked.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing.moving import terms
from apps.billing.moving.models import BaseRow, BaseRowState, ShadowRun
from apps.billing.moving.reading import EVENTS, OldCharge
from apps.catalog.models import Offer
from apps.core import clock
from apps.core.errors import Refused

KIND = "billing.ShadowRun"
LATE = timedelta(days=5)
"""A charge that came so much earlier or later is the same one: weekends, another try."""
EVENT_NEAR = timedelta(days=7)
"""An event explains charges so near to it; a cancellation, pause or change explains all later ones."""
ZERO = Decimal("0.00")

# (explained, words). A class that is not explained wants a look before anything is moved.
CLASSES: dict[str, tuple[bool, Any]] = {
    "shifted": (True, _("Списано в другой день")),
    "rounded": (True, _("Округление до копейки")),
    "price_changed": (True, _("Там изменена цена")),
    "tariff_changed": (True, _("Там сменён тариф")),
    "quantity_changed": (True, _("Там изменено количество")),
    "discounted": (True, _("Там дана или снята скидка")),
    "cancelled": (True, _("Там отменена")),
    "paused": (True, _("Там на паузе")),
    "declined": (True, _("Там банк отказал")),
    "refunded": (True, _("Там возвращено")),
    "new_there": (True, _("Продана там после выгрузки")),
    "one_off": (True, _("Разовое списание, не подписка")),
    "other_amount": (False, _("Другая сумма")),
    "other_day": (False, _("Другой день, больше чем на пять дней")),
    "missing_there": (False, _("Мы списали бы, там списания нет")),
    "extra_there": (False, _("Там списано, мы не списали бы")),
    "unknown_there": (False, _("Такой подписки нет среди загруженных")),
    "after_move": (False, _("Уже перенесена, а прежняя система списала: двойное списание")),
}
LASTING = {"cancelled", "paused", "price_changed", "tariff_changed", "quantity_changed", "discounted"}
OF_AMOUNT = ("price_changed", "tariff_changed", "quantity_changed", "discounted", "refunded")
OF_ABSENCE = ("cancelled", "paused", "declined", "refunded")


@dataclass(frozen=True, slots=True)
class Money:
    """A charge on a day, ours or theirs."""

    day: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs of one charge: `ours` or `theirs` is None where there is none."""

    external_id: str
    kind: str
    ours: Money | None
    theirs: Money | None
    hint: str = ""

    @property
    def is_explained(self) -> bool:
        """Whether the old system itself says why."""
        return CLASSES[self.kind][0]

    @property
    def gap(self) -> Decimal:
        """What the old system took more than we would have."""
        return (self.theirs.amount if self.theirs else ZERO) - (self.ours.amount if self.ours else ZERO)

    def kept(self) -> list[Any]:
        """As JSON."""
        sides = [
            value
            for one in (self.ours, self.theirs)
            for value in ((one.day.isoformat(), str(one.amount)) if one else (None, None))
        ]
        return [self.external_id, self.kind, *sides, self.hint]


@dataclass(slots=True)
class Comparison:
    """Both sides of a period: how many charges were the same, and what differs."""

    compared: int = 0
    equal: int = 0
    ours: Decimal = ZERO
    theirs: Decimal = ZERO
    differences: list[Difference] = field(default_factory=list)

    @property
    def unexplained(self) -> list[Difference]:
        """What somebody has to look at."""
        return [one for one in self.differences if not one.is_explained]


def compare(
    rows: Sequence[BaseRow],
    old: Iterable[OldCharge],
    *,
    start: date,
    end: date,
    moved: frozenset[str] = frozenset(),
    list_prices: Mapping[int, Decimal] | None = None,
) -> Comparison:
    """Rows that wait beside what the old system did in [start, end). Pure: reads and writes nothing."""
    result, now = Comparison(compared=len(rows)), clock.now()
    charged, events = _sides(old, start, end)
    for row in rows:
        mine = [Money(one.start, one.amount) for one in terms.charges(row, end, now) if one.start >= start]
        theirs = charged.pop(row.external_id, [])
        result.ours += sum((one.amount for one in mine), ZERO)
        result.theirs += sum((one.amount for one in theirs), ZERO)
        _pair(row, mine, theirs, events.get(row.external_id, []), list_prices or {}, result)
    for external_id, theirs in sorted(charged.items()):
        result.theirs += sum((one.amount for one in theirs), ZERO)
        told = {kind for kind, _day in events.get(external_id, [])}
        kind = "after_move" if external_id in moved else "new_there" if "new_there" in told else ""
        kind = kind or ("one_off" if "one_off" in told else "unknown_there")
        result.differences += [Difference(external_id, kind, None, one) for one in theirs]
    return result


def _sides(
    old: Iterable[OldCharge], start: date, end: date
) -> tuple[dict[str, list[Money]], dict[str, list[tuple[str, date]]]]:
    charged: dict[str, list[Money]] = defaultdict(list)
    events: dict[str, list[tuple[str, date]]] = defaultdict(list)
    for one in old:
        kind = EVENTS.get(one.event, "")
        if kind:
            events[one.external_id].append((kind, one.day))
        if one.amount and kind not in {"declined", "refunded"} and start <= one.day < end:
            charged[one.external_id].append(Money(one.day, one.amount))
    return charged, events


def _pair(
    row: BaseRow,
    mine: list[Money],
    theirs: list[Money],
    events: list[tuple[str, date]],
    list_prices: Mapping[int, Decimal],
    result: Comparison,
) -> None:
    """The same day and sum first, then what is nearest in time; what is left has no other side."""
    same = [one for one in mine if one in theirs]
    for one in same:
        theirs.remove(one)
    # What is free of charge is no charge on either side.
    rest = [one for one in mine if one not in same and one.amount]
    result.equal += len(same)
    for one in rest:
        near = min(theirs, key=lambda other: abs(other.day - one.day), default=None)
        if near is None or abs(near.day - one.day) > _tolerance(row):
            kind = _explained(OF_ABSENCE, events, one.day) or "missing_there"
            result.differences.append(Difference(row.external_id, kind, one, None))
            continue
        theirs.remove(near)
        result.differences.append(_different(row, one, near, events, list_prices))
    for other in theirs:
        kind = _explained(("one_off",), events, other.day) or "extra_there"
        result.differences.append(Difference(row.external_id, kind, None, other))


def _tolerance(row: BaseRow) -> timedelta:
    """Of days and weeks the next charge would be near as well."""
    version = row.tariff_version
    if version.period_unit == "day":
        return timedelta(days=version.period_count // 2)
    if version.period_unit == "week":
        return timedelta(days=3)
    return timedelta(days=10)


def _different(
    row: BaseRow,
    mine: Money,
    theirs: Money,
    events: list[tuple[str, date]],
    list_prices: Mapping[int, Decimal],
) -> Difference:
    if mine.amount == theirs.amount:
        near = abs(mine.day - theirs.day) <= LATE
        kind = "shifted" if near else _explained(("declined", "paused"), events, mine.day) or "other_day"
        return Difference(row.external_id, kind, mine, theirs)
    if abs(mine.amount - theirs.amount) <= Decimal("0.01"):
        return Difference(row.external_id, "rounded", mine, theirs)
    kind = _explained(OF_AMOUNT, events, theirs.day) or "other_amount"
    hint = "" if CLASSES[kind][0] else _hint(row, mine, theirs, list_prices)
    return Difference(row.external_id, kind, mine, theirs, hint)


def _explained(kinds: Iterable[str], events: list[tuple[str, date]], day: date) -> str:
    """The event of the old system that says why: of the time around the day, or one that lasts from before it."""
    for kind, when in events:
        lasts = kind in LASTING and when <= day + LATE
        if kind in kinds and (lasts or abs(when - day) <= EVENT_NEAR):
            return kind
    return ""


def _hint(row: BaseRow, mine: Money, theirs: Money, list_prices: Mapping[int, Decimal]) -> str:
    """What it looks like: nobody has said so."""
    listed = list_prices.get(row.offer_id)
    if listed is not None and theirs.amount == listed * row.quantity:
        return str(_("похоже на цену тарифа"))
    if theirs.amount == row.price * row.quantity:
        return str(_("похоже, скидка не учтена"))
    if row.price and theirs.amount % row.price == 0:
        return str(_("похоже на другое количество: {n}")).format(n=int(theirs.amount // row.price))
    return str(_("разница {sum}")).format(sum=theirs.amount - mine.amount)


def run(*, name: str, old: Sequence[OldCharge], start: date, end: date, actor: str = "") -> ShadowRun:
    """Compares all that waits, and keeps what differs. No charge, invoice or message comes of it.

    Raises Refused `bad_period`, `nothing_waits`.
    """
    if start >= end or (end - start).days > 366:
        raise Refused("bad_period", _("Период: от одного дня до года"), status=400)
    rows = waiting()
    if not rows:
        raise Refused("nothing_waits", _("Ни одна подписка не ждёт переноса"))
    moved = BaseRow.objects.filter(state=BaseRowState.MOVED).values_list("external_id", flat=True)
    offers = Offer.objects.filter(pk__in={row.offer_id for row in rows}).select_related("tariff__current")
    prices = {offer.pk: offer.unit_price for offer in offers}
    found = compare(rows, old, start=start, end=end, moved=frozenset(moved), list_prices=prices)
    with transaction.atomic():
        made = ShadowRun.objects.create(
            name=name[:200],
            start_date=start,
            end_date=end,
            compared=found.compared,
            equal=found.equal,
            explained=len(found.differences) - len(found.unexplained),
            unexplained=len(found.unexplained),
            ours=found.ours,
            theirs=found.theirs,
            differences=[one.kept() for one in found.differences],
            actor=actor,
            created_at=clock.now(),
        )
        counts = {"equal": made.equal, "explained": made.explained, "unexplained": made.unexplained}
        journal.record("base.compared", KIND, made.pk, actor=actor, data=counts)
    return made


def waiting() -> list[BaseRow]:
    """The rows that wait, with their tariff versions."""
    rows = BaseRow.objects.filter(state=BaseRowState.WAITING).defer("person", "secrets")
    return list(rows.select_related("tariff_version").order_by("external_id"))


def read_back(run: ShadowRun) -> Iterator[Difference]:
    """The differences of a run as they were found: what is unexplained first."""
    found = [
        Difference(key, kind, _money(day, mine), _money(other_day, theirs), hint)
        for key, kind, day, mine, other_day, theirs, hint in run.differences
    ]
    yield from sorted(found, key=lambda one: (one.is_explained, one.kind, one.external_id))


def _money(day: str | None, amount: str | None) -> Money | None:
    return Money(date.fromisoformat(day), Decimal(amount)) if day and amount else None
