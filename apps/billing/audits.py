"""What must hold of subscriptions and invoices, derived from the data itself."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, OuterRef, Q, Subquery, Sum

from apps.billing import periods
from apps.billing.invoices import KIND as KIND_OF_INVOICE
from apps.billing.models import (
    LIVE,
    Collection,
    CreditNote,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceState,
    Subscription,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.billing.postings import CREDIT, KIND
from apps.core import audit, clock, search
from apps.core.models import Delivery, Due
from apps.core.tenancy import current_partner, current_partner_id
from apps.ledger.models import Account, Transfer
from apps.payments.models import PaymentState, Refund, RefundState

# Lines of one subscription, void and credited ones aside (their days may have come back), whose days overlap.
_OVERLAPS = """
SELECT one.subscription_id, one.id, two.id
FROM billing_invoiceline one
JOIN billing_invoice a ON a.id = one.invoice_id AND a.state <> 'void'
JOIN billing_invoiceline two ON two.subscription_id = one.subscription_id AND two.id > one.id
JOIN billing_invoice b ON b.id = two.invoice_id AND b.state <> 'void'
WHERE one.period_start IS NOT NULL AND two.period_start IS NOT NULL
    AND daterange(one.period_start, one.period_end) && daterange(two.period_start, two.period_end)
    AND one.credited = 0 AND two.credited = 0
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
        if not invoice.due_money.amount and payment is None:
            continue
        wrong = payment is None or (payment.amount, payment.currency) != (
            invoice.due_money.amount,
            invoice.currency,
        )
        if payment is None or wrong or payment.state not in {"succeeded", "refunded"}:
            yield f"Invoice {invoice.number} is {invoice.state} without a payment of {invoice.due_money}"
    for link in links.filter(payment__state="succeeded", invoice__state__in=["open", "void"]):
        if not link.payment.refunds.exists() and link.payment_id not in told:
            yield f"Payment {link.payment_id} came for invoice {link.invoice.number}, which is {link.invoice.state}"


@audit.rule("billing.posted")
def posted() -> Iterator[str]:
    """What the ledger holds of an invoice is its amount while it is owed or paid, less what was given back of it."""
    owed, back, notes = _owed(), _given_back(), _noted()
    for invoice in Invoice.objects.exclude(state=InvoiceState.DRAFT):
        held, less = owed.pop(invoice.pk, Decimal(0)), back.get(invoice.pk, Decimal(0))
        due, noted = invoice.due_money.amount, notes.get(invoice.pk, Decimal(0))
        is_right = {
            InvoiceState.OPEN: held == due and not less,
            InvoiceState.PAID: held == due and less + noted <= invoice.total,
            InvoiceState.REFUNDED: held == due and less + noted == invoice.total,
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


def _noted() -> dict[UUID, Decimal]:
    """By invoice: what credit notes took off it."""
    return dict(CreditNote.objects.values_list("invoice_id").annotate(total=Sum("total")).order_by())


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
    noted = set(CreditNote.objects.filter(to_refund__gt=0).values_list("pk", flat=True))
    back = Refund.objects.filter(
        payment__invoice_payment__failed=False,
        payment__invoice_payment__invoice__state__in=[InvoiceState.PAID, InvoiceState.REFUNDED],
    ).select_related("payment__invoice_payment__invoice")
    for refund in back:
        invoice = refund.payment.invoice_payment.invoice
        if refund.pk in told or refund.payment_id in told or refund.pk in noted:
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
    # Where others collect the money, a period is granted with its invoice.
    granted = Q(invoice__state=InvoiceState.OPEN) & ~Q(invoice__collection=Collection.CHARGE)
    lines = InvoiceLine.objects.filter(
        granted | Q(invoice__state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]),
        subscription=OuterRef("pk"),
        phase__dropped_at=None,
    ).order_by("-phase__start_date", "-phase", "-period_end")
    begun = SubscriptionPhase.objects.filter(
        subscription=OuterRef("pk"), dropped_at=None, start_date__lte=clock.today()
    ).order_by("-start_date", "-pk")
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
    live = Subscription.objects.filter(state__in=LIVE).annotate(
        paid_until=Subquery(lines.values("period_end")[:1]),
        paid_terms=Subquery(lines.values("phase__start_date")[:1]),
        terms_since=Subquery(begun.values("start_date")[:1]),
    )
    for subscription in live:
        if subscription.current_period_end not in _may_run_to(subscription):
            yield f"Subscription {subscription.pk} runs to {subscription.current_period_end}, paid is another day"
        if subscription.parent_id is None and subscription.pk not in planned | under_way:
            yield f"Subscription {subscription.pk} is live, and nothing is planned for it"


