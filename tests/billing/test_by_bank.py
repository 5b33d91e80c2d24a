"""Companies: they order, get an invoice, pay by bank transfer, are renewed by invoices issued ahead, and get acts."""

import io
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction
from pypdf import PdfReader

from apps.accounts import companies
from apps.accounts.models import Customer
from apps.billing import changes, gifts, invoices, money_in, outside, pdf, subscriptions
from apps.billing.models import CustomerBalance, Invoice, InvoiceState, Subscription
from apps.billing.paperwork import Document, OutsidePayment
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.orders.models import Order, Service, ServiceState
from apps.partners.models import LegalEntity
from tests.orders.shop import Shop

ROMASHKA = {
    "name": "ООО «Ромашка»",
    "inn": "7707083893",
    "kpp": "770701001",
    "address": "117312, Москва, ул. Вавилова, 19",
    "documents_email": "buh@romashka.example",
}


def company(shop: Shop, **terms: Any) -> Customer:
    customer = shop.customer("romashka")
    companies.set_company(customer, actor="anna", **{**ROMASHKA, **terms})
    return customer


def bank(invoice: Invoice, amount: str, *, number: str = "17", **options: Any) -> OutsidePayment:
    options.setdefault("paid_date", clock.today())
    options.setdefault("key", f"{invoice.pk}:{number}")
    return outside.receive(
        invoice_id=invoice.pk,
        source="bank",
        amount=Money(Decimal(amount)),
        reference=number,
        actor="finance",
        **options,
    )


def order_of(shop: Shop, customer: Customer, price: str = "1220.00", **terms: Any) -> Order:
    order = shop.order(shop.offer(price=price, **terms), customer=customer)
    shop.deliver()
    order.refresh_from_db()
    return order


def code(act: Any) -> str:
    with pytest.raises(Refused) as refused, transaction.atomic():
        act()
    return refused.value.code


def text_of(printed: Any) -> str:
    pages = PdfReader(io.BytesIO(pdf.render(printed))).pages
    return " ".join("".join(page.extract_text() for page in pages).replace("\xa0", " ").split())


def balance(customer: Customer) -> Decimal:
    row = CustomerBalance.objects.filter(customer=customer).first()
    return row.amount if row else Decimal(0)


def clean(shop: Shop) -> list[str]:
    return [str(violation) for violation in audit.run([shop.partner.pk])]


def test_a_company_orders_pays_by_bank_and_is_served(shop: Shop) -> None:
    order = order_of(shop, company(shop))
    invoice = order.invoice
    assert invoice is not None
    assert order.payment() is None
    assert (order.state, invoice.state, invoice.collection) == ("pending", "open", "invoice")
    assert invoice.due_date == clock.today() + timedelta(days=10)
    assert code(lambda: invoices.pay(invoice)) == "paid_otherwise"

    made = bank(invoice, "1220.00")
    assert bank(invoice, "1220.00").pk == made.pk
    shop.deliver()
    order.refresh_from_db()
    invoice.refresh_from_db()
    assert (order.state, invoice.state, order.item.subscription.state) == ("completed", "paid", "active")
    [posting] = Transfer.objects.filter(document_id=made.pk)
    assert (posting.debit, posting.credit, posting.amount) == ("bank", "receivable", Decimal("1220.00"))
    assert clean(shop) == []


def test_what_does_not_fit_is_refused_clearly_or_kept(shop: Shop) -> None:
    customer = company(shop)
    invoice = order_of(shop, customer).invoice
    assert code(lambda: bank(invoice, "1000.00")) == "not_enough"
    assert code(lambda: bank(invoice, "1300.00")) == "too_much"
    assert code(lambda: bank(invoice, "0.00")) == "bad_amount"
    assert code(lambda: bank(invoice, "1220.00", paid_date=clock.today() + timedelta(days=1))) == "bad_date"
    assert OutsidePayment.objects.count() == 0

    bank(invoice, "1000.00", accept_part=True)
    invoice.refresh_from_db()
    assert (invoice.state, money_in.left(invoice).amount) == ("open", Decimal("220.00"))
    # The same payment order typed once more, by another press.
    assert code(lambda: bank(invoice, "220.00", key="other")) == "payment_known"
    assert code(lambda: bank(invoice, "1.00", key=f"{invoice.pk}:17", number="18")) == "key_reused"
    bank(invoice, "300.00", number="18", keep_rest=True)
    shop.deliver()
    invoice.refresh_from_db()
    assert (invoice.state, balance(customer)) == ("paid", Decimal("80.00"))
    # It came twice, and is kept for the next invoice.
    assert code(lambda: bank(invoice, "5.00", number="19")) == "too_much"
    bank(invoice, "5.00", number="19", keep_rest=True)
    assert balance(customer) == Decimal("85.00")
    assert clean(shop) == []


