"""What came by bank transfer goes back by bank transfer, in full and in part: made when the statement shows it."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Customer
from apps.billing import answers, credits, outside_refunds, payouts
from apps.billing.models import CreditReason, Invoice, Subscription
from apps.billing.outside_refund_models import OutsideRefund
from apps.billing.paperwork import ChargeRequest, Document, OutsidePayment
from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.ledger.models import Transfer
from apps.partners.models import LegalEntity
from apps.payments import bank_payouts, payments
from apps.payments.bank_payout_models import BankPayout
from apps.sandbox.control import Control
from apps.settlements import statements
from apps.settlements.models import BankLine, BankStatement
from tests.billing.test_by_bank import bank, company, order_of
from tests.billing.test_lifecycle import on_balance
from tests.billing.test_partner_gives_back import give, refused
from tests.billing.test_partner_gives_back import paid as charged
from tests.billing.test_partner_service import bought
from tests.billing.test_partner_service import service as service
from tests.billing.test_renewals import balance
from tests.orders.shop import Shop
from tests.payments.test_bank_payouts import BIK, TO, statement
from tests.planted import execute, found

# One corruption for each of the auditor's rules here: (rule, SQL).
CORRUPTIONS: list[tuple[str, str]] = [
    ("billing.outside-refunds", "DELETE FROM payments_bankpayout"),
    ("billing.outside-refunds", "UPDATE payments_bankpayout SET amount = amount + 1"),
    ("billing.outside-refunds", "UPDATE payments_bankpayout SET state = 'exported', paid_at = NULL"),
    ("billing.outside-refunds", "UPDATE payments_bankpayout SET state = 'cancelled'"),
    ("billing.outside-refunds", "UPDATE billing_outsiderefund SET state = 'waiting', settled_at = NULL"),
    (
        "billing.outside-refunds",
        "DELETE FROM billing_outsiderefund; DELETE FROM ledger_transfer WHERE document_kind = 'outside_refund'",
    ),
]


@pytest.fixture
def payer(shop: Shop) -> Iterator[LegalEntity]:
    """The shop's seller, with an account of its own to pay from."""
    with in_public():
        entity = LegalEntity.objects.get(pk=shop.partner.legal_entity_id)
        before = {name: getattr(entity, name) for name in ("account", "bik", "bank", "bank_account")}
        entity.account, entity.bik, entity.bank = f"4070299{shop.partner.pk:013d}"[:20], BIK, "ПАО Сбербанк"
        entity.bank_account = TO["bank_account"]
        entity.save()
    yield entity
    with in_public():
        BankLine.objects.filter(statement__account=entity.account).delete()
        BankStatement.objects.filter(account=entity.account).delete()
        LegalEntity.objects.filter(pk=entity.pk).update(**before)


def invoice_of(shop: Shop) -> Invoice:
    """Of a company, for 1220 roubles."""
    order = order_of(shop, company(shop))
    assert order.invoice is not None
    return order.invoice


def paid(shop: Shop, amount: str = "1220.00") -> tuple[Subscription, OutsidePayment]:
    """A company's subscription of 1220 roubles, paid by its transfer."""
    made = bank(invoice_of(shop), amount, keep_rest=True)
    shop.deliver()
    return Subscription.objects.get(), made


def exported(made: OutsideRefund) -> tuple[BankPayout, bytes]:
    payout = BankPayout.objects.get(pk=made.pk)
    bank_payouts.set_details(payout.pk, TO, actor="olga")
    orders = bank_payouts.export([payout.pk], actor="olga")
    payout.refresh_from_db()
    return payout, orders


def loaded(shop: Shop, content: bytes) -> None:
    """The bank's statement comes in."""
    with in_public():
        statements.load(content, name="kl_to_1c.txt", actor="bank")
    shop.deliver()


def clean(shop: Shop) -> bool:
    return [str(one) for one in audit.run([shop.partner.pk])] == []