def _may_run_to(subscription: Any) -> set[date]:
    """The end of what is paid; the day of terms that have begun and are still to be billed, or a trial's end."""
    if subscription.state == SubscriptionState.TRIAL and subscription.paid_until is None:
        return {subscription.anchor_date}
    is_new = subscription.paid_terms is None or subscription.terms_since > subscription.paid_terms
    fresh = {subscription.terms_since} if is_new and subscription.terms_since else set()
    return fresh | {subscription.paid_until}


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


# What was sold stands in the first invoice's line, which is never changed, and in the version, which was sold. The
# terms that it began with say the same, and today's are those of the latest phase: whatever changed them wrote one.
# Terms that begin today are taken up in the course of the day.
_AS_SOLD = """
SELECT s.id
FROM billing_subscription s
JOIN billing_invoice i ON i.subscription_id = s.id AND i.purpose = 'new'
LEFT JOIN billing_invoiceline l ON l.invoice_id = i.id AND l.position = 1
LEFT JOIN public.catalog_tariffversion v ON v.id = l.tariff_version_id
LEFT JOIN billing_subscriptionphase p ON p.id = l.phase_id
WHERE (s.currency, s.legal_entity_id, s.product_id) IS DISTINCT FROM (i.currency, i.legal_entity_id, l.product_id)
    OR (COALESCE(p.tariff_version_id, s.tariff_version_id), COALESCE(p.quantity, s.quantity),
        COALESCE(p.vat_code, s.vat_code), COALESCE(p.period_count, s.period_count),
        COALESCE(p.period_unit, s.period_unit))
    IS DISTINCT FROM (l.tariff_version_id, l.quantity, v.vat_code, v.period_count, v.period_unit)
    OR s.parent_id IS NULL AND (
        s.trial_days <> v.trial_days
        OR COALESCE(p.price * p.quantity, s.price * s.quantity) <> l.amount + l.discount
        OR (p.anchor_date, p.cycle_day) IS DISTINCT FROM (l.period_start, extract(day FROM l.period_start)))
UNION
SELECT s.id
FROM billing_subscription s
WHERE s.state IN ('trial', 'active') AND NOT s.is_parked AND NOT s.cancel_at_period_end AND NOT EXISTS (
    SELECT FROM billing_subscriptionphase p
    WHERE p.subscription_id = s.id AND p.dropped_at IS NULL AND p.start_date <= %(today)s
    AND NOT EXISTS (
        SELECT FROM billing_subscriptionphase q WHERE q.subscription_id = s.id AND q.dropped_at IS NULL
        AND q.start_date < %(today)s AND (q.start_date, q.id) > (p.start_date, p.id))
    AND (s.offer_id, s.tariff_version_id, s.price, s.quantity, s.vat_code, s.period_count, s.period_unit)
        = (p.offer_id, p.tariff_version_id, p.price, p.quantity, p.vat_code, p.period_count, p.period_unit)
    AND (p.is_free OR (s.anchor_date, s.cycle_day) = (p.anchor_date, p.cycle_day)))
"""


@audit.rule("billing.keeps-what-was-sold")
def keeps_what_was_sold() -> Iterator[str]:
    """A subscription begins on the terms of its first invoice, and goes on by those of its phases alone."""
    for (key,) in _select(_AS_SOLD, {"today": clock.today()}):
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
    WHERE s.state IN ('trial', 'active') AND NOT s.cancel_at_period_end AND m.is_active AND s.parent_id IS NULL
    AND s.current_period_end > %(noticed)s AND COALESCE(s.end_date > s.current_period_end, true)
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


