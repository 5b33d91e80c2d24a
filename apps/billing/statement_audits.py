"""The accounts of customers against the ledger."""

from collections.abc import Iterator

from django.db import connection

from apps.core import audit
from apps.core.tenancy import current_partner_id

_BALANCES = """
WITH held AS (
    SELECT customer_id, currency, sum(CASE credit WHEN 'advances' THEN amount ELSE -amount END) AS amount
    FROM ledger_transfer WHERE partner_id = %(partner)s AND 'advances' IN (debit, credit)
    GROUP BY customer_id, currency
)
SELECT COALESCE(b.customer_id, held.customer_id), b.amount, held.amount
FROM billing_customerbalance b FULL JOIN held USING (customer_id, currency)
WHERE COALESCE(b.amount, 0) <> COALESCE(held.amount, 0)
"""


@audit.rule("billing.balance-in-ledger")
def balance_in_ledger() -> Iterator[str]:
    """What a customer has on the balance is what stands for that customer on the account of advances."""
    for customer, balance, held in _select(_BALANCES):
        yield f"Customer {customer} has {balance} on the balance, and {held} in the ledger"


# The refund of a credit note has the note's id.
_STRANGE = """
WITH document AS (
    SELECT id, customer_id FROM billing_invoice
    UNION ALL SELECT id, customer_id FROM billing_creditnote
    UNION ALL SELECT id, customer_id FROM billing_outsidepayment
    UNION ALL SELECT id, customer_id FROM billing_outsiderefund
    UNION ALL SELECT id, customer_id FROM payments_payment
    UNION ALL SELECT r.id, p.customer_id FROM payments_refund r JOIN payments_payment p ON p.id = r.payment_id
    WHERE NOT EXISTS (SELECT FROM billing_creditnote n WHERE n.id = r.id)
)
SELECT t.id, t.document_kind, t.document_id, t.customer_id, d.customer_id
FROM ledger_transfer t LEFT JOIN document d ON d.id = t.document_id
WHERE t.partner_id = %(partner)s AND (t.debit IN ('receivable', 'advances') OR t.credit IN ('receivable', 'advances'))
    AND d.customer_id IS DISTINCT FROM t.customer_id
"""


@audit.rule("billing.customer-statement")
def customer_statement() -> Iterator[str]:
    """Whatever moves a customer's account is of a document of that customer, so that the statement shows it."""
    for key, kind, document, posted, own in _select(_STRANGE):
        yield f"Transfer {key} of {kind} {document} moves the account of {posted}, and the document is of {own}"


def _select(query: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"partner": current_partner_id()})
        return cursor.fetchall()
