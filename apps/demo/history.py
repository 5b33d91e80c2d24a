"""A past for the demonstration: customers who bought, were renewed, declined and cancelled over some weeks.

Lived through before any worker runs: each partner's clock is put back, walks to the present, and everything that
falls due on the way happens at its moment, over the simulators' real protocols.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.billing import subscriptions, trials
from apps.billing.models import Invoice, InvoiceState, Subscription
from apps.catalog.models import Offer
from apps.channels.models import Channel
from apps.core import clock, due, events, models
from apps.core.tenancy import in_partner
from apps.demo import lives
from apps.demo.connect import Addresses
from apps.demo.gateways import TILLS, till_of
from apps.orders.models import Order
from apps.orders.services import place_order
from apps.partners import clock as partner_clock
from apps.partners.models import Partner
from apps.payments import payments
from apps.sandbox.control import Control

PEOPLE = (
    "Анна Кузнецова",
    "Пётр Смирнов",
    "Елена Волкова",
    "Игорь Морозов",
    "Мария Лебедева",
    "Сергей Козлов",
    "Ольга Новикова",
    "Дмитрий Соколов",
    "Наталья Фёдорова",
    "Алексей Павлов",
    "Татьяна Егорова",
    "Виктор Орлов",
)
ENDS = {3: "declined", 1: "declined_later"}
"""What becomes of the card of a sale, by its number."""
ABOUT_MONEY = "billing."
"""Kinds of due work that follow the partner's clock."""


class Past:
    """One partner's clock, put back and walked to the present while no worker runs."""

    def __init__(self, partner: Partner, start: datetime, gateways: Sequence[Control] = ()) -> None:
        """`gateways`: whose clocks go with the partner's, so that their registers tell of the same days."""
        self.partner, self._gateways = partner, gateways
        self._told: datetime | None = None
        self._set(start)

    def until(self, moment: datetime) -> None:
        """Walks to `moment`: what is due on the way is done at its own moment."""
        partner_clock.walk(self.partner, moment, settle=self.settle)

    def settle(self) -> None:
        """Delivers and sends until nothing is left."""
        self._tell_time()
        while True:
            while events.deliver(self.partner.pk):
                continue
            # For the moment the wall clock leaves alone what belongs to this partner's past.
            self._mine().filter(kind__startswith=ABOUT_MONEY, is_sandbox=False).update(is_sandbox=True)
            rows = due.claim(50, partner_id=self.partner.pk)
            for row in rows:
                due.run(row)
            if not rows:
                return

    def close(self) -> None:
        """Arrives in the present. A sandbox keeps its clock; anybody else goes by the wall clock again."""
        self.until(clock.wall())
        for one in self._gateways:
            one.set_clock(None)
        if not self.partner.is_sandbox:
            Partner.objects.filter(pk=self.partner.pk).update(clock_at=None)
            self._mine().update(is_sandbox=False)

    def _tell_time(self) -> None:
        now = self.partner.clock_at
        if now is not None and now != self._told:
            self._told = now
            for one in self._gateways:
                one.set_clock(now)

    def _mine(self) -> "models.models.QuerySet[models.Due]":
        return models.Due.objects.filter(partner_id=self.partner.pk)

    def _set(self, moment: datetime) -> None:
        self.partner.clock_at = moment
        Partner.objects.filter(pk=self.partner.pk).update(clock_at=moment)


@dataclass(frozen=True)
class Sale:
    """Somebody buys something at a moment, and pays with a card."""

    at: datetime
    person: int
    ends: str = "good"
    """What becomes of the card: the name of one of a till's."""