def test_a_part_of_a_void_invoice_stays_on_the_balance(shop: Shop) -> None:
    customer = company(shop)
    order = order_of(shop, customer)
    bank(order.invoice, "200.00", accept_part=True)
    shop.until(order.invoice.due_date + timedelta(days=12))
    order.refresh_from_db()
    order.invoice.refresh_from_db()
    assert (order.state, order.invoice.state, balance(customer)) == ("cancelled", "void", Decimal("200.00"))
    assert clean(shop) == []


def test_renewals_are_invoiced_ahead_and_go_on_when_paid(shop: Shop) -> None:
    order = order_of(shop, company(shop, days_ahead=7, pay_days=5))
    bank(order.invoice, "1220.00")
    shop.deliver()
    subscription = Subscription.objects.get()
    end = subscription.current_period_end
    assert end is not None
    shop.until(end - timedelta(days=8))
    assert len(shop.invoices(subscription)) == 1
    shop.until(end - timedelta(days=7))
    [_first, renewal] = shop.invoices(subscription)
    assert (renewal.state, renewal.business_date) == ("open", end - timedelta(days=7))
    assert renewal.due_date == renewal.business_date + timedelta(days=5)
    assert renewal.parties["buyer"]["inn"] == ROMASHKA["inn"]
    assert renewal.lines.get().period_start == end
    subscription.refresh_from_db()
    assert (subscription.state, subscription.current_period_end) == ("active", end)
    assert clean(shop) == []

    bank(renewal, "1220.00", number="44")
    shop.deliver()
    subscription.refresh_from_db()
    assert subscription.current_period_end == renewal.lines.get().period_end
    assert shop.service(subscription).active_until == subscription.current_period_end
    shop.until(end + timedelta(days=1))
    assert clean(shop) == []


def test_an_unpaid_renewal_has_grace_and_then_ends(shop: Shop) -> None:
    order = order_of(shop, company(shop, days_ahead=7, pay_days=5))
    bank(order.invoice, "1220.00")
    shop.deliver()
    subscription = Subscription.objects.get()
    end = subscription.current_period_end
    assert end is not None
    shop.until(end)
    subscription.refresh_from_db()
    assert subscription.state == "past_due"
    assert clean(shop) == []
    shop.until(end + timedelta(days=11))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == ("ended", "unpaid")
    assert Invoice.objects.filter(state=InvoiceState.VOID).count() == 1
    assert clean(shop) == []


def test_a_renewal_paid_late_in_grace_goes_on(shop: Shop) -> None:
    order = order_of(shop, company(shop, days_ahead=7))
    bank(order.invoice, "1220.00")
    shop.deliver()
    subscription = Subscription.objects.get()
    end = subscription.current_period_end
    assert end is not None
    shop.until(end + timedelta(days=3))
    bank(shop.invoices(subscription)[-1], "1220.00", number="45")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.current_period_start) == ("active", end)
    assert clean(shop) == []


def test_the_invoice_has_all_that_a_bank_asks(shop: Shop) -> None:
    LegalEntity.objects.filter(pk=shop.partner.legal_entity_id).update(
        bank="АО «Банк»", bik="044525225", account="4" * 20, bank_account="3" * 20, signer="Иванова А. П."
    )
    customer = company(shop)
    invoice = order_of(shop, customer).invoice
    page = text_of(invoice)
    for said in (
        f"Счёт № {invoice.number}",
        "ООО «Ромашка»",
        "ИНН 7707083893, КПП 770701001",
        "044525225",
        "4" * 20,
        "Одна тысяча двести двадцать рублей 00 копеек",
        "в том числе НДС 220 ₽",
        "Оплатить до",
    ):
        assert said in page, said
    # Issued documents keep the requisites they were issued with.
    companies.set_company(customer, actor="anna", name="ООО «Лютик»")
    assert "Ромашка" in text_of(Invoice.objects.get(pk=invoice.pk))


