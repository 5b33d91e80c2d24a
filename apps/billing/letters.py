"""What the customer is told about money: composed here, where the facts are, and handed down to be sent."""

from datetime import date
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps import notifications
from apps.billing.models import Invoice, PriceConsent, Subscription
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.payments.models import Payment

REASONS = {
    "insufficient_funds": _("не хватило денег на карте"),
    "card_expired": _("срок действия карты истёк"),
    "permission_revoked": _("списания с этой карты отключены"),
    "no_method": _("нет сохранённой карты"),
}


def first_payment(subscription: Subscription, invoice: Invoice, payment: Payment) -> None:
    """«Оплата прошла»."""
    _send(
        "payment_succeeded",
        subscription,
        key=str(invoice.pk),
        amount=str(invoice.money),
        invoice_number=invoice.number,
        method=_title(payment.method),
        next_charge_date=_day(subscription.current_period_end),
        **_period(subscription),
    )


def renewed(subscription: Subscription, invoice: Invoice, payment: Payment) -> None:
    """«Подписка продлена»."""
    _send(
        "renewal_paid",
        subscription,
        key=str(invoice.pk),
        amount=str(invoice.money),
        invoice_number=invoice.number,
        method=_title(payment.method),
        next_charge_date=_day(subscription.current_period_end),
        **_period(subscription),
    )


def renewal_ahead(subscription: Subscription) -> None:
    """«Скоро продление», three days before the charge."""
    _send(
        "renewal_ahead",
        subscription,
        key=f"{subscription.pk}:{subscription.current_period_end}",
        amount=str(subscription.money),
        next_charge_date=_day(subscription.current_period_end),
        method=_title(subscription.method),
    )


def not_renewed(subscription: Subscription, invoice: Invoice, reason: str, *, next_day: date | None) -> None:
    """«Продление не оплачено»: when the next attempt comes, or that there is none any more."""
    _send(
        "renewal_failed",
        subscription,
        key=f"{invoice.pk}:{subscription.failures}",
        amount=str(invoice.money),
        invoice_number=invoice.number,
        method=_title(subscription.method),
        reason=str(REASONS.get(reason, _("банк отклонил платёж"))),
        next_charge_date=_day(next_day),
        pay_url=current_partner().url("/cabinet/") if next_day else "",
        period_end=_day(subscription.current_period_end),
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


def _send(type: str, subscription: Subscription, *, key: str, **context: Any) -> None:
    customer = subscription.customer
    notifications.send(
        type,
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={"product": subscription.name, **context},
        key=f"{type}:{key}",
        language=customer.language,
    )


def _period(subscription: Subscription) -> dict[str, str]:
    return {
        "period_start": _day(subscription.current_period_start),
        "period_end": _day(subscription.current_period_end),
    }


def _day(day: date | None) -> str:
    return f"{day:%d.%m.%Y}" if day else ""


def _title(method: Any) -> str:
    return str(method) if method else ""