_WITH_LINES = """
WITH line AS (
    SELECT l.id, i.id AS invoice, i.number, i.state, l.position, l.amount, l.vat, i.credit_applied, round(
        CASE WHEN l.terms ->> 'share_base' = 'gross' THEN l.amount ELSE l.amount - l.vat END
        * COALESCE(NULLIF(l.terms ->> 'share_percent', ''), '0')::numeric / 100, 2) AS share,
        max(l.period_end) OVER of_invoice AS over, max(l.position) OVER of_invoice AS last_position,
        jsonb_build_array(i.currency, l.terms ->> 'owner', i.legal_entity_id, i.customer_id,
            COALESCE(l.subscription_id, i.subscription_id), i.channel_id, l.product_id, l.tariff_version_id,
            (l.terms ->> 'provider_id')::bigint, l.vat_rate) AS dimensions,
        CASE i.purpose WHEN 'new' THEN 'new' ELSE 'renewal' END AS sale
    FROM billing_invoice i JOIN billing_invoiceline l ON l.invoice_id = i.id WHERE i.state <> 'draft'
    WINDOW of_invoice AS (PARTITION BY i.id)
), note AS (
    SELECT n.id AS document, n.number, n.to_debt > 0 AS is_of_debt, n.to_balance, c.invoice_line_id, c.amount, c.vat,
        sum(c.amount) OVER (PARTITION BY c.invoice_line_id ORDER BY c.id) AS so_far,
        row_number() OVER (PARTITION BY n.id ORDER BY c.id) AS position,
        count(*) OVER (PARTITION BY n.id) AS last_position
    FROM billing_creditnote n JOIN billing_creditnoteline c ON c.credit_note_id = n.id
), posted AS (
    SELECT document_kind, document_id, posting, debit, credit, amount, kind,
        substring(posting FROM '[0-9]+$')::int AS position, regexp_replace(posting, '-[0-9]+$', '') AS name,
        jsonb_build_array(currency, owner, seller_id, customer_id, subscription_id, channel_id,
            product_id, tariff_version_id, provider_id, vat_rate) AS dimensions
    FROM ledger_transfer WHERE partner_id = %(partner)s AND document_kind IN ('invoice', 'credit', 'credit_note')
)
"""

