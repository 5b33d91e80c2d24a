"""Issued documents: kept by the database, printed, numbered without gaps, and audited."""

import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from pypdf import PdfReader

from apps.billing import invoices, pdf
from apps.billing.models import Invoice, InvoiceLine, InvoicePayment, InvoicePurpose, Subscription
from apps.core import audit, clock
from apps.core.models import Due
from apps.payments.models import Payment, Refund
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
        lambda: invoices.draft(
            subscription=subscription,
            purpose=InvoicePurpose.RENEWAL,
            period_start=line.period_start,
            period_end=line.period_end,
        ),
    ):
        assert refused(change)

    page = PdfReader(io.BytesIO(pdf.render(invoice))).pages[0].extract_text().replace("\xa0", " ")
    for text in (f"Счёт № {invoice.number}", "1 290 ₽", "в том числе НДС 232,62 ₽", "Облако", "Оплачен"):
        assert text in page
    numbers = [shop.order(shop.offer()).invoice.number for _ in range(2)]
    assert [int(number[-6:]) for number in [invoice.number, *numbers]] == [1, 2, 3]


@pytest.fixture
def corrupt(shop: Shop) -> Callable[[str], None]:
    """Writes past the code and the triggers."""

    def run(sql: str) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(sql)

    return run


def test_each_rule_finds_its_corruption(shop: Shop, corrupt: Callable[[str], None]) -> None:
    offer = shop.offer()
    subscriptions = [shop.buy(offer) for _ in range(3)]
    shop.order(offer)
    assert list(audit.run([shop.partner.pk])) == []
    end = subscriptions[0].current_period_end
    shop.until(end)
    one, two, three = (str(row.pk) for row in subscriptions)

    corrupt(
        "UPDATE billing_invoiceline SET period_start = period_start - 3"
        f" WHERE subscription_id = '{one}' AND period_start = '{end}'"
    )
    corrupt(f"UPDATE billing_invoice SET total = total + 1 WHERE subscription_id = '{two}'")
    corrupt(
        "DELETE FROM billing_invoicepayment WHERE invoice_id IN"
        f" (SELECT id FROM billing_invoice WHERE subscription_id = '{three}')"
    )
    corrupt("UPDATE billing_invoice SET state = 'void' WHERE state = 'open'")
    # Given back, and the invoice knows nothing of it.
    payment = Payment.objects.get(invoice_payment__invoice__subscription=one, purpose="new")
    now = clock.now()
    Refund.objects.create(payment=payment, amount=1, reason="-", state="succeeded", created_at=now)
    Due.objects.filter(kind="billing.renew", object_id=three).delete()
    corrupt(
        f"UPDATE billing_subscription SET cancelled_at = created_at + interval '1 day' WHERE id = '{one}'"
    )
    corrupt(f"UPDATE billing_subscription SET offer_id = 987654321 WHERE id = '{two}'")
    found = {violation.rule for violation in audit.run([shop.partner.pk])}
    mine = {rule for rule in audit.RULES if rule.startswith("billing.")}
    assert mine <= found


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
