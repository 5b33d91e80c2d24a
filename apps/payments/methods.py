"""Saved payment methods: how they are saved, and how a customer takes one back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from apps import journal
from apps.accounts.models import Customer
from apps.core import bulk, clock, events, search
from apps.core.fields import encrypt
from apps.core.ids import uuid7
from apps.payments import unbinding
from apps.payments.gateway import GatewayPayment
from apps.payments.models import Payment, PaymentMethod, RefusalHow

HIDDEN = "••"
"""The title of a method of which nothing is to be shown."""
_EVIDENCE = ("refusal_recorded_at", "refused_how", "refused_by", "refused_ip", "refused_agent")


def refuse_method(
    method: PaymentMethod,
    *,
    actor: str = "",
    how: str = RefusalHow.WRITTEN,
    ip: str | None = None,
    agent: str = "",
) -> PaymentMethod:
    """The customer takes a method back: from this commit on no charge by it is claimed. Safe to repeat.

    A charge that was claimed before and captures after it is given back in full. No other method steps in. Who did it,
    how and from where is kept with it; the first refusal's stays.
    """
    with transaction.atomic():
        method = lock(method)
        if method.refused_at is None:
            refuse_locked(method, how, actor=actor, ip=ip, agent=agent)
            journal.record(
                "payments.method_refused", "payments.method", method.pk, actor=actor, data={"how": how}
            )
    return method


def lock(method: PaymentMethod) -> PaymentMethod:
    """The row that claim, refusal and capture all lock, so that each knows whether it came first."""
    return PaymentMethod.objects.select_for_update(no_key=True).get(pk=method.pk)


def lock_many(method_ids: Iterable[UUID], *, with_tokens: bool = False) -> dict[UUID, PaymentMethod]:
    """`lock` for many, in the order of their ids; tokens are read where they are asked for: they are encrypted."""
    wanted = set(method_ids)
    if not wanted:
        return {}
    rows = PaymentMethod.objects.select_for_update(no_key=True).filter(pk__in=bulk.these("uuid", wanted))
    rows = rows if with_tokens else rows.defer("token")
    return {one.pk: one for one in bulk.instances(rows.order_by("pk"))}


def refuse_locked(
    method: PaymentMethod, how: str, *, actor: str = "", ip: str | None = None, agent: str = ""
) -> None:
    """Marks a locked method as refused; also where the bank says that its owner has taken it back there."""
    method.is_active, method.refused_at, method.refusal_recorded_at = False, clock.now(), clock.wall()
    method.refused_how, method.refused_by = how, actor[:150]
    method.refused_ip, method.refused_agent = ip, agent[:300]
    unbinding.plan(method)
    method.save(update_fields=["is_active", "refused_at", *_EVIDENCE, "unbinding_since"])
    events.publish("payments.MethodRefused", method.pk, customer_id=method.customer_id)


def erase(customer_id: UUID) -> None:
    """An erased customer's methods are refused, and nothing is left to charge or to know them by."""
    mine = PaymentMethod.objects.select_for_update(no_key=True).filter(customer_id=customer_id)
    for method in mine.order_by("pk"):
        if method.refused_at is None:
            refuse_locked(method, RefusalHow.ERASURE, actor="erasure")
            journal.record("payments.method_refused", "payments.method", method.pk, actor="erasure")
        method.token, method.title, method.fingerprint = "", HIDDEN, ""
        # That it was refused, when and how stays; from where it was goes with the person.
        method.refused_ip, method.refused_agent = None, ""
        method.save(update_fields=["token", "title", "fingerprint", "refused_ip", "refused_agent"])


def is_to_be_saved(payment: Payment, seen: GatewayPayment) -> bool:
    """Whether a first payment leaves a method: the customer agreed, and the gateway saved it."""
    return bool(payment.save_method and seen.method_token) and payment.method_id is None


def lock_payers(customer_ids: Iterable[UUID]) -> dict[UUID, bool]:
    """Customers whose methods are to be saved, locked in the order of their ids; whether each is erased.

    As erasure locks them: a method is saved before that and erased by it, or not saved at all.
    """
    if not (wanted := set(customer_ids)):
        return {}
    rows = Customer.objects.select_for_update(no_key=True).filter(pk__in=bulk.these("uuid", wanted))
    return {key: at is not None for key, at in rows.order_by("pk").values_list("pk", "erased_at")}


def made_of(payment: Payment, seen: GatewayPayment) -> PaymentMethod:
    """The method that a payment leaves, not written yet."""
    return PaymentMethod(
        customer_id=payment.customer_id,
        connection_id=payment.connection_id,
        token=seen.method_token,
        title=seen.method_title or HIDDEN,
        instrument=seen.instrument or payment.instrument,
        fingerprint=search.digest(f"card:{seen.method_fingerprint}").hex() if seen.method_fingerprint else "",
        created_at=clock.now(),
    )


def write(made: Sequence[PaymentMethod]) -> None:
    """Writes new methods at once."""
    PaymentMethod.objects.bulk_create(made)


@dataclass(frozen=True, slots=True)
class Taken:
    """A method that another system saved at a gateway: its token there, and how to show it."""

    customer_id: UUID
    connection_id: int
    token: str
    title: str = ""


def take_over(taken: Sequence[Taken]) -> list[UUID]:
    """The method of each, in order; new ones are written by COPY, in the caller's transaction.

    The same token of a customer is one method, and one that the customer has refused stays refused.
    """
    mine = PaymentMethod.objects.filter(
        customer__in=bulk.these("uuid", {one.customer_id for one in taken}),
        connection__in={one.connection_id for one in taken},
    )
    known = {(row.customer_id, row.connection_id, row.token): row.pk for row in mine} if taken else {}
    fresh: list[tuple[UUID, Taken]] = []
    for one in taken:
        key = one.customer_id, one.connection_id, one.token
        if key not in known:
            known[key] = uuid7()
            fresh.append((known[key], one))
    now = clock.now()
    bulk.copy(
        PaymentMethod,
        ["id", "customer", "connection", "token", "title", "fingerprint", "is_active", "created_at"],
        [
            (
                key,
                one.customer_id,
                one.connection_id,
                encrypt(one.token),
                one.title[:100] or HIDDEN,
                "",
                True,
                now,
            )
            for key, one in fresh
        ],
    )
    return [known[one.customer_id, one.connection_id, one.token] for one in taken]
