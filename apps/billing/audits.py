"""What must hold of subscriptions and invoices, derived from the data itself."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, OuterRef, Subquery, Sum

from apps.billing import periods
from apps.billing.invoices import KIND as KIND_OF_INVOICE
from apps.billing.models import LIVE, Invoice, InvoiceLine, InvoicePayment, InvoiceState, Subscription
from apps.billing.postings import CREDIT, KIND
from apps.core import audit, clock, search
from apps.core.models import Delivery, Due
from apps.core.tenancy import current_partner, current_partner_id
from apps.ledger.models import Account, Transfer
from apps.payments.models import PaymentState, Refund, RefundState

# Lines of one subscription, void ones aside, whose days overlap.
_OVERLAPS = """
SELECT one.subscription_id, one.id, two.id
FROM billing_invoiceline one
JOIN billing_invoice a ON a.id = one.invoice_id AND a.state <> 'void'
JOIN billing_invoiceline two ON two.subscription_id = one.subscription_id AND two.id > one.id
JOIN billing_invoice b ON b.id = two.invoice_id AND b.state <> 'void'
WHERE daterange(one.period_start, one.period_end) && daterange(two.period_start, two.period_end)
"""


@audit.rule("billing.period-billed-once")
def period_billed_once() -> Iterator[str]:
    """No day of a subscription is billed twice."""
    with connection.cursor() as cursor:
        cursor.execute(_OVERLAPS)
        for subscription, one, two in cursor.fetchall():
            yield f"Subscription {subscription}: lines {one} and {two} bill the same days"


@audit.rule("billing.invoice-adds-up")
def invoice_adds_up() -> Iterator[str]:
    """An invoice is the sum of its lines."""
    rows = Invoice.objects.annotate(lines_total=Sum("lines__amount"), lines_vat=Sum("lines__vat"))
    for invoice in rows.exclude(total=F("lines_total"), vat=F("lines_vat")):
        yield f"Invoice {invoice.number or invoice.pk}: {invoice.total} is not {invoice.lines_total}"


@audit.rule("billing.paid-means-paid")
def paid_means_paid() -> Iterator[str]:
    """A paid invoice has one payment of its amount that came; one that came pays its invoice or goes back."""
    links, told = InvoicePayment.objects.select_related("invoice", "payment"), set(_told())
    paid = {link.invoice_id: link.payment for link in links.filter(failed=False)}
    for invoice in Invoice.objects.filter(state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]):
        payment = paid.get(invoice.pk)
        wrong = payment is None or (payment.amount, payment.currency) != (invoice.total, invoice.currency)
        if payment is None or wrong or payment.state not in {"succeeded", "refunded"}:
            yield f"Invoice {invoice.number} is {invoice.state} without a payment of {invoice.money}"
    for link in links.filter(payment__state="succeeded", invoice__state__in=["open", "void"]):
        if not link.payment.refunds.exists() and link.payment_id not in told:
            yield f"Payment {link.payment_id} came for invoice {link.invoice.number}, which is {link.invoice.state}"


@audit.rule("billing.posted")
def posted() -> Iterator[str]:
    """What the ledger holds of an invoice is its amount while it is owed or paid, less what was given back of it."""
    owed, back = _owed(), _given_back()
    for invoice in Invoice.objects.exclude(state=InvoiceState.DRAFT):
        held, less = owed.pop(invoice.pk, Decimal(0)), back.get(invoice.pk, Decimal(0))
        is_right = {
            InvoiceState.OPEN: held == invoice.total and not less,
            InvoiceState.PAID: held == invoice.total > less,
        }.get(InvoiceState(invoice.state), held == less)
        if not is_right:
            sums = f"{held} less {less} of {invoice.total}"
            yield f"Invoice {invoice.number} is {invoice.state}, and the ledger holds {sums}"
    for document in owed:
        yield f"The ledger holds postings of invoice {document}, which is not there"


def _owed() -> dict[UUID, Decimal]:
    """By invoice: what the ledger says its customer owes, or owed before paying."""
    mine = Transfer.objects.filter(partner_id=current_partner().pk, document_kind=KIND)
    owed: dict[UUID, Decimal] = {}
    for document, debit, credit, amount in mine.values_list("document_id", "debit", "credit", "amount"):
        sign = (debit == Account.RECEIVABLE) - (credit == Account.RECEIVABLE)
        owed[document] = owed.get(document, Decimal(0)) + sign * amount
    return owed


def _given_back() -> dict[UUID, Decimal]:
    """By invoice: what the ledger says was taken off it."""
    credited, back = _credited(), dict[UUID, Decimal]()
    links = InvoicePayment.objects.filter(payment__refunds__in=list(credited))
    for invoice, refund in links.values_list("invoice_id", "payment__refunds"):
        back[invoice] = back.get(invoice, Decimal(0)) + credited.get(refund, Decimal(0))
    return back


def _credited() -> dict[UUID, Decimal]:
    """By refund: what was taken off its invoice."""
    mine = Transfer.objects.filter(
        partner_id=current_partner().pk, document_kind=CREDIT, credit=Account.RECEIVABLE
    )
    return dict(mine.values_list("document_id").annotate(total=Sum("amount")))


@audit.rule("billing.refund-credited")
def refund_credited() -> Iterator[str]:
    """What went back of a paid invoice is taken off it, once; all of it gone, the invoice is refunded."""
    credited, told = _credited(), set(_told())
    back = Refund.objects.filter(
        payment__invoice_payment__failed=False,
        payment__invoice_payment__invoice__state__in=[InvoiceState.PAID, InvoiceState.REFUNDED],
    ).select_related("payment__invoice_payment__invoice")
    for refund in back:
        invoice = refund.payment.invoice_payment.invoice
        if refund.pk in told or refund.payment_id in told:
            continue
        found, is_made = credited.get(refund.pk), refund.state == RefundState.SUCCEEDED
        # A trial's is credited when it is cancelled, before its money has gone.
        if found != refund.amount if is_made else found and invoice.state == InvoiceState.PAID:
            yield f"Refund {refund.pk} of {refund.amount} is {refund.state}, and {found} is credited"
        if refund.payment.state == PaymentState.REFUNDED and invoice.state != InvoiceState.REFUNDED:
            yield f"Invoice {invoice.number} is {invoice.state}, and all its money went back"


def _told() -> Iterable[UUID]:
    """What news is still on its way about."""
    waiting = Delivery.objects.filter(partner_id=current_partner_id())
    return waiting.values_list("event__object_id", flat=True)


@audit.rule("billing.live-is-planned")
def live_is_planned() -> Iterator[str]:
    """A live subscription is paid by its last period, and its next charge or end is planned or under way."""
    last = InvoiceLine.objects.filter(
        subscription=OuterRef("pk"), invoice__state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]
    ).order_by("-period_end")
    planned = set(
        Due.objects.filter(partner_id=current_partner_id(), kind="billing.renew").values_list(
            "object_id", flat=True
        )
    )
    under_way = set(
        InvoicePayment.objects.filter(failed=False, invoice__state=InvoiceState.OPEN).values_list(
            "invoice__subscription_id", flat=True
        )
    )
    live = Subscription.objects.filter(state__in=LIVE)
    for subscription in live.annotate(paid_until=Subquery(last.values("period_end")[:1])):
        if subscription.paid_until != subscription.current_period_end:
            yield f"Subscription {subscription.pk} runs to {subscription.current_period_end}, paid is another day"
        if subscription.pk not in planned | under_way:
            yield f"Subscription {subscription.pk} is live, and nothing is planned for it"


@audit.rule("billing.nothing-after-cancellation")
def nothing_after_cancellation() -> Iterator[str]:
    """No charge that was started after a cancellation is kept."""
    late = InvoicePayment.objects.filter(
        invoice__purpose="renewal",
        payment__state="succeeded",
        payment__created_at__gt=F("invoice__subscription__cancelled_at"),
        payment__refunds__isnull=True,
    )
    for link in late:
        yield f"Payment {link.payment_id} was started after its subscription was cancelled"


@audit.rule("billing.references")
def references() -> Iterator[str]:
    """What a subscription refers to in the public schema is there."""
    from apps.catalog.models import Offer, TariffVersion

    for model, field in ((Offer, "offer_id"), (TariffVersion, "tariff_version_id")):
        used = set(Subscription.objects.values_list(field, flat=True))
        for key in used - set(model.objects.filter(pk__in=used).values_list("pk", flat=True)):
            yield f"Subscriptions refer to {model.__name__} {key}, which is not there"


# What was sold stands in the first invoice's line, which is never changed, and in the version, which was sold.
_AS_SOLD = """
SELECT s.id
FROM billing_subscription s
LEFT JOIN billing_invoice i ON i.subscription_id = s.id AND i.purpose = 'new'
LEFT JOIN billing_invoiceline l ON l.invoice_id = i.id AND l.position = 1
LEFT JOIN public.catalog_tariffversion v ON v.id = l.tariff_version_id
WHERE (s.price * s.quantity, s.quantity, s.currency, s.customer_id, s.legal_entity_id, s.product_id,
    s.tariff_version_id, s.price, s.vat_code, s.period_count, s.period_unit, s.trial_days,
    s.anchor_date, s.cycle_day)
    IS DISTINCT FROM (l.amount, l.quantity, i.currency, i.customer_id, i.legal_entity_id, l.product_id,
    l.tariff_version_id, v.price, v.vat_code, v.period_count, v.period_unit, v.trial_days,
    l.period_start, extract(day FROM l.period_start))
