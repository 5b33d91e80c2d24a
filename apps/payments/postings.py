"""What payments and refunds write into the ledger, in their own transaction."""

from collections.abc import Iterable
from typing import Any

from apps.connectors.models import Connection
from apps.core import clock
from apps.ledger import ledger
from apps.ledger.ledger import Account, Owner, Posting, Sale
from apps.payments.dispute_models import Dispute
from apps.payments.models import Payment, Refund, RefundRoute


def post_payments(paid: Iterable[Payment]) -> None:
    """Money came to the gateway and settled what the customers owed; the gateway kept its fee."""
    postings = [(one.pk, posting) for one in paid for posting in _of_payment(one, one.connection)]
    ledger.post_many("payment", postings, occurred_at=clock.now(), business_date=clock.today())


def _of_payment(payment: Payment, connection: Connection) -> list[Posting]:
    held, owner = _holder(connection)
    dimensions = _dimensions(payment, connection)
    postings = [
        Posting(
            name="paid",
            debit=held,
            credit=Account.RECEIVABLE,
            amount=payment.amount,
            owner=owner,
            kind=payment.purpose,
            **dimensions,
        )
    ]
    # A partner's own gateway charges the partner: that fee is no business of ours.
    if owner == Owner.OPERATOR:
        postings.append(
            Posting(
                name="fee",
                debit=Account.FEE,
                credit=held,
                amount=payment.fee,
                kind=payment.purpose,
                **dimensions,
            )
        )
    return postings


def post_refund(refund: Refund, connection: Connection) -> None:
    """Money left the gateway (or the bank account) for the customer; billing has taken back what it had paid for."""
    held, owner = _holder(connection)
    if refund.route == RefundRoute.BANK and owner == Owner.OPERATOR:
        # By a payment order: the gateway keeps what it has.
        held = Account.BANK
    posting = Posting(
        name="refunded",
        debit=Account.RECEIVABLE,
        credit=held,
        amount=refund.amount,
        owner=owner,
        kind=Sale.REFUND,
        **_dimensions(refund.payment, connection),
    )
    ledger.post("refund", refund.pk, [posting], occurred_at=clock.now(), business_date=clock.today())


def post_dispute(dispute: Dispute, name: str) -> None:
    """A chargeback: `taken` by the bank, `returned` where it is won, `lost` for good."""
    connection: Connection = dispute.payment.connection
    held, owner = _holder(connection)
    debit, credit = {
        "taken": (Account.DISPUTE, held),
        "returned": (held, Account.DISPUTE),
        "lost": (Account.WRITE_OFF, Account.DISPUTE),
    }[name]
    posting = Posting(
        name=name,
        debit=debit,
        credit=credit,
        amount=dispute.amount,
        owner=owner,
        **_dimensions(dispute.payment, connection),
    )
    ledger.post("dispute", dispute.pk, [posting], occurred_at=clock.now(), business_date=clock.today())


def _holder(connection: Connection) -> tuple[str, str]:
    # On a partner's own connection the partner holds the money, and it never is in the operator's clearing.
    if connection.partner_id is None:
        return Account.CLEARING, Owner.OPERATOR
    return Account.PARTNER_PAYABLE, Owner.PARTNER


def _dimensions(payment: Payment, connection: Connection) -> dict[str, Any]:
    return {
        "currency": payment.currency,
        "seller_id": connection.legal_entity_id,
        "connection_id": connection.pk,
        "customer_id": payment.customer_id,
        "subscription_id": payment.subscription_id,
        "channel_id": payment.channel_id,
        "product_id": payment.product_id,
        "tariff_version_id": payment.tariff_version_id,
    }
