"""Writing down what a gateway shows of payments: under their locks, once, whoever saw it and however often.

One or a hundred at a time: each is judged by itself, and what that changes is written for all of them at once.
"""

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import Self
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connection, GatewayReference
from apps.core import bulk, clock, due, events, search, work
from apps.payments import methods, receipts, refunds, timing
from apps.payments.declines import class_of
from apps.payments.gateway import GatewayPayment, Status
from apps.payments.models import CONSENT_REVOKED, Payment, PaymentMethod, PaymentState, RefusalHow
from apps.payments.postings import post_payments
from apps.payments.receipt_models import payment_key
from apps.policies.dunning import DeclineClass

_CHANGING = (
    "state",
    "method",
    "amount",
    "instrument",
    "gateway_id",
    "link_key",
    "second_stage",
    "capture_amount",
    "confirmation_url",
    "return_url",
    "decline_reason",
    "fee",
    "claimed_at",
    "settled_at",
)
_changing = attrgetter("pk", *(name if name != "method" else "method_id" for name in _CHANGING))


class Books:
    """What becomes of some locked payments, written at the end of their transaction: `with Books() as books`."""

    def __init__(self) -> None:
        self._changed: dict[UUID, Payment] = {}
        self._learned: list[Payment] = []
        self._paid: list[Payment] = []
        self._returned: list[tuple[Payment, str]] = []
        self._failed: list[Payment] = []
        self._closed: list[UUID] = []
        self._looks: list[tuple[UUID, datetime, int]] = []
        self._told: dict[str, list[Payment]] = {}
        self._saved: list[PaymentMethod] = []
        self.methods: dict[UUID, PaymentMethod] = {}
        self.erased: dict[UUID, bool] = {}
        """Payers that are locked, and whether each is erased."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_rest: object) -> None:
        if failed is None:
            self._write()

    def change(self, payment: Payment) -> None:
        """Its columns are to be written."""
        self._changed[payment.pk] = payment

    def learn(self, payment: Payment) -> None:
        """It has got the gateway's id."""
        self.change(payment)
        self._learned.append(payment)

    def pay(self, payment: Payment) -> None:
        """Its money has come."""
        self._paid.append(payment)

    def give_back(self, payment: Payment, reason: str) -> None:
        """Its money came, and must not stay."""
        self._returned.append((payment, reason))

    def fail(self, payment: Payment) -> None:
        """No money comes of it."""
        self._failed.append(payment)

    def close(self, payment: Payment) -> None:
        """Nobody has to look at it any more."""
        self._closed.append(payment.pk)

    def look(self, payment: Payment, at: datetime) -> None:
        """It is asked about then."""
        self._looks.append((payment.pk, at, payment.connection_id))

    def tell(self, event: str, payment: Payment) -> None:
        """An event about it is published."""
        self._told.setdefault(event, []).append(payment)

    def save_method(self, payment: Payment, seen: GatewayPayment) -> None:
        """It leaves its method, where it does."""
        if not methods.is_to_be_saved(payment, seen):
            return
        if payment.customer_id not in self.erased:
            self.erased |= methods.lock_payers([payment.customer_id])
        if not self.erased[payment.customer_id]:
            made = payment.method = methods.made_of(payment, seen)
            self._saved.append(made)

    def is_refused(self, payment: Payment) -> bool:
        """Whether its method is, as long as we hold the lock of it."""
        if payment.method_id is None:
            return False
        if payment.method_id not in self.methods:
            self.methods |= methods.lock_many([payment.method_id])
        return self.methods[payment.method_id].refused_at is not None

    def _write(self) -> None:
        if self._saved:
            methods.write(self._saved)
        bulk.update(Payment, _CHANGING, [_changing(one) for one in self._changed.values()])
        if self._learned:
            GatewayReference.learn_many([(one.reference_id, one.gateway_id) for one in self._learned])
            search.index_many("payments.payment", [(one.pk, one.gateway_id) for one in self._learned])
        if self._paid:
            taken = [one for one in self._paid if not one.only_binds]
            post_payments(taken)
            receipts.plan_payments(taken)
        if self._failed:
            receipts.drop([payment_key(one) for one in self._failed])
        for payment, reason in self._returned:
            refunds.give_back_all(payment, reason=reason)
        if self._closed:
            due.cancel_many("payments.sweep", self._closed)
            work.close_many("payments.payment", self._closed)
        due.schedule_many("payments.sweep", self._looks)
        for event, told in self._told.items():
            events.publish_many(event, [(one.pk, {"customer_id": str(one.customer_id)}) for one in told])


def locked(payment_ids: Iterable[UUID]) -> list[Payment]:
    """Payments as they stand now, locked in the order of their ids, with their connections and references at hand."""
    rows = Payment.objects.select_for_update(no_key=True).filter(pk__in=bulk.these("uuid", payment_ids))
    return with_relations(bulk.instances(rows.order_by("pk")))


def with_relations(found: list[Payment]) -> list[Payment]:
    """The same payments, whose connections and references are not read one by one."""
    connections = Connection.objects.in_bulk({one.connection_id for one in found})
    keys = bulk.these("bigint", [one.reference_id for one in found])
    references = {one.pk: one for one in bulk.instances(GatewayReference.objects.filter(pk__in=keys))}
    for one in found:
        one.connection, one.reference = connections[one.connection_id], references[one.reference_id]
    return found


