"""An invoice's life: drafted, issued with a number, paid once, or void; its money given back."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.billing import (
    balances,
    crediting,
    dunning_results,
    earning,
    given_back,
    mailing,
    money_in,
    parties,
    paying,
    payouts,
    periods,
    postings,
    recognition,
    requests,
    terms,
)
from apps.billing.models import (
    Collection,
    CreditNote,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoicePurpose,
    InvoiceState,
    Subscription,
)
from apps.billing.payout_models import BalancePayout
from apps.core import bulk, clock, due, events, gather, search
from apps.core.errors import Refused
from apps.core.money import Money, vat_inside
from apps.core.tenancy import current_partner
from apps.partners import books
from apps.payments import payments
from apps.payments.models import Payment, PaymentMethod, Purpose, Refund, RefundState
from apps.policies import numbering, vat

KIND = "billing.Invoice"
DAYS_TO_PAY = paying.DAYS_TO_PAY
ROUBLE = Decimal("1.00")
"""Taken and given back at once, where a card is to be saved and nothing is to be paid yet."""
TO_BIND = _("Привязка карты: рубль вернётся сразу")
EXPIRE, RECOGNISE = "billing.expire", "billing.recognise"


def draft(
    *,
    subscription: Subscription,
    purpose: str,
    order_id: UUID | None = None,
    discount: Decimal = Decimal("0.00"),
    others: Sequence[tuple[Subscription, Decimal]] = (),
) -> Invoice:
    """The invoice of a first sale, its price, VAT and terms frozen, without a number yet.

    That of a trial is of nothing: the whole price is taken off. It has no days yet: they are set when it is paid.
    `others` are sold together with it, each with its discount: a line of each. All later invoices are drawn up by
    `run`.
    """
    sold = [(subscription, discount), *others]
    lines = [_first_line(one, off, position) for position, (one, off) in enumerate(sold, start=1)]
    return draft_of(subscription, lines, purpose=purpose, order_id=order_id)


def _first_line(subscription: Subscription, discount: Decimal, position: int) -> InvoiceLine:
    today = clock.today()
    code = subscription.vat_code
    rate = gather.once(("billing.vat", code, today), lambda: vat.percent(code, today))
    sold: dict[str, Any] = {
        "product_id": subscription.product_id,
        "tariff_version_id": subscription.tariff_version_id,
        "day": today,
        "collection": subscription.collection,
    }
    frozen = gather.once(("billing.of_sale", *sold.values()), lambda: terms.of_sale(**sold))
    gross, is_trial = subscription.money.amount, bool(subscription.trial_days)
    # What the partner pays for costs its clients nothing.
    is_free = is_trial or subscription.collection == Collection.PARTNER_PAYS
    discount = gross if is_free else discount
    total = gross - discount
    return InvoiceLine(
        subscription=subscription,
        product_id=subscription.product_id,
        tariff_version_id=subscription.tariff_version_id,
        position=position,
        description=subscription.name,
        quantity=subscription.quantity,
        discount=discount,
        amount=total,
        vat_rate=rate,
        vat=vat_inside(total, rate),
        terms=terms.of_line(
            dict(frozen),
            # Nobody is paid by the piece for what is only tried.
            gross=total if is_trial else gross,
            price=subscription.price,
            quantity=subscription.quantity,
        ),
    )


def draft_of(
    subscription: Subscription,
    lines: Sequence[InvoiceLine],
    *,
    purpose: str,
    order_id: UUID | None = None,
    credit_applied: Decimal = Decimal("0.00"),
) -> Invoice:
    """A draft with these unsaved lines."""
    today = clock.today()
    invoice = Invoice(
        customer_id=subscription.customer_id,
        subscription=subscription,
        order_id=order_id,
        legal_entity_id=subscription.legal_entity_id,
        purpose=purpose,
        total=sum((line.amount for line in lines), Decimal("0.00")),
        vat=sum((line.vat for line in lines), Decimal("0.00")),
        credit_applied=credit_applied,
        currency=subscription.currency,
        collection=subscription.collection,
        business_date=today,
        due_date=today + timedelta(days=paying.days_to_pay(subscription)),
        channel_id=subscription.channel_id,
        channel_code=subscription.channel_code,
    )
    for line in lines:
        line.invoice = invoice
    # In a batch it comes last: it is issued by the time it is written, and takes no line any more.
    gather.insert(invoice, gather.Stage.NUMBERED)
    for line in lines:
        gather.insert(line)
    if gather.is_unwritten(invoice):
        gather.at_hand(invoice, "lines", lines)
    return invoice


def issue(invoice: Invoice) -> Invoice:
    """Posts a draft and gives it its number: the last statements before commit, as others wait for theirs."""
    seller, today = invoice.legal_entity_id, clock.today()
    invoice.business_date = gather.once(
        ("billing.open_day", seller, today), lambda: books.open_day(seller, today)
    )
    invoice.parties = parties.of(invoice.customer_id, invoice.legal_entity_id, invoice.collection)
    postings.issued(invoice)
    if invoice.purpose == InvoicePurpose.NEW and invoice.collection in paying.EXPIRING:
        due.schedule(EXPIRE, invoice.pk, periods.midnight(paying.last_day(invoice) + timedelta(days=1)))

    invoice.state, invoice.issued_at = InvoiceState.OPEN, clock.now()

    def take(number: str) -> None:
        invoice.number = number
        gather.save(invoice, ["number", "state", "issued_at", "business_date", "parties"])
        search.index(KIND, invoice.pk, [number])

    numbering.give(
        "invoice",
        legal_entity_id=invoice.legal_entity_id,
        partner_id=current_partner().pk,
        year=invoice.business_date.year,
        to=take,
    )
    mailing.plan_invoice(invoice)
    return invoice


def pay(
    invoice: Invoice,
    *,
    method: PaymentMethod | None = None,
    return_url: str = "",
    save_method: bool = True,
    instrument: str = "",
) -> Payment:
    """Starts a payment for an unpaid invoice: by a saved method, or on the gateway's page.

    `instrument` is what the customer has chosen to pay with; without it the gateway's page offers all it has. A sale
    whose money is held first is not captured here.
    The payment under way where there is one, so that a second click pays nothing twice. The caller holds a
    transaction. Raises Refused: `invoice_closed`, `method_refused`.
    """
    invoice = locked(invoice.pk)
    if invoice.state not in {InvoiceState.DRAFT, InvoiceState.OPEN}:
        raise Refused("invoice_closed", _("Этот счёт уже оплачен или аннулирован"))
    if invoice.collection != Collection.CHARGE:
        told = _("Этот счёт оплачивают иначе: %s") % invoice.get_collection_display()
        raise Refused("paid_otherwise", told)
    if under_way := InvoicePayment.objects.filter(invoice=invoice, failed=False).first():
        return under_way.payment
    line = invoice.lines.all()[0]
    # Where nothing is to be paid yet, a card is still to be saved for what comes.
    binds = not invoice.due_money.amount
    first = Purpose.BINDING if binds else Purpose.NEW
    holds = not binds and method is None and invoice.is_held_first
    payment = payments.start(
        customer=invoice.customer,
        amount=Money(ROUBLE, invoice.currency) if binds else invoice.due_money,
        description=str(TO_BIND) if binds else line.description[:128],
        purpose=first if invoice.purpose == InvoicePurpose.NEW else Purpose.RENEWAL,
        save_method=save_method and method is None,
        method=method,
        instrument=instrument,
        capture=not holds,
        return_url=return_url,
        channel_id=invoice.channel_id,
        subscription_id=invoice.subscription_id,
        product_id=line.product_id,
        tariff_version_id=line.tariff_version_id,
    )
    InvoicePayment.objects.create(invoice=invoice, payment=payment)
    return payment


def mark_paid(invoice: Invoice, *, is_chased: bool = True) -> None:
    """A locked open invoice is paid; its lines have their days. Tells everybody who waits for it.

    `is_chased`: whether a dunning of it may be running.
    """
    invoice.state, invoice.paid_at = InvoiceState.PAID, clock.now()
    gather.at_end(_write_paid, [invoice])
    postings.paid(invoice)
    if is_chased:
        dunning_results.invoice_paid(invoice)
    due.cancel(EXPIRE, invoice.pk)
    plan_recognition(invoice)
    events.publish(
        "billing.InvoicePaid", invoice.pk, order_id=invoice.order_id, subscription_id=invoice.subscription_id
    )


def _write_paid(paid: Sequence[Invoice]) -> None:
    bulk.update(Invoice, ["state", "paid_at"], [(one.pk, one.state, one.paid_at) for one in paid])


def void(invoice: Invoice) -> None:
    """A locked open invoice is not to be paid any more; what comes for it all the same is given back."""
    if invoice.state != InvoiceState.OPEN:
        raise Refused("invoice_closed", _("Аннулировать можно только неоплаченный счёт"))
    invoice.state, invoice.closed_at = InvoiceState.VOID, clock.now()
    invoice.save(update_fields=["state", "closed_at"])
    postings.taken_back(invoice)
    dunning_results.invoice_voided(invoice)
    if invoice.credit_applied:
        balances.add(invoice.customer_id, Money(invoice.credit_applied, invoice.currency))
    money_in.release(invoice)
    requests.call_off(invoice)
    due.cancel(EXPIRE, invoice.pk)
    for link in InvoicePayment.objects.filter(invoice=invoice, failed=False):
        payments.call_off(link.payment_id)
    events.publish(
        "billing.InvoiceVoided",
        invoice.pk,
        order_id=invoice.order_id,
        subscription_id=invoice.subscription_id,
    )


def take_back(invoice: Invoice, refunds: Iterable[Refund]) -> None:
    """Credits a locked paid invoice with refunds, each once; with the last kopeck it is refunded.

    The refund of a credit note, or of a payout from the balance, has its id: it was credited already.
    """
    refunds = list(refunds)
    keys = [made.pk for made in refunds]
    counted = set(CreditNote.objects.filter(pk__in=keys).values_list("pk", flat=True))
    counted |= set(BalancePayout.objects.filter(pk__in=keys).values_list("pk", flat=True))
    for made in refunds:
        if made.pk not in counted and not crediting.is_credited(made):
            catch_up(invoice)
            _take_back(invoice, made)
    noted = sum((line.credited for line in invoice.lines.all()), Decimal(0))
    # What cost nothing has nothing to give back.
    if not invoice.total or invoice.state != InvoiceState.PAID:
        return
    if given_back.credited_so_far(invoice) + noted < invoice.total:
        return
    invoice.state, invoice.closed_at = InvoiceState.REFUNDED, clock.now()
    invoice.save(update_fields=["state", "closed_at"])
    due.cancel(RECOGNISE, invoice.pk)
    events.publish("billing.InvoiceRefunded", invoice.pk, subscription_id=invoice.subscription_id)


def given_back_of(invoice_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the invoices some of whose money went back."""
    links = InvoicePayment.objects.filter(
        invoice__in=bulk.these("uuid", invoice_ids), payment__refunds__state=RefundState.SUCCEEDED
    )
    return set(links.values_list("invoice", flat=True))


