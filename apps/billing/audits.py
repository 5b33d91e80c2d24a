"""What must hold of subscriptions and invoices, derived from the data itself."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum

from apps.billing import (
    document_audits,
    dunning_audits,
    gifts,
    held,
    ledger_audits,
    outside_refund_audits,
    paying,
    payout_audits,
    periods,
    promotion_audits,
    statement_audits,
)
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
)
from apps.billing.payout_models import BalancePayout
from apps.billing.posting_parts import CREDIT, KIND
from apps.core import audit, clock, search
from apps.core.models import Delivery, Due, WorkItem
from apps.core.tenancy import current_partner, current_partner_id
from apps.ledger.models import Account, Transfer
from apps.payments.models import PaymentState, Purpose, Refund, RefundState
from apps.policies.dunning_models import ChargeRules

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


@audit.rule("billing.period-billed-once", of=(InvoiceLine,))
def period_billed_once() -> Iterator[str]:
    """No day of a subscription is billed twice."""
    with connection.cursor() as cursor:
        cursor.execute(_OVERLAPS)
        for subscription, one, two in cursor.fetchall():
            yield f"Subscription {subscription}: lines {one} and {two} bill the same days"


@audit.rule("billing.invoice-adds-up", of=(Invoice,))
def invoice_adds_up() -> Iterator[str]:
    """An invoice is the sum of its lines."""
    rows = Invoice.objects.annotate(lines_total=Sum("lines__amount"), lines_vat=Sum("lines__vat"))
    for invoice in rows.exclude(total=F("lines_total"), vat=F("lines_vat")):
        yield f"Invoice {invoice.number or invoice.pk}: {invoice.total} is not {invoice.lines_total}"


@audit.rule("billing.paid-means-paid", of=(Invoice,))
def paid_means_paid() -> Iterator[str]:
    """A paid invoice has one payment of its amount that came; one that came pays its invoice or goes back."""
    links, told = InvoicePayment.objects.select_related("invoice", "payment"), set(_told())
    # A rouble by which a card was saved pays for nothing.
    paid = {
        link.invoice_id: link.payment
        for link in links.filter(failed=False).exclude(payment__purpose=Purpose.BINDING)
    }
    for invoice in Invoice.objects.filter(state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]):
        payment = paid.get(invoice.pk)
        if not invoice.due_money.amount and payment is None:
            continue
        # What came past the gateway is looked at by `billing.money-past-gateway`.
        if invoice.collection != Collection.CHARGE and payment is None:
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
        due, noted = invoice.total - invoice.credit_applied, notes.get(invoice.pk, Decimal(0))
        is_right = {
            InvoiceState.OPEN: held == due and not less,
            InvoiceState.PAID: held == due and less + noted <= invoice.total,
            InvoiceState.REFUNDED: held == due and less + noted == invoice.total,
        }.get(InvoiceState(invoice.state), held == less + invoice.debt_credited)
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


@audit.rule("billing.refund-credited", of=(Refund,))
def refund_credited() -> Iterator[str]:
    """What went back of a paid invoice is taken off it, once; all of it gone, the invoice is refunded."""
    credited, told = _credited(), set(_told())
    noted = set(CreditNote.objects.filter(to_refund__gt=0).values_list("pk", flat=True))
    paid_out = dict(BalancePayout.objects.values_list("pk", "amount"))
    watched = set(
        WorkItem.objects.filter(partner_id=current_partner_id(), kind="payments.refund").values_list(
            "object_id", flat=True
        )
    )
    back = Refund.objects.filter(
        payment__invoice_payment__failed=False,
        payment__invoice_payment__invoice__state__in=[InvoiceState.PAID, InvoiceState.REFUNDED],
    ).exclude(payment__purpose=Purpose.BINDING)
    back = back.select_related("payment__invoice_payment__invoice")
    for refund in back:
        invoice = refund.payment.invoice_payment.invoice
        if refund.pk in told or refund.payment_id in told or refund.pk in noted:
            continue
        found, is_made = credited.get(refund.pk), refund.state == RefundState.SUCCEEDED
        # What nobody asked for comes off the balance, if it was there; what was there no more, staff look after.
        gone = (found or Decimal(0)) + paid_out.get(refund.pk, Decimal(0))
        is_told = gone == refund.amount or (gone < refund.amount and refund.pk in watched)
        if not is_told if is_made else found and invoice.state == InvoiceState.PAID:
            yield f"Refund {refund.pk} of {refund.amount} is {refund.state}, and {found} is credited"
        if refund.payment.state == PaymentState.REFUNDED and invoice.state != InvoiceState.REFUNDED:
            yield f"Invoice {invoice.number} is {invoice.state}, and all its money went back"


def _told() -> Iterable[UUID]:
    """What news is still on its way about."""
    waiting = Delivery.objects.filter(partner_id=current_partner_id())
    return waiting.values_list("event__object_id", flat=True)


def _live() -> QuerySet[Subscription]:
    # Where others collect the money, a period is granted with its invoice; where it is held first, with the hold.
    granted = Q(invoice__state=InvoiceState.OPEN, invoice__collection__in=paying.GRANTED) | held.ON_HOLD
    lines = InvoiceLine.objects.filter(
        granted | Q(invoice__state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]),
        subscription=OuterRef("pk"),
        # What is paid has its days; and only with them is a line found by its subscription in an index.
        period_start__isnull=False,
        phase__dropped_at=None,
    ).order_by("-phase__start_date", "-phase", "-period_end")
    begun = SubscriptionPhase.objects.filter(
        subscription=OuterRef("pk"), dropped_at=None, start_date__lte=audit.given("today")
    ).order_by("-start_date", "-pk")
    return Subscription.objects.filter(state__in=LIVE).annotate(
        paid_until=Subquery(lines.values("period_end")[:1]),
        paid_terms=Subquery(lines.values("phase__start_date")[:1]),
        paid_phase=Subquery(lines.values("phase")[:1]),
        terms_since=Subquery(begun.values("start_date")[:1]),
        terms_phase=Subquery(begun.values("pk")[:1]),
    )


_LIVE: audit.Query[Any] = audit.Query(_live)


@audit.rule("billing.live-is-planned", of=(Subscription,))
def live_is_planned() -> Iterator[str]:
    """A live subscription is paid by its last period, and its next charge or end is planned or under way."""
    planned = set(
        Due.objects.filter(
            partner_id=current_partner_id(), kind__in=["billing.renew", "billing.dunning"]
        ).values_list("object_id", flat=True)
    )
    under_way = set(
        InvoicePayment.objects.filter(failed=False, invoice__state=InvoiceState.OPEN).values_list(
            "invoice__subscription_id", flat=True
        )
    )
    free = gifts.free_days()
    for subscription in _LIVE.rows(today=clock.today()):
        days = _may_run_to(subscription)
        days |= {gifts.with_free_days(day, free.get(subscription.pk, ())) for day in days}
        if subscription.current_period_end not in days:
            yield f"Subscription {subscription.pk} runs to {subscription.current_period_end}, paid is another day"
        # A parked one waits for a person, an add-on for its subscription: unless it is to end by itself.
        with_parent = subscription.parent_id is not None and not subscription.cancel_at_period_end
        waits = subscription.is_parked or with_parent
        if not waits and subscription.pk not in planned | under_way:
            yield f"Subscription {subscription.pk} is live, and nothing is planned for it"


def _may_run_to(subscription: Any) -> set[date | None]:
    """The end of what is paid; the day of terms that have begun and are still to be billed."""
    # Paused and gone on with on one day, it has several terms of that day: keys are in the order of time.
    paid = subscription.paid_terms, subscription.paid_phase
    is_new = subscription.paid_terms is None or (subscription.terms_since, subscription.terms_phase) > paid
    fresh = {subscription.terms_since} if is_new and subscription.terms_since else set()
    return fresh | {subscription.paid_until}


@audit.rule("billing.nothing-after-cancellation", of=(audit.some(Subscription, cancelled_at__isnull=False),))
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


# What was sold stands in the first invoice's line, which is never changed, and in the version, which was sold. The
# terms that it began with say the same, and today's are those of the latest phase: whatever changed them wrote one.
# Terms that begin today are taken up in the course of the day.
_AS_SOLD = """
SELECT s.id
FROM billing_subscription s
JOIN billing_invoiceline l ON l.subscription_id = s.id
JOIN billing_invoice i ON i.id = l.invoice_id AND i.purpose = 'new'
    AND NOT EXISTS (SELECT FROM billing_invoiceline e
        WHERE e.invoice_id = i.id AND e.subscription_id = s.id AND e.position < l.position)
