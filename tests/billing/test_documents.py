"""Issued documents: kept by the database, printed, numbered without gaps, and audited."""

import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import DatabaseError, transaction
from pypdf import PdfReader

from apps.billing import invoices, pdf
from apps.billing.models import Invoice, InvoiceLine, InvoicePayment, InvoicePurpose, Subscription
from tests.orders.shop import Shop


def refused(change: Callable[[], Any]) -> bool:
    try:
        with transaction.atomic():
            change()
    except DatabaseError:
        return True
    return False


def test_issued_documents_are_kept_printed_and_numbered(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="1290.00"))
    [invoice] = shop.invoices(subscription)
    line = invoice.lines.get()
    for change in (
        lambda: Invoice.objects.filter(pk=invoice.pk).update(total=1),
        lambda: Invoice.objects.filter(pk=invoice.pk).update(number="X"),
        lambda: Invoice.objects.filter(pk=invoice.pk).update(state="void"),
        lambda: InvoiceLine.objects.filter(pk=line.pk).update(amount=1),
        lambda: InvoiceLine.objects.filter(pk=line.pk).update(period_start=None),
        lambda: InvoiceLine.objects.filter(pk=line.pk).delete(),
        lambda: Invoice.objects.filter(pk=invoice.pk).delete(),
        lambda: InvoiceLine.objects.create(
            invoice=invoice, description="ещё", amount=1, product_id=1, tariff_version_id=1
        ),
        # The period that was billed: once, whatever the code does.
        lambda: InvoiceLine.objects.create(
            invoice=invoices.draft(subscription=subscription, purpose=InvoicePurpose.RENEWAL),
            subscription=subscription,
            phase=line.phase,
            period_start=line.period_start,
            period_end=line.period_end,
            amount=1,
            product_id=1,
            tariff_version_id=1,
        ),
    ):
        assert refused(change)

    page = PdfReader(io.BytesIO(pdf.render(invoice))).pages[0].extract_text().replace("\xa0", " ")
    for text in (f"Счёт № {invoice.number}", "1 290 ₽", "в том числе НДС 232,62 ₽", "Облако", "Оплачен"):
        assert text in page
    numbers = [shop.order(shop.offer()).invoice.number for _ in range(2)]
    assert [int(number[-6:]) for number in [invoice.number, *numbers]] == [1, 2, 3]


def test_a_failed_renewal_never_frees_its_payment(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    shop.gateway.fault("drop_answer", match={"operation": "create_payment", "shop": shop.partner.slug})
    shop.until(subscription.current_period_end)
    # Unknown is not failed: the period has its one payment, and no second is started.
    [_first, renewal] = shop.invoices(subscription)
    assert InvoicePayment.objects.filter(invoice=renewal).count() == 1
    shop.hurry()
    shop.until(subscription.current_period_end + timedelta(days=2))
    subscription = Subscription.objects.get(pk=subscription.pk)
    assert (subscription.state, len(shop.charges())) == ("active", 2)
    assert {invoice.total for invoice in shop.invoices(subscription)} == {Decimal("149.00")}
