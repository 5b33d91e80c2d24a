"""Who pays: the partner reports what it collected, charges on our request, or pays for its clients."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import date, timedelta
from decimal import Decimal
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.models import Customer
from apps.billing import answers, outside, partner_invoices, partner_reports
from apps.billing.models import Invoice, InvoicePurpose, InvoiceState, Subscription
from apps.billing.paperwork import ChargeRequest, CollectionRow, Document
from apps.catalog.models import Offer
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tenancy import in_partner
from apps.ledger.models import Transfer
from apps.partners.models import ContractTerms
from apps.payments.models import Payment
from tests.billing.test_by_bank import clean, company, text_of
from tests.orders.shop import Shop
from tests.planted import execute, taken_back

CORRUPTIONS = (
    "billing.money-past-gateway",
    "billing.acts-and-receipts",
    "billing.partner-collects",
    "billing.partner-pays-once",
)


def offered(shop: Shop, payer: str, **terms: Any) -> Offer:
    offer = shop.offer(**terms)
    offer.payer = payer
    offer.save(update_fields=["payer"])
    return offer


def sold(shop: Shop, offer: Offer, **options: Any) -> Subscription:
    order = shop.order(offer, **options)
    shop.deliver()
    order.refresh_from_db()
    assert order.item.subscription is not None
    assert Payment.objects.count() == 0, "no gateway has anything to do with it"
    return order.item.subscription


def invoice_of(subscription: Subscription) -> Invoice:
    return Invoice.objects.filter(subscription=subscription).order_by("pk").last()


def code(act: Any) -> str:
    with pytest.raises(Refused) as refused, transaction.atomic():
        act()
    return refused.value.code


def answer(made: ChargeRequest, amount: str = "149.00", **options: Any) -> ChargeRequest:
    options = {"paid_date": clock.today(), "reference": "phone-1", "actor": "api"} | options
    return answers.charged(made.pk, amount=Money(Decimal(amount)), **options)


def test_a_partner_that_charges_is_asked_and_answers_once(shop: Shop) -> None:
    subscription = sold(shop, offered(shop, "partner_charges"))
    made = ChargeRequest.objects.get()
    assert (made.state, made.amount, subscription.state) == ("waiting", Decimal("149.00"), "pending")
    assert code(lambda: answer(made, "148.00")) == "amount_differs"
    assert answer(made).pk == answer(made).pk == made.pk
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, invoice_of(subscription).state) == ("active", "paid")
    assert shop.service(subscription).state == "active"
    assert code(lambda: answers.refused(made.pk, reason="no", actor="api")) == "request_closed"
    paid = Transfer.objects.get(document_kind="outside_payment", partner=shop.partner)
    assert (paid.debit, paid.owner) == ("partner_payable", "partner")
    assert clean(shop) == []

    # The next period: asked on its first day, refused, asked anew on the day after, charged.
    end = subscription.current_period_end
    assert end is not None
    shop.until(end)
    renewal = ChargeRequest.objects.get(state="waiting")
    answers.refused(renewal.pk, reason="no_money", actor="api")
    assert answers.refused(renewal.pk, reason="no_money", actor="api").state == "refused"
    subscription.refresh_from_db()
    assert subscription.state == "past_due"
    assert clean(shop) == []
    shop.until(end + timedelta(days=1))
    answer(ChargeRequest.objects.get(state="waiting"), reference="phone-2")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.current_period_start) == ("active", end)
    assert clean(shop) == []


def test_a_first_sale_that_the_partner_refuses_is_off(shop: Shop) -> None:
    subscription = sold(shop, offered(shop, "partner_charges"))
    answers.refused(ChargeRequest.objects.get().pk, reason="blocked", actor="api")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, invoice_of(subscription).state) == ("ended", "void")
    assert subscription.order_items.get().order.state == "cancelled"
    assert clean(shop) == []


def test_a_renewal_refused_too_often_ends(shop: Shop) -> None:
    subscription = sold(shop, offered(shop, "partner_charges"))
    answer(ChargeRequest.objects.get())
    shop.deliver()
    subscription.refresh_from_db()
    end = subscription.current_period_end
    assert end is not None
    for day in range(4):
        shop.until(end + timedelta(days=day))
        answers.refused(ChargeRequest.objects.get(state="waiting").pk, reason="no", actor="api")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == ("ended", "unpaid")
    assert clean(shop) == []


def test_a_partner_that_reports_serves_first_and_its_report_is_matched(shop: Shop) -> None:
    offer = offered(shop, "partner_reports")
    subscriptions = [sold(shop, offer) for _ in range(3)]
    assert {one.state for one in subscriptions} == {"active"}
    assert {shop.service(one).state for one in subscriptions} == {"active"}
    paid, other, silent = (invoice_of(one) for one in subscriptions)
    assert clean(shop) == []
    assert {invoice.state for invoice in (paid, other)} == {"open"}

    today = f"{clock.today():%d.%m.%Y}"
    text = "\n".join(
        (
            "\ufeffСчёт;Сумма;Дата",
            f"{paid.number};149,00;{today}",
            f"{other.number};100,00;{today}",
            f"I99-1-1-000001;149,00;{today}",
            f"{paid.number};149,00;{today}",
            f"{silent.number};сто;{today}",
        )
    )
    options = {"name": "Ноябрь", "source": "file", "key": "november", "actor": "finance"}
    report = partner_reports.load(partner_reports.read(text), **options)
    states = [row.state for row in CollectionRow.objects.filter(report=report)]
    assert states == ["matched", "different", "unknown", "repeated", "bad"]
    assert partner_reports.load(partner_reports.read(text), **options).pk == report.pk
    assert CollectionRow.objects.count() == 5
    paid.refresh_from_db()
    assert paid.state == InvoiceState.PAID
    shop.deliver()
    assert clean(shop) == []
    shop.until(silent.due_date + timedelta(days=1))
    late = partner_reports.load(
        [partner_reports.given("X", "1", today)], name="Декабрь", source="file", key="d", actor=""
    )
    assert [one.number for one in partner_reports.missing(late)] == [other.number, silent.number]
    # A renewal goes on without waiting for the money.
    first = subscriptions[0]
    first.refresh_from_db()
    assert first.current_period_end is not None
    shop.until(first.current_period_end)
    first.refresh_from_db()
    assert first.state == "active"
    assert clean(shop) == []


def test_a_report_that_is_no_report_is_refused(shop: Shop) -> None:
    for text in ("", "просто текст", "\n\n"):
        assert code(lambda text=text: partner_reports.read(text)) == "bad_file"


def payer_of(shop: Shop) -> Any:
    payer = company(shop)
    partner_invoices.set_payer(payer, actor="finance")
    return payer


def month_later(shop: Shop) -> date:
    """Midnight of the first day of the next month has passed; the month that is over."""
    over = clock.today().replace(day=1)
    shop.until((over + timedelta(days=32)).replace(day=1), hour=7)
    return over


def test_the_partner_pays_by_count_and_only_what_is_new(shop: Shop) -> None:
    assert code(lambda: shop.order(offered(shop, "partner_pays"))) == "no_payer"
    payer = payer_of(shop)
    offer, dear = offered(shop, "partner_pays"), offered(shop, "partner_pays", price="299.00")
    for one in (offer, offer, dear):
        subscription = sold(shop, one)
        assert subscription.state == "active"
        own = invoice_of(subscription)
        assert (own.total, own.state, own.lines.get().discount) == (Decimal(0), "paid", one.unit_price)
        assert shop.service(subscription).state == "active"
    sold(shop, offered(shop, "partner_pays", price="10.00", trial_days=60))
    assert clean(shop) == []

    month = month_later(shop)
    bill = Invoice.objects.get(purpose=InvoicePurpose.PARTNER)
    assert (bill.customer, bill.total, bill.collection) == (payer, Decimal("597.00"), "invoice")
    lines = {(line.quantity, line.amount) for line in bill.lines.all()}
    assert lines == {(2, Decimal("298.00")), (1, Decimal("299.00"))}
    assert {(line.period_start, line.vat_rate) for line in bill.lines.all()} == {(month, Decimal(22))}
    assert Document.objects.get(kind="act").total == bill.total
    for said in (bill.number, "ООО «Ромашка»", "597 ₽"):
        assert said in text_of(bill)
    assert clean(shop) == []
    # The same month again: nothing is new.
    for _again in range(2):
        outcome = partner_invoices.bill(month, actor="finance")
        assert (outcome.invoice, outcome.notes) == (None, [])
    assert Invoice.objects.filter(purpose=InvoicePurpose.PARTNER).count() == 1
    # And the next one bills the renewals.
    month_later(shop)
    following = Invoice.objects.filter(purpose=InvoicePurpose.PARTNER).latest("pk")
    assert following.total == Decimal("597.00")
    assert clean(shop) == []


def test_by_activated_count_a_client_is_billed_once(shop: Shop) -> None:
    ContractTerms.objects.create(
        partner=shop.partner, number="Д-2", valid_from=clock.today() - timedelta(days=60), counts="activated"
    )
    payer_of(shop)
    offer = offered(shop, "partner_pays")
    sold(shop, offer)
    month_later(shop)
    sold(shop, offer, quantity=3)
    month_later(shop)
    bills = Invoice.objects.filter(purpose=InvoicePurpose.PARTNER).order_by("pk")
    assert [bill.total for bill in bills] == [Decimal("149.00"), Decimal("447.00")]
    assert clean(shop) == []


def test_what_was_billed_too_much_is_credited(shop: Shop) -> None:
    payer_of(shop)
    offer = offered(shop, "partner_pays")
    for _ in range(3):
        sold(shop, offer)
    month = month_later(shop)
    bill = Invoice.objects.get(purpose=InvoicePurpose.PARTNER)
    # Of a client that was none, as the documents say now: planted past the guards that keep them.
    with transaction.atomic():
        execute("SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL session_replication_role = replica")
        gone = Invoice.objects.filter(collection="partner_pays").first()
        assert gone is not None
        Invoice.objects.filter(pk=gone.pk).update(state="void", closed_at=clock.now())
    outcome = partner_invoices.bill(month)
    assert outcome.invoice is None
    assert [note.total for note in outcome.notes] == [Decimal("149.00")]
    bill.refresh_from_db()
    assert bill.due_money.amount == Decimal("298.00")
    assert partner_invoices.counts(month) == (Counter(dict(partner_invoices.counts(month)[1])),) * 2
    assert partner_invoices.bill(month).notes == []


def billed_by_two(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> int:
    """Invoices for one month by two who bill it at the same moment, each having looked at what is billed already."""
    payer_of(shop)
    sold(shop, offered(shop, "partner_pays"))
    Due.objects.filter(partner_id=shop.partner.pk, kind=partner_invoices.MONTHLY).delete()
    month = month_later(shop)
    both, look = Barrier(2, timeout=1), partner_invoices._billed

    def slow(*args: Any) -> Any:
        found = look(*args)
        with suppress(BrokenBarrierError):
            both.wait()
        return found

    def bill(_number: int) -> bool:
        with closing(connection), in_partner(shop.partner):
            return partner_invoices.bill(month).invoice is not None

    monkeypatch.setattr(partner_invoices, "_billed", slow)
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(bill, range(2)))


def test_two_who_bill_a_month_bill_it_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert billed_by_two(shop, monkeypatch) == 1


def test_without_the_lock_two_bill_a_month_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlocked() -> Customer:
        return Customer.objects.get(pk=shop.partner.payer_id)

    monkeypatch.setattr(partner_invoices, "_payer", unlocked)
    assert billed_by_two(shop, monkeypatch) == 2


def test_the_auditor_finds_what_was_planted(shop: Shop) -> None:
    charging = sold(shop, offered(shop, "partner_charges"))
    answer(ChargeRequest.objects.get())
    payer_of(shop)
    sold(shop, offered(shop, "partner_pays"))
    month_later(shop)
    shop.deliver()
    for rule, corruption in (
        ("billing.money-past-gateway", "UPDATE billing_outsidepayment SET amount = amount - 1"),
        ("billing.money-past-gateway", "UPDATE ledger_transfer SET amount = 1 WHERE posting = 'paid'"),
        (
            "billing.money-past-gateway",
            f"UPDATE billing_invoice SET collection = 'charge' WHERE subscription_id = '{charging.pk}'",
        ),
        ("billing.acts-and-receipts", "UPDATE billing_document SET total = total + 1"),
        (
            "billing.acts-and-receipts",
            "UPDATE billing_invoiceline SET amount = 1, vat = 0, credited = 0 FROM billing_document d"
            " WHERE d.invoice_id = billing_invoiceline.invoice_id AND d.kind = 'act'",
        ),
        ("billing.acts-and-receipts", "DELETE FROM core_searchkey WHERE kind = 'billing.Document'"),
        ("billing.partner-collects", "UPDATE billing_outsidepayment SET key = 'other'"),
        (
            "billing.partner-collects",
            "UPDATE billing_chargerequest SET state = 'waiting', answered_at = NULL",
        ),
        (
            "billing.partner-pays-once",
            "UPDATE billing_invoice SET state = 'void' WHERE collection = 'partner_pays'",
        ),
    ):
        with taken_back():
            assert list(audit.RULES[rule].check()) == [], rule
            execute(corruption)
            assert list(audit.RULES[rule].check()), corruption


def test_what_comes_past_the_gateway_is_of_its_kind(shop: Shop) -> None:
    card = shop.order(shop.offer()).invoice
    assert card is not None
    money = {"amount": card.money, "paid_date": clock.today(), "reference": "1"}
    assert (
        code(lambda: outside.receive(invoice_id=card.pk, source="bank", key="k", **money)) == "paid_otherwise"
    )
