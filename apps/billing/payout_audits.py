"""Money goes back once: by a refund, or over the balance; and what left a balance is on its way, or there again."""

from collections.abc import Iterator
from typing import Any

from django.db import connection

from apps.billing.models import Invoice
from apps.core import audit
from apps.core.tenancy import current_partner_id

# Of each paid invoice: all of it, what notes took, and what refunds of their own take or may yet. The refund of a
# note or of a payout has its id; what the gateway's cabinet sent back too much stands in the staff's queue.
_TWICE = """
SELECT i.number, i.total, noted.total, refunded.total
FROM billing_invoice i
JOIN billing_invoicepayment link ON link.invoice_id = i.id AND NOT link.failed
JOIN payments_payment p ON p.id = link.payment_id AND p.purpose <> 'binding'
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(n.total), 0) AS total FROM billing_creditnote n WHERE n.invoice_id = i.id) AS noted
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(r.amount - COALESCE(o.amount, 0)), 0) AS total FROM payments_refund r
    LEFT JOIN billing_balancepayout o ON o.id = r.id
    WHERE r.payment_id = p.id AND r.state <> 'failed'
        AND NOT EXISTS (SELECT FROM billing_creditnote n WHERE n.id = r.id)
        AND NOT EXISTS (SELECT FROM core_workitem w
            WHERE w.partner_id = %(partner)s AND w.kind = 'payments.refund' AND w.object_id = r.id)) AS refunded
WHERE i.state IN ('paid', 'refunded') AND noted.total + refunded.total > i.total
"""


@audit.rule("billing.given-back-once", of=(Invoice,))
def given_back_once() -> Iterator[str]:
    """Notes and refunds, made or on their way, never take more of an invoice than it is."""
    for number, total, noted, refunded in _select(_TWICE):
        yield f"Invoice {number} of {total}: {noted} by credit notes and {refunded} by refunds"


# What left the balance is the refund's sum (of one that nobody asked for, a part), and stands there again where the
# gateway would not send it, as soon as the news is heard.
_PAYOUTS = """
WITH news AS (SELECT e.object_id AS id FROM core_delivery d JOIN core_event e ON e.id = d.event_id
    WHERE d.partner_id = %(partner)s
), held AS (
    SELECT document_kind, document_id, posting, amount, debit, credit, customer_id FROM ledger_transfer
    WHERE partner_id = %(partner)s
        AND (document_kind = 'payout' OR document_kind = 'credit_note' AND posting = 'returned')
), wanted AS (
    SELECT 'payout' AS document_kind, o.id AS document_id, 'paid-out' AS posting, o.amount, 'advances' AS debit,
        'receivable' AS credit, o.customer_id
    FROM billing_balancepayout o
    UNION ALL
    SELECT 'payout', o.id, 'returned', o.amount, 'receivable', 'advances', o.customer_id
    FROM billing_balancepayout o WHERE o.returned_at IS NOT NULL
    UNION ALL
    SELECT 'credit_note', n.id, 'returned', n.to_refund, 'receivable', 'advances', n.customer_id
    FROM billing_creditnote n JOIN payments_refund r ON r.id = n.id AND r.state = 'failed'
    WHERE NOT EXISTS (SELECT FROM news WHERE news.id = r.id)
)
SELECT COALESCE(w.document_id, h.document_id), COALESCE(w.posting, h.posting), w.amount, h.amount
FROM wanted w FULL JOIN held h USING (document_kind, document_id, posting)
WHERE (w.amount, w.debit, w.credit, w.customer_id) IS DISTINCT FROM (h.amount, h.debit, h.credit, h.customer_id)
UNION ALL
SELECT o.id, 'its refund is ' || COALESCE(r.state, 'not there'), o.amount, r.amount
FROM billing_balancepayout o
LEFT JOIN payments_refund r ON r.id = o.id AND r.payment_id = o.payment_id AND r.amount >= o.amount
WHERE r.id IS NULL OR (r.state = 'failed') <> (o.returned_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM news WHERE news.id = r.id)
"""


@audit.rule("billing.payouts")
def payouts() -> Iterator[str]:
    """What was sent back of a balance left it once, is its refund's, and is there again where that failed."""
    for key, what, wanted, held in _select(_PAYOUTS):
        yield f"Payout {key}, {what}: {wanted} by the document, and {held} stands"


def _select(query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"partner": current_partner_id()})
        return cursor.fetchall()