"""


@audit.rule("billing.keeps-what-was-sold")
def keeps_what_was_sold() -> Iterator[str]:
    """A subscription goes on at the price and on the terms of its first invoice, from that one's first day."""
    for (key,) in _select(_AS_SOLD):
        yield f"Subscription {key} is not on the terms that it was sold on"


# Each kind of work with those it has to be planned for. A notice may have been given, the end of a trial may have
# come: they are looked for only while their moment is a day and more ahead.
_UNPLANNED = """
WITH planned AS (SELECT kind, object_id FROM core_due WHERE partner_id = %(partner)s),
wanted AS (
    SELECT 'billing.expire' AS kind, id FROM billing_invoice WHERE state = 'open' AND purpose = 'new'
    UNION ALL
    SELECT 'billing.recognise', i.id FROM billing_invoice i WHERE i.state = 'paid'
    AND (SELECT max(period_end) FROM billing_invoiceline l WHERE l.invoice_id = i.id) > %(today)s
    UNION ALL
    SELECT 'billing.trial_end', id FROM billing_subscription WHERE state = 'trial' AND NOT cancel_at_period_end
    UNION ALL
    SELECT 'billing.notice', s.id FROM billing_subscription s JOIN payments_paymentmethod m ON m.id = s.method_id
    WHERE s.state IN ('trial', 'active') AND NOT s.cancel_at_period_end AND m.is_active
    AND s.current_period_end > %(noticed)s
)
SELECT kind, id FROM wanted
WHERE NOT EXISTS (SELECT FROM planned WHERE planned.kind = wanted.kind AND planned.object_id = wanted.id)
"""


