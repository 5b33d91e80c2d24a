"""A credit note on an unpaid invoice: less is owed and charged, and nobody earns of what was never paid."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from django.db.models import Sum

from apps.billing import credits, invoices
from apps.billing.models import CreditReason, Invoice, InvoiceState
from apps.core import clock
from apps.core.errors import Refused
from apps.ledger.models import Transfer
from apps.partners.models import ContractTerms
from apps.payments import payments
from apps.payments.models import Payment
from tests.billing.test_by_bank import bank, clean, company, order_of
from tests.orders.shop import BROKE_LATER, Shop


def terms(shop: Shop, percent: int = 20) -> None:
    ContractTerms.objects.create(
        partner=shop.partner, number="Д-1", valid_from=clock.today(), share_percent=Decimal(percent)
    )


def note(invoice: Invoice, amount: str) -> None:
    with transaction.atomic():
        credits.issue(
            invoice=invoice,
            parts=[credits.Part(invoice.lines.get().pk, Decimal(amount))],
            reason=CreditReason.CORRECTION,
            key=f"{invoice.pk}:{amount}",
        )


def sums(invoice: Invoice, account: str) -> Decimal:
    """What stands on an account of an invoice and its notes."""
    keys = [invoice.pk, *invoice.credit_notes.values_list("pk", flat=True)]
    rows = Transfer.objects.filter(document_id__in=keys)
    debit = rows.filter(debit=account).aggregate(total=Sum("amount"))["total"] or Decimal(0)
    credit = rows.filter(credit=account).aggregate(total=Sum("amount"))["total"] or Decimal(0)
    return debit - credit


def test_less_is_owed_paid_and_shared(shop: Shop) -> None:
    terms(shop)
    invoice = order_of(shop, company(shop)).invoice
    note(invoice, "122.00")
    invoice.refresh_from_db()
    assert (invoice.total, invoice.due_money.amount) == (Decimal("1220.00"), Decimal("1098.00"))
    assert sums(invoice, "receivable") == Decimal("1098.00")
    bank(invoice, "1098.00")
    shop.deliver()
    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.PAID
    # A fifth of 900 without VAT, not of 1,000.
    assert sums(invoice, "partner_share") == Decimal("180.00")
    note(invoice, "1098.00")
    assert sums(invoice, "partner_share") == Decimal(0)
    assert clean(shop) == []


def test_the_next_charge_is_of_what_is_left(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="122.00"), card=BROKE_LATER)
    assert subscription.current_period_end is not None
    shop.until(subscription.current_period_end)
    [_first, renewal] = shop.invoices(subscription)
    assert renewal.state == InvoiceState.OPEN
    note(renewal, "22.00")
    renewal.refresh_from_db()
    with transaction.atomic():
        again = invoices.pay(renewal, return_url="https://shop.example/")
    assert again.amount == Decimal("100.00")
    # And while that is under way, what is owed stays.
    with pytest.raises(Refused) as refused:
        note(renewal, "1.00")
    assert refused.value.code == "payment_under_way"
    payments.send(again.pk)
    again = Payment.objects.get(pk=again.pk)
    shop.gateway.pay(again.confirmation_url)
    payments.settle(again.pk)
    shop.deliver()
    renewal.refresh_from_db()
    assert renewal.state == InvoiceState.PAID
    assert clean(shop) == []
    # What was paid goes back in full: the invoice is refunded, nothing of it is left anywhere.
    payments.refund(payment=again, reason="-", actor="")
    shop.hurry()
    renewal.refresh_from_db()
    assert renewal.state == InvoiceState.REFUNDED
    assert clean(shop) == []


def test_a_void_invoice_takes_back_what_notes_left_of_it(shop: Shop) -> None:
    invoice = order_of(shop, company(shop)).invoice
    note(invoice, "333.33")
    with pytest.raises(Refused) as refused:
        note(invoice, "886.67")
    assert refused.value.code == "void_instead"
    with transaction.atomic():
        invoices.void(invoices.locked(invoice.pk))
    assert [sums(invoice, account) for account in ("receivable", "deferred", "vat")] == [Decimal(0)] * 3
    shop.deliver()
    assert clean(shop) == []


def test_the_database_lets_debt_only_shrink_while_it_is_owed(shop: Shop) -> None:
    order = order_of(shop, company(shop))
    invoice = order.invoice
    note(invoice, "100.00")
    for amount in ("50.00", "1220.01"):
        with pytest.raises(DatabaseError), transaction.atomic():
            Invoice.objects.filter(pk=invoice.pk).update(debt_credited=amount)
    bank(invoice, "1120.00")
    with pytest.raises(DatabaseError), transaction.atomic():
        Invoice.objects.filter(pk=invoice.pk).update(debt_credited="120.00")
