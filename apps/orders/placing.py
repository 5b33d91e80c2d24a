"""Placing an order: the quote is checked and frozen, the invoice issued, the payment started."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer
from apps.billing import addons, collecting, discounts, invoices, promos, subscriptions, together, trials
from apps.billing.models import Collection, Invoice, InvoicePurpose, Subscription
from apps.catalog.models import Offer, TariffVersion
from apps.core import clock, due, events, faults, gather, search
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders import history, quoting, reserving
from apps.orders.models import Order, OrderItem, OrderState
from apps.orders.quoting import LIMIT, Quoted, Sold, Wanted
from apps.orders.rules import Declared
from apps.payments import payments
from apps.payments.models import Payment, PaymentState
from apps.policies import numbering

__all__ = ["KIND", "LIMIT", "START", "Wanted", "open_payment_page", "place_order"]

KIND, START = "orders.Order", "orders.start"
PATIENCE = 5.0
"""Seconds for which a customer waits for the payment page."""


@dataclass(frozen=True, slots=True)
class How:
    """How an order is sold: what the customer has chosen beside the products."""

    sold: Sold | None = None
    return_url: str = ""
    declared: Declared = field(default_factory=Declared)
    parent: Subscription | None = None
    promo_code: str = ""
    trial: bool | None = None
    instrument: str = ""
    by_link: bool = False
    """Whether the customer is not here: no payment is begun, they are sent a link to pay by."""


def place_order(
    *,
    customer: Customer,
    offer: Offer | int | None = None,
    items: Sequence[Wanted] = (),
    sold: Sold | None = None,
    quantity: int = 1,
    channel_id: UUID | None = None,
    channel_code: str = "",
    expected_price: Decimal | None = None,
    return_url: str = "",
    actor: str = "",
    request_key: str = "",
    declared: Declared | None = None,
    answers: Mapping[str, Any] | None = None,
    parent: Subscription | None = None,
    promo_code: str = "",
    trial: bool | None = None,
    instrument: str = "",
    scheduled_at: datetime | None = None,
    consent: Mapping[str, Any] | None = None,
) -> Order:
    """Takes an order and starts its payment; `order.payment()` has the page to send the customer to, once sent.

    `items` are several products instead of the one `offer`: one invoice with a line of each, one payment, and a
    subscription of each that begins with it; without trials. With `parent` an add-on is ordered for that
    subscription: charged to its next bill date now, and with it then. `sold` is what the channel has listed, where
    that is not everything. `expected_price` is what the customer saw for one piece. `trial` False buys without the
    tariff's trial. In `return_url`, `{order}` becomes the order's id. `instrument` is how the customer has chosen to
    pay, one of `paying.instruments`; without it the gateway's page offers all it has. With `scheduled_at` nothing is
    billed before that moment. `consent` is what the buyer agreed to where it was sold (`order_data.ConsentData`),
    kept as proof. A second call with the same `request_key` gives the first order.

    Raises Refused: `offer_closed`, `offer_stopped`, `sold_out`, `sales_stopped`, `bad_quantity`, `too_many_items`,
    `price_changed`, `request_key_reused`, `no_connection`, `customer_erased`, `bad_answers`, `trial_used`,
    `promo_not_for_this`, `instrument_not_offered`, `paid_apart`, `bad_date`, and those of `rules.check` and
    `promos.redeem`.
    """
    single = Wanted(offer, quantity, expected_price, answers or {}) if offer is not None else None
    wanted = [single] if single else list(items)
    if not 1 <= len(wanted) <= quoting.MOST:
        raise Refused("too_many_items", _("Позиций в заказе: от 1 до %d") % quoting.MOST, status=400)
    if request_key and (earlier := _earlier(request_key, customer, wanted)):
        return earlier
    how = How(sold, return_url, declared or Declared(), parent, promo_code, trial, instrument)
    order = Order(
        customer=customer,
        legal_entity_id=current_partner().legal_entity_id,
        channel_id=channel_id,
        channel_code=channel_code,
        request_key=request_key,
        actor=actor,
        created_at=clock.now(),
        scheduled_at=scheduled_at,
        consent=dict(consent or {}),
    )
    try:
        with transaction.atomic():
            if scheduled_at is None:
                place(order, wanted, how)
            else:
                check_known(customer)
                accept(order, wanted, how)
    except IntegrityError:
        # A double click: the other one was first.
        if request_key and (earlier := _earlier(request_key, customer, wanted)):
            return earlier
        raise
    faults.at("orders.placed")
    return order


def open_payment_page(order: Order) -> Payment | None:
    """The order's payment with its page, asked for right now; the customer waits, so at most some seconds.

    Called outside any transaction. Without an answer in time `confirmation_url` is empty: the worker carries on.
    """
    payment = order.payment()
    if payment is None:
        return None
    deadline = time.monotonic() + PATIENCE
    payment = payments.send(payment.pk)
    # The worker may have been first: then its answer is on the way.
    while payment.state == PaymentState.SENDING and time.monotonic() < deadline:
        _let_others_use_the_connection()
        time.sleep(0.05)
        payment.refresh_from_db()
    return payment


def _let_others_use_the_connection() -> None:
    # Those who wait for a slow gateway would else hold the whole pool, and nobody could be served at all.
    if not connection.in_atomic_block:
        connection.close()


def place(order: Order, wanted: Sequence[Wanted], how: How, *, keys: Sequence[UUID] = ()) -> None:
    """Sells an order that is new, or a locked one that waited for this (its items have `keys`), in a transaction."""
    check_known(order.customer)
    quoted, parent = prepare(order, wanted, how, keys=keys)
    sell(order, quoted, how, parent)


def prepare(
    order: Order, wanted: Sequence[Wanted], how: How, *, keys: Sequence[UUID] = ()
) -> tuple[list[Quoted], Subscription | None]:
    """The first half of `place`: what is sold is checked and subscribed to. Its customer is locked by the caller."""
    parent = subscriptions.locked(how.parent.pk) if how.parent else None
    if parent is not None and len(wanted) > 1:
        raise Refused("paid_apart", _("Дополнение к подписке заказывают отдельно"))
    quoted = []
    for position, one in enumerate(wanted, start=1):
        found = _quoted(order, one, how, position)
        if keys:
            found.item.pk = keys[position - 1]
        found.item.subscription = _subscribed(order, found, how, parent, others=len(wanted) - 1)
        quoted.append(found)
    reserving.reserve(quoted)
    return quoted, parent


def sell(order: Order, quoted: list[Quoted], how: How, parent: Subscription | None) -> None:
    """The second half of `place`: billed, written, numbered."""
    lead, version = quoted[0].item.subscription, quoted[0].version
    if lead is None:
        raise ValueError("Nothing was subscribed to")
    _check_paid_together([one.item.subscription for one in quoted if one.item.subscription])
    invoice = order.invoice = _billed(order, quoted, parent, how.promo_code)
    is_free = bool(lead.trial_days) and not _is_bound_first(lead, version)
    if not is_free and not how.by_link and lead.collection == Collection.CHARGE:
        back = how.return_url.replace("{order}", str(order.pk))
        invoices.pay(invoice, return_url=back, instrument=how.instrument)
    _written(order, [one.item for one in quoted], OrderState.PENDING)
    # The parts of a bundle are sold with it. In one order, so that two sales do not wait for each other.
    mark_sold(quoted)
    if order.scheduled_at is None:
        events.publish(
            "orders.OrderPlaced", order.pk, customer_id=order.customer_id, channel_id=order.channel_id
        )
    invoices.issue(invoice)
    if is_free:
        if not trials.begin(lead, invoice):
            raise _trial_used()
        invoices.mark_paid(invoice)
    elif lead.collection != Collection.CHARGE or (how.by_link and not lead.trial_days):
        collecting.begin(lead, invoice)
    number(order)
    faults.at("orders.placed-not-committed")


def mark_sold(quoted: Sequence[Quoted]) -> None:
    """The terms of these are frozen from now on."""
    for sold in sorted({key for one in quoted for key in (one.version.pk, *one.item.terms["deliver"])}):
        _sold(sold)


def _sold(version_id: int) -> None:
    gather.once(("orders.sold", version_id), lambda: TariffVersion(pk=version_id).mark_sold(clock.wall()))


def accept(order: Order, wanted: Sequence[Wanted], how: How, *, keys: Sequence[UUID] = ()) -> None:
    """An order for later, new or a locked draft (its items have `keys`), whose customer is locked by the caller.

    Checked and numbered now, sold when its moment comes.
    """
    scheduled_at = to_come(order.scheduled_at)
    if how.parent is not None:
        raise Refused("paid_apart", _("Дополнение к подписке заказывают сразу"))
    items = [_quoted(order, one, how, position).item for position, one in enumerate(wanted, start=1)]
    for item, key in zip(items, keys, strict=bool(keys)):
        item.pk = key
    keep(order, items, how)
    _written(order, items, OrderState.PENDING)
    due.schedule(START, order.pk, scheduled_at)
    events.publish("orders.OrderPlaced", order.pk, customer_id=order.customer_id, channel_id=order.channel_id)
    number(order)


def to_come(moment: datetime | None) -> datetime:
    """The moment of an order for later. Raises Refused `bad_date` where it is past."""
    if moment is None or moment <= clock.now():
        raise Refused("bad_date", _("Дата исполнения уже прошла"), status=400)
    return moment


def keep(order: Order, items: Sequence[OrderItem], how: How) -> None:
    """Writes into an unsaved order what it will be sold by later."""
    order.total = sum((one.total for one in items), Decimal("0.00"))
    order.currency = items[0].tariff_version.currency
    order.asked = {
        "return_url": how.return_url,
        "promo_code": how.promo_code,
        "trial": how.trial,
        "instrument": how.instrument,
    }
    if how.by_link:
        order.asked["by_link"] = True


def _quoted(order: Order, wanted: Wanted, how: How, position: int) -> Quoted:
    return quoting.quote(
        order,
        wanted,
        position=position,
        sold=how.sold,
        customer=order.customer,
        declared=how.declared,
    )


def _subscribed(
    order: Order, found: Quoted, how: How, parent: Subscription | None, *, others: int
) -> Subscription:
    customer, offer, version, item = order.customer, found.offer, found.version, found.item
    if parent is not None:
        count, unit = version.period_count, version.period_unit
        addons.check(parent, customer_id=customer.pk, count=count, unit=unit)
    if others and item.terms.get("hold"):
        raise Refused("paid_apart", _("«%s» оплачивают отдельно: деньги сначала удерживаются") % item.name)
    terms = {**item.terms, together.OTHERS: others} if others and item.position == 1 else item.terms
    subscription = subscriptions.create(
        customer=customer,
        offer=offer,
        version=version,
        name=item.name,
        quantity=item.quantity,
        channel_id=order.channel_id,
        channel_code=order.channel_code,
        terms=terms,
        parent=parent,
        with_trial=not others and _with_trial(customer, offer, how.trial),
        instrument=how.instrument,
    )
    collecting.prepare(subscription)
    return subscription


def _check_paid_together(subscriptions: Sequence[Subscription]) -> None:
    """One invoice is paid in one way, in one currency."""
    if len({(one.collection, one.currency) for one in subscriptions}) > 1:
        raise Refused("paid_apart", _("Эти товары оплачивают по-разному: оформите их отдельными заказами"))


def _written(order: Order, items: Sequence[OrderItem], state: str) -> None:
    """All that was asked is known by now: written once, with the states that it has been through."""
    is_new = order._state.adding
    was = "" if is_new else order.state
    order.state = state
    for one in items:
        one.state = state
    if is_new:
        gather.insert(order, gather.Stage.NUMBERED)
        gather.insert_many(items)
    else:
        order.save()
        for one in items:
            one.save(force_update=True)
    if was != state:
        accepted = OrderState.ACKNOWLEDGED
        history.record_many([(order, was, accepted), (order, accepted, state)], actor=order.actor)


def _billed(order: Order, quoted: list[Quoted], parent: Subscription | None, promo_code: str) -> Invoice:
    """The order's invoice: of nothing where it begins with a trial, less what a promo code takes off."""
    lead, *others = [one.item.subscription for one in quoted if one.item.subscription]
    if parent is not None:
        if promo_code:
            raise Refused("promo_not_for_this", _("Промокод действует на основную подписку"))
        invoice = addons.draft(lead, parent, purpose=InvoicePurpose.NEW, order_id=order.pk)
        quoted[0].item.total = invoice.total
    else:
        off = _redeemed(order, quoted, promo_code) if promo_code else {}
        nothing = Decimal("0.00")
        invoice = invoices.draft(
            subscription=lead,
            purpose=InvoicePurpose.NEW,
            order_id=order.pk,
            discount=off.get(lead.pk, nothing),
            others=[(one, off.get(one.pk, nothing)) for one in others],
        )
        if others:
            amounts = dict(invoice.lines.values_list("position", "amount"))
            for one in quoted:
                one.item.total = amounts[one.item.position]
        else:
            quoted[0].item.total = invoice.total
    order.total, order.currency = invoice.total, invoice.currency
    return invoice


