"""What must hold of subscriptions and invoices, derived from the data itself."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import F, OuterRef, Subquery, Sum

from apps.billing.models import LIVE, Invoice, InvoiceLine, InvoicePayment, InvoiceState, Subscription
from apps.billing.postings import CREDIT, KIND
from apps.core import audit
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