def test_in_part_from_the_page_to_the_line_of_the_statement(
    shop: Shop, payer: LegalEntity, staff_client: Any
) -> None:
    subscription, outside = paid(shop)
    finance = staff_client(shop.partner, role="finance", of=shop.partner)
    address = f"/admin/billing/outsidepayment/{outside.pk}/give-back/"
    assert "переводом по реквизитам" in finance.get(address).content.decode()
    form = {"amount": "220,00", "reason_code": "goodwill", "way": "bank", "key": str(uuid7())}
    for _press in range(2):
        assert finance.post(address, form).status_code == 302
    made = OutsideRefund.objects.get()
    assert (made.state, made.way, made.note is not None) == ("waiting", "bank", True)
    assert on_balance(subscription) == 0
    item = WorkItem.objects.get(partner_id=shop.partner.pk, object_id=made.pk)
    assert "реквизиты" in item.reason
    assert clean(shop)
    payout, orders = exported(made)
    assert not WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=made.pk).exists()
    text = orders.decode("cp1251")
    # 220 × 22 / 122, as its credit note has it.
    assert f"платёж от {outside.paid_date:%d.%m.%Y} № {outside.reference}. В том числе НДС 39.67 руб." in text
    shown = finance.get(f"/admin/payments/bankpayout/{payout.pk}/change/").content.decode()
    assert str(made.customer) in shown
    listed = finance.get("/admin/payments/bankpayout/").content.decode()
    assert str(made.customer) in listed
    assert str(payout) in finance.get(f"/admin/billing/outsiderefund/{made.pk}/change/").content.decode()
    made.refresh_from_db()
    assert made.state == "waiting"
    content = statement(payer, orders)
    loaded(shop, content)
    line = BankLine.objects.get(number=str(payout.number), statement__account=payer.account)
    made.refresh_from_db()
    payout.refresh_from_db()
    assert (made.state, payout.state, payout.bank_line) == ("succeeded", "paid", line.pk)
    posted = Transfer.objects.filter(document_id=made.pk).values_list("posting", "debit", "amount")
    assert set(posted) == {
        ("owed", "advances", Decimal("220.00")),
        ("refunded", "receivable", Decimal("220.00")),
    }
    assert Document.objects.get(kind="refund_receipt").total == Decimal("220.00")
    assert (balance(shop, "receivable"), subscription.state) == (0, "active")
    assert outside_refunds.refundable(outside) == Decimal("1000.00")
    assert clean(shop)
    # The same statement again pays nothing.
    loaded(shop, content)
    assert Transfer.objects.filter(document_id=made.pk, posting="refunded").count() == 1
    assert clean(shop)


def test_in_full_it_ends_the_subscription_and_nothing_is_left_to_give(shop: Shop, payer: LegalEntity) -> None:
    subscription, outside = paid(shop)
    made = give(outside)
    _payout, orders = exported(made)
    subscription.refresh_from_db()
    assert (made.amount, subscription.state) == (Decimal("1220.00"), "cancelled")
    # A line that is a kopeck off is no order of ours.
    loaded(shop, statement(payer, orders, Сумма="1219.99"))
    made.refresh_from_db()
    assert made.state == "waiting"
    loaded(shop, statement(payer, orders))
    made.refresh_from_db()
    assert made.state == "succeeded"
    assert refused(lambda: give(outside, "0.01", key="two")).code == "refund_too_much"
    assert clean(shop)


def test_what_was_paid_above_the_invoice_goes_back_from_the_balance(shop: Shop, payer: LegalEntity) -> None:
    subscription, outside = paid(shop, "1300.00")
    customer = subscription.customer_id
    seen = payouts.look(customer)
    assert (seen.possible, seen.rest) == (Money(Decimal("80.00")), Money(Decimal("0.00")))
    [made] = payouts.pay_out(customer_id=customer, reason="-", actor="anna", key="one")
    assert (on_balance(subscription), made.pk) == (0, OutsideRefund.objects.get().pk)
    assert clean(shop)
    assert outside_refunds.refundable(outside) == Decimal("1220.00")
    assert refused(lambda: give(outside)).code == "key_reused"
    rest = give(outside, key="two")
    assert rest.amount == Decimal("1220.00")
    for one in OutsideRefund.objects.all():
        _payout, orders = exported(one)
        assert ("НДС не облагается" in orders.decode("cp1251")) is one.of_balance
        loaded(shop, statement(payer, orders))
    assert set(OutsideRefund.objects.values_list("state", flat=True)) == {"succeeded"}
    assert (balance(shop, "receivable"), balance(shop, "advances")) == (0, 0)
    assert clean(shop)