def _redeemed(order: Order, quoted: list[Quoted], promo_code: str) -> dict[UUID, Decimal]:
    """What a promo code takes off, by subscription: off the first product that it is for."""
    for one in quoted:
        subscription = one.item.subscription
        if subscription is None:
            continue
        try:
            with transaction.atomic():
                redemption = promos.redeem(
                    promo_code,
                    subscription=subscription,
                    offer=one.offer,
                    quantity=one.item.quantity,
                    channel_code=order.channel_code,
                )
        except Refused:
            if one is quoted[-1]:
                raise
            continue
        off = discounts.off(subscription.money.amount, redemption.percent, redemption.amount)
        return {subscription.pk: off}
    return {}


def _with_trial(customer: Customer, offer: Offer, wanted: bool | None) -> bool:
    """A trial that was had already is refused, not charged for unasked."""
    if wanted is False or not offer.current_version().trial_days:
        return False
    if trials.had(customer, offer.tariff.product_id):
        raise _trial_used()
    return True


def _trial_used() -> Refused:
    return Refused(
        "trial_used",
        _("Пробный период этого продукта у вас уже был: можно оформить без него, с оплатой сразу"),
    )


def _is_bound_first(subscription: Subscription, version: TariffVersion) -> bool:
    """Whether a card is to be saved before the trial begins."""
    return version.trial_needs_method and subscription.collection == Collection.CHARGE


def number(order: Order) -> None:
    """Gives an order its number, where it has none."""
    if order.number:
        return

    def take(number: str) -> None:
        order.number = number
        gather.save(order, ["number"])
        search.index(KIND, order.pk, [number])

    numbering.give(
        "order",
        legal_entity_id=order.legal_entity_id,
        partner_id=current_partner().pk,
        year=clock.today().year,
        to=take,
    )


def check_known(customer: Customer) -> None:
    """Locked, as erasure locks it: what is ordered before that is cancelled by it, and nothing is ordered after."""
    if Customer.objects.select_for_update(no_key=True).get(pk=customer.pk).erased_at:
        raise Refused("customer_erased", _("Данные этого клиента стёрты"))


def _earlier(request_key: str, customer: Customer, wanted: Sequence[Wanted]) -> Order | None:
    order = Order.objects.filter(request_key=request_key).first()
    if order is None:
        return None
    offers = list(order.items.values_list("offer_id", flat=True))
    if order.customer_id != customer.pk or offers != [one.offer_id for one in wanted]:
        raise Refused("request_key_reused", _("С этим ключом уже оформлен другой заказ"), status=422)
    return order
