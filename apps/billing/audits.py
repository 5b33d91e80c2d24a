"""What must hold of subscriptions and invoices, derived from the data itself."""

from collections.abc import Iterator

from django.db import connection
from django.db.models import F, OuterRef, Subquery, Sum

from apps.billing.models import LIVE, Invoice, InvoiceLine, InvoicePayment, InvoiceState, Subscription
from apps.core import audit
from apps.core.models import Due
from apps.core.tenancy import current_partner, current_partner_id
from apps.ledger.models import Account, Transfer

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
    links = InvoicePayment.objects.select_related("invoice", "payment")
    paid = {link.invoice_id: link.payment for link in links.filter(failed=False)}
    for invoice in Invoice.objects.filter(state__in=[InvoiceState.PAID, InvoiceState.REFUNDED]):
        payment = paid.get(invoice.pk)
        wrong = payment is None or (payment.amount, payment.currency) != (invoice.total, invoice.currency)
        if payment is None or wrong or payment.state not in {"succeeded", "refunded"}:
            yield f"Invoice {invoice.number} is {invoice.state} without a payment of {invoice.money}"
    for link in links.filter(payment__state="succeeded", invoice__state__in=["open", "void"]):
        if not link.payment.refunds.exists() and not _is_being_handled(link):
            yield f"Payment {link.payment_id} came for invoice {link.invoice.number}, which is {link.invoice.state}"


def _is_being_handled(link: InvoicePayment) -> bool:
    """The news of a payment may still be on its way to us."""
    from apps.core.models import Delivery

    return Delivery.objects.filter(partner_id=current_partner_id(), event__object_id=link.payment_id).exists()


@audit.rule("billing.posted")
def posted() -> Iterator[str]:
    """What the ledger holds of an invoice is its amount while it is owed or paid, and nothing otherwise."""
    mine = Transfer.objects.filter(partner_id=current_partner().pk, document_kind="invoice")
    rows = mine.values("document_id", "debit", "credit").annotate(total=Sum("amount"))
    owed: dict[object, object] = {}
    for row in rows:
        sign = (row["debit"] == Account.RECEIVABLE) - (row["credit"] == Account.RECEIVABLE)
        owed[row["document_id"]] = owed.get(row["document_id"], 0) + sign * row["total"]
    for invoice in Invoice.objects.exclude(state=InvoiceState.DRAFT):
        holds = invoice.total if invoice.state in {InvoiceState.OPEN, InvoiceState.PAID} else 0
        if owed.pop(invoice.pk, 0) != holds:
            yield f"Invoice {invoice.number} is {invoice.state}, and the ledger does not hold {holds} of it"
    for document in owed:
        yield f"The ledger holds postings of invoice {document}, which is not there"


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