def test_what_staff_take_back_is_on_the_balance_and_what_the_bank_returned_waits_for_details(
    shop: Shop, payer: LegalEntity, staff_client: Any
) -> None:
    subscription, outside = paid(shop)
    made = give(outside, "220.00")
    payout, _orders = exported(made)
    assert refused(lambda: bank_payouts.cancel(payout.pk, actor="ivan", reason="-")).code == "payout_left"
    assert refused(lambda: bank_payouts.paid(payout.pk, actor="olga")).code == "own_payout"
    bank_payouts.returned(payout.pk, actor="ivan", reason="счёт закрыт")
    item = WorkItem.objects.get(partner_id=shop.partner.pk, object_id=made.pk)
    assert "счёт закрыт" in item.reason
    assert (on_balance(subscription), clean(shop)) == (0, True)
    bank_payouts.cancel(payout.pk, actor="ivan", reason="клиент передумал")
    made.refresh_from_db()
    assert (made.state, on_balance(subscription)) == ("failed", Decimal("220.00"))
    finance = staff_client(shop.partner, role="finance", of=shop.partner)
    shown = finance.get(f"/admin/billing/outsiderefund/{made.pk}/change/").content.decode()
    assert "выплату отменили" in shown
    assert not WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=made.pk).exists()
    assert clean(shop)
    [again] = payouts.pay_out(customer_id=subscription.customer_id, reason="-", actor="anna", key="again")
    payout, _orders = exported(OutsideRefund.objects.get(pk=again.pk))
    bank_payouts.paid(payout.pk, actor="ivan")
    bank_payouts.paid(payout.pk, actor="ivan")
    assert OutsideRefund.objects.get(pk=again.pk).state == "succeeded"
    assert clean(shop)


def test_a_death_before_the_commit_pays_nothing_and_the_next_time_once(
    shop: Shop, payer: LegalEntity
) -> None:
    _subscription, outside = paid(shop)
    made = give(outside, "220.00")
    payout, _orders = exported(made)
    with faults.crash_at("payments.payout-paid"), pytest.raises(faults.Crash):
        bank_payouts.paid(payout.pk, actor="ivan")
    made.refresh_from_db()
    assert (made.state, clean(shop)) == ("waiting", True)
    bank_payouts.paid(payout.pk, actor="ivan")
    made.refresh_from_db()
    assert made.state == "succeeded"
    assert Transfer.objects.filter(document_id=made.pk, posting="refunded").count() == 1
    assert clean(shop)


def test_the_customer_gives_the_details_by_a_link_that_says_nothing_of_a_card(
    shop: Shop, payer: LegalEntity, client_for: Callable[..., Client], staff_client: Any
) -> None:
    _subscription, outside = paid(shop)
    made = give(outside, "220.00")
    payout = BankPayout.objects.get(pk=made.pk)
    path = "/payout/" + bank_payouts.make_link(payout.pk, actor="ivan").rstrip("/").rsplit("/", 1)[1] + "/"
    browser = client_for(shop.partner)
    page = browser.get(path).content.decode()
    assert "на счёт, который вы укажете" in page
    assert "на карту не получилось" not in page
    fields = {name: TO[name] for name in ("name", "account", "bik", "bank", "inn")}
    assert browser.post(path, fields).status_code == 200
    payout.refresh_from_db()
    assert (payout.state, payout.details_by) == ("ready", "customer")
    finance = staff_client(shop.partner, role="finance", of=shop.partner)
    assert (
        "клиент по ссылке" in finance.get(f"/admin/payments/bankpayout/{payout.pk}/change/").content.decode()
    )
    assert browser.get(path).status_code == 404


def test_what_a_partner_charged_by_polling_goes_back_by_bank(shop: Shop, payer: LegalEntity) -> None:
    subscription, asked = bought(shop)
    made: ChargeRequest = asked
    answers.charged(made.pk, amount=Money(made.amount), paid_date=clock.today(), reference="p-1", actor="api")
    shop.deliver()
    outside = OutsidePayment.objects.get()
    assert refused(lambda: give(outside, way="partner")).code == "no_way"
    payout, _orders = exported(give(outside, "49.00"))
    bank_payouts.paid(payout.pk, actor="ivan")
    assert OutsideRefund.objects.get().state == "succeeded"
    subscription.refresh_from_db()
    assert (subscription.state, clean(shop)) == ("active", True)


def test_the_auditor_finds_orders_that_are_not_their_refunds(shop: Shop, payer: LegalEntity) -> None:
    _subscription, outside = paid(shop)
    made = give(outside, "220.00")
    nobody_knows = f"DELETE FROM core_workitem WHERE object_id = '{made.pk}'"
    assert found("billing.outside-refunds-followed", lambda: execute(nobody_knows))
    payout, _orders = exported(made)
    bank_payouts.paid(payout.pk, actor="ivan")
    missed = [pair for pair in CORRUPTIONS if not found(pair[0], lambda pair=pair: execute(pair[1]))]
    assert missed == []


