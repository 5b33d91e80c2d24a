"""Taking money: written, claimed, sent, and settled by what the gateway itself shows.

Claim (commit) → call → record (commit). A process may die at any line: what was claimed is asked about
until the gateway has told what became of it.
"""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer
from apps.connectors.base import ConnectorError, Kind
from apps.connectors.models import Connection, GatewayReference
from apps.core import clock, due, faults, work
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.payments import holds, methods, offers, timing
from apps.payments.gateway import Gateway, GatewayPayment, PaymentRequest
from apps.payments.holds import capture, release
from apps.payments.methods import refuse_method
from apps.payments.models import CALLED_OFF, CONSENT_REVOKED, Payment, PaymentMethod, PaymentState, Purpose
from apps.payments.recording import fail, record
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
    "payments.claimed-not-sent",
    "payments.charged-not-recorded",
    "payments.recorded",
    "payments.fetched-not-recorded",
    "payments.captured-not-recorded",
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
    if method is not None and not method.is_active:
        raise Refused("method_refused", _("Клиент отозвал этот способ оплаты"))
    with transaction.atomic():
        connection = _connection(method)
        instrument = method.instrument if method else instrument
        binds = purpose == Purpose.BINDING and method is None
        amount = offers.checked(connection, amount, instrument, binds=binds, capture=capture)
        payment_id = uuid7()
        payment = Payment.objects.create(
            id=payment_id,
            customer=customer,
            method=method,
            connection=connection,
            reference=GatewayReference.allot(connection, "payments.payment", payment_id),
            amount=amount.amount,
            currency=amount.currency,
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
            created_at=clock.now(),
        )
        due.schedule(SEND, payment.pk, clock.wall(), wall=True)
    return payment


def _connection(method: PaymentMethod | None) -> Connection:
    partner = current_partner()
    if method is None:
        return Connection.objects.for_partner(partner, Kind.PAYMENT)
    connection: Connection = method.connection
    if connection.is_test != partner.is_sandbox:
        raise Refused("no_connection", _("Способ оплаты сохранён на другом подключении"))
    return connection


def send(payment_id: UUID) -> Payment:
    """Claims a payment and sends it to the gateway, once, whoever else is asked to do the same.

    Never raises for the gateway: what it did not answer stays unknown, and is asked about.
    """
    payment = _claim(payment_id)
    if payment is None:
        return Payment.objects.get(pk=payment_id)
    faults.at("payments.claimed-not-sent")
    if _is_refused(payment):
        return _not_sent(payment_id, ConnectorError("", code=CONSENT_REVOKED))
    try:
        gateway: Gateway = payment.connection.open()
        asked = _request(payment)
        if payment.only_binds:
            seen = gateway.bind(asked)
        else:
            seen = gateway.charge(asked) if payment.is_charge else gateway.create_payment(asked)
    except ConnectorError as error:
        return _unknown(payment_id) if error.unknown else _not_sent(payment_id, error)
    faults.at("payments.charged-not-recorded")
    payment = record(payment_id, seen)
    faults.at("payments.recorded")
    return payment


def _claim(payment_id: UUID) -> Payment | None:
    """The payment, if it is ours to send from now on."""
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        if payment.state != PaymentState.CREATED:
            return None
        if payment.is_charge and payment.method and methods.lock(payment.method).refused_at:
            fail(payment, CONSENT_REVOKED)
            return None
        payment.move(PaymentState.SENDING)
        payment.claimed_at = clock.wall()
        payment.save(update_fields=["state", "claimed_at"])
        # Should we die from here on, this asks what became of it.
        due.schedule(SWEEP, payment.pk, clock.wall() + timing.IN_FLIGHT, wall=True)
    return payment


def call_off(payment_id: UUID) -> Payment:
    """What has certainly not been sent is not sent any more, in the caller's transaction; all else goes its way."""
    payment = Payment.locked(payment_id)
    if payment.state == PaymentState.CREATED:
        fail(payment, CALLED_OFF)
    return payment


def _is_refused(payment: Payment) -> bool:
    if not payment.is_charge or payment.method_id is None:
        return False
    return PaymentMethod.objects.filter(pk=payment.method_id, refused_at__isnull=False).exists()


