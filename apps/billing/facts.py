"""What the engine needs to know of subscriptions, read for many at once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from apps.billing import engine
from apps.billing.models import (
    CreditNoteLine,
    CreditReason,
    InvoiceLine,
    InvoiceState,
    Subscription,
    SubscriptionDiscount,
    SubscriptionPhase,
)
from apps.core import bulk

Row = TypeVar("Row", SubscriptionPhase, SubscriptionDiscount)


BY_THE_ENGINE = {CreditReason.CHANGE, CreditReason.CANCELLATION, CreditReason.PAUSE}
"""Credits that follow from the terms: with other terms they are billed again. The others are favours for good."""


@dataclass(slots=True)
class Facts:
    """One subscription as the engine sees it. `terms` are its phases in order, by id the rows behind them."""

    subscription: Subscription
    since: date
    terms: list[SubscriptionPhase]
    discounts: list[engine.Discount] = field(default_factory=list)
    billed: list[engine.Billed] = field(default_factory=list)
    phases: list[engine.Phase] = field(default_factory=list)

    def difference(self, as_of: date, *, ends: date | None = None) -> engine.Difference:
        """What a run on `as_of` bills; `ends` in place of the subscription's own end."""
        return engine.bill(
            phases=self.phases,
            discounts=self.discounts,
            billed=self.billed,
            since=self.since,
            as_of=as_of,
            ends=ends or self.subscription.end_date,
        )

    def term(self, phase_id: UUID) -> SubscriptionPhase:
        """The terms that a charge was computed by."""
        return next(row for row in self.terms if row.id == phase_id)

    def next_bill_date(self, after: date) -> date | None:
        """The first day from `after` on with something to bill; None where nothing will be any more."""
        ends = self.subscription.end_date
        for row, following in zip(self.terms, [*self.terms[1:], None], strict=True):
            stop = min([day for day in (following and following.start_date, ends) if day], default=None)
            if row.is_free or (stop is not None and stop <= max(after, row.start_date)):
                continue
            if row.start_date >= after:
                return row.start_date
            cycle = cycle_of(row)
            first = cycle.bill_date(cycle.number_on(after))
            following_date = first if first == after else cycle.bill_date(cycle.number_on(after) + 1)
            if stop is None or following_date < stop:
                return following_date
        return None


def load(subscriptions: Sequence[Subscription], *, since: date | None = None) -> list[Facts]:
    """The facts of each, in order, in three queries however many they are.

    `since` is where to look back to: by default `billed_until`, so that a plain run reads no old lines.
    """
    keys = bulk.these("uuid", [one.pk for one in subscriptions])
    phases = _by_subscription(
        SubscriptionPhase.objects.filter(subscription__in=keys, dropped_at=None)
        .defer("reason", "actor", "created_at")
        .order_by("start_date", "id")
    )
    discounts = _by_subscription(SubscriptionDiscount.objects.filter(subscription__in=keys))
    found = [_facts(one, since, phases[one.pk], discounts[one.pk]) for one in subscriptions]
    _add_billed(found)
    return found


def _facts(
    one: Subscription,
    since: date | None,
    terms: list[SubscriptionPhase],
    discounts: list[SubscriptionDiscount],
) -> Facts:
    since = since or one.billed_until or one.current_period_end or date.min
    parts = [phase_of(row) for row in terms]
    whole = engine.settled_since(parts, since, one.end_date)
    return Facts(one, whole, terms, [discount_of(row) for row in discounts], phases=parts)


def _add_billed(found: list[Facts]) -> None:
    """The lines of pieces that end after `since`, void ones too: their pieces have had them."""
    by_key = {facts.subscription.pk: facts for facts in found}
    earliest = min((facts.since for facts in found), default=date.max)
    rows = InvoiceLine.objects.filter(
        subscription__in=bulk.these("uuid", by_key),
        phase__isnull=False,
        # What has terms has days; the index of billing_period_once is of those that have.
        period_start__isnull=False,
        period_end__gt=earliest,
    ).values_list(*_LINE)
    late = [line for line in map(_Line._make, rows) if line.period_end > by_key[line.subscription_id].since]
    favours, taken = _credited([line.id for line in late if line.credited])
    for line in late:
        by_key[line.subscription_id].billed.append(
            _billed(line, favours.get(line.id, engine.ZERO), taken.get(line.id))
        )


_LINE = (
    "id",
    "subscription_id",
    "phase_id",
    "period_date",
    "period_start",
    "period_end",
    "amount",
    "credited",
    "invoice__state",
)


class _Line(NamedTuple):
    """What of a line is read."""

    id: UUID
    subscription_id: UUID
    phase_id: UUID
    period_date: date | None
    period_start: date
    period_end: date
    amount: Decimal
    credited: Decimal
    state: str


def _credited(lines: list[UUID]) -> tuple[dict[UUID, Decimal], dict[UUID, date]]:
    """By line: what went back as a favour, which is not billed again; the day from which days were taken back."""
    favours: dict[UUID, Decimal] = defaultdict(Decimal)
    taken: dict[UUID, date] = {}
    rows = CreditNoteLine.objects.filter(invoice_line__in=lines) if lines else CreditNoteLine.objects.none()
    for line, reason, amount, start in rows.values_list(
        "invoice_line_id", "credit_note__reason", "amount", "period_start"
    ):
        if reason not in BY_THE_ENGINE:
            favours[line] += amount
        elif start is not None:
            taken[line] = min(start, taken.get(line, start))
    return favours, taken


def _billed(line: _Line, given: Decimal, taken: date | None) -> engine.Billed:
    stands = line.state != InvoiceState.VOID
    return engine.Billed(
        line.id,
        line.phase_id,
        line.period_date or line.period_start,
        line.period_start,
        taken if taken and taken > line.period_start else line.period_end,
        line.amount - line.credited + given if stands else engine.ZERO,
        given if stands else engine.ZERO,
        stands,
    )


def phase_of(row: SubscriptionPhase) -> engine.Phase:
    """The engine's view of a phase."""
    return engine.Phase(row.id, row.start_date, cycle_of(row), row.price, row.quantity, row.is_free)


def cycle_of(row: SubscriptionPhase) -> engine.Cycle:
    """The bill dates of a phase."""
    return engine.Cycle(row.anchor_date, row.period_count, row.period_unit, row.cycle_day)


def discount_of(row: SubscriptionDiscount) -> engine.Discount:
    """The engine's view of a discount."""
    return engine.Discount(row.start_date, row.end_date, row.percent, row.amount)


def _by_subscription(rows: QuerySet[Row]) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = defaultdict(list)
    for row in bulk.instances(rows):
        found[row.subscription_id].append(row)
    return found
