"""What must hold of fiscal receipts: they are of the money that moved, add up, go on, and are undone when wrong."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import zip_longest

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Sum

from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.models import Due, WorkItem
from apps.core.tenancy import current_partner
from apps.payments.cash_register import Method, Operation
from apps.payments.models import OPEN, Payment, PaymentState, Refund, RefundState
from apps.payments.receipt_models import (
    OPEN_RECEIPTS,
    RESTING,
    UNCOUNTED,
    Receipt,
    ReceiptCause,
    ReceiptState,
)
from apps.policies.fiscal import FiscalRule

CAPTURED = [PaymentState.SUCCEEDED, PaymentState.REFUNDED]


@audit.rule(
    "payments.receipt-of-money",
    of=(
        Receipt,
        FiscalRule,
    ),
)
def receipt_of_money() -> Iterator[str]:
    """A receipt that counts is of money that came or went, of its sum and its way; no such money lacks one."""
    counting = Receipt.objects.filter(replaced_by=None).exclude(state__in=UNCOUNTED)
    of_payment, of_refund = (
        counting.filter(cause=one) for one in (ReceiptCause.PAYMENT, ReceiptCause.REFUND)
    )
    fine = {"operation": Operation.SELL, "total": F("payment__amount"), "payment__state__in": CAPTURED}
    for receipt in of_payment.exclude(**fine):
        yield f"Receipt {receipt.pk}: {receipt.operation} of {receipt.total}, and its payment is another"
    fine = {
        "operation": Operation.SELL_REFUND,
        "total": F("refund__amount"),
        "refund__state": RefundState.SUCCEEDED,
    }
    for receipt in of_refund.exclude(**fine):
        yield f"Receipt {receipt.pk}: {receipt.operation} of {receipt.total}, and its refund is another"
    for refund in Refund.objects.filter(
        Exists(of_payment.filter(payment=OuterRef("payment"))),
        ~Exists(of_refund.filter(refund=OuterRef("pk"))),
        state=RefundState.SUCCEEDED,
    ):
        yield f"Refund {refund.pk} of {refund.amount} has no receipt, and its payment has one"
    for payment in _asked_for(of_payment):
        yield f"Payment {payment.pk} of {payment.amount} has no receipt, and a rule asks for one"


def _asked_for(receipts: QuerySet[Receipt]) -> Iterator[Payment]:
    """Payments without one, that came while a rule with a register was in force."""
    partner = current_partner()
    without = Payment.objects.filter(
        ~Exists(receipts.filter(payment=OuterRef("pk"))), state__in=CAPTURED, amount__gt=0
    )
    rules = list(FiscalRule.objects.order_by("legal_entity_id", "valid_from"))
    for rule, following in zip_longest(rules, rules[1:]):
        if not rule.is_asked(is_sandbox=partner.is_sandbox):
            continue
        ours = Connection.objects.filter(legal_entity=rule.legal_entity_id).values("pk")
        found = without.filter(
            connection__in=ours, claimed_at__gte=rule.created_at, settled_at__gte=rule.begins(clock.zone())
        )
        if following is not None and following.legal_entity_id == rule.legal_entity_id:
            found = found.filter(settled_at__lt=following.begins(clock.zone()))
        yield from found


@audit.rule("payments.receipt-adds-up", of=(Receipt,))
def receipt_adds_up() -> Iterator[str]:
    """The lines of a receipt are its total; no more goes back than came, nor is a prepayment settled and given back."""
    for receipt in Receipt.objects.all():
        if sum(Decimal(line["amount"]) for line in receipt.lines) != receipt.total:
            yield f"Receipt {receipt.pk}: its lines are not {receipt.total}"
    counting = Receipt.objects.filter(replaced_by=None).exclude(state__in=UNCOUNTED)
    back = Q(cause=ReceiptCause.REFUND)
    once = Q(cause=ReceiptCause.SETTLEMENT) | back & Q(
        lines__contains=[{"method": Method.FULL_PREPAYMENT.value}]
    )
    for what, done in (("given back", back), ("settled and given back as a prepayment", once)):
        sums = (
            counting.filter(done).values("payment").annotate(done=Sum("total"), whole=Max("payment__amount"))
        )
        for row in sums.filter(done__gt=F("whole")):
            yield f"Payment {row['payment']} of {row['whole']}: {row['done']} {what} by receipts"


@audit.rule("payments.receipt-goes-on", of=(Receipt,))
def receipt_goes_on() -> Iterator[str]:
    """A receipt that is not registered yet is planned or waits for money, and staff know of one that failed."""
    partner = current_partner().pk
    planned = Due.objects.filter(
        partner_id=partner, object_id=OuterRef("pk"), kind__startswith="payments.receipt"
    )
    known = WorkItem.objects.filter(partner_id=partner, object_id=OuterRef("pk"), kind="payments.Receipt")
    moving = OPEN_RECEIPTS - RESTING
    for receipt in Receipt.objects.filter(~Exists(planned), state__in=moving):
        yield f"Receipt {receipt.pk} is {receipt.state}, and nothing is planned"
    for receipt in Receipt.objects.filter(~Exists(known), state=ReceiptState.FAILED):
        yield f"Receipt {receipt.pk} failed, and nobody knows"
    # Money that is still asked for is planned itself: see `payments.goes-on`.
    asked = Q(refund=None, payment__state__in=OPEN) | Q(refund__state__in=OPEN)
    for receipt in Receipt.objects.filter(state=ReceiptState.WAITING).exclude(asked):
        yield f"Receipt {receipt.pk} waits for money that is settled"


@audit.rule("payments.receipt-corrected", of=(Receipt,))
def receipt_corrected() -> Iterator[str]:
    """A registered receipt is replaced only if it is undone by its sum; then, and only then, the right one goes on."""
    undone = {
        one.correction.get("of"): one
        for one in Receipt.objects.filter(cause=ReceiptCause.REVERSAL, replaced_by=None)
    }
    for right in Receipt.objects.exclude(replaces=None).select_related("replaces"):
        wrong = right.replaces
        assert wrong is not None
        is_correction = right.correction.get("of") == str(wrong.pk)
        if not is_correction and wrong.state != ReceiptState.REGISTERED:
            continue
        reversal = undone.pop(str(wrong.pk), None)
        told = (reversal.total, reversal.operation) if reversal else None
        if reversal is None or told != (wrong.total, Operation(wrong.operation).opposite):
            yield f"Receipt {wrong.pk} is replaced, and nothing undoes it"
        elif (reversal.state == ReceiptState.REGISTERED) == (right.state == ReceiptState.HELD):
            yield f"Receipt {wrong.pk}: the right one is {right.state}, it is {reversal.state} undone"
    for reversal in undone.values():
        yield f"Receipt {reversal.pk} undoes what is not replaced"