LEFT JOIN public.catalog_tariffversion v ON v.id = l.tariff_version_id
LEFT JOIN billing_subscriptionphase p ON p.id = l.phase_id
WHERE (s.currency, s.legal_entity_id, s.product_id) IS DISTINCT FROM (i.currency, i.legal_entity_id, l.product_id)
    OR (COALESCE(p.tariff_version_id, s.tariff_version_id), COALESCE(p.quantity, s.quantity),
        COALESCE(p.vat_code, s.vat_code), COALESCE(p.period_count, s.period_count),
        COALESCE(p.period_unit, s.period_unit))
    IS DISTINCT FROM (l.tariff_version_id, l.quantity, v.vat_code, v.period_count, v.period_unit)
    OR s.parent_id IS NULL AND (
        s.trial_days NOT IN (0, v.trial_days)
        OR COALESCE(p.price * p.quantity, s.price * s.quantity) <> l.amount + l.discount
        OR CASE WHEN p.is_free THEN s.trial_days = 0 OR p.start_date <> l.period_start OR l.amount <> 0
            ELSE (p.anchor_date, p.cycle_day) IS DISTINCT FROM (l.period_start, extract(day FROM l.period_start)) END)
UNION
SELECT s.id
FROM billing_subscription s
WHERE s.state IN ('trial', 'active') AND NOT s.is_parked AND NOT s.cancel_at_period_end
AND NOT EXISTS (SELECT FROM billing_subscription parent WHERE parent.id = s.parent_id AND parent.is_parked)
AND NOT EXISTS (
    SELECT FROM billing_subscriptionphase p
    WHERE p.subscription_id = s.id AND p.dropped_at IS NULL AND p.start_date <= %(today)s
    AND NOT EXISTS (
        SELECT FROM billing_subscriptionphase q WHERE q.subscription_id = s.id AND q.dropped_at IS NULL
        AND q.start_date < %(today)s AND (q.start_date, q.id) > (p.start_date, p.id))
    AND (s.offer_id, s.tariff_version_id, s.price, s.quantity, s.vat_code, s.period_count, s.period_unit)
        = (p.offer_id, p.tariff_version_id, p.price, p.quantity, p.vat_code, p.period_count, p.period_unit)
    AND (p.is_free OR (s.anchor_date, s.cycle_day) = (p.anchor_date, p.cycle_day)))
