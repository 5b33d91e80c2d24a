"""What the customer is told about money: composed here, where the facts are, and handed down to be sent."""

from datetime import date
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps import notifications
from apps.accounts.models import Customer
from apps.billing import together
from apps.billing.models import Invoice, PriceConsent, Subscription
from apps.connectors.models import Connection
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.notifications.models import Message
from apps.payments.declines import class_of
from apps.payments.models import Payment, PaymentMethod
from apps.policies.dunning import DeclineClass

REASONS = {
    "insufficient_funds": _("не хватило денег на карте"),
    "card_expired": _("срок действия карты истёк"),
    "permission_revoked": _("списания с этой карты отключены"),
    "no_method": _("нет сохранённой карты"),
    **dict.fromkeys(("3d_secure_failed", "101", "5206"), _("банк не подтвердил, что платите вы")),
}
"""What a customer reads of a gateway's own word; the codes of gateways do not overlap."""


def why(reason: str, connection: Connection | None = None) -> str:
    """Why a charge failed, for the customer: as exactly as the gateway of `connection` has told it."""
    known = REASONS.get(reason)
    if known is None and class_of(reason, connection) == DeclineClass.FUNDS:
        known = REASONS["insufficient_funds"]
    return str(known or _("банк отклонил платёж"))


def trial_started(subscription: Subscription, amount: Money) -> None:
    """«Пробный период начался»: until when, and what will be charged then."""
    _send(
        "trial_started",
        subscription,
        key=str(subscription.pk),
        amount=str(amount),
        period_end=_day(subscription.current_period_end),
        method=_title(subscription.method),
    )


def trial_ending(subscription: Subscription, amount: Money) -> None:
    """«Пробный период заканчивается»: nothing will be charged, the customer is asked how to pay."""
    _send(
        "trial_ending",
        subscription,
        key=f"{subscription.pk}:{subscription.current_period_end}",
        amount=str(amount),
        period_end=_day(subscription.current_period_end),
        pay_url=_page_of(subscription),
    )


def trial_over(subscription: Subscription, amount: Money) -> None:
    """The same, when the days are over and the product rests."""
    _send(
        "trial_ending",
        subscription,
        key=f"{subscription.pk}:over",
        amount=str(amount),
        period_end=_day(subscription.current_period_end),
        pay_url=_page_of(subscription),
    )


def _page_of(subscription: Subscription) -> str:
    return current_partner().url(f"/cabinet/subscriptions/{subscription.pk}/")


def first_payment(subscription: Subscription, invoice: Invoice, payment: Payment | None) -> None:
    """«Оплата прошла»."""
    _send(
        "payment_succeeded",
        subscription,
        key=str(invoice.pk),
        product=together.name(subscription),
        amount=str(invoice.money),
        invoice_number=invoice.number,
        method=_title(payment.method if payment else None),
        next_charge_date=_day(subscription.current_period_end),
        **_period(subscription),
    )


def renewed(subscription: Subscription, invoice: Invoice, payment: Payment | None) -> None:
    """«Подписка продлена»."""
    _send(
        "renewal_paid",
        subscription,
        key=str(invoice.pk),
        amount=str(invoice.money),
        invoice_number=invoice.number,
        method=_title(payment.method if payment else None),
        next_charge_date=_day(subscription.current_period_end),
        **_period(subscription),
    )


def renewal_ahead(
    subscription: Subscription, amount: Money, *, charge_date: date | None = None, url: str = ""
) -> Message | None:
    """«Скоро продление», days before the charge; `url` leads to the card without a sign-in."""
    return _send(
        "renewal_ahead",
        subscription,
        key=key_of_notice(subscription).partition(":")[2],
        amount=str(amount),
        next_charge_date=_day(charge_date or subscription.current_period_end),
        method=_title(subscription.method),
        url=url,
    )


def unpaid(
    subscription: Subscription,
    invoice: Invoice,
    message: str,
    *,
    key: str,
    reason: str,
    next_day: date | None,
    ends_on: date | None,
    pay_url: str,
) -> None:
    """A step of dunning: when the next attempt comes, when it ends, where to pay; none of them when it is over."""
    _send(
        message,
        subscription,
        key=f"{invoice.pk}:{key}",
        amount=str(invoice.due_money),
        invoice_number=invoice.number,
        method=_title(subscription.method),
        reason=why(reason, subscription.method.connection if subscription.method else None),
        next_charge_date=_day(next_day),
        ends_on=_day(ends_on),
        pay_url=pay_url,
        period_end=_day(subscription.current_period_end),
    )


def method_refused(customer: Customer, method: PaymentMethod, products: list[str]) -> None:
    """«Автосписания отключены»: what was refused, and what it paid for."""
    notifications.send(
        "method_refused",
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={"method": _title(method), "product": ", ".join(products)},
        key=f"method_refused:{method.pk}",
        language=customer.language,
    )


def price_change(
    subscription: Subscription, consent: PriceConsent, *, old: Money, new: Money, reason: Any, url: str
) -> None:
    """«Цена изменится»: from which charge; with a link where the customer is to agree."""
    language = subscription.customer.language
    _send(
        "price_change",
        subscription,
        key=f"{consent.pk}:{consent.effective_date}",
        amount=str(new),
        old_amount=str(old),
        next_charge_date=_day(consent.effective_date),
        reason=reason.get(language) or reason.get("ru", ""),
        url=url,
        deadline=_day(consent.deadline) if url else "",
    )


def cancelled(subscription: Subscription) -> None:
    """«Подписка отменена»."""
    last_day = subscription.ends_on if subscription.is_live else None
    _send(
        "subscription_cancelled",
        subscription,
        key=f"{subscription.pk}:{subscription.cancelled_at:%Y%m%d%H%M%S}",
        period_end=_day(last_day),
    )


def key_of_notice(subscription: Subscription) -> str:
    """Of the message that announces the charge at the end of its period."""
    return f"renewal_ahead:{subscription.pk}:{subscription.current_period_end}"


def _send(type: str, subscription: Subscription, *, key: str, **context: Any) -> Message | None:
    customer = subscription.customer
    sent: Message | None = notifications.send(
        type,
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={"product": subscription.name, **context},
        key=f"{type}:{key}",
        language=customer.language,
    )
    return sent


def _period(subscription: Subscription) -> dict[str, str]:
    return {
        "period_start": _day(subscription.current_period_start),
        "period_end": _day(subscription.current_period_end),
    }


def _day(day: date | None) -> str:
    return f"{day:%d.%m.%Y}" if day else ""


def _title(method: Any) -> str:
    return str(method) if method else ""
