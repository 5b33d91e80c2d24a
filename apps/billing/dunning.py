"""Dunning: an unpaid renewal goes through its policy step by step, until it is paid or its subscription is over.

The subscription's lock is the dunning's. A charge is claimed in one place, under the locks of the subscription, the
method and the invoice, and the database holds one payment under way of an invoice: there are never two.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.billing import dunning_results, invoices, letters, pay_links, periods, requests, subscriptions
from apps.billing.dunning_models import Dunning
from apps.billing.dunning_results import STEP
from apps.billing.models import (
    Collection,
    Invoice,
    InvoicePayment,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.billing.paperwork import RequestState
from apps.catalog.models import TariffVersion
from apps.core import clock, due, events, faults
from apps.core.tenancy import current_partner
from apps.payments import declines, disputes
from apps.payments.models import PaymentMethod
from apps.policies.dunning import (
    WINDOW,
    Action,
    DeclineClass,
    MessageChoice,
    Step,
    elapsed_days,
    next_step,
    retries_after,
)
from apps.policies.dunning_models import DunningResult, ResultState, version_for

FAULT_POINTS = ("billing.dunning-not-committed", "billing.dunning-stepped")
"""Every commit boundary of a step that is not a payment's or an event's."""


def failed(subscription: Subscription, invoice: Invoice, reason: str, connection: Any = None) -> None:
    """A charge for a locked open renewal has failed, or could not be made: what the policy says is done, or planned."""
    declined = declines.class_of(reason, connection)
    dunning = running(subscription, invoice) or _begin(subscription, invoice, declined)
    dunning.decline_class, dunning.reason = declined, reason[:60]
    _note(dunning, "failed", reason=reason, decline_class=declined)
    subscription.failures += 1
    if subscription.is_live:
        if subscription.state != SubscriptionState.PAST_DUE:
            events.publish("billing.SubscriptionPastDue", subscription.pk, invoice_id=invoice.pk)
        subscription.state = SubscriptionState.PAST_DUE
    subscription.save(update_fields=["state", "failures"])
    message, dunning.message_if_failed = dunning.message_if_failed, ""
    if message:
        _tell(subscription, invoice, dunning, message)
    _proceed(subscription, invoice, dunning)


def step(subscription_id: UUID) -> None:
    """Due work: the next step of a subscription's dunning. Late, doubled and overlapping runs change nothing."""
    with transaction.atomic():
        subscription = subscriptions.locked(subscription_id)
        dunning = running(subscription)
        if dunning is None:
            return
        invoice = invoices.locked(dunning.invoice_id)
        if invoice.state != InvoiceState.OPEN:
            return
        if _is_under_way(invoice):
            # The customer is on the payment page, or the bank has not answered: nothing beside that.
            due.schedule(STEP, subscription.pk, _moment(subscription, clock.today() + timedelta(days=1)))
            return
        _proceed(subscription, invoice, dunning, may_charge=True)
        faults.at("billing.dunning-not-committed")
    faults.at("billing.dunning-stepped")


def running(subscription: Subscription, invoice: Invoice | None = None) -> Dunning | None:
    """The dunning of a locked subscription that is under way; with `invoice`, only if it is for that one."""
    found = Dunning.objects.select_related("version__policy").filter(
        subscription=subscription, state=ResultState.RUNNING
    )
    return (found.filter(invoice=invoice) if invoice else found).first()


def method_refused(subscription: Subscription) -> None:
    """The customer took the card of a locked subscription back: no retry is planned any more."""
    dunning = running(subscription)
    if dunning is None or dunning.decline_class == DeclineClass.REVOKED:
        return
    dunning.decline_class = DeclineClass.REVOKED
    _note(dunning, "refused")
    invoice = invoices.locked(dunning.invoice_id)
    if _is_under_way(invoice):
        dunning.save(update_fields=["decline_class", "log"])
        return
    _proceed(subscription, invoice, dunning)


def charge_now(subscription: Subscription, method: PaymentMethod) -> bool:
    """Charges a locked subscription's debt by a card that its customer has just bound; False where there is none."""
    dunning = running(subscription)
    if dunning is None:
        return False
    method = PaymentMethod.objects.select_for_update(no_key=True).get(pk=method.pk)
    invoice = invoices.locked(dunning.invoice_id)
    if not method.is_active or disputes.is_held(method.pk) or _is_under_way(invoice):
        return False
    invoices.pay(invoice, method=method)
    dunning.message_if_failed = MessageChoice.FAILED
    _note(dunning, "new_card")
    dunning.save(update_fields=["log", "message_if_failed"])
    return True


def _begin(subscription: Subscription, invoice: Invoice, declined: str) -> Dunning:
    partner, now = current_partner(), clock.now()
    tariff = TariffVersion.objects.values_list("tariff_id", flat=True).get(pk=subscription.tariff_version_id)
    for other in Dunning.objects.filter(subscription=subscription, state=ResultState.RUNNING):
        dunning_results.close(other, ResultState.STOPPED)
    dunning = Dunning.objects.create(
        subscription=subscription,
        invoice=invoice,
        version=version_for(partner.pk, tariff),
        first_class=declined,
        decline_class=declined,
        amount=invoice.due_money.amount,
        currency=invoice.currency,
        started_at=now,
        started_date=clock.local(now).date(),
    )
    DunningResult.objects.create(
        id=dunning.pk,
        partner_id=partner.pk,
        version_id=dunning.version_id,
        decline_class=declined,
        amount=dunning.amount,
        currency=dunning.currency,
        is_sandbox=partner.is_sandbox,
        started_date=dunning.started_date,
        state=ResultState.RUNNING,
    )
    return dunning