def test_more_than_came_never_goes_back_by_either_page(shop: Shop, payer: LegalEntity) -> None:
    subscription, outside = paid(shop, "1300.00")
    with pytest.raises(Refused), transaction.atomic():
        give(outside, "1220.01")
    give(outside, "1220.00", key="rest")
    refusal = refused(
        lambda: payouts.pay_out(
            customer_id=subscription.customer_id,
            amount=Money(Decimal("80.01")),
            reason="-",
            actor="anna",
            key="one",
        )
    )
    assert refusal.code == "payout_too_much"
    payouts.pay_out(customer_id=subscription.customer_id, reason="-", actor="anna", key="two")
    assert sum(one.amount for one in OutsideRefund.objects.all()) == Decimal("1300.00")
    assert Customer.objects.filter(pk=subscription.customer_id).exists()
    assert clean(shop)


def test_what_one_transfer_has_brought_twice_goes_back_by_one_order(shop: Shop, payer: LegalEntity) -> None:
    """Above the invoice, and by a note of it: one refund of both, not two of one key."""
    subscription, outside = paid(shop, "1300.00")
    line = outside.invoice.lines.get()
    with transaction.atomic():
        credits.issue(
            invoice=outside.invoice,
            parts=[credits.Part(line.pk, Decimal("220.00"))],
            reason=CreditReason.CORRECTION,
            key="goodwill",
        )
    customer = subscription.customer_id
    assert [way.amount for way in payouts.look(customer).ways] == [Decimal("300.00")]
    [made] = payouts.pay_out(customer_id=customer, reason="-", actor="anna", key="one")
    assert (made.amount, on_balance(subscription)) == (Decimal("300.00"), 0)
    assert outside_refunds.refundable(outside) == Decimal("1000.00")
    assert clean(shop)


def test_what_the_partner_refused_goes_from_the_balance_by_bank(
    shop: Shop, service: Connection, partner_sim: Control, payer: LegalEntity, staff_client: Any
) -> None:
    subscription, outside = charged(shop)
    mine = {"operation": "refund", "shop": shop.partner.slug}
    partner_sim.fault("refuse", match=mine, reason="no_account")
    give(outside, "49.00")
    shop.deliver()
    assert on_balance(subscription) == Decimal("49.00")
    finance = staff_client(shop.partner, role="finance", of=shop.partner)
    address = f"/admin/billing/customeraccount/{subscription.customer_id}/pay-out/"
    assert "is_by_bank" in finance.get(address).content.decode()
    form = {"amount": "49,00", "reason": "-", "is_by_bank": "on", "key": str(uuid7())}
    for _press in range(2):
        assert finance.post(address, form).status_code == 302
    made = OutsideRefund.objects.exclude(state="failed").get()
    assert (made.way, made.of_balance, on_balance(subscription)) == ("bank", True, 0)
    payout, _orders = exported(made)
    bank_payouts.paid(payout.pk, actor="ivan")
    shop.deliver()
    rows = partner_sim.register(shop=shop.partner.slug)["refunds"]
    assert [row for row in rows if row["status"] == "refunded"] == []
    assert clean(shop)


def test_a_file_locks_balances_before_payments_and_says_the_vat(shop: Shop, payer: LegalEntity) -> None:
    """As a payout from a balance does: the other way round the two would wait for each other."""
    payment = shop.buy(shop.offer(price="149.00")).order_items.get().order.payment()
    assert payment is not None
    by_card = payments.refund(payment=payment, reason="-", actor="olga", route="bank")
    outside = bank(invoice_of(shop), "1220.00")
    shop.deliver()
    made = give(outside, "220.00")
    keys = [by_card.payout.pk, made.pk]
    for key in keys:
        bank_payouts.set_details(key, TO, actor="olga")
    with CaptureQueriesContext(connection) as seen:
        orders = bank_payouts.export(keys, actor="olga").decode("cp1251")
    locks = [one["sql"] for one in seen.captured_queries if "FOR NO KEY UPDATE" in one["sql"]]
    tables = [one.split(' FROM "', 1)[1].split('"', 1)[0] for one in locks]
    assert tables.index("billing_customerbalance") < tables.index("payments_payment")
    # 149 × 22 / 122 of the card's payment, 220 × 22 / 122 of the transfer.
    assert f"№ {payment.gateway_id}. В том числе НДС 26.87 руб." in orders
    assert f"№ {outside.reference}. В том числе НДС 39.67 руб." in orders
