"""A subscription's life: bought, started by its first payment, extended, cancelled and taken up again, ended."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.billing import invoices, letters, periods
from apps.billing.models import (
    Invoice,
    InvoiceLine,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.catalog.models import Offer, TariffVersion
from apps.core import clock, due, events
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.payments.models import Payment

KIND = "billing.Subscription"
RENEW, NOTICE, TRIAL_END = "billing.renew", "billing.notice", "billing.trial_end"
_S = SubscriptionState


def create(
    *,
    customer: Customer,
    offer: Offer,
    version: TariffVersion,
    name: str,
    quantity: int = 1,
    channel_id: UUID | None = None,
    channel_code: str = "",
    terms: dict[str, Any] | None = None,
) -> Subscription:
    """A subscription on the terms of `version` for good, waiting for its first payment."""
    return Subscription.objects.create(
        customer=customer,
        offer=offer,
        product_id=offer.tariff.product_id,
        tariff_version=version,
        legal_entity_id=current_partner().legal_entity_id,
        name=name[:300],
        quantity=quantity,
        price=version.price,
        currency=version.currency,
        vat_code=version.vat_code,
        period_count=version.period_count,
        period_unit=version.period_unit,
        trial_days=version.trial_days,
        channel_id=channel_id,
        channel_code=channel_code,
        terms=terms or {},
        created_at=clock.now(),
    )


def start(subscription: Subscription, invoice: Invoice, payment: Payment) -> None:
    """The first payment came: the trial days are a gift in front of the first paid period."""
    today = clock.today()
    anchor = today + timedelta(days=subscription.trial_days)
    end = _end_of(subscription, anchor, anchor)
    subscription.state = _S.TRIAL if subscription.trial_days else _S.ACTIVE
    subscription.anchor_date, subscription.cycle_day = anchor, anchor.day
    subscription.current_period_start, subscription.current_period_end = anchor, end
    subscription.started_at, subscription.method_id = clock.now(), payment.method_id
    subscription.save()
    InvoiceLine.objects.filter(invoice=invoice).update(period_start=anchor, period_end=end)
    if subscription.state == _S.TRIAL:
        due.schedule(TRIAL_END, subscription.pk, periods.midnight(anchor))
    plan(subscription)
    events.publish("billing.SubscriptionStarted", subscription.pk, customer_id=subscription.customer_id)
    letters.first_payment(subscription, invoice, payment)


def extend(subscription: Subscription, invoice: Invoice, payment: Payment) -> None:
    """The next period is paid."""
    line = invoice.lines.all()[0]
    subscription.current_period_start, subscription.current_period_end = line.period_start, line.period_end
    subscription.state, subscription.failures = _S.ACTIVE, 0
    if payment.method_id:
        subscription.method_id = payment.method_id
    subscription.save()
    plan(subscription)
    events.publish("billing.SubscriptionRenewed", subscription.pk, invoice_id=invoice.pk)
    letters.renewed(subscription, invoice, payment)


def plan(subscription: Subscription) -> None:
    """Writes down the next charge and the notice of it."""
    day = _day(subscription.current_period_end)
    due.schedule(RENEW, subscription.pk, periods.work_moment(subscription.pk, day))
    due.schedule(NOTICE, subscription.pk, periods.notice_moment(subscription.pk, day))


def next_period(subscription: Subscription) -> tuple[date, date]:
    """First day, and first day after, of the period that the next renewal pays."""
    start = _day(subscription.current_period_end)
    return start, _end_of(subscription, _day(subscription.anchor_date), start)


def cancel(subscription: Subscription, *, at_period_end: bool = True, actor: str = "") -> Subscription:
    """Nothing is charged from now on. Safe to repeat.

    The product stays until the end of what is paid, unless `at_period_end` is False. Within the trial the whole
    first payment goes back, and the product stays until the trial ends. A charge already on its way is given
    back when it comes. Raises Refused `subscription_not_live`.
    """
    with transaction.atomic():
        subscription = locked(subscription.pk)
        if subscription.cancelled_at and not subscription.is_live:
            return subscription
        if subscription.cancel_at_period_end and at_period_end:
            return subscription
        if not subscription.is_live:
            raise Refused("subscription_not_live", _("Эта подписка уже не действует"))
        subscription.cancelled_at = clock.now()
        _void_open_renewals(subscription)
        if subscription.state == _S.TRIAL:
            _give_back_first_payment(subscription, actor=actor)
        due.cancel(NOTICE, subscription.pk)
        events.publish("billing.SubscriptionCancelled", subscription.pk, customer_id=subscription.customer_id)
        journal.record("subscription.cancelled", KIND, subscription.pk, actor=actor)
        if at_period_end and subscription.state != _S.PAST_DUE:
            subscription.cancel_at_period_end = True
            subscription.save()
            due.schedule(RENEW, subscription.pk, periods.midnight(_day(subscription.ends_on)))
        else:
            end(subscription, _S.CANCELLED, "cancelled")
        letters.cancelled(subscription)
    return subscription


def uncancel(subscription: Subscription, *, actor: str = "") -> Subscription:
    """Goes on as if it had not been cancelled. Raises Refused: `not_cancelled`, `period_over`, `trial_refunded`."""
    with transaction.atomic():
        subscription = locked(subscription.pk)
        if not (subscription.is_live and subscription.cancel_at_period_end):
            raise Refused("not_cancelled", _("Эта подписка не отменена"))
        if subscription.state == _S.TRIAL:
            raise Refused("trial_refunded", _("Оплата уже возвращена: оформите подписку заново"))
        if clock.today() >= _day(subscription.ends_on):
            raise Refused("period_over", _("Оплаченный период закончился: оформите подписку заново"))
        subscription.cancel_at_period_end, subscription.cancelled_at = False, None
        subscription.save()
        plan(subscription)
        events.publish("billing.SubscriptionResumed", subscription.pk, customer_id=subscription.customer_id)
        journal.record("subscription.resumed", KIND, subscription.pk, actor=actor)
    return subscription


def end(subscription: Subscription, state: str, reason: str) -> None:
    """A locked subscription is over: nothing is planned any more, the product goes off."""
    subscription.state, subscription.end_reason, subscription.ended_at = state, reason, clock.now()
    subscription.cancel_at_period_end = False
    subscription.save()
    for kind in (RENEW, NOTICE, TRIAL_END):
        due.cancel(kind, subscription.pk)
    events.publish("billing.SubscriptionEnded", subscription.pk, reason=reason)


def end_trial(subscription_id: UUID) -> None:
    """The first paid period begins."""
    subscription = locked(subscription_id)
    over = subscription.anchor_date is not None and clock.today() >= subscription.anchor_date
    if subscription.state == _S.TRIAL and over and not subscription.cancel_at_period_end:
        subscription.state = _S.ACTIVE
        subscription.save(update_fields=["state"])


def locked(subscription_id: UUID) -> Subscription:
    """The subscription as it stands now, locked: charges, cancellations and payments meet here."""
    return Subscription.objects.select_for_update(no_key=True).get(pk=subscription_id)


def _day(day: date | None) -> date:
    """A day that every live subscription has: the database holds it."""
    if day is None:
        raise ValueError("The subscription has not started")
    return day


def _end_of(subscription: Subscription, anchor: date, start: date) -> date:
    return periods.period_end(
        anchor=anchor, start=start, count=subscription.period_count, unit=subscription.period_unit
    )


def _void_open_renewals(subscription: Subscription) -> None:
    for invoice in subscription.invoices.select_for_update(no_key=True).filter(
        state=InvoiceState.OPEN, purpose=InvoicePurpose.RENEWAL
    ):
        invoices.void(invoice)


def _give_back_first_payment(subscription: Subscription, *, actor: str) -> None:
    for invoice in subscription.invoices.select_for_update(no_key=True).filter(state=InvoiceState.PAID):
        invoices.refund(invoice, reason=str(_("Отмена в пробный период")), actor=actor)
