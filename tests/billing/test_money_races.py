"""Races for money and documents: right with the lock; with it taken away the same two workers do harm.

The table of all races, their locks and tests is docs/races.md.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.billing import (
    answers,
    balances,
    credits,
    documents,
    invoices,
    partner_reports,
    promos,
    renewals,
    subscriptions,
)
from apps.billing.models import (
    CreditNote,
    CustomerBalance,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    Subscription,
)
from apps.billing.moving import batches
from apps.billing.moving.models import BaseBatch, BaseRow
from apps.billing.paperwork import (
    ChargeRequest,
    CollectionReport,
    CollectionRow,
    Document,
    DocumentKind,
    OutsidePayment,
)
from apps.billing.promotion_models import PromoCode, PromoRedemption, Promotion
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.money import Money
from apps.orders import placing, quoting
from apps.orders.models import Order
from apps.partners import books
from apps.payments import payments
from apps.payments.models import Payment
from tests.accounts.at_once import at_once
from tests.billing.bases import load
from tests.billing.test_by_bank import bank, company, order_of
from tests.billing.test_edges import owed, page_of
from tests.billing.test_moving import row
from tests.billing.test_partner_pays import answer, offered, sold
from tests.billing.test_promotions import promotion
from tests.billing.test_renewals import jump
from tests.orders.races import Both, Runner, atomic, race, run, without_lock
from tests.orders.shop import Shop

__all__ = ["run"]
D = Decimal


def refusal(got: Any) -> str:
    """The code of a refusal; empty for anything else that came of it."""
    return got.code if isinstance(got, Refused) else ""


def is_clean(shop: Shop) -> bool:
    """The auditor finds nothing in the shop's own schema."""
    assert list(audit.of_partners([shop.partner])) == []
    return True


CREDITED = Invoice, InvoiceLine, CustomerBalance, Payment
"""What a credit note locks."""


def paid_invoice(shop: Shop) -> Invoice:
    """Of 149 roubles, by a customer with a rouble on the balance."""
    [invoice] = shop.invoices(shop.buy(shop.offer(price="149.00")))
    balances.add(invoice.customer_id, Money(D("1.00")))
    return invoice