def _request(payment: Payment) -> PaymentRequest:
    return PaymentRequest(
        key=payment.pk,
        reference=payment.reference_id,
        partner_id=current_partner().pk,
        amount=payment.money,
        description=payment.description,
        return_url=payment.return_url,
        save_method=payment.save_method,
        method_token=payment.method.token if payment.is_charge and payment.method else "",
        instrument=payment.instrument,
        two_stage=payment.is_two_stage,
        gateway_id=payment.gateway_id,
        link_key=payment.link_key,
    )


def _unknown(payment_id: UUID) -> Payment:
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        if payment.state == PaymentState.SENDING:
            payment.move(PaymentState.UNKNOWN)
            payment.save(update_fields=["state"])
            due.schedule(SWEEP, payment.pk, timing.next_look(payment), wall=True)
    return payment


def _not_sent(payment_id: UUID, error: ConnectorError) -> Payment:
    """The gateway has certainly not taken it: later again, or never."""
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        if payment.state != PaymentState.SENDING:
            return payment
        if error.retry and timing.age(payment) < timing.GIVE_UP_SENDING:
            payment.move(PaymentState.CREATED)
            payment.save(update_fields=["state"])
            due.schedule(SWEEP, payment.pk, timing.next_look(payment), wall=True)
            return payment
        fail(payment, "gateway_unavailable" if error.retry else error.code or "gateway_refused")
        if error.code in {"invalid_credentials", "forbidden"}:
            work.open("payments.payment", payment.pk, str(_("Шлюз не принимает наши ключи: %s") % error))
    return payment


def settle(payment_id: UUID) -> Payment:
    """Reads the payment at the gateway and records what it shows; a settled one stays as it is.

    Safe to call at any time, by anybody. Raises ConnectorError only for a payment that had failed.
    """
    payment = Payment.objects.get(pk=payment_id)
    if payment.state in {PaymentState.CREATED, PaymentState.SUCCEEDED, PaymentState.REFUNDED}:
        return payment
    if payment.state == PaymentState.SENDING and timing.in_flight(payment):
        return payment
    try:
        seen = _ask(payment)
    except ConnectorError:
        if not payment.is_open:
            raise
        return _unknown(payment_id)
    faults.at("payments.fetched-not-recorded")
    if seen is not None:
        return record(payment_id, seen)
    return _never_came(payment_id) if timing.surely_landed(payment) else _unknown(payment_id)


def _ask(payment: Payment) -> GatewayPayment | None:
    gateway: Gateway = payment.connection.open()
    asked = _request(payment)
    if payment.is_held and payment.second_stage:
        return holds.carry_out(gateway, payment, asked)
    if payment.gateway_id:
        return gateway.give_up(asked) if timing.page_is_over(payment) else gateway.fetch(asked)
    # Repeating makes a payment that was lost on the way: only while it is wanted and the key is known there.
    if payment.is_open and timing.key_is_kept(payment, gateway) and not _is_refused(payment):
        try:
            return gateway.fetch(asked)
        except ConnectorError as error:
            if error.unknown or error.retry:
                raise
    return gateway.find(asked, since=timing.window(payment, payment.connection))


def _never_came(payment_id: UUID) -> Payment:
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        if payment.is_open and not payment.gateway_id:
            fail(payment, CONSENT_REVOKED if _is_refused(payment) else "never_received")
    return payment


def sweep(payment_id: UUID) -> Payment:
    """Takes a payment one step further, and plans the next look; staff hear of what hangs."""
    payment = Payment.objects.get(pk=payment_id)
    payment = send(payment_id) if payment.state == PaymentState.CREATED else settle(payment_id)
    if not payment.is_open:
        return payment
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        if payment.is_open:
            due.schedule(SWEEP, payment.pk, timing.next_look(payment), wall=True)
            if timing.age(payment) > timing.staff_after(payment):
                told = holds.STILL_HELD if payment.is_held else _("Платёж не завершён, шлюз не сказал, чем")
                work.open("payments.payment", payment.pk, str(told))
    return payment
