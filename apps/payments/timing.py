"""How long we wait, ask again and trust a gateway's memory. All by the wall clock unless said otherwise."""

from datetime import date, datetime, timedelta

from django.conf import settings

from apps.connectors.models import Connection
from apps.core import clock
from apps.payments.gateway import Gateway
from apps.payments.models import Payment, PaymentState, Refund, elapsed
from apps.payments.receipt_models import Receipt

IN_FLIGHT = timedelta(seconds=settings.IN_FLIGHT_SECONDS)
"""Longer than one call: until then a claimed row may still be in another worker's hands."""
PAGE_KEPT = timedelta(hours=25)
"""For which a customer may pay on a page: most gateways end it themselves before that."""
SURELY_LANDED = timedelta(minutes=15)
"""After which a request that the gateway does not list never came there."""
GIVE_UP_SENDING = timedelta(hours=1)
"""For which a gateway that does not take a payment at all is tried."""
STAFF_AFTER = timedelta(minutes=15)
"""For which something may stay unknown before staff are told."""
STAFF_AFTER_PENDING = timedelta(hours=26)
"""The same for what waits for the customer or the bank: gateways cancel by themselves before that."""
STAFF_AFTER_HELD = timedelta(days=5)
"""For which money may be held: most gateways let go of it after seven days."""
SHORTEST, LONGEST = timedelta(seconds=5), timedelta(minutes=10)


def next_look(row: Payment | Refund | Receipt) -> datetime:
    """When to ask next: soon for what is fresh, every ten minutes for what is old."""
    return clock.wall() + min(max(age(row) / 3, SHORTEST), LONGEST)


def age(row: Payment | Refund | Receipt) -> timedelta:
    """For how long we have had it, by the faster of both clocks: a sandbox gateway moves along with ours."""
    return timedelta(seconds=max(elapsed(row.claimed_at, clock.wall()), elapsed(row.created_at, clock.now())))


def key_is_kept(row: Payment | Refund, gateway: Gateway | type[Gateway]) -> bool:
    """Whether the gateway still knows our key."""
    return age(row) < gateway.key_kept


def page_is_over(payment: Payment) -> bool:
    """Whether nobody has paid on its page for so long that nobody may any more."""
    return not (payment.is_charge or payment.is_held) and age(payment) > PAGE_KEPT


def staff_after(payment: Payment) -> timedelta:
    """For how long a payment may stay as it is before staff are told."""
    if payment.is_held:
        return STAFF_AFTER_HELD
    return STAFF_AFTER_PENDING if payment.state == PaymentState.PENDING else STAFF_AFTER


def in_flight(row: Payment | Refund | Receipt) -> bool:
    """Whether a call about it may still be under way."""
    return elapsed(row.claimed_at, clock.wall()) < IN_FLIGHT.total_seconds()


def surely_landed(row: Payment | Refund) -> bool:
    """Whether a request that is not listed by now never came."""
    return elapsed(row.claimed_at, clock.wall()) > SURELY_LANDED.total_seconds()


def window(row: Payment | Refund, connection: Connection) -> datetime | None:
    """Since when to look for it in the gateway's list; None: a test gateway has a clock of its own."""
    return None if connection.is_test else row.created_at - timedelta(days=1)


def deadline(day: date | None) -> datetime | None:
    """The last moment of a day of the partner."""
    return datetime.combine(day, datetime.max.time(), tzinfo=clock.zone()) if day else None
