"""What has come for an invoice past our gateway and what of it goes back, and what the ledger says of it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from apps.billing import balances
from apps.billing.models import Invoice, InvoicePurpose, InvoiceState
from apps.billing.outside_refund_models import OutsideRefund
from apps.billing.paperwork import OutsidePayment
from apps.core import clock
from apps.core.money import Money
from apps.ledger.ledger import Account, Owner, Posting, Sale, post

KIND, REFUND = "outside_payment", "outside_refund"
ZERO = Decimal("0.00")


def received(invoice: Invoice) -> Decimal:
    """What has come for an invoice past our gateway and pays it."""
    found = OutsidePayment.objects.filter(invoice=invoice).aggregate(total=Sum("amount"))["total"]
    return found or ZERO


def left(invoice: Invoice) -> Money:
    """What is still to come for it; nothing for an invoice that is not open."""
    if invoice.state != InvoiceState.OPEN:
        return Money(ZERO, invoice.currency)
    return Money(invoice.due_money.amount - received(invoice), invoice.currency)


def post_payment(made: OutsidePayment, invoice: Invoice) -> None:
    """Money came onto our account, or onto the partner's: it settles what was owed, the rest is an advance."""
    base = _base(made, invoice)
    held = Account.BANK if base.owner == Owner.OPERATOR else Account.PARTNER_PAYABLE
    paid = replace(base, name="paid", debit=held, amount=made.amount)
    rest = replace(base, name="balance", debit=held, credit=Account.ADVANCES, amount=made.to_balance)
    post(KIND, made.pk, [paid, rest], occurred_at=clock.now(), business_date=made.business_date)


def _base(made: OutsidePayment, invoice: Invoice) -> Posting:
    line = invoice.lines.all()[0]
    dimensions: dict[str, Any] = {
        "currency": made.currency,
        "owner": Owner(line.terms["owner"]),
        "kind": Sale.NEW if invoice.purpose == InvoicePurpose.NEW else Sale.RENEWAL,
        "seller_id": made.legal_entity_id,
        "customer_id": made.customer_id,
        "subscription_id": invoice.subscription_id,
        "channel_id": invoice.channel_id,
        "product_id": line.product_id,
        "tariff_version_id": line.tariff_version_id,
    }
    return Posting(name="", debit=Account.BANK, credit=Account.RECEIVABLE, amount=Decimal(0), **dimensions)


def release(invoice: Invoice) -> None:
    """A locked invoice is void: what had come for it in part goes onto the balance."""
    for made in OutsidePayment.objects.filter(invoice=invoice, amount__gt=0).order_by("pk"):
        base = _base(made, invoice)
        moved = replace(
            base,
            name="released",
            debit=Account.RECEIVABLE,
            credit=Account.ADVANCES,
            amount=made.amount,
        )
        post(KIND, made.pk, [moved], occurred_at=clock.now(), business_date=clock.today())
        balances.add(invoice.customer_id, Money(made.amount, made.currency))


def post_refund(made: OutsideRefund, name: str) -> None:
    """What becomes of money that goes back: `owed` to the customer, `refunded`, or `returned` onto the balance."""
    base = replace(_base(made.outside, made.outside.invoice), kind=Sale.REFUND, name=name, amount=made.amount)
    held = Account.BANK if base.owner == Owner.OPERATOR else Account.PARTNER_PAYABLE
    debit, credit = {
        "owed": (Account.ADVANCES, Account.RECEIVABLE),
        "refunded": (Account.RECEIVABLE, held),
        "returned": (Account.RECEIVABLE, Account.ADVANCES),
    }[name]
    moved = [replace(base, debit=debit, credit=credit)]
    post(REFUND, made.pk, moved, occurred_at=clock.now(), business_date=clock.today())
