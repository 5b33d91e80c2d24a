"""What must hold of refunds that a second person agreed to, of payouts by bank details, and of disputes."""

import hashlib
from collections.abc import Iterator

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.core import audit
from apps.core.models import WorkItem
from apps.core.tenancy import current_partner
from apps.journal.models import Entry
from apps.payments.bank_payout_models import BankPayout, PayoutState
from apps.payments.dispute_models import Dispute, DisputeFile, DisputeState
from apps.payments.models import Payment, Refund, RefundRoute, RefundState

NOT_SENT = [RefundState.REQUESTED, RefundState.FAILED]


@audit.rule("payments.refund-as-approved", of=(Refund,))
def refund_as_approved() -> Iterator[str]:
    """What was above a limit went no further without a second person, and is of the very sum they agreed to."""
    for refund in Refund.objects.exclude(above="").exclude(state__in=NOT_SENT):
        agreed = Entry.objects.filter(
            action="payments.refund-approved",
            object_id=str(refund.payment_id),
            actor=refund.decided_by,
            data__refund=str(refund.pk),
            data__amount=str(refund.amount),
        )
        if not refund.decided_by or refund.decided_by == refund.actor or not agreed.exists():
            yield f"Refund {refund.pk} of {refund.amount} was above a limit, and nobody agreed to this sum"
    waiting = Refund.objects.filter(state=RefundState.REQUESTED)
    for refund in waiting.filter(~Exists(_work("payments.refund"))):
        yield f"Refund {refund.pk} waits for a second person, and nobody knows"


@audit.rule("payments.payout-as-refund", of=(Refund, BankPayout))
def payout_as_refund() -> Iterator[str]:
    """A refund by bank details has its payment order, of its sum; it is made when that is paid, not before."""
    by_bank = Refund.objects.filter(route=RefundRoute.BANK, state__in=["pending", "succeeded"])
    for refund in by_bank.filter(payout=None):
        yield f"Refund {refund.pk} goes by bank details, and has no payment order"
    # What came past the gateways is its own app's.
    mine = BankPayout.objects.filter(refund__isnull=False)
    wrong = mine.exclude(amount=F("refund__amount"), currency=F("refund__currency"))
    for payout in wrong:
        yield f"Payout {payout.pk} of {payout.amount} is of another sum than its refund"
    paid = Q(state=PayoutState.PAID)
    made = Q(refund__state=RefundState.SUCCEEDED)
    for payout in mine.filter(paid & ~made | made & ~paid):
        yield f"Payout {payout.pk} is {payout.state}, and its refund is not so"
    dead = Q(state=PayoutState.CANCELLED) & ~Q(refund__state=RefundState.FAILED)
    for payout in mine.filter(dead):
        yield f"Payout {payout.pk} is cancelled, and its refund is not"


# What each dispute must have in the ledger, side by side with what is there.
_POSTED = """
WITH wanted AS (
    SELECT d.id AS document_id, one.posting, jsonb_build_array(one.debit, one.credit, d.amount, d.currency,
        whose.owner, p.connection_id, p.customer_id) AS entry
    FROM payments_dispute d
    JOIN payments_payment p ON p.id = d.payment_id
    JOIN public.connectors_connection c ON c.id = p.connection_id
    CROSS JOIN LATERAL (SELECT
        CASE WHEN c.partner_id IS NULL THEN 'operator' ELSE 'partner' END AS owner,
        CASE WHEN c.partner_id IS NULL THEN 'clearing' ELSE 'partner_payable' END AS held
    ) AS whose
    CROSS JOIN LATERAL (VALUES
        ('taken', 'dispute', whose.held, true),
        ('returned', whose.held, 'dispute', d.state = 'won'),
        ('lost', 'write_off', 'dispute', d.state IN ('lost', 'accepted'))
    ) AS one (posting, debit, credit, is_wanted)
    WHERE d.is_taken AND one.is_wanted
), held AS (
    SELECT document_id, posting, jsonb_build_array(debit, credit, amount, currency, owner, connection_id,
        customer_id) AS entry
    FROM ledger_transfer WHERE partner_id = %s AND document_kind = 'dispute'
)
SELECT document_id, posting, wanted.entry::text, held.entry::text
FROM wanted FULL JOIN held USING (document_id, posting)
WHERE wanted.entry IS DISTINCT FROM held.entry
"""


@audit.rule("payments.dispute-posted")
def dispute_posted() -> Iterator[str]:
    """What a bank took, gave back or kept stands in the ledger, each once and as the dispute says."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTED, [current_partner().pk])
        for key, posting, wanted, held in cursor.fetchall():
            yield f"Dispute {key}, {posting}: {held} in the ledger, and {wanted} by the dispute"


@audit.rule("payments.disputed-not-refunded", of=(Dispute,))
def disputed_not_refunded() -> Iterator[str]:
    """What a bank has taken is not given back as well: no refund of more than is left was begun after it."""
    taken = Dispute.objects.filter(is_taken=True).exclude(state=DisputeState.WON)
    for payment in Payment.objects.filter(Exists(taken.filter(payment=OuterRef("pk")))):
        if payment.given_back() + payment.disputed() <= payment.amount:
            continue
        since = taken.filter(payment=payment).order_by("opened_at").values_list("opened_at", flat=True)[0]
        later = payment.refunds.exclude(state__in=NOT_SENT)
        if later.filter(Q(created_at__gt=since) | Q(decided_at__gt=since)).exists():
            yield f"Payment {payment.pk}: refunded after the bank had taken it"


@audit.rule("payments.dispute-is-watched", of=(Dispute, DisputeFile))
def dispute_is_watched() -> Iterator[str]:
    """A dispute that needs an answer stands in the staff's queue; evidence is what it was when it was made."""
    waiting = Dispute.objects.filter(state=DisputeState.NEEDS_RESPONSE)
    for dispute in waiting.filter(~Exists(_work("payments.Dispute"))):
        yield f"Dispute {dispute.pk} needs an answer until {dispute.respond_by}, and nobody knows"
    for file in DisputeFile.objects.all():
        if hashlib.sha256(bytes(file.content)).hexdigest() != file.sha256:
            yield f"Evidence {file.pk} is not what it was when it was made"


def _work(kind: str) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(partner_id=current_partner().pk, kind=kind, object_id=OuterRef("pk"))
