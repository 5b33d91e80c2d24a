"""What the next invoice of a subscription will say, and what a change would cost: what is then billed, unwritten."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apps.billing import changes, facts, run
from apps.billing.engine import ZERO, Charge
from apps.billing.facts import Facts
from apps.billing.models import LIVE, CustomerBalance, Subscription
from apps.catalog.models import Offer
from apps.core import clock
from apps.core.money import Money, vat_inside


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it will stand on the invoice; VAT within the amount."""

    subscription: Subscription
    name: str
    quantity: int
    start: date
    end: date
    discount: Decimal
    amount: Decimal
    vat_rate: Decimal | None
    vat: Decimal


@dataclass(frozen=True, slots=True)
class Back:
    """Given back for days that were billed and are not used: their money, and which days."""

    start: date
    end: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Preview:
    """An invoice that is not written: `date` None where nothing will be billed any more."""

    date: date | None
    currency: str
    lines: list[Line]
    credits: list[Back]
    balance_used: Decimal

    @property
    def total(self) -> Decimal:
        """Of the lines, VAT included, before credits and balance."""
        return sum((line.amount for line in self.lines), ZERO)

    @property
    def credited(self) -> Decimal:
        """Of the credits."""
        return sum((one.amount for one in self.credits), ZERO)

    @property
    def due(self) -> Money:
        """To be paid by the method, in the end."""
        return Money(self.total - self.balance_used, self.currency)


@dataclass(frozen=True, slots=True)
class Change:
    """Terms to look at: another offer of the product, another quantity; see `changes.change`."""

    offer: Offer | None = None
    quantity: int | None = None
    when: str = ""


def preview(subscription: Subscription, as_of: date | None = None, change: Change | None = None) -> Preview:
    """The next invoice, or the one of a run on `as_of` (its terms as they are agreed now); or a change's, today.

    Writes nothing. Raises Refused for a change that `changes.change` would refuse.
    """
    if change is not None:
        return _of_change(subscription, change)
    family = [subscription, *subscription.addons.filter(state__in=LIVE).order_by("pk")]
    known = facts.load(family)
    day = as_of or _next_date(subscription, known)
    if day is None:
        return Preview(None, subscription.currency, [], [], ZERO)
    frozen = run.Frozen(day)
    priced = [(one, charge) for one in known for charge in one.difference(day).charges]
    lines = [_line(one, charge, frozen) for one, charge in priced]
    total = sum((line.amount for line in lines), ZERO)
    return Preview(day, subscription.currency, lines, [], min(total, _balance(subscription)))


def _next_date(subscription: Subscription, known: list[Facts]) -> date | None:
    """The first day on which the subscription is to be charged: its add-ons come along."""
    if subscription.state not in LIVE or subscription.cancel_at_period_end:
        return None
    after = subscription.billed_until or subscription.current_period_end or clock.today()
    return known[0].next_bill_date(after)


def _of_change(subscription: Subscription, change: Change) -> Preview:
    view = changes.preview(
        subscription=subscription, offer=change.offer, quantity=change.quantity, when=change.when
    )
    frozen = run.Frozen(clock.today())
    return Preview(
        view.start_date,
        view.currency,
        [_line(view.terms, charge, frozen) for charge in view.difference.charges],
        [Back(one.start, one.end, one.amount) for one in view.difference.credits],
        view.covered,
    )


def _line(known: Facts, charge: Charge, frozen: run.Frozen) -> Line:
    term = known.term(charge.phase)
    rate = frozen.rate(term.vat_code)
    return Line(
        known.subscription,
        term.name,
        term.quantity,
        charge.start,
        charge.end,
        charge.discount,
        charge.amount,
        rate,
        vat_inside(charge.amount, rate),
    )


def _balance(subscription: Subscription) -> Decimal:
    found = CustomerBalance.objects.filter(
        customer=subscription.customer_id, currency=subscription.currency
    ).values_list("amount", flat=True)
    return found.first() or ZERO
