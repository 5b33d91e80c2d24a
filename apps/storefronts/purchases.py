"""A press of «Оплатить» becomes one order, however often it is pressed; and where that order stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts import companies, customers
from apps.accounts.models import Customer
from apps.billing.letters import why
from apps.billing.models import Collection, InvoiceState, Subscription
from apps.catalog.models import Offer
from apps.channels.models import Channel
from apps.core import clock
from apps.core.errors import Refused
from apps.orders.models import ENDED_STATES, Order, OrderState, Service
from apps.orders.placing import place_order
from apps.orders.rules import Declared
from apps.payments.models import Payment
from apps.storefronts.models import Checkout

ELSEWHERE = {Collection.INVOICE.value: "invoiced", Collection.PARTNER_CHARGES.value: "asked"}
"""Where an unpaid order stands that no card of ours is charged for: its invoice is out, or the partner is asked."""
SETTLED = ("ready", "failed", "invoiced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What the buyer saw and agreed to, as proof."""

    price: Decimal
    currency: str
    consents: list[dict[str, str]]
    ip: str | None
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """What a stranger typed of themselves."""

    phone: str = ""
    email: str = ""
    name: str = ""
    language: str = "ru"


def buy(
    *,
    request_key: UUID,
    offer: Offer,
    channel: Channel,
    customer: Customer | None,
    contacts: Contacts,
    agreed: Agreed,
    return_url: str,
    declared: Declared | None = None,
    answers: Mapping[str, Any] | None = None,
    promo_code: str = "",
    trial: bool | None = None,
    parent: Subscription | None = None,
    company: Mapping[str, str] | None = None,
    instrument: str = "",
) -> Order:
    """One order for one request key: a second press waits for the first and gets the same order.

    `customer` is who is signed in; a stranger is registered by `contacts`. `company` has the requisites of a buyer
    that pays by invoice.
    Raises Refused, and nothing is sold.
    """
    with transaction.atomic():
        # The key's unique index is the lock: a second press waits here until the first has committed.
        checkout, is_first = Checkout.objects.get_or_create(
            id=request_key,
            defaults={
                "offer": offer,
                "price": agreed.price,
                "currency": agreed.currency,
                "consents": agreed.consents,
                "ip": agreed.ip,
                "user_agent": agreed.user_agent[:300],
                "placed_at": clock.now(),
            },
        )
        if not is_first:
            return _same(checkout, offer)
        checkout.order = place_order(
            customer=_buyer(customer, contacts, company),
            offer=offer,
            channel_id=channel.pk,
            channel_code=channel.code,
            expected_price=agreed.price,
            return_url=return_url,
            actor="customer",
            declared=declared,
            answers=answers,
            promo_code=promo_code,
            trial=trial,
            parent=parent,
            instrument=instrument,
        )
        checkout.save(update_fields=["order"])
    return checkout.order


def _buyer(customer: Customer | None, contacts: Contacts, company: Mapping[str, str] | None) -> Customer:
    is_own = customer is not None
    if customer is None:
        customer, is_own = customers.find_or_register(
            phone=contacts.phone, email=contacts.email, name=contacts.name, language=contacts.language
        )
    if not company:
        return customer
    if is_own:
        companies.set_company(customer, actor="customer", **company)
        return customer
    # Whoever merely types somebody's phone makes no company of them, nor sends them invoices of another one.
    known = companies.of(customer.pk)
    if known is None or known.inn != company["inn"]:
        raise Refused(
            "sign_in_first",
            _("Клиент с таким телефоном или почтой уже есть: войдите в кабинет и оформите оттуда."),
        )
    return customer


def _same(checkout: Checkout, offer: Offer) -> Order:
    if checkout.order is None or checkout.offer_id != offer.pk:
        raise Refused("checkout_reused", _("Эта форма уже отправлена. Откройте страницу тарифа заново."))
    return checkout.order


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an order stands, for its buyer: paying, unpaid, preparing, ready or failed."""

    stage: str
    payment_url: str = ""
    reason: Any = ""

    @property
    def is_settled(self) -> bool:
        """Whether the page has nothing to wait for."""
        return self.stage in SETTLED


def progress(order: Order) -> Progress:
    """Reads how far order and payment are."""
    if order.state == OrderState.COMPLETED:
        return Progress("ready")
    payment = order.payment()
    if order.state == OrderState.CANCELLED or (payment is not None and payment.is_lost):
        return Progress("failed", reason=_reason(payment, order.item.subscription))
    if payment is None and order.invoice is not None and order.invoice.state == InvoiceState.PAID:
        # A trial without a card has nothing to wait for.
        return Progress("preparing")
    if order.state == OrderState.PENDING and order.invoice is not None:
        stage = ELSEWHERE.get(order.invoice.collection)
        if stage is not None:
            return Progress(stage)
    if order.state == OrderState.PENDING and not (payment and payment.is_paid):
        page = payment.confirmation_url if payment else ""
        return Progress("unpaid", page) if page else Progress("paying")
    return Progress("preparing")


def services_of(order: Order) -> list[Service]:
    """What the buyer got."""
    return list(
        Service.objects.filter(subscription__order_items__order=order)
        .exclude(state__in=ENDED_STATES)
        .order_by("id")
    )


def _reason(payment: Payment | None, subscription: Subscription | None) -> Any:
    if subscription is not None and subscription.end_reason == "trial_used":
        return _(
            "Пробный период с этим телефоном, почтой или картой уже был. Можно оформить с оплатой сразу."
        )
    if payment is None or not payment.decline_reason:
        return _("Деньги не списаны. Можно попробовать ещё раз.")
    reason = why(payment.decline_reason, payment.connection)
    return _("Причина: %(reason)s. Деньги не списаны.") % {"reason": reason}
