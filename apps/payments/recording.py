"""Writing down what a gateway shows of a payment: under its lock, once, whoever saw it and however often."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.core import clock, due, events, search, work
from apps.payments import methods, receipts, refunds, timing
from apps.payments.declines import class_of
from apps.payments.gateway import GatewayPayment, Status
from apps.payments.models import CONSENT_REVOKED, Payment, PaymentMethod, PaymentState, RefusalHow
from apps.payments.postings import post_payment
from apps.policies.dunning import DeclineClass


def record(payment_id: UUID, seen: GatewayPayment) -> Payment:
    """Settles a payment by what the gateway shows of it, if that is really this payment."""
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        if problem := _mismatch(payment, seen):
            _stop(payment, problem)
            return payment
        _learn(payment, seen)
        if seen.status == Status.PENDING:
            _wait(payment, seen)
        elif seen.status == Status.AUTHORIZED:
            _hold(payment, seen)
        elif seen.status == Status.CANCELED:
            _cancel(payment, seen)
        else:
            _succeed(payment, seen)
    return payment


def _mismatch(payment: Payment, seen: GatewayPayment) -> str:
    reference = payment.reference
    # Of what was held less may have been taken: as much as we have said.
    taken = payment.capture_amount if seen.status == Status.SUCCEEDED else None
    ours = (
        payment.amount if taken is None else taken,
        payment.currency,
        str(payment.reference_id),
        str(payment.pk),
        str(reference.partner_id),
    )
    theirs = (seen.amount.amount, seen.amount.currency, seen.reference, seen.key, seen.partner_id)
    if payment.gateway_id and payment.gateway_id != seen.gateway_id:
        return f"{payment.gateway_id} ≠ {seen.gateway_id}"
    names = (_("сумма"), _("валюта"), _("номер"), _("платёж"), _("партнёр"))
    return "; ".join(f"{n}: {a} ≠ {b}" for n, a, b in zip(names, ours, theirs, strict=True) if a != b)


def _stop(payment: Payment, problem: str) -> None:
    """Not what we asked for: nothing is settled by it, and a person looks."""
    if payment.state in {PaymentState.SENDING, PaymentState.PENDING}:
        payment.move(PaymentState.UNKNOWN)
        payment.save(update_fields=["state"])
    work.open("payments.payment", payment.pk, str(_("У шлюза другой платёж: %s") % problem))


def _learn(payment: Payment, seen: GatewayPayment) -> None:
    if payment.gateway_id:
        return
    payment.gateway_id, payment.link_key = seen.gateway_id, seen.link_key
    payment.save(update_fields=["gateway_id", "link_key"])
    payment.reference.learn(seen.gateway_id)
    search.index("payments.payment", payment.pk, [seen.gateway_id])


def _wait(payment: Payment, seen: GatewayPayment) -> None:
    if payment.state not in {PaymentState.SENDING, PaymentState.UNKNOWN}:
        return
    payment.move(PaymentState.PENDING)
    payment.confirmation_url = seen.confirmation_url
    payment.save(update_fields=["state", "confirmation_url"])
    due.schedule("payments.sweep", payment.pk, timing.next_look(payment), wall=True)


def _hold(payment: Payment, seen: GatewayPayment) -> None:
    """The money is held; of a payment in one stage that is nothing yet, the gateway takes it by itself."""
    if not payment.is_two_stage:
        _wait(payment, seen)
        return
    if payment.is_held or not payment.is_open:
        return
    payment.move(PaymentState.AUTHORIZED)
    _leave_page(payment)
    methods.save_method(payment, seen)
    payment.save()
    due.schedule("payments.sweep", payment.pk, timing.next_look(payment), wall=True)
    events.publish("payments.PaymentAuthorized", payment.pk, customer_id=payment.customer_id)


def _cancel(payment: Payment, seen: GatewayPayment) -> None:
    if not payment.is_open:
        return
    if payment.is_charge and payment.method and _is_taken_back(payment, seen.reason):
        method = methods.lock(payment.method)
        if method.refused_at is None:
            methods.refuse_locked(method, RefusalHow.BANK)
    fail(payment, seen.reason or "canceled")


def _is_taken_back(payment: Payment, reason: str) -> bool:
    """Whether the payer has taken the consent back at their bank, in the gateway's word for it."""
    return class_of(reason, payment.connection) == DeclineClass.REVOKED


def fail(payment: Payment, reason: str) -> None:
    """Ends a locked payment without money, and says so."""
    payment.move(PaymentState.FAILED)
    payment.decline_reason, payment.settled_at = reason, clock.now()
    _leave_page(payment)
    payment.save(update_fields=["state", "decline_reason", "settled_at", "confirmation_url", "return_url"])
    _close(payment)
    events.publish("payments.PaymentFailed", payment.pk, customer_id=payment.customer_id)


def _succeed(payment: Payment, seen: GatewayPayment) -> None:
    if payment.state in {PaymentState.SUCCEEDED, PaymentState.REFUNDED}:
        return
    late = payment.state == PaymentState.FAILED
    if late and payment.only_binds:
        # Nothing to give back, and nobody waits for the method any more.
        return
    refused = payment.is_charge and payment.method is not None and _refused(payment.method)
    payment.move(PaymentState.REFUNDED if late or refused else PaymentState.SUCCEEDED)
    payment.fee, payment.settled_at = seen.fee, clock.now()
    # What was asked, unless only a part of what was held was taken.
    payment.amount = seen.amount.amount
    payment.instrument = seen.instrument or payment.instrument
    _leave_page(payment)
    if refused:
        payment.decline_reason = CONSENT_REVOKED
    methods.save_method(payment, seen)
    payment.save()
    if not payment.only_binds:
        post_payment(payment, payment.connection)
        receipts.plan_payment(payment)
    _close(payment)
    if not (late or refused):
        events.publish("payments.PaymentSucceeded", payment.pk, customer_id=payment.customer_id)
        return
    reason = _("Способ оплаты отозван до списания") if refused else _("Деньги пришли после отказа")
    refunds.give_back_all(payment, reason=str(reason))
    if not late:
        events.publish("payments.PaymentFailed", payment.pk, customer_id=payment.customer_id)


def _leave_page(payment: Payment) -> None:
    # Where the customer comes back to is the partner's own address, and may say who they are.
    payment.confirmation_url = payment.return_url = ""


def _refused(method: PaymentMethod) -> bool:
    return methods.lock(method).refused_at is not None


def _close(payment: Payment) -> None:
    due.cancel("payments.sweep", payment.pk)
    work.close("payments.payment", payment.pk)
