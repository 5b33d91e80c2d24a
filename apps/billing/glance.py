"""A subscription at a glance, for the console: its terms in time, what is charged next, what happened last."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext as _

from apps.billing import history
from apps.billing.models import RUNNING, PhaseKind, Subscription
from apps.billing.preview import Line, Preview, preview
from apps.catalog.periods import in_words
from apps.core import clock
from apps.core.money import Money

LATEST = 5
"""Moments that the page itself shows; all are one press away."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Terms that hold for some days: `when` is past, now or to_come; `last` None where no end is known."""

    title: str
    text: str
    start: date
    last: date | None
    when: str
    is_free: bool


@dataclass(frozen=True, slots=True)
class Glance:
    """What the page says before all else."""

    stretches: list[Stretch]
    next: Preview | None
    lines: list[tuple[str, str, Money]] = field(default_factory=list)
    moments: list[history.Moment] = field(default_factory=list)

    @property
    def balance(self) -> Money | None:
        """What of the next invoice the customer's balance pays."""
        if self.next is None or not self.next.balance_used:
            return None
        return Money(self.next.balance_used, self.next.currency)


def of(subscription: Subscription) -> Glance:
    """Reads it all; writes nothing."""
    seen = preview(subscription) if subscription.state in RUNNING else None
    if seen is not None and seen.date is None:
        seen = None
    lines = [_line(line, seen.currency) for line in seen.lines] if seen else []
    return Glance(stretches(subscription), seen, lines, history.of(subscription)[:LATEST])


def stretches(subscription: Subscription) -> list[Stretch]:
    """The terms in force, one after another, as far as they are known."""
    found: list[Any] = []
    for phase in subscription.phases.filter(dropped_at=None).order_by("start_date", "created_at", "id"):
        # Terms that begin on the same day stand in place of the earlier ones.
        if found and found[-1].start_date == phase.start_date:
            found.pop()
        found.append(phase)
    over = subscription.end_date or (
        subscription.ends_on if subscription.cancel_at_period_end or subscription.ended_at else None
    )
    ends = [one.start_date for one in found[1:]] + [over]
    pairs = zip(found, ends, strict=True) if found else ()
    return [_stretch(phase, end, subscription.currency) for phase, end in pairs]


def _stretch(phase: Any, end: date | None, currency: str) -> Stretch:
    today = clock.today()
    if end is not None and end <= today:
        when = "past"
    else:
        when = "now" if phase.start_date <= today else "to_come"
    price = (
        f"{Money(phase.price * phase.quantity, currency)} / {in_words(phase.period_count, phase.period_unit)}"
    )
    return Stretch(
        title=str(PhaseKind(phase.kind).label).capitalize(),
        text=_("без оплаты") if phase.is_free else price,
        start=phase.start_date,
        last=None if end is None or end <= phase.start_date else _last(end),
        when=when,
        is_free=phase.is_free,
    )


def _line(line: Line, currency: str) -> tuple[str, str, Money]:
    """What for, for which days and less what, how much."""
    about = f"{line.start:%d.%m.%Y} – {_last(line.end):%d.%m.%Y}"
    if line.discount:
        about += ", " + _("скидка {sum}").format(sum=Money(line.discount, currency))
    return line.name, about, Money(line.amount, currency)


def _last(end: date) -> date:
    """The last day that is included."""
    return end - timedelta(days=1)
