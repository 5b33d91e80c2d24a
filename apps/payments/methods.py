"""Saved payment methods: how they are saved, and how a customer takes one back."""

from uuid import UUID

from django.db import transaction

from apps import journal
from apps.accounts.models import Customer
from apps.core import clock, events, search
from apps.payments.gateway import GatewayPayment
from apps.payments.models import Payment, PaymentMethod

HIDDEN = "••"
"""The title of a method of which nothing is to be shown."""


def refuse_method(method: PaymentMethod, *, actor: str = "") -> PaymentMethod:
    """The customer takes a method back: from this commit on no charge by it is claimed.

    A charge that was claimed before and captures after it is given back in full. No other method steps in.
    """
    with transaction.atomic():
        method = lock(method)
        if method.refused_at is None:
            refuse_locked(method)
            journal.record("payments.method_refused", "payments.method", method.pk, actor=actor)
    return method


def lock(method: PaymentMethod) -> PaymentMethod:
    """The row that claim, refusal and capture all lock, so that each knows whether it came first."""
    return PaymentMethod.objects.select_for_update(no_key=True).get(pk=method.pk)


def refuse_locked(method: PaymentMethod) -> None:
    """Marks a locked method as refused; also where the bank says that its owner has taken it back there."""
    method.is_active, method.refused_at = False, clock.now()
    method.save(update_fields=["is_active", "refused_at"])
    events.publish("payments.MethodRefused", method.pk, customer_id=method.customer_id)


def erase(customer_id: UUID) -> None:
    """An erased customer's methods are refused, and nothing is left to charge or to know them by."""
    mine = PaymentMethod.objects.select_for_update(no_key=True).filter(customer_id=customer_id)
    for method in mine.order_by("pk"):
        if method.refused_at is None:
            refuse_locked(method)
            journal.record("payments.method_refused", "payments.method", method.pk, actor="erasure")
        method.token, method.title, method.fingerprint = "", HIDDEN, ""
        method.save(update_fields=["token", "title", "fingerprint"])


def save_method(payment: Payment, seen: GatewayPayment) -> None:
    """Keeps the method of a first payment, where the customer agreed and the gateway saved it."""
    if not (payment.save_method and seen.method_token) or payment.method_id:
        return
    # Locked, as erasure locks it: a method is saved before that and erased by it, or not saved at all.
    customer = Customer.objects.select_for_update(no_key=True).get(pk=payment.customer_id)
    if customer.erased_at:
        return
    payment.method = PaymentMethod.objects.create(
        customer_id=payment.customer_id,
        connection_id=payment.connection_id,
        token=seen.method_token,
        title=seen.method_title or HIDDEN,
        fingerprint=search.digest(f"card:{seen.method_fingerprint}").hex() if seen.method_fingerprint else "",
        created_at=clock.now(),
    )