"""


@audit.rule("billing.keeps-what-was-sold", of=(Subscription,))
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
    AND collection IN ('charge', 'invoice', 'partner_charges')
    UNION ALL
    SELECT 'billing.recognise', i.id FROM billing_invoice i WHERE i.state = 'paid'
    AND (SELECT max(period_end) FROM billing_invoiceline l WHERE l.invoice_id = i.id) > %(today)s
    UNION ALL
    SELECT 'billing.trial_end', s.id FROM billing_subscription s WHERE s.state = 'suspended' AND (
        SELECT p.is_free FROM billing_subscriptionphase p
        WHERE p.subscription_id = s.id AND p.dropped_at IS NULL AND p.start_date <= %(today)s
        ORDER BY p.start_date DESC, p.id DESC LIMIT 1)
    UNION ALL
    SELECT 'billing.resume', id FROM billing_subscription WHERE state = 'paused' AND parent_id IS NULL
    UNION ALL
    SELECT 'billing.begin', s.id FROM billing_subscription s
    WHERE s.state IN ('trial', 'active', 'past_due') AND NOT s.cancel_at_period_end AND EXISTS (
        SELECT FROM billing_subscriptionphase p WHERE p.subscription_id = s.id AND p.dropped_at IS NULL
        AND p.kind = 'change' AND p.start_date > %(today)s)
    UNION ALL
    SELECT 'billing.notice', s.id FROM billing_subscription s JOIN payments_paymentmethod m ON m.id = s.method_id
    WHERE s.state IN ('trial', 'active') AND NOT s.cancel_at_period_end AND m.is_active AND s.parent_id IS NULL
    AND s.current_period_end > %(noticed)s AND COALESCE(s.end_date > s.current_period_end, true)
    -- Given already, by rules that asked for it earlier.
    AND NOT EXISTS (SELECT FROM notifications_message g
        WHERE g.key = 'renewal_ahead:' || s.id || ':' || s.current_period_end)
)
SELECT kind, id FROM wanted
WHERE NOT EXISTS (SELECT FROM planned WHERE planned.kind = wanted.kind AND planned.object_id = wanted.id)
"""


@audit.rule("billing.work-is-planned", of=(Invoice, Subscription))
def work_is_planned() -> Iterator[str]:
    """Notice, terms to come, end of trial and pause, expiry of what is unpaid and recognition are planned."""
    lead = timedelta(days=ChargeRules.of(current_partner().pk).notice_days)
    noticed = clock.today() + max(lead, periods.NOTICE) + timedelta(days=1)
    values = {"partner": current_partner_id(), "today": clock.today(), "noticed": noticed}
    for kind, key in _select(_UNPLANNED, values):
        yield f"{kind} of {key} is not planned"


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


@audit.rule("billing.credit-note-adds-up", of=(CreditNote, InvoiceLine))
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


@audit.rule("billing.owner-was-paid", of=(InvoicePayment,))
def owner_was_paid() -> Iterator[str]:
    """An invoice is owed to whom its payment went: the operator, or the partner on a connection of its own."""
    for number, owed, paid in _select(_OWNERS, {"partner": current_partner_id()}):
        yield f"Invoice {number} is the money of {owed}, and was paid to {paid}"


_UNFOUND = audit.Query(
    lambda: search.unfindable(KIND_OF_INVOICE, Invoice.objects.exclude(number=""), audit.PARTNER)
)


@audit.rule("billing.findable", of=(Invoice,))
def findable() -> Iterator[str]:
    """Every issued invoice is found by its number."""
    for invoice in _UNFOUND.rows():
        yield f"Invoice {invoice.number} is not found by its number"


def _select(query: str, values: dict[str, Any] | None = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


__all__ = [
    "document_audits",
    "dunning_audits",
    "ledger_audits",
    "outside_refund_audits",
    "payout_audits",
    "promotion_audits",
    "statement_audits",
]
"""Rules of their own, registered when they are imported here."""