@audit.rule("billing.work-is-planned")
def work_is_planned() -> Iterator[str]:
    """Notice, end of trial, expiry of what is unpaid and recognition of what was earned are planned."""
    noticed = clock.today() + periods.NOTICE + timedelta(days=1)
    values = {"partner": current_partner_id(), "today": clock.today(), "noticed": noticed}
    for kind, key in _select(_UNPLANNED, values):
        yield f"{kind} of {key} is not planned"


# Every line with what the ledger must hold of it, side by side with what it holds.
_LINES = """
WITH line AS (
    SELECT i.id AS invoice, i.number, i.state, l.position, l.amount, l.vat, round(
        CASE WHEN l.terms ->> 'share_base' = 'gross' THEN l.amount ELSE l.amount - l.vat END
        * COALESCE(NULLIF(l.terms ->> 'share_percent', ''), '0')::numeric / 100, 2) AS share,
        (SELECT max(period_end) FROM billing_invoiceline WHERE invoice_id = i.id) AS over,
        jsonb_build_array(i.currency, l.terms ->> 'owner', i.legal_entity_id, i.customer_id, i.subscription_id,
            i.channel_id, l.product_id, l.tariff_version_id, (l.terms ->> 'provider_id')::bigint,
            l.vat_rate) AS dimensions,
        i.purpose
    FROM billing_invoice i JOIN billing_invoiceline l ON l.invoice_id = i.id WHERE i.state <> 'draft'
), held AS (
    SELECT t.document_kind, t.document_id, t.posting, t.debit, t.credit, t.amount, t.kind,
        substring(t.posting FROM '[0-9]+$')::int AS position, regexp_replace(t.posting, '-[0-9]+$', '') AS name,
        COALESCE(link.invoice_id, t.document_id) AS invoice,
        jsonb_build_array(t.currency, t.owner, t.seller_id, t.customer_id, t.subscription_id, t.channel_id,
            t.product_id, t.tariff_version_id, t.provider_id, t.vat_rate) AS dimensions
    FROM ledger_transfer t
    LEFT JOIN payments_refund r ON t.document_kind = 'credit' AND r.id = t.document_id
    LEFT JOIN billing_invoicepayment link ON link.payment_id = r.payment_id
    WHERE t.partner_id = %(partner)s AND t.document_kind IN ('invoice', 'credit')
), credited AS (
    SELECT invoice, position, sum(amount) FILTER (WHERE name <> 'credit-share') AS total,
        sum(amount) FILTER (WHERE name = 'credit-vat') AS vat,
        sum(amount) FILTER (WHERE name = 'credit-share') AS share,
        sum(amount) FILTER (WHERE name = 'credit-net' AND debit = 'deferred') AS unearned
    FROM held WHERE document_kind = 'credit' GROUP BY invoice, position
), wanted AS (
    SELECT line.*, one.name, one.debit, one.credit, one.sum, one.is_due FROM line
    LEFT JOIN credited USING (invoice, position)
    CROSS JOIN LATERAL (VALUES
        ('net', 'receivable', 'deferred', amount - line.vat, true),
        ('vat', 'receivable', 'vat', line.vat, true),
        ('void-net', 'deferred', 'receivable', amount - line.vat, state = 'void'),
        ('void-vat', 'vat', 'receivable', line.vat, state = 'void'),
        ('share', 'partner_share', 'partner_payable', line.share, state IN ('paid', 'refunded')),
        ('recognised', 'deferred', 'revenue', amount - line.vat - COALESCE(unearned, 0),
            state = 'paid' AND over <= %(today)s AND NOT EXISTS (SELECT FROM core_due
                WHERE partner_id = %(partner)s AND kind = 'billing.recognise' AND object_id = invoice))
    ) AS one (name, debit, credit, sum, is_due)
)
SELECT w.number, w.position, w.name, w.sum, h.amount
FROM wanted w
LEFT JOIN held h ON h.document_kind = 'invoice'
    AND (h.invoice, h.position, h.name) = (w.invoice, w.position, w.name)
WHERE CASE WHEN h.posting IS NULL THEN w.is_due AND w.sum <> 0
    ELSE NOT (w.is_due OR w.name = 'recognised' AND w.state IN ('paid', 'refunded'))
        OR (h.debit, h.credit, h.amount, h.kind) IS DISTINCT FROM (w.debit, w.credit, w.sum, w.purpose)
        OR h.dimensions IS DISTINCT FROM w.dimensions END
UNION ALL
SELECT line.number, held.position, held.posting, NULL, held.amount
FROM held LEFT JOIN line USING (invoice, position)
WHERE line.invoice IS NULL OR held.name NOT IN
    ('net', 'vat', 'void-net', 'void-vat', 'share', 'recognised', 'credit-net', 'credit-vat', 'credit-share')
UNION ALL
SELECT line.number, held.position, held.posting, NULL, held.amount
FROM held JOIN line USING (invoice, position)
WHERE held.document_kind = 'credit' AND (held.dimensions IS DISTINCT FROM line.dimensions OR held.kind <> 'refund'
    OR (held.debit, held.credit) NOT IN (('deferred', 'receivable'), ('revenue', 'receivable'), ('vat', 'receivable'),
        ('partner_payable', 'partner_share')))
UNION ALL
SELECT line.number, position, 'credit', round(line.vat * total / amount, 2), credited.vat
FROM credited JOIN line USING (invoice, position)
WHERE amount <> 0 AND (
    COALESCE(credited.vat, 0) <> round(line.vat * total / amount, 2)
    OR COALESCE(credited.share, 0) <> round(line.share * total / amount, 2))
"""


