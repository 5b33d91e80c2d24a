"""Taking money: written, claimed, sent, and settled by what the gateway itself shows.

Claim (commit) → call → record (commit). A process may die at any line: what was claimed is asked about
until the gateway has told what became of it.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection, GatewayReference
from apps.core import clock, due, faults
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.payments import calling, holds, offers, routing
from apps.payments.calling import Asked, conclude
from apps.payments.holds import capture, release
from apps.payments.methods import refuse_method
from apps.payments.models import CALLED_OFF, Payment, PaymentMethod, PaymentState, Purpose
from apps.payments.recording import Books, fail, locked
from apps.payments.refunds import refund

__all__ = [
    "FAULT_POINTS",
    "call_off",
    "capture",
    "refund",
    "refuse_method",
    "release",
    "send",
    "settle",
    "start",
    "sweep",
]

FAULT_POINTS = (
    "payments.moved-not-committed",
    "payments.claimed-not-sent",
    "payments.charged-not-recorded",
    "payments.recorded",
    "payments.fetched-not-recorded",
    "payments.refund-claimed-not-sent",
    "payments.refunded-not-recorded",
    "payments.refund-recorded",
    "payments.refund-fetched-not-recorded",
)
"""Every commit and call boundary here: a crash at any of them loses and doubles nothing."""
SWEEP, SEND = "payments.sweep", "payments.send"


def start(
    *,
    customer: Customer,
    amount: Money,
    description: str,
    purpose: str = Purpose.NEW,
    save_method: bool = False,
    method: PaymentMethod | None = None,
    instrument: str = "",
    capture: bool = True,
    return_url: str = "",
    channel_id: UUID | None = None,
    subscription_id: UUID | None = None,
    product_id: int | None = None,
    tariff_version_id: int | None = None,
) -> Payment:
    """Writes a payment, in the caller's transaction; it is sent right after the commit (or by `send`).

    With `method` it is a charge without the customer; otherwise they confirm it at `confirmation_url` and
    come back to `return_url`. `instrument` is what they shall pay with; without it the page offers all it has.
    Without `capture` the money is only held, until `capture` or `release`. A binding takes nothing where the
    gateway saves a method without a payment. The ids are dimensions of the ledger. Raises Refused for a refused
    method, where no gateway is connected, and for what the gateway does not offer.
    """
    if method is not None:
        if not method.is_active:
            raise Refused("method_refused", _("Клиент отозвал этот способ оплаты"))
        instrument = method.instrument
    payment_id = uuid7()
    with transaction.atomic():
        wanted = routing.Asked(
            partner=current_partner(),
            money=amount,
            product_id=product_id,
            tariff_version_id=tariff_version_id,
            subscription_id=subscription_id,
            instrument=instrument,
            two_stage=not capture,
        )
        connection = _connection(method) if method else routing.choose(wanted, payment_id).connection
        binds = purpose == Purpose.BINDING and method is None
        amount = offers.checked(connection, amount, instrument, binds=binds, capture=capture)
        return _write(
            payment_id,
            connection,
            amount,
            customer=customer,
            method=method,
            purpose=purpose,
            description=description[:128],
            save_method=save_method and method is None,
            instrument=instrument,
            is_two_stage=not capture,
            return_url=return_url,
            channel_id=channel_id,
            subscription_id=subscription_id,
            product_id=product_id,
            tariff_version_id=tariff_version_id,
        )


def _write(payment_id: UUID, connection: Connection, amount: Money, **columns: Any) -> Payment:
    """Writes a payment, and plans to send it."""
    payment = Payment.objects.create(
        id=payment_id,
        connection=connection,
        reference=GatewayReference.allot(connection, "payments.payment", payment_id),
        amount=amount.amount,
        currency=amount.currency,
        created_at=clock.now(),
        **columns,
    )
    due.schedule(SEND, payment.pk, clock.wall(), wall=True, lane=connection.pk)
    return payment


def _connection(method: PaymentMethod) -> Connection:
    connection: Connection = method.connection
    if connection.is_test != current_partner().is_sandbox:
        raise Refused("no_connection", _("Способ оплаты сохранён на другом подключении"))
    return connection


def send(payment_id: UUID) -> Payment:
    """Claims a payment and sends it to the gateway, once, whoever else is asked to do the same.

    Never raises for the gateway: what it did not answer stays unknown, and is asked about. What certainly has not
    left this machine, and is to be paid on a page, goes to the next gateway that may take it.
    """
    away: set[int] = set()
    while True:
        asked = _claim(payment_id, away)
        if asked is None:
            return Payment.objects.get(pk=payment_id)
        payment = _send(asked)
        if not routing.may_move(payment):
            return payment
        away.add(asked.connection.pk)


def _send(asked: Asked) -> Payment:
    faults.at("payments.claimed-not-sent")
    answer: calling.Answer
    if refused := calling.refused([asked]):
        answer = refused[0]
    else:
        answer = _call(asked)
        if not isinstance(answer, Exception):
            faults.at("payments.charged-not-recorded")
    [payment] = conclude([(asked, answer)])
    faults.at("payments.recorded")
    return payment


def _claim(payment_id: UUID, away: Collection[int] = ()) -> Asked | None:
    """What to send, if it is ours to send from now on; not by a connection that is `away`."""
    return calling.claim([payment_id], away).get(payment_id)


def _call(asked: Asked) -> calling.Answer:
    try:
        return calling.call(asked)
    except (ConnectorError, holds.NotDone) as error:
        return error


def call_off(payment_id: UUID) -> Payment:
    """What has certainly not been sent is not sent any more, in the caller's transaction; all else goes its way."""
    with transaction.atomic(), Books() as books:
        [payment] = locked([payment_id])
        if payment.state == PaymentState.CREATED:
            fail(payment, CALLED_OFF, books)
    return payment


def settle(payment_id: UUID) -> Payment:
    """Reads the payment at the gateway and records what it shows; a settled one stays as it is.

    Safe to call at any time, by anybody. Raises ConnectorError only for a payment that had failed.
    """
    payment = Payment.objects.get(pk=payment_id)
    asked = calling.to_ask([payment]).get(payment_id)
    if asked is None:
        return payment
    answer = _call(asked)
    if not isinstance(answer, Exception):
        if asked.second_stage:
            faults.at("payments.captured-not-recorded")
        faults.at("payments.fetched-not-recorded")
    [payment] = conclude([(asked, answer)])
    return payment


def sweep(payment_id: UUID) -> Payment:
    """Takes a payment one step further, and plans the next look; staff hear of what hangs."""
    payment = Payment.objects.get(pk=payment_id)
    payment = send(payment_id) if payment.state == PaymentState.CREATED else settle(payment_id)
    if payment.is_open:
        calling.look_again([payment_id])
        payment.refresh_from_db()
    return payment