def _take_back(invoice: Invoice, made: Refund) -> None:
    """What is more than the invoice has left, as only the gateway's cabinet can send, comes off the balance."""
    left = sum(given_back.left_of_lines(invoice, invoice.lines.all()).values(), Decimal(0))
    if fits := min(made.amount, left):
        crediting.credited(invoice, fits, document_id=made.pk)
    if fits < made.amount:
        payouts.unasked(made, invoice, made.amount - fits)


def recognise(invoice_id: UUID) -> None:
    """A month is over, or the period of a paid invoice: what is earned of it by its days is revenue."""
    catch_up(locked(invoice_id))


def catch_up(invoice: Invoice) -> None:
    """Recognises all that is earned of a locked invoice by today, and plans the next day of it.

    Before anything of it is credited: what goes back is then taken of what stands in the books. Again, it changes
    nothing.
    """
    if invoice.state == InvoiceState.PAID:
        earning.recognised(invoice, clock.today())
        plan_recognition(invoice, after=clock.today())


def plan_recognition(invoice: Invoice, *, after: date | None = None) -> None:
    """Writes down the next day on which something of a paid invoice is earned; none is left where it is over."""
    spans = [
        recognition.Span(line.period_start, line.period_end)
        for line in invoice.lines.all()
        if line.period_start and line.period_end
    ]
    after = after or min((one.start for one in spans), default=clock.today())
    if day := recognition.next_day(spans, after):
        due.schedule(RECOGNISE, invoice.pk, periods.midnight(day))
    else:
        due.cancel(RECOGNISE, invoice.pk)


def locked(invoice_id: UUID) -> Invoice:
    """The invoice as it stands now, locked. Where its subscription is needed as well, lock that one first."""
    return Invoice.objects.select_for_update(no_key=True).get(pk=invoice_id)


def locked_many(invoice_ids: Iterable[UUID]) -> dict[UUID, Invoice]:
    """`locked` for many in the order of their ids."""
    rows = Invoice.objects.select_for_update(no_key=True).filter(pk__in=bulk.these("uuid", invoice_ids))
    return {one.pk: one for one in rows.order_by("pk")}