@audit.rule("billing.ledger-of-lines")
def ledger_of_lines() -> Iterator[str]:
    """Net, VAT, share, recognition and credit of each line stand in the ledger as they follow from the line."""
    values = {"partner": current_partner_id(), "today": clock.today()}
    for number, position, name, wanted, held in _select(_LINES, values):
        yield f"Invoice {number}, line {position}: {name} is {held} in the ledger, and {wanted} by the line"


_OWNERS = """
SELECT i.number, l.terms ->> 'owner', t.owner
FROM billing_invoicepayment link
JOIN billing_invoice i ON i.id = link.invoice_id
JOIN billing_invoiceline l ON l.invoice_id = i.id
JOIN ledger_transfer t ON t.partner_id = %(partner)s AND t.document_id = link.payment_id AND t.posting = 'paid'
WHERE NOT link.failed AND i.state IN ('paid', 'refunded') AND t.owner IS DISTINCT FROM l.terms ->> 'owner'
"""


@audit.rule("billing.owner-was-paid")
def owner_was_paid() -> Iterator[str]:
    """An invoice is owed to whom its payment went: the operator, or the partner on a connection of its own."""
    for number, owed, paid in _select(_OWNERS, {"partner": current_partner_id()}):
        yield f"Invoice {number} is the money of {owed}, and was paid to {paid}"


@audit.rule("billing.findable")
def findable() -> Iterator[str]:
    """Every issued invoice is found by its number."""
    for invoice in search.unfindable(KIND_OF_INVOICE, Invoice.objects.exclude(number="")):
        yield f"Invoice {invoice.number} is not found by its number"


def _select(query: str, values: dict[str, Any] | None = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()