def live_through(
    partner: Partner,
    *,
    days: int,
    sales: int,
    seed: int,
    addresses: Addresses | None = None,
    with_lives: bool = False,
) -> int:
    """Gives a partner `days` of past with so many sales; returns how many orders were paid.

    `with_lives`: beside them, one customer of each kind (`lives`).
    """
    gateways = _answering(addresses or Addresses())
    dice = random.Random(seed)
    now = clock.wall()
    moments = sorted(now - timedelta(hours=dice.uniform(2, days * 24)) for _ in range(sales))
    longest = max(timedelta(days=days, hours=1), lives.LONGEST if with_lives else timedelta())
    past = Past(partner, now - longest, gateways)
    paid = 0
    with in_partner(partner):
        lives.give_away(now - longest)
        offers = _instant(partner)
        steps: list[tuple[datetime, Callable[[], int | None]]] = []
        for number, moment in enumerate(moments):
            sale = Sale(moment, dice.randrange(len(PEOPLE)), ENDS.get(number, "good"))
            steps.append((moment, partial(_sell, past, sale, dice.choice(offers))))
        if with_lives:
            steps += lives.Lives(partial(_bought, past)).by_moment(now)
        for moment, step in sorted(steps, key=lambda one: one[0]):
            past.until(moment)
            paid += step() or 0
            past.settle()
        past.until(now - timedelta(hours=1))
        _cancel_one()
        past.close()
    return paid


def _answering(addresses: Addresses) -> list[Control]:
    """Hands on the gateways that are up."""
    return [addresses.control(one.simulator) for one in TILLS if addresses.urls.get(one.simulator)]


def _instant(partner: Partner) -> list[Offer]:
    """What is delivered without a person; monthly tariffs first and more often, so that there are renewals."""
    offers = [
        offer
        for offer in Offer.objects.on_sale(partner.pk)
        if offer.tariff.product.delivery not in {"manual", "bundle", "deeplink"}
    ]
    monthly = [offer for offer in offers if offer.current_version().period_unit == "month"]
    return offers + monthly * 2


def _sell(past: Past, sale: Sale, offer: Offer) -> int:
    channel = Channel.objects.order_by("id")[sale.person % 2]
    customer = _customer(past.partner, sale.person)
    # Who had the trial already buys at once, as the checkout would offer.
    trial = False if trials.had(customer, offer.tariff.product_id) else None
    # A month of its own makes it a person's own card: a trial is had once by a card.
    expiry = f"{sale.person + 1:02}/35"
    order = _bought(past, customer, offer, channel=channel, ends=sale.ends, expiry=expiry, trial=trial)
    # Not by the payment: the rouble that binds a card for a trial is given back, and the order stands.
    return int(Invoice.objects.filter(order_id=order.pk, state=InvoiceState.PAID).exists())


def _bought(
    past: Past,
    customer: Customer,
    offer: Offer,
    *,
    channel: Channel | None = None,
    ends: str = "good",
    expiry: str = "",
    trial: bool | None = None,
    promo_code: str = "",
) -> Order:
    """Ordered, and paid on the gateway's page where there is one."""
    channel = channel or Channel.objects.order_by("id")[0]
    order = place_order(
        customer=customer,
        offer=offer,
        channel_id=channel.pk,
        channel_code=channel.code,
        return_url=past.partner.url("/thanks/{order}/"),
        actor="demo",
        trial=trial,
        promo_code=promo_code,
    )
    past.settle()
    payment = Order.objects.get(pk=order.pk).payment()
    if payment is not None and payment.confirmation_url:
        expiry = expiry or f"{int(customer.phone[-2:]) % 12 + 1:02}/36"
        till = till_of(payment.connection)
        control = Addresses().control(till.simulator)
        control.pay(payment.confirmation_url, card=getattr(till, ends), expiry=expiry)
        payments.settle(payment.pk)
        past.settle()
    return Order.objects.get(pk=order.pk)


def _customer(partner: Partner, person: int) -> Customer:
    # Every third gives a phone only: their messages are SMS.
    phone = f"+79{partner.pk % 10}0{5550000 + partner.pk * 100 + person:07d}"
    email = "" if person % 3 == 2 else f"client{person + 1}@{partner.slug}.example"
    return customers.register(phone=phone, email=email, name=PEOPLE[person], verified=True)


def _cancel_one() -> None:
    subscription = Subscription.objects.live().filter(state="active", cancel_at_period_end=False).first()
    if subscription is not None:
        subscriptions.cancel(subscription, actor="demo")