def test_the_act_closes_each_period(shop: Shop) -> None:
    order = order_of(shop, company(shop))
    bank(order.invoice, "1220.00")
    shop.deliver()
    subscription = Subscription.objects.get()
    end = subscription.current_period_end
    assert end is not None
    shop.until(end - timedelta(days=1))
    assert not Document.objects.filter(kind="act").exists()
    shop.until(end)
    act = Document.objects.get(kind="act")
    assert (act.total, act.vat, act.period_end) == (Decimal("1220.00"), Decimal("220.00"), end)
    page = text_of(act)
    for said in (f"Акт об оказании услуг № {act.number}", "Заказчик", order.invoice.number, "ООО «Ромашка»"):
        assert said in page, said
    assert clean(shop) == []


def test_acts_at_month_end_add_up_to_the_kopeck(shop: Shop) -> None:
    order = order_of(shop, company(shop, acts="month"), price="1000.00", period_unit="year")
    bank(order.invoice, "1000.00")
    shop.deliver()
    subscription = Subscription.objects.get()
    assert subscription.current_period_end is not None
    subscriptions.cancel(subscription)
    shop.until(subscription.current_period_end)
    acts = list(Document.objects.filter(kind="act").order_by("pk"))
    assert len(acts) in {12, 13}
    assert sum(act.total for act in acts) == Decimal("1000.00")
    assert sum(act.vat for act in acts) == order.invoice.vat
    for one, following in pairwise(acts):
        assert one.period_end == following.period_start
    # Without gaps in each year.
    by_year = [[int(act.number[-6:]) for act in acts if act.number[1:3] == year] for year in ("26", "27")]
    assert by_year == [list(range(1, len(year) + 1)) for year in by_year]
    assert clean(shop) == []


def test_two_who_enter_the_same_payment_enter_it_once(shop: Shop) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from apps.core.tenancy import in_partner

    invoice = order_of(shop, company(shop)).invoice

    def enter(_number: int) -> str:
        try:
            with in_partner(shop.partner):
                return str(bank(invoice, "1220.00").pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(enter, range(4)))
    assert len(made) == OutsidePayment.objects.count() == 1
    assert clean(shop) == []


def faults_of(shop: Shop) -> list[str]:
    return [str(violation) for violation in audit.run([shop.partner.pk])]


def paid_by_bank(shop: Shop) -> Subscription:
    """A company's subscription whose first period its bank transfer has paid."""
    order = order_of(shop, company(shop))
    assert order.invoice is not None
    bank(order.invoice, "1220.00")
    shop.deliver()
    return Subscription.objects.get()


def test_terms_that_are_billed_ahead_hold_from_their_own_day(shop: Shop) -> None:
    """Found by random lives: with its invoice, two weeks early, the larger quantity stood there and was not given."""
    subscription = paid_by_bank(shop)
    begins = subscription.current_period_end
    assert begins is not None
    changes.change(subscription=subscription, quantity=3, when="period_end", actor="test")
    shop.until(begins - timedelta(days=2))
    subscription.refresh_from_db()
    ahead = Invoice.objects.get(subscription=subscription, purpose="renewal")
    assert (ahead.total, subscription.quantity) == (Decimal("3660.00"), 1)
    assert faults_of(shop) == []
    bank(ahead, "3660.00", number="18")
    shop.deliver()
    assert faults_of(shop) == []
    shop.until(begins)
    subscription.refresh_from_db()
    assert subscription.quantity == 3
    assert Service.objects.filter(subscription=subscription, state=ServiceState.ACTIVE).count() == 3
    assert faults_of(shop) == []


def test_a_cycle_that_begins_after_given_days_is_billed_ahead_and_begins_then(shop: Shop) -> None:
    subscription = paid_by_bank(shop)
    gifts.extend(subscription=subscription, days=9, actor="test")
    subscription.refresh_from_db()
    begins, anchor = subscription.current_period_end, subscription.anchor_date
    assert begins is not None
    shop.until(begins - timedelta(days=2))
    subscription.refresh_from_db()
    assert Invoice.objects.filter(subscription=subscription, purpose="renewal").count() == 1
    assert subscription.anchor_date == anchor
    assert faults_of(shop) == []
    shop.until(begins)
    subscription.refresh_from_db()
    assert (subscription.anchor_date, subscription.cycle_day) == (begins, begins.day)
    assert faults_of(shop) == []
