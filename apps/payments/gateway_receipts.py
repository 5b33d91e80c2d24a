"""Receipts that a gateway makes: frozen before the money is asked for, counted when it came, read at the gateway.

The request for a payment or refund carries the frozen row, so that asked again it is the same to the last byte.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.core import clock, due
from apps.core.money import Money
from apps.payments import receipt_lines, receipt_routes, timing
from apps.payments.cash_register import ReceiptRequest, RegisteredReceipt
from apps.payments.fiscal_gateway import FiscalGateway, GatewayReceipt
from apps.payments.gateway import Status
from apps.payments.models import Payment, Refund
from apps.payments.receipt_models import UNCOUNTED, Receipt, ReceiptState, ReceiptWay, payment_key, refund_key
from apps.payments.receipts import SWEEP

KEY_KEPT = timedelta(minutes=50)
"""For which every gateway knows the key of a receipt that was sent: the shortest is an hour."""


def of_payments(asked: Sequence[Payment]) -> dict[UUID, ReceiptRequest]:
    """What requests for payments say of their receipts, of the frozen rows; none where the gateway makes none.

    Of money held, of which a part is to be taken: the lines in that proportion.
    """
    keys = {payment_key(one): one for one in asked}
    found = {}
    for made in Receipt.objects.filter(key__in=keys, way=ReceiptWay.INSIDE) if keys else ():
        payment = keys[made.key]
        found[payment.pk] = _of(made, payment.capture_amount or payment.amount)
    return found


def of_refund(refund: Refund) -> ReceiptRequest | None:
    """The same of a refund."""
    made = Receipt.objects.filter(key=refund_key(refund), way=ReceiptWay.INSIDE).first()
    return receipt_lines.request_of(made) if made else None


def _of(made: Receipt, amount: Decimal) -> ReceiptRequest:
    if made.total != amount:
        made.lines, made.total = receipt_lines.scaled(made.lines, Money(amount, made.currency)), amount
    return receipt_lines.request_of(made)


def hand_over(asked: GatewayReceipt, made: Receipt) -> RegisteredReceipt:
    """Sends a receipt apart from its money. Raises ConnectorError."""
    gateway = made.connection.open()
    if not isinstance(gateway, FiscalGateway) or asked.cause not in gateway.sends_after:
        raise ConnectorError(str(receipt_routes.NO_WAY))
    return gateway.send_receipt(asked)


def look(asked: GatewayReceipt, made: Receipt) -> RegisteredReceipt:
    """What the gateway shows of a receipt, or has told of it in a signed message. Raises ConnectorError."""
    gateway: Any = made.connection.open()
    seen = gateway.fetch_receipt(asked) or _said(made)
    if seen is not None:
        return seen
    if made.state == ReceiptState.SENT:
        return RegisteredReceipt(gateway_id=made.gateway_id, status=Status.PENDING, fiscal={})
    raise ConnectorError(str(_("Шлюз ничего не знает об этом чеке")), unknown=True)


def _said(made: Receipt) -> RegisteredReceipt | None:
    if not made.told.get("status"):
        return None
    return RegisteredReceipt(
        gateway_id=made.gateway_id,
        status=Status(made.told["status"]),
        total=made.money,
        reason=made.told.get("reason", ""),
        fiscal=made.told.get("fiscal", {}),
    )


def of_receipt(made: Receipt) -> GatewayReceipt:
    """A receipt as its gateway is asked about it, of the frozen row."""
    payment, refund = made.payment, made.refund
    others = payment.receipts.exclude(pk=made.pk).exclude(gateway_id="")
    return GatewayReceipt(
        key=made.pk,
        cause=made.cause,
        is_inside=made.way == ReceiptWay.INSIDE,
        receipt=receipt_lines.request_of(made),
        payment_reference=payment.reference_id,
        payment_gateway_id=payment.gateway_id,
        refund_gateway_id=refund.gateway_id if refund else "",
        others=frozenset(others.values_list("gateway_id", flat=True)),
        is_fresh=timing.age(made) < KEY_KEPT,
    )


def told(payment_id: UUID, data: Mapping[str, Any]) -> None:
    """A signed message tells of a receipt of a payment: of which one is found by its way and sum.

    `data`: operation, total, gateway_id and, where it can not be read at the gateway, status, reason and fiscal.
    """
    with transaction.atomic():
        payment = Payment.locked(payment_id)
        made = _meant(payment, data)
        if made is None:
            return
        if not made.gateway_id:
            made.gateway_id = str(data["gateway_id"])[:100]
            made.reference.learn(made.gateway_id)
        made.told = {name: data[name] for name in ("status", "reason", "fiscal") if data.get(name)}
        made.save(update_fields=["gateway_id", "told"])
        if made.state not in UNCOUNTED:
            due.schedule(SWEEP, made.pk, clock.wall(), wall=True, lane=made.connection_id)


def _meant(payment: Payment, data: Mapping[str, Any]) -> Receipt | None:
    mine = payment.receipts.exclude(way=ReceiptWay.OWN).select_for_update(no_key=True)
    known = mine.filter(gateway_id=str(data["gateway_id"])[:100]).first()
    if known is not None:
        return known if _is_awaited(known) else None
    same = mine.filter(operation=data["operation"], total=Decimal(data["total"]), gateway_id="")
    return next((one for one in same.order_by("pk") if _is_awaited(one)), None)


def _is_awaited(made: Receipt) -> bool:
    # A payment that we called failed may come after all, its receipt with it.
    return made.is_open or made.state == ReceiptState.VOID
