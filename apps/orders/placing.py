"""Placing an order: the quote is checked and frozen, the invoice issued, the payment started."""

import json
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer
from apps.billing import addons, collecting, discounts, invoices, promos, subscriptions, trials
from apps.billing.models import Collection, Invoice, InvoicePurpose, Subscription
from apps.catalog import halts, plans
from apps.catalog.models import Delivery, Offer, OfferQuerySet, Product, TariffVersion
from apps.catalog.models.offers import Payer
from apps.core import clock, events, faults, search
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders import history, rules
from apps.orders.models import Order, OrderItem, OrderState
from apps.orders.rules import Declared
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.models import Payment, PaymentState
from apps.policies import numbering

KIND = "orders.Order"
LIMIT = 99
"""Pieces in one order."""
PATIENCE = 5.0
"""Seconds for which a customer waits for the payment page."""


def place_order(
    *,
    customer: Customer,
    offer: Offer | int,
    sold: OfferQuerySet | None = None,
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
) -> Order:
    """Takes an order and starts its payment; `order.payment()` has the page to send the customer to, once sent.

    With `parent` an add-on is ordered for that subscription: charged to its next bill date now, and with it then.
    `sold` is what the channel has listed, where that is not everything. `expected_price` is what the customer saw for
    one piece. `trial` False buys without the tariff's trial. In `return_url`, `{order}` becomes the order's id.
    `instrument` is how the customer has chosen to pay, one of `paying.instruments`; without it the gateway's page
    offers all it has. A second call with the same `request_key` gives the first order. Raises Refused: `offer_closed`,
    `offer_stopped`, `sales_stopped`, `bad_quantity`, `price_changed`, `request_key_reused`, `no_connection`,
    `customer_erased`, `bad_answers`, `trial_used`, `promo_not_for_this`, `instrument_not_offered`, and those of
    `rules.check` and `promos.redeem`.
    """
    if request_key and (earlier := _earlier(request_key, customer, offer)):
        return earlier
    try:
        with transaction.atomic():
            order = _place(
                customer=customer,
                offer=_offer_on_sale(offer, sold, channel_code),
                quantity=_checked(quantity),
                channel_id=channel_id,
                channel_code=channel_code,
                expected_price=expected_price,
                return_url=return_url,
                actor=actor,
                request_key=request_key,
                declared=declared or Declared(),
                answers=answers or {},
                parent=parent,
                promo_code=promo_code,
                trial=trial,
                instrument=instrument,
            )
    except IntegrityError:
        # A double click: the other one was first.
        if request_key and (earlier := _earlier(request_key, customer, offer)):
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


def _place(
    *,
    customer: Customer,
    offer: Offer,
    quantity: int,
    expected_price: Decimal | None,
    return_url: str,
    declared: Declared,
    answers: Mapping[str, Any],
    parent: Subscription | None,
    promo_code: str,
    trial: bool | None,
    instrument: str,
    **given: Any,
) -> Order:
    _check_known(customer)
    version, price = offer.current_version(), offer.unit_price
    if parent is not None:
        parent = subscriptions.locked(parent.pk)
        addons.check(parent, customer_id=customer.pk, count=version.period_count, unit=version.period_unit)
    if expected_price is not None and expected_price != price:
        raise Refused("price_changed", _("Цена изменилась: обновите страницу"), price=str(price))
    if told := rules.answers(offer, answers):
        given["answers_text"] = json.dumps(told, ensure_ascii=False)
    rules.check(customer, offer, declared)
    order, item = _quoted(customer, offer, version, quantity, declared, **given)
    subscription = subscriptions.create(
        customer=customer,
        offer=offer,
        version=version,
        name=item.name,
        quantity=quantity,
        channel_id=order.channel_id,
        channel_code=order.channel_code,
        terms=item.terms,
        parent=parent,
        with_trial=_with_trial(customer, offer, trial),
        instrument=instrument,
    )
    collecting.prepare(subscription)
    invoice = _billed(order, item, subscription, offer, parent, promo_code)
    is_free = bool(subscription.trial_days) and not _is_bound_first(subscription, version)
    if not is_free and subscription.collection == Collection.CHARGE:
        back = return_url.replace("{order}", str(order.pk))
        invoices.pay(invoice, return_url=back, instrument=instrument)
    item.subscription, order.invoice = subscription, invoice
    _written(order, item)
    # The parts of a bundle are sold with it. In one order, so that two sales do not wait for each other.
    for sold in sorted({version.pk, *item.terms["deliver"]}):
        TariffVersion(pk=sold).mark_sold(clock.wall())
    events.publish("orders.OrderPlaced", order.pk, customer_id=customer.pk, channel_id=order.channel_id)
    invoices.issue(invoice)
    if is_free:
        if not trials.begin(subscription, invoice):
            raise _trial_used()
        invoices.mark_paid(invoice)
    elif subscription.collection != Collection.CHARGE:
        collecting.begin(subscription, invoice)
    _number(order)
    faults.at("orders.placed-not-committed")
    return order


def _written(order: Order, item: OrderItem) -> None:
    """All that was asked is known by now: written once, with both states that it has been through."""
    order.state = item.state = OrderState.PENDING
    order.save(force_insert=True)
    item.save(force_insert=True)
    accepted, pending = OrderState.ACKNOWLEDGED, OrderState.PENDING
    history.record_many([(order, "", accepted), (order, accepted, pending)], actor=order.actor)