@pytest.fixture
def nothing_earned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning the next day of income writes a row of its own, which would hold the second one by chance."""
    monkeypatch.setattr(invoices, "catch_up", lambda _invoice: None)


@Both
@pytest.mark.usefixtures("nothing_earned")
def test_more_is_credited_than_a_line_has(shop: Shop, run: Runner, locked: bool) -> None:
    invoice = paid_invoice(shop)
    line = invoice.lines.get()

    def give(key: str) -> Callable[[], Any]:
        parts = [credits.Part(line.pk, D("100.00"))]
        return atomic(credits.issue, invoice=invoice, parts=parts, reason="correction", key=key)

    done = run(give("one"), (books, "open_day"), give("two"), *CREDITED)
    assert refusal(done.second) == ("credit_too_much" if locked else "")
    given = sum(note.total for note in CreditNote.objects.all())
    assert given == (D("100.00") if locked else D("200.00"))


@Both
@pytest.mark.usefixtures("nothing_earned")
def test_one_correction_sent_twice(shop: Shop, run: Runner, locked: bool) -> None:
    invoice = paid_invoice(shop)
    parts = [credits.Part(invoice.lines.get().pk, D("10.00"))]
    give = atomic(credits.issue, invoice=invoice, parts=parts, reason="correction", key="mine")
    done = run(give, (books, "open_day"), give, *CREDITED, indexes=("billing_credit_once",))
    # With the lock both hear of the same note; without lock and index the money is given twice.
    assert (done.first == done.second) is locked
    assert CustomerBalance.objects.get().amount == (D("11.00") if locked else D("21.00"))


@Both
def test_a_credit_and_a_refund_give_the_same_money(shop: Shop, run: Runner, locked: bool) -> None:
    invoice = paid_invoice(shop)
    payment = invoice.payment()
    assert payment
    parts = [credits.Part(invoice.lines.get().pk, D("100.00"))]
    done = run(
        atomic(credits.issue, invoice=invoice, parts=parts, reason="correction", key="mine"),
        (books, "open_day"),
        lambda: payments.refund(payment=payment, amount=Money(D("100.00")), reason="-", actor="olga"),
        *CREDITED,
    )
    assert refusal(done.second) == ("refund_too_much" if locked else "")
    given = CreditNote.objects.get().total + payment.given_back()
    assert given == (D("100.00") if locked else D("200.00"))


@Both
def test_two_bills_use_one_balance(shop: Shop, run: Runner, locked: bool) -> None:
    customer = shop.customer()
    mine = [shop.buy(shop.offer(price="149.00"), customer=customer) for _one in range(2)]
    balances.add(customer.pk, Money(D("100.00")))
    jump(shop, mine[0].current_period_end)
    one, two = (_renewing(subscription) for subscription in mine)
    run(one, (CustomerBalance, "save"), two, CustomerBalance)
    used = sum(invoice.credit_applied for invoice in Invoice.objects.filter(purpose="renewal"))
    # Without the lock each takes all of it.
    assert used == (D("100.00") if locked else D("200.00"))


def _renewing(subscription: Subscription) -> Callable[[], Any]:
    return lambda: renewals.renew(subscription.pk)


@Both
def test_a_credit_comes_while_the_balance_is_used(shop: Shop, run: Runner, locked: bool) -> None:
    customer = shop.customer()
    balances.add(customer.pk, Money(D("100.00")))
    run(
        atomic(balances.take, customer.pk, Money(D("30.00"))),
        (CustomerBalance, "save"),
        atomic(balances.add, customer.pk, Money(D("50.00"))),
        CustomerBalance,
    )
    # Without the lock the credit is written over, and lost to the customer.
    assert CustomerBalance.objects.get().amount == (D("120.00") if locked else D("70.00"))


@Both
def test_two_payments_under_way_for_one_invoice(shop: Shop, run: Runner, locked: bool) -> None:
    """As two browsers, two opened pay links, or a retry beside a click: one lock, and one index behind it."""
    order = shop.order(shop.offer())
    shop.pay(order, card="5555555555554600")
    assert order.invoice
    pay = atomic(invoices.pay, order.invoice, return_url="https://shop.example/")
    run(pay, (payments, "start"), pay, Invoice, indexes=("billing_one_payment_at_a_time",))
    assert InvoicePayment.objects.filter(failed=False).count() == (1 if locked else 2)


@Both
def test_two_accountants_enter_one_bank_payment(shop: Shop, run: Runner, locked: bool) -> None:
    """Each in their own words, so that no key tells: the invoice's lock does."""
    invoice = order_of(shop, company(shop)).invoice
    assert invoice
    done = run(
        lambda: bank(invoice, "720.00", number="17", accept_part=True),
        (OutsidePayment.objects, "create"),
        lambda: bank(invoice, "720.00", number="№ 17", accept_part=True),
        Invoice,
        Subscription,
    )
    assert refusal(done.second) == ("too_much" if locked else "")
    came = sum(one.amount for one in OutsidePayment.objects.all())
    # Without the lock more is entered for the invoice than it is of.
    assert came == (D("720.00") if locked else D("1440.00"))


@Both
def test_one_entry_of_a_bank_payment_sent_twice(shop: Shop, run: Runner, locked: bool) -> None:
    invoice = order_of(shop, company(shop)).invoice
    assert invoice

    def enter() -> Any:
        return bank(invoice, "1000.00", accept_part=True)

    indexes = ("billing_outside_once",)
    done = run(enter, (OutsidePayment.objects, "create"), enter, Invoice, Subscription, indexes=indexes)
    assert (done.first == done.second) is locked
    assert OutsidePayment.objects.count() == (1 if locked else 2)


@Both
def test_a_partner_says_charged_and_refused(shop: Shop, run: Runner, locked: bool) -> None:
    sold(shop, offered(shop, "partner_charges"))
    made = ChargeRequest.objects.get()
    done = run(
        lambda: answers.refused(made.pk, reason="no_money", actor="api"),
        (answers, "_answer"),
        lambda: answer(made),
        ChargeRequest,
        Invoice,
        Subscription,
    )
    made.refresh_from_db()
    assert refusal(done.second) == ("request_closed" if locked else "")
    # Without the lock money has come by a request that says that none will.
    assert made.state == "refused"
    assert OutsidePayment.objects.exists() is not locked