# Every line with what the ledger must hold of it, side by side with what it holds. What the balance pays stands with
# the last line.
_LINES = """
, held AS (
    SELECT p.*, COALESCE(link.invoice_id, p.document_id) AS invoice,
        COALESCE(p.position, (SELECT max(l.position) FROM line l WHERE l.invoice = p.document_id)) AS line_position
    FROM posted p
    LEFT JOIN payments_refund r ON p.document_kind = 'credit' AND r.id = p.document_id
    LEFT JOIN billing_invoicepayment link ON link.payment_id = r.payment_id
    WHERE p.document_kind IN ('invoice', 'credit')
), credited AS (
    SELECT invoice, position, sum(amount) FILTER (WHERE name <> 'credit-share') AS total,
        sum(amount) FILTER (WHERE name = 'credit-vat') AS vat,
        sum(amount) FILTER (WHERE name = 'credit-share') AS share,
        sum(amount) FILTER (WHERE name = 'credit-net' AND debit = 'deferred') AS unearned
    FROM held WHERE document_kind = 'credit' GROUP BY invoice, position
), noted AS (
    SELECT note.invoice_line_id AS id, sum(p.amount) AS unearned
    FROM note JOIN posted p ON p.document_kind = 'credit_note' AND p.document_id = note.document
        AND p.name = 'net' AND p.position = note.position AND p.debit = 'deferred'
    GROUP BY note.invoice_line_id
), wanted AS (
    SELECT line.*, one.name, one.debit, one.credit, one.sum, one.is_due FROM line
    LEFT JOIN credited USING (invoice, position)
    LEFT JOIN noted USING (id)
    CROSS JOIN LATERAL (VALUES
        ('net', 'receivable', 'deferred', amount - line.vat, true),
        ('vat', 'receivable', 'vat', line.vat, true),
        ('balance', 'advances', 'receivable', credit_applied, position = last_position),
        ('void-net', 'deferred', 'receivable', amount - line.vat, state = 'void'),
        ('void-vat', 'vat', 'receivable', line.vat, state = 'void'),
        ('void-balance', 'receivable', 'advances', credit_applied, state = 'void' AND position = last_position),
        ('share', 'partner_share', 'partner_payable', line.share, state IN ('paid', 'refunded')),
        ('recognised', 'deferred', 'revenue',
            amount - line.vat - COALESCE(credited.unearned, 0) - COALESCE(noted.unearned, 0),
            state = 'paid' AND over <= %(today)s AND NOT EXISTS (SELECT FROM core_due
                WHERE partner_id = %(partner)s AND kind = 'billing.recognise' AND object_id = invoice))
    ) AS one (name, debit, credit, sum, is_due)
)
SELECT w.number, w.position, w.name, w.sum, h.amount
FROM wanted w
LEFT JOIN held h ON h.document_kind = 'invoice'
    AND (h.invoice, h.line_position, h.name) = (w.invoice, w.position, w.name)
WHERE CASE WHEN h.posting IS NULL THEN w.is_due AND w.sum <> 0
    ELSE NOT (w.is_due OR w.name = 'recognised' AND w.state IN ('paid', 'refunded'))
        OR (h.debit, h.credit, h.amount, h.kind) IS DISTINCT FROM (w.debit, w.credit, w.sum, w.sale)
        OR h.dimensions IS DISTINCT FROM w.dimensions END
UNION ALL
SELECT line.number, held.position, held.posting, NULL, held.amount
FROM held LEFT JOIN line ON (line.invoice, line.position) = (held.invoice, held.line_position)
WHERE line.invoice IS NULL OR held.name NOT IN ('net', 'vat', 'balance', 'void-net', 'void-vat', 'void-balance',
    'share', 'recognised', 'credit-net', 'credit-vat', 'credit-share')
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
    for number, position, name, wanted, held in _select(_WITH_LINES + _LINES, values):
        yield f"Invoice {number}, line {position}: {name} is {held} in the ledger, and {wanted} by the line"


# The partner's share goes back only of what was paid; what of the note stays with the customer, with its last line.
_NOTES = """
, wanted AS (
    SELECT note.document, note.number, one.posting, one.debits, one.credit, one.sum, line.dimensions
    FROM note JOIN line ON line.id = note.invoice_line_id
    CROSS JOIN LATERAL (VALUES
        ('net-' || note.position, '{deferred,revenue}'::text[], 'receivable', note.amount - note.vat),
        ('vat-' || note.position, '{vat}', 'receivable', note.vat),
        ('share-' || note.position, '{partner_payable}', 'partner_share', CASE WHEN is_of_debt THEN 0
            ELSE round(share * so_far / line.amount, 2) - round(share * (so_far - note.amount) / line.amount, 2) END),
        ('balance', '{receivable}', 'advances',
            CASE WHEN note.position = note.last_position THEN to_balance ELSE 0 END)
    ) AS one (posting, debits, credit, sum)
    WHERE one.sum <> 0
), held AS (
    SELECT document_id AS document, posting, debit, credit, amount, kind, dimensions
    FROM posted WHERE document_kind = 'credit_note'
)
SELECT COALESCE(number, document::text), posting, w.sum, h.amount
FROM wanted w FULL JOIN held h USING (document, posting)
WHERE (h.debit = ANY (w.debits), h.credit, h.amount, h.kind, h.dimensions)
    IS DISTINCT FROM (true, w.credit, w.sum, 'refund', w.dimensions)
"""


@audit.rule("billing.ledger-of-credit-notes")
def ledger_of_credit_notes() -> Iterator[str]:
    """What a credit note took off income, VAT and share, and put onto the balance, stands in the ledger, no more."""
    for number, posting, wanted, held in _select(_WITH_LINES + _NOTES, {"partner": current_partner_id()}):
        yield f"Credit note {number}: {posting} is {held} in the ledger, and {wanted} by the note"


_CREDITED = """
SELECT 'Credit note ' || n.number, n.total, n.vat
FROM billing_creditnote n LEFT JOIN billing_creditnoteline c ON c.credit_note_id = n.id
GROUP BY n.id HAVING (n.total, n.vat) IS DISTINCT FROM (sum(c.amount), sum(c.vat))
UNION ALL
SELECT 'Line of invoice ' || i.number, l.credited, l.vat
FROM billing_invoiceline l
JOIN billing_invoice i ON i.id = l.invoice_id
LEFT JOIN billing_creditnoteline c ON c.invoice_line_id = l.id
GROUP BY i.id, l.id HAVING l.credited <> COALESCE(sum(c.amount), 0) OR COALESCE(sum(c.vat), 0) > l.vat
"""


@audit.rule("billing.credit-note-adds-up")
def credit_note_adds_up() -> Iterator[str]:
    """A credit note is the sum of its lines, and an invoice's line knows what was credited of it."""
    for what, total, vat in _select(_CREDITED):
        yield f"{what}: {total}, VAT {vat}, is not the sum of what was credited"


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
