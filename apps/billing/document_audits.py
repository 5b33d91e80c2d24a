"""What must hold of documents beside invoices, of money past our gateway, and of what partners pay or collect."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Q, Sum

from apps.billing import partner_invoices
from apps.billing.models import Collection, CreditNote, Invoice, InvoicePurpose, InvoiceState
from apps.billing.money_in import KIND
from apps.billing.paperwork import Document, OutsidePayment
from apps.core import audit, search
from apps.core.ids import floor
from apps.core.tenancy import current_partner, current_partner_id
from apps.ledger.models import Transfer
from apps.partners.models import LegalEntity

ZERO = Decimal(0)


@audit.rule(
    "billing.documents-in-open-books",
    of=(audit.some(LegalEntity, closed_until__isnull=False, closed_at__isnull=False),),
)
def documents_in_open_books() -> Iterator[str]:
    """No document that was made after books were closed is of a day in them."""
    for entity in LegalEntity.objects.filter(closed_until__isnull=False, closed_at__isnull=False):
        if entity.closed_at is None:
            continue
        # A key says when its row was made, by the wall clock; a sandbox's own moments do not.
        late = {"pk__gt": floor(entity.closed_at), "business_date__lte": entity.closed_until}
        for model in (Invoice, CreditNote, Document, OutsidePayment):
            rows: Any = model._default_manager.filter(legal_entity_id=entity.pk, **late)
            for row in rows.exclude(state=InvoiceState.DRAFT) if model is Invoice else rows:
                yield f"{model.__name__} {row.pk} is of {row.business_date}, in closed books"


@audit.rule(
    "billing.money-past-gateway",
    of=(
        OutsidePayment,
        audit.some(Invoice, ~Q(collection=Collection.CHARGE)),
        audit.some(Transfer, document_kind=KIND),
    ),
)
def money_past_gateway() -> Iterator[str]:
    """What came past our gateway pays its invoice to the kopeck, no more, and stands in the ledger as it came."""
    sums = OutsidePayment.objects.values_list("invoice").annotate(came=Sum("amount")).order_by()
    came = dict(sums)
    for invoice in Invoice.objects.exclude(collection=Collection.CHARGE).exclude(state=InvoiceState.DRAFT):
        total, owed = came.pop(invoice.pk, ZERO), invoice.due_money.amount
        is_right = {
            InvoiceState.OPEN: total < owed,
            InvoiceState.PAID: total == owed or invoice.payments.filter(failed=False).exists(),
        }.get(InvoiceState(invoice.state), total <= owed)
        if not is_right:
            yield f"Invoice {invoice.number} is {invoice.state}: {total} of {owed} came"
    for key in came:
        yield f"Money came past the gateway for invoice {key}, which a card pays"
    held = Transfer.objects.filter(partner_id=current_partner().pk, document_kind=KIND)
    posted = dict(
        held.exclude(posting="released").values_list("document_id").annotate(total=Sum("amount")).order_by()
    )
    for made in OutsidePayment.objects.all():
        if posted.pop(made.pk, ZERO) != made.amount + made.to_balance:
            yield f"Payment {made.pk} past the gateway is not in the ledger as it came"
    for key in posted:
        yield f"The ledger holds payment {key} past the gateway, which is not there"


# Of each line of an invoice what its acts say, beside the line.
_ACTED = """
SELECT d.number, d.total, d.vat, 'its lines'
FROM billing_document d
CROSS JOIN LATERAL (
    SELECT sum((l ->> 'amount')::numeric) AS total, sum((l ->> 'vat')::numeric) AS vat
    FROM jsonb_array_elements(d.lines) AS l) AS lines
WHERE (d.total, d.vat) IS DISTINCT FROM (lines.total, lines.vat)
UNION ALL
SELECT i.number, acted.total, acted.vat, 'its invoice'
FROM (
    SELECT d.invoice_id, (l ->> 'line')::uuid AS line, sum((l ->> 'amount')::numeric) AS total,
        sum((l ->> 'vat')::numeric) AS vat
    FROM billing_document d CROSS JOIN LATERAL jsonb_array_elements(d.lines) AS l
    WHERE d.kind = 'act' GROUP BY 1, 2) AS acted
JOIN billing_invoice i ON i.id = acted.invoice_id
LEFT JOIN billing_invoiceline l ON l.id = acted.line AND l.invoice_id = i.id
WHERE l.id IS NULL OR acted.total > l.amount OR acted.vat > l.vat
"""


_UNFOUND = audit.Query(lambda: search.unfindable("billing.Document", Document.objects.all(), audit.PARTNER))


@audit.rule("billing.acts-and-receipts", of=(Document,))
def acts_and_receipts() -> Iterator[str]:
    """A document is the sum of its lines; no line of an invoice is acted for more than it is."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTED)
        for number, total, vat, of in cursor.fetchall():
            yield f"Document {number}: {total}, VAT {vat}, does not agree with {of}"
    for document in _UNFOUND.rows():
        yield f"Document {document.number} is not found by its number"


_UNASKED = """
SELECT i.number, 'is waited for, and the partner is not asked'
FROM billing_invoice i JOIN billing_subscription s ON s.id = i.subscription_id
WHERE i.state = 'open' AND i.collection = 'partner_charges' AND s.state <> 'past_due' AND NOT EXISTS (
    SELECT FROM billing_chargerequest r WHERE r.invoice_id = i.id)
UNION ALL
SELECT i.number, 'is ' || i.state || ', and its request is ' || r.state
FROM billing_chargerequest r JOIN billing_invoice i ON i.id = r.invoice_id
WHERE r.state = 'waiting' AND i.state <> 'open' OR r.state = 'charged' AND NOT EXISTS (
    SELECT FROM billing_outsidepayment p WHERE p.invoice_id = i.id AND p.key = 'charge:' || r.id
    AND p.amount = r.amount)
UNION ALL
SELECT i.number, 'was reported as ' || w.amount || ' and is not paid by it'
FROM billing_collectionrow w JOIN billing_invoice i ON i.id = w.invoice_id
WHERE w.state = 'matched' AND NOT EXISTS (
    SELECT FROM billing_outsidepayment p
    WHERE p.invoice_id = i.id AND p.key = 'report:' || w.report_id || ':' || w.position AND p.amount = w.amount)
"""


@audit.rule("billing.partner-collects")
def partner_collects() -> Iterator[str]:
    """What a partner is to charge is asked of it; what it says it has charged or collected pays its invoice."""
    with connection.cursor() as cursor:
        cursor.execute(_UNASKED)
        for number, what in cursor.fetchall():
            yield f"Invoice {number} {what}"


@audit.rule("billing.partner-pays-once")
def partner_pays_once() -> Iterator[str]:
    """What a partner is billed for a month is no more than its clients had, at the prices that they had."""
    if current_partner_id() is None or current_partner().payer_id is None:
        return
    billed = Invoice.objects.filter(purpose=InvoicePurpose.PARTNER).exclude(
        state__in=[InvoiceState.DRAFT, InvoiceState.VOID, InvoiceState.REFUNDED]
    )
    months = billed.filter(lines__period_start__isnull=False).values_list("lines__period_start", flat=True)
    for month in months.distinct().order_by():
        if month is None:
            continue
        wanted, found = partner_invoices.counts(month)
        for sort, count in found.items():
            if count > wanted[sort]:
                yield f"{month:%Y-%m}: {count} of {sort.name} are billed to the partner, {wanted[sort]} were had"