@Both
def test_one_report_of_a_partner_loaded_twice(shop: Shop, run: Runner, locked: bool) -> None:
    """The unique index on its key is the lock: the second waits there, and is the first's."""
    rows = [partner_reports.given("I26-1", "99.00", clock.today())]

    def give() -> Any:
        return partner_reports.load(rows, name="Ноябрь", source="api", key="2026-11", actor="api")

    at = CollectionRow.objects, "bulk_create"
    done = run(give, at, give, indexes=("billing_report_once",))
    assert (done.first == done.second) is locked
    assert CollectionReport.objects.count() == (1 if locked else 2)


@Both
def test_one_act_of_one_month_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    [invoice] = shop.invoices(subscription)
    jump(shop, subscription.current_period_end)

    def act() -> None:
        documents.act_due(invoice.pk)

    run(act, (books, "open_day"), act, Invoice, indexes=("billing_document_once",))
    acts = Document.objects.filter(kind=DocumentKind.ACT)
    assert acts.count() == (1 if locked else 2)


@Both
def test_a_place_of_a_promotion_is_given_back_twice(shop: Shop, run: Runner, locked: bool) -> None:
    promotion("OSEN", total_limit=2)
    offer = shop.offer()
    mine = [shop.order(offer, promo_code="OSEN").item.subscription for _one in range(2)]
    assert mine[0]
    release = atomic(promos.release, mine[0])
    run(release, (PromoRedemption, "save"), release, Promotion)
    # Without the lock the other one's place is free as well, and the code's limit is passed.
    assert PromoCode.objects.get().used == (1 if locked else 0)


@Both
def test_one_order_sent_twice(shop: Shop, run: Runner, locked: bool) -> None:
    offer, customer = shop.offer(), shop.customer()

    def order() -> Any:
        return placing.place_order(
            customer=customer, offer=offer, return_url="https://shop.example/", request_key="click"
        )

    indexes = ("orders_order_request_key",)
    done = run(order, (quoting, "quote"), order, Customer, indexes=indexes)
    assert (done.first == done.second) is locked
    assert Order.objects.count() == (1 if locked else 2)


def test_the_index_alone_makes_one_order_of_two_clicks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    offer, customer = shop.offer(), shop.customer()

    def order() -> Any:
        return placing.place_order(
            customer=customer, offer=offer, return_url="https://shop.example/", request_key="click"
        )

    without_lock(monkeypatch, Customer)
    done = race(monkeypatch, shop.partner, order, (quoting, "quote"), order)
    assert (done.overtook, done.first, Order.objects.count()) == (True, done.second, 1)


@Both
def test_one_batch_of_a_base_moved_twice(shop: Shop, run: Runner, locked: bool) -> None:
    customers.register(external_id="C-A-1", phone="+79161234567")
    load(shop, [row(shop.offer())])
    [batch] = batches.plan(count=5, size=5, actor="anna")

    def move() -> None:
        batches.move(batch.pk)

    run(move, (batches, "_write"), move, BaseBatch, BaseRow)
    # Without the lock one subscription of the old system is two of ours, and both are charged.
    assert Subscription.objects.count() == (1 if locked else 2)


def test_a_bill_is_paid_while_its_addon_is_cancelled(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both lock the subscription before the bill and the add-on: else each would wait for the other."""
    _parent, addon, bill = owed(shop)
    page = page_of(bill)
    shop.gateway.pay(page.confirmation_url)
    payments.settle(page.pk)
    done = race(
        monkeypatch,
        shop.partner,
        atomic(renewals.paid, page.pk),
        (subscriptions, "extend"),
        lambda: subscriptions.cancel(addon),
    )
    assert (done.first, done.overtook) == (None, False)
    assert not isinstance(done.second, Exception)
    shop.deliver()
    assert is_clean(shop)


def test_many_at_once_leave_the_books_right(shop: Shop) -> None:
    """Not provoked but let go together: renewals, credits and payments of one customer."""
    customer, offer = shop.customer(), shop.offer(price="149.00")
    mine = [shop.buy(offer, customer=customer) for _one in range(3)]
    [invoice] = shop.invoices(mine[0])
    parts = [credits.Part(invoice.lines.get().pk, D("50.00"))]
    jump(shop, mine[0].current_period_end)
    calls: list[Callable[[], Any]] = [_renewing(one) for one in mine for _twice in range(2)]
    calls.append(atomic(credits.issue, invoice=invoice, parts=parts, reason="correction", key="mine"))
    at_once(shop.partner, calls)
    shop.deliver()
    assert len(shop.charges()) == 6
    assert is_clean(shop)
