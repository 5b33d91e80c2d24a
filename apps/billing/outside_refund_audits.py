"""Money that goes back past our gateway: never more than came, and in the ledger as far as it has come."""

from collections.abc import Iterator

from django.db import connection

from apps.billing.money_in import REFUND
from apps.billing.outside_refund_models import OutsideRefund
from apps.core import audit
from apps.core.tenancy import current_partner_id
from apps.ledger.models import Transfer
from apps.payments.bank_payout_models import BankPayout

# What left the balance is owed, until it is with the customer or on the balance again. What was only asked for, or
# declined, stands nowhere. A note is of the very invoice, and of no other sum.
_OUTSIDE = """
WITH held AS (
    SELECT document_id, posting, amount, debit, credit, customer_id FROM ledger_transfer
    WHERE partner_id = %(partner)s AND document_kind = 'outside_refund'
), refund AS (
    SELECT r.*, o.invoice_id, r.of_balance OR r.note_id IS NOT NULL AS is_owed,
        (SELECT l.terms ->> 'owner' FROM billing_invoiceline l WHERE l.invoice_id = o.invoice_id
            ORDER BY l.position LIMIT 1) AS owner
    FROM billing_outsiderefund r JOIN billing_outsidepayment o ON o.id = r.outside_id
), wanted AS (
    SELECT id AS document_id, one.posting, amount, one.debit, one.credit, customer_id
    FROM refund CROSS JOIN LATERAL (VALUES
        ('owed', 'advances', 'receivable', is_owed),
        ('refunded', 'receivable', CASE owner WHEN 'operator' THEN 'bank' ELSE 'partner_payable' END,
            state = 'succeeded'),
        ('returned', 'receivable', 'advances', is_owed AND state = 'failed')
    ) AS one (posting, debit, credit, is_so) WHERE one.is_so
)
SELECT COALESCE(w.document_id, h.document_id), COALESCE(w.posting, h.posting), w.amount, h.amount
FROM wanted w FULL JOIN held h USING (document_id, posting)
WHERE (w.amount, w.debit, w.credit, w.customer_id) IS DISTINCT FROM (h.amount, h.debit, h.credit, h.customer_id)
UNION ALL
SELECT o.id, 'came, and more goes back', o.amount + o.to_balance, sum(r.amount)
FROM billing_outsidepayment o JOIN billing_outsiderefund r ON r.outside_id = o.id AND r.state <> 'failed'
GROUP BY o.id HAVING sum(r.amount) > o.amount + o.to_balance
UNION ALL
SELECT COALESCE(r.id, p.id), 'its payment order is ' || COALESCE(p.state, 'not there'), r.amount, p.amount
FROM (SELECT * FROM billing_outsiderefund
    WHERE way = 'bank' AND (state IN ('waiting', 'succeeded') OR decline_reason = 'payout_cancelled')) AS r
FULL JOIN (SELECT * FROM payments_bankpayout WHERE refund_id IS NULL) AS p USING (id)
WHERE (r.amount, r.currency, r.customer_id) IS DISTINCT FROM (p.amount, p.currency, p.customer_id)
    OR (r.state = 'succeeded') IS DISTINCT FROM (p.state = 'paid')
    OR (r.state = 'failed') IS DISTINCT FROM (p.state = 'cancelled')
UNION ALL
SELECT r.id, 'is of a credit note of another sum', r.amount, n.total
FROM refund r LEFT JOIN billing_creditnote n ON n.id = r.note_id AND n.invoice_id = r.invoice_id
WHERE (r.note_id IS NOT NULL OR NOT r.of_balance AND r.state IN ('waiting', 'succeeded'))
    AND n.total IS DISTINCT FROM r.amount
"""


@audit.rule(
    "billing.outside-refunds",
    of=(OutsideRefund, audit.some(Transfer, document_kind=REFUND), audit.some(BankPayout, refund=None)),
)
def outside_refunds() -> Iterator[str]:
    """What goes back past our gateway is no more than came so, and stands in the ledger as far as it has come."""
    for key, what, wanted, held in _select(_OUTSIDE):
        yield f"Outside refund {key}, {what}: {wanted} by the document, and {held} stands"


# Whoever is to be asked is asked; above a limit somebody else has agreed; who waits for a person stands before one.
_FORGOTTEN = """
SELECT r.id, 'goes by the partner, and nobody asks it'
FROM billing_outsiderefund r
WHERE r.way = 'partner' AND r.state = 'waiting'
    AND NOT EXISTS (SELECT FROM core_due d
        WHERE d.partner_id = %(partner)s AND d.kind = 'billing.refund_ask' AND d.object_id = r.id)
    AND NOT EXISTS (SELECT FROM core_workitem w
        WHERE w.partner_id = %(partner)s AND w.kind = 'billing.OutsideRefund' AND w.object_id = r.id)
UNION ALL
SELECT r.id, 'goes by bank, its order is ' || p.state || ', and nobody knows'
FROM billing_outsiderefund r JOIN payments_bankpayout p ON p.id = r.id
WHERE r.state = 'waiting' AND p.state IN ('waiting', 'ready') AND NOT EXISTS (SELECT FROM core_workitem w
    WHERE w.partner_id = %(partner)s AND w.kind = 'billing.OutsideRefund' AND w.object_id = r.id)
UNION ALL
SELECT r.id, 'waits for a second person, and nobody knows'
FROM billing_outsiderefund r
WHERE r.state = 'requested' AND NOT EXISTS (SELECT FROM core_workitem w
    WHERE w.partner_id = %(partner)s AND w.kind = 'billing.OutsideRefund' AND w.object_id = r.id)
UNION ALL
SELECT r.id, 'was above a limit, and nobody agreed to it'
FROM billing_outsiderefund r
WHERE r.above <> '' AND r.state IN ('waiting', 'succeeded') AND (r.decided_by = '' OR r.decided_by = r.actor)
"""


@audit.rule("billing.outside-refunds-followed", of=(OutsideRefund,))
def followed() -> Iterator[str]:
    """A refund past our gateway is asked about or before staff until it ends; above a limit a second agreed."""
    for key, what in _select(_FORGOTTEN):
        yield f"Outside refund {key} {what}"


def _select(query: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"partner": current_partner_id()})
        return cursor.fetchall()