def record(payment_id: UUID, seen: GatewayPayment) -> Payment:
    """Settles a payment by what the gateway shows of it, if that is really this payment."""
    with transaction.atomic(), Books() as books:
        [payment] = locked([payment_id])
        judge(payment, seen, books)
    return payment


def lock_methods(payments: Iterable[tuple[Payment, GatewayPayment]], books: Books) -> None:
    """Locks in one go the methods, and the payers, that `judge` will ask about, each in their order."""
    shown = list(payments)
    wanted = {
        one.method_id
        for one, seen in shown
        if one.is_charge and (seen.status == Status.SUCCEEDED or _is_taken_back(one, seen.reason))
    }
    books.methods |= methods.lock_many(key for key in wanted if key)
    paid = {Status.SUCCEEDED, Status.AUTHORIZED}
    payers = {
        one.customer_id for one, seen in shown if seen.status in paid and methods.is_to_be_saved(one, seen)
    }
    books.erased |= methods.lock_payers(payers)


def judge(payment: Payment, seen: GatewayPayment, books: Books) -> None:
    """What becomes of a locked payment by what the gateway shows of it."""
    if problem := _mismatch(payment, seen):
        _stop(payment, problem, books)
        return
    if not payment.gateway_id:
        payment.gateway_id, payment.link_key = seen.gateway_id, seen.link_key
        books.learn(payment)
    if seen.status == Status.PENDING:
        _wait(payment, seen, books)
    elif seen.status == Status.AUTHORIZED:
        _hold(payment, seen, books)
    elif seen.status == Status.CANCELED:
        _cancel(payment, seen, books)
    else:
        _succeed(payment, seen, books)


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
    if ours == theirs:
        return ""
    names = (_("сумма"), _("валюта"), _("номер"), _("платёж"), _("партнёр"))
    return "; ".join(f"{n}: {a} ≠ {b}" for n, a, b in zip(names, ours, theirs, strict=True) if a != b)


def _stop(payment: Payment, problem: str, books: Books) -> None:
    """Not what we asked for: nothing is settled by it, and a person looks."""
    if payment.state in {PaymentState.SENDING, PaymentState.PENDING}:
        payment.move(PaymentState.UNKNOWN)
        books.change(payment)
    work.open("payments.payment", payment.pk, str(_("У шлюза другой платёж: %s") % problem))


def _wait(payment: Payment, seen: GatewayPayment, books: Books) -> None:
    if payment.state not in {PaymentState.SENDING, PaymentState.UNKNOWN}:
        return
    payment.move(PaymentState.PENDING)
    payment.confirmation_url = seen.confirmation_url
    books.change(payment)
    books.look(payment, timing.next_look(payment))


def _hold(payment: Payment, seen: GatewayPayment, books: Books) -> None:
    """The money is held; of a payment in one stage that is nothing yet, the gateway takes it by itself."""
    if not payment.is_two_stage:
        _wait(payment, seen, books)
        return
    if payment.is_held or not payment.is_open:
        return
    payment.move(PaymentState.AUTHORIZED)
    _leave_page(payment)
    books.save_method(payment, seen)
    books.change(payment)
    books.look(payment, timing.next_look(payment))
    books.tell("payments.PaymentAuthorized", payment)


def _cancel(payment: Payment, seen: GatewayPayment, books: Books) -> None:
    if not payment.is_open:
        return
    if payment.is_charge and _is_taken_back(payment, seen.reason) and not books.is_refused(payment):
        assert payment.method_id is not None
        methods.refuse_locked(books.methods[payment.method_id], RefusalHow.BANK)
    fail(payment, seen.reason or "canceled", books)


def _is_taken_back(payment: Payment, reason: str) -> bool:
    """Whether the payer has taken the consent back at their bank, in the gateway's word for it."""
    return bool(reason) and class_of(reason, payment.connection) == DeclineClass.REVOKED


def fail(payment: Payment, reason: str, books: Books) -> None:
    """Ends a locked payment without money, and says so."""
    payment.move(PaymentState.FAILED)
    payment.decline_reason, payment.settled_at = reason, clock.now()
    _leave_page(payment)
    books.change(payment)
    books.fail(payment)
    books.close(payment)
    books.tell("payments.PaymentFailed", payment)


def _succeed(payment: Payment, seen: GatewayPayment, books: Books) -> None:
    if payment.state in {PaymentState.SUCCEEDED, PaymentState.REFUNDED}:
        return
    late = payment.state == PaymentState.FAILED
    if late and payment.only_binds:
        # Nothing to give back, and nobody waits for the method any more.
        return
    refused = payment.is_charge and books.is_refused(payment)
    payment.move(PaymentState.REFUNDED if late or refused else PaymentState.SUCCEEDED)
    payment.fee, payment.settled_at = seen.fee, clock.now()
    # What was asked, unless only a part of what was held was taken.
    payment.amount = seen.amount.amount
    payment.instrument = seen.instrument or payment.instrument
    _leave_page(payment)
    if refused:
        payment.decline_reason = CONSENT_REVOKED
    books.save_method(payment, seen)
    books.change(payment)
    books.pay(payment)
    books.close(payment)
    if not (late or refused):
        books.tell("payments.PaymentSucceeded", payment)
        return
    reason = _("Способ оплаты отозван до списания") if refused else _("Деньги пришли после отказа")
    books.give_back(payment, str(reason))
    if not late:
        books.tell("payments.PaymentFailed", payment)


def _leave_page(payment: Payment) -> None:
    # Where the customer comes back to is the partner's own address, and may say who they are.
    payment.confirmation_url = payment.return_url = ""