def _proceed(
    subscription: Subscription, invoice: Invoice, dunning: Dunning, *, may_charge: bool = False
) -> None:
    """Does what is due by today, and plans the step after it. One charge a day at most."""
    elapsed = elapsed_days(dunning.started_date, clock.today())
    while found := _next(dunning, elapsed):
        day, coming = found
        if day > elapsed:
            return _plan(subscription, dunning, day, coming)
        dunning.done_day, dunning.done_rank = max(dunning.done, coming.key)
        if coming.action == Action.END:
            return _end(subscription, invoice, dunning, coming)
        if coming.action != Action.RETRY:
            _do(subscription, invoice, dunning, coming)
        elif may_charge:
            may_charge = False
            if _retry(subscription, invoice, dunning, coming):
                return None
        else:
            _note(dunning, "skipped", day=coming.day)
    dunning.next_date, dunning.next_action = None, ""
    dunning.save()
    return None


def _next(dunning: Dunning, elapsed: int) -> tuple[int, Step] | None:
    return next_step(dunning.steps, dunning.done, elapsed, is_suspended=dunning.suspended_at is not None)


def _plan(subscription: Subscription, dunning: Dunning, day: int, coming: Step) -> None:
    dunning.next_date = dunning.started_date + timedelta(days=day)
    dunning.next_action = coming.action
    dunning.save()
    due.schedule(STEP, subscription.pk, _moment(subscription, dunning.next_date))


def _do(subscription: Subscription, invoice: Invoice, dunning: Dunning, coming: Step) -> None:
    if coming.action == Action.SUSPEND:
        subscriptions.suspend(subscription)
        dunning.suspended_at = clock.now()
    _note(dunning, coming.action, message=coming.message)
    if coming.message:
        _tell(subscription, invoice, dunning, coming.message)


def _retry(subscription: Subscription, invoice: Invoice, dunning: Dunning, coming: Step) -> bool:
    """One more charge, where the customer has left a card and the gateway allows it. True where it was claimed."""
    by_partner = subscription.collection == Collection.PARTNER_CHARGES
    method = None if by_partner else usable_method(subscription)
    connection = method.connection if method else None
    if method is None and not by_partner:
        dunning.decline_class = DeclineClass.REVOKED
        _note(dunning, "no_method")
    elif not declines.rules_of(connection).may_retry(dunning.decline_class, _charges_lately(invoice)):
        _note(dunning, "forbidden", decline_class=dunning.decline_class)
    else:
        dunning.retries += 1
        dunning.message_if_failed = coming.message
        dunning.next_date, dunning.next_action = None, ""
        _note(dunning, coming.action, day=coming.day)
        dunning.save()
        if by_partner:
            requests.ask_again(invoice)
        else:
            invoices.pay(invoice, method=method)
        return True
    if coming.message:
        _tell(subscription, invoice, dunning, coming.message)
    return False


def _is_under_way(invoice: Invoice) -> bool:
    if invoice.collection == Collection.PARTNER_CHARGES:
        return bool(invoice.charge_requests.filter(state=RequestState.WAITING).exists())
    return InvoicePayment.objects.filter(invoice=invoice, failed=False).exists()


def _charges_lately(invoice: Invoice) -> int:
    """Charges of this debt that card systems still count."""
    since = clock.now() - timedelta(days=WINDOW)
    return InvoicePayment.objects.filter(
        invoice=invoice, payment__created_at__gt=since, payment__save_method=False
    ).count()


def _end(subscription: Subscription, invoice: Invoice, dunning: Dunning, coming: Step) -> None:
    _note(dunning, coming.action, message=coming.message)
    dunning_results.close(dunning, ResultState.LOST)
    invoices.void(invoice)
    subscriptions.end(subscription, SubscriptionState.ENDED, "unpaid")
    if coming.message:
        _tell(subscription, invoice, dunning, coming.message)


def _tell(subscription: Subscription, invoice: Invoice, dunning: Dunning, message: str) -> None:
    is_over = dunning.state != ResultState.RUNNING
    started, steps = dunning.started_date, dunning.steps
    retries = [] if is_over else retries_after(steps, dunning.done)
    ends = next((one.day for one in steps if one.action == Action.END), None)
    letters.unpaid(
        subscription,
        invoice,
        message,
        key=f"{dunning.done_day}:{dunning.done_rank}:{len(dunning.log)}",
        reason=dunning.reason,
        next_day=started + timedelta(days=retries[0]) if retries else None,
        ends_on=started + timedelta(days=ends) if ends is not None and not is_over else None,
        pay_url="" if is_over else pay_links.to_pay(invoice),
    )


def usable_method(subscription: Subscription) -> PaymentMethod | None:
    """The saved method, locked as a refusal locks it: no charge is claimed after a refusal has committed."""
    if subscription.method_id is None:
        return None
    method = PaymentMethod.objects.select_for_update(no_key=True).get(pk=subscription.method_id)
    return method if method.is_active and not disputes.is_held(method.pk) else None


def _moment(subscription: Subscription, day: Any) -> Any:
    return periods.work_moment(subscription.pk, day)


def _note(dunning: Dunning, what: str, **facts: Any) -> None:
    said = {name: str(value) for name, value in facts.items() if value not in ("", None)}
    dunning.log = [*dunning.log, {"at": clock.now().isoformat(), "what": str(what), **said}]
