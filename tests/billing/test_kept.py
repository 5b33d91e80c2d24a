"""Ways around the triggers of issued documents: emptied, joined, moved, paid at another moment."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.billing import invoices
from apps.billing.models import Invoice, InvoiceLine, InvoicePurpose
from apps.core import clock
from apps.core.ids import uuid7
from apps.core.money import vat_inside
from tests.orders.shop import Shop


def refused(change: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        change()


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def paid(shop: Shop) -> Invoice:
    [invoice] = shop.invoices(shop.buy(shop.offer()))
    return invoice


def test_issued_documents_are_not_emptied(paid: Invoice) -> None:
    for table in ("billing_invoice", "billing_invoiceline"):
        refused(lambda table=table: run(f"SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE {table} CASCADE"))


def test_moments_stand_with_their_state(shop: Shop, paid: Invoice) -> None:
    rows = Invoice.objects.filter(pk=paid.pk)
    later = clock.now() + timedelta(days=1)
    refused(lambda: rows.update(paid_at=later))
    refused(lambda: rows.update(closed_at=later))
    refused(lambda: rows.update(state="refunded", closed_at=later, paid_at=later))
    still_open = Invoice.objects.filter(pk=shop.order(shop.offer()).invoice_id)
    refused(lambda: still_open.update(paid_at=later))
    refused(lambda: still_open.update(state="void", closed_at=later, paid_at=later))
    refused(lambda: still_open.update(state="paid", closed_at=later, paid_at=later))
    still_open.update(state="void", closed_at=later)
    refused(lambda: still_open.update(closed_at=clock.now()))


def test_a_drafts_line_is_not_moved_to_an_issued_invoice(paid: Invoice) -> None:
    assert paid.subscription is not None
    draft = invoices.draft(subscription=paid.subscription, purpose=InvoicePurpose.RENEWAL)
    line = InvoiceLine.objects.filter(invoice=draft)
    line.update(position=2)
    refused(lambda: line.update(invoice=paid))
    line.delete()


def test_a_line_may_come_before_its_invoice_only(paid: Invoice) -> None:
    """In one transaction; the key is checked at its end."""
    line = paid.lines.get()
    line.pk, line.subscription, line.period_start, line.period_end = uuid7(), None, None, None
    refused(lambda: line.save(force_insert=True))
    identity = uuid7()
    with transaction.atomic():
        line.invoice_id = identity
        line.save(force_insert=True)
        paid.pk, paid.number, paid.order_id = identity, "LATER-1", None
        paid.vat = vat_inside(paid.total, line.vat_rate)
        paid.save(force_insert=True)
    line.pk = uuid7()
    refused(lambda: line.save(force_insert=True))
    line.invoice_id = uuid7()
    refused(lambda: line.save(force_insert=True))