def _billed(
    order: Order,
    item: OrderItem,
    subscription: Subscription,
    offer: Offer,
    parent: Subscription | None,
    promo_code: str,
) -> Invoice:
    """The order's invoice: of nothing where it begins with a trial, less what a promo code takes off."""
    if parent is not None:
        if promo_code:
            raise Refused("promo_not_for_this", _("Промокод действует на основную подписку"))
        invoice = addons.draft(subscription, parent, purpose=InvoicePurpose.NEW, order_id=order.pk)
    else:
        discount = _redeemed(item, order, subscription, offer, promo_code) if promo_code else Decimal("0.00")
        invoice = invoices.draft(
            subscription=subscription, purpose=InvoicePurpose.NEW, order_id=order.pk, discount=discount
        )
    order.total = item.total = invoice.total
    return invoice


def _redeemed(
    item: OrderItem, order: Order, subscription: Subscription, offer: Offer, promo_code: str
) -> Decimal:
    redemption = promos.redeem(
        promo_code,
        subscription=subscription,
        offer=offer,
        quantity=item.quantity,
        channel_code=order.channel_code,
    )
    return discounts.off(subscription.money.amount, redemption.percent, redemption.amount)


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


def _quoted(
    customer: Customer,
    offer: Offer,
    version: TariffVersion,
    quantity: int,
    declared: Declared,
    *,
    answers_text: str = "",
    **given: Any,
) -> tuple[Order, OrderItem]:
    """An order of one product and its item, not written yet."""
    with translation.override("ru"):
        name = f"{offer.tariff.product}, {offer.tariff.name}"
    is_bundle = offer.tariff.product.delivery == Delivery.BUNDLE
    sold = [(version, offer.tariff.product)]
    if is_bundle:
        sold = [(part.current, part.product) for part in version.parts() if part.current]
    total = offer.unit_price * quantity
    order = Order(
        customer=customer,
        legal_entity_id=current_partner().legal_entity_id,
        total=total,
        currency=version.currency,
        created_at=clock.now(),
        **given,
    )
    item = OrderItem(
        order=order,
        offer=offer,
        product_id=offer.tariff.product_id,
        tariff_version=version,
        name=name[:300],
        quantity=quantity,
        price=offer.unit_price,
        total=total,
        terms=_agreed(offer, version, sold, declared),
        answers_text=answers_text,
    )
    return order, item


def _agreed(
    offer: Offer, version: TariffVersion, sold: Sequence[tuple[TariffVersion, Product]], declared: Declared
) -> dict[str, Any]:
    """What is sold, by which documents and plans, to whom the customer says to be."""
    terms: dict[str, Any] = {"vat_code": version.vat_code, "deliver": [one.pk for one, _product in sold]}
    terms |= plans.frozen(sold)
    if documents := offer.tariff.product.documents_on(clock.today()):
        terms["documents"] = [one.pk for one in documents]
    if offer.hold_first and offer.payer == Payer.CHARGE:
        terms["hold"] = True
    if kept := declared.kept():
        terms["declared"] = kept
    if promised_at := halts.promise(offer):
        terms["promised_at"] = promised_at.isoformat()
    return terms


def _number(order: Order) -> None:
    [order.number] = numbering.allot(
        "order",
        legal_entity_id=order.legal_entity_id,
        partner_id=current_partner().pk,
        year=clock.today().year,
    )
    order.save(update_fields=["number"])
    search.index(KIND, order.pk, [order.number])


def _offer_on_sale(offer: Offer | int, sold: OfferQuerySet | None = None, channel_code: str = "") -> Offer:
    """The partner's offer as it stands now: what the caller holds may be an hour old, or another partner's."""
    partner = current_partner()
    if partner.status in {Partner.Status.STOPPED, Partner.Status.CLOSED}:
        raise Refused("sales_stopped", _("Продажи сейчас остановлены"))
    key = offer.pk if isinstance(offer, Offer) else offer
    offers = Offer.objects.listed(partner.pk, channel_code) if sold is None else sold
    found = offers.filter(pk=key).first()
    if found is None:
        raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
    halts.check(found)
    return found


def _check_known(customer: Customer) -> None:
    """Locked, as erasure locks it: what is ordered before that is cancelled by it, and nothing is ordered after."""
    if Customer.objects.select_for_update(no_key=True).get(pk=customer.pk).erased_at:
        raise Refused("customer_erased", _("Данные этого клиента стёрты"))


def _checked(quantity: int) -> int:
    if not 1 <= quantity <= LIMIT:
        raise Refused("bad_quantity", _("Количество: от 1 до 99"), status=400)
    return quantity


def _earlier(request_key: str, customer: Customer, offer: Offer | int) -> Order | None:
    order = Order.objects.filter(request_key=request_key).first()
    if order is None:
        return None
    wanted = offer.pk if isinstance(offer, Offer) else offer
    if order.customer_id != customer.pk or order.item.offer_id != wanted:
        raise Refused("request_key_reused", _("С этим ключом уже оформлен другой заказ"), status=422)
    return order
