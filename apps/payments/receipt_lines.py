"""What stands in a receipt: lines of what was sold, with their VAT, adding up to what was paid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from apps.core.money import Money, vat_inside
from apps.payments.cash_register import (
    Agent,
    Correction,
    Method,
    Operation,
    ReceiptLine,
    ReceiptRequest,
    Seller,
)
from apps.payments.models import Payment
from apps.payments.receipt_models import Receipt


@dataclass(frozen=True, slots=True)
class Sold:
    """One line of what a payment was for; `amount` with its VAT, of whatever the invoice comes to."""

    name: str
    quantity: int
    amount: Decimal
    vat_rate: Decimal | None
    agent: Agent | None = None
    is_ahead: bool = False
    """Whether it is of days to come: earned with them, not with the payment."""


Composer = Callable[[Payment], Sequence[Sold]]
_composers: list[Composer] = []


def composer(function: Composer) -> Composer:
    """Registers a function that tells what a payment was for; nothing where it is not its business."""
    if function not in _composers:
        _composers.append(function)
    return function


def sold(payment: Payment) -> list[Sold]:
    """What a payment was for."""
    # The rouble that binds a card for a trial is on an invoice of nothing.
    found = [one for compose in _composers for one in compose(payment) if one.amount]
    return found or [Sold(payment.description, 1, payment.amount, None)]


def written(lines: Sequence[Sold], total: Money, method: Method) -> list[dict[str, Any]]:
    """What was sold as a receipt keeps it, adding up to `total`."""
    rows = [
        {
            "name": one.name[:128],
            "quantity": one.quantity,
            "amount": str(one.amount),
            "vat_rate": None if one.vat_rate is None else str(one.vat_rate),
            "method": method.value,
            "agent": asdict(one.agent) if one.agent else None,
        }
        for one in lines
        if one.amount
    ]
    return scaled(rows, total)


def vat_of(payment: Payment, part: Money) -> Decimal:
    """How much VAT there is in a part of what was paid, over all lines."""
    lines = scaled(written(sold(payment), payment.money, Method.FULL_PAYMENT), part)
    return sum((Decimal(line["vat"]) for line in lines), Decimal("0.00"))


def scaled(lines: Sequence[dict[str, Any]], total: Money) -> list[dict[str, Any]]:
    """The lines in proportion to their amounts, adding up to `total`; a line of nothing is left out.

    A line whose pieces are not of one price to the kopeck is one piece.
    """
    parts = total.split([int(Decimal(line["amount"]) * 100) for line in lines])
    found = []
    for line, part in zip(lines, parts, strict=True):
        if not part.amount:
            continue
        rate = None if line["vat_rate"] is None else Decimal(line["vat_rate"])
        price = part.amount / line["quantity"]
        whole = price == price.quantize(Decimal("0.01"))
        found.append(
            {
                **line,
                "quantity": line["quantity"] if whole else 1,
                "price": str((price if whole else part.amount).quantize(Decimal("0.01"))),
                "amount": str(part.amount),
                "vat": str(vat_inside(part.amount, rate)),
            }
        )
    return found


def settled(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of a prepayment as they are once it is earned."""
    return [{**line, "method": Method.FULL_PAYMENT.value} for line in lines]


def request_of(made: Receipt) -> ReceiptRequest:
    """A receipt as it is handed over, of its frozen columns."""
    is_email = "@" in made.contact
    return ReceiptRequest(
        reference=made.reference_id,
        gateway_id=made.gateway_id,
        operation=Operation(made.operation),
        seller=Seller(**made.seller),
        email=made.contact if is_email else "",
        phone="" if is_email else made.contact,
        lines=tuple(_line(line) for line in made.lines),
        total=made.money,
        prepaid=made.prepaid,
        at=made.created_at,
        correction=_correction(made.correction),
    )


def _correction(told: Mapping[str, str]) -> Correction | None:
    if not told:
        return None
    return Correction(on=date.fromisoformat(told["on"]), attribute=told.get("attribute", ""))


def _line(line: dict[str, Any]) -> ReceiptLine:
    return ReceiptLine(
        name=line["name"],
        price=Decimal(line["price"]),
        quantity=line["quantity"],
        amount=Decimal(line["amount"]),
        vat_rate=None if line["vat_rate"] is None else Decimal(line["vat_rate"]),
        vat=Decimal(line["vat"]),
        method=Method(line["method"]),
        agent=Agent(**line["agent"]) if line["agent"] else None,
    )
