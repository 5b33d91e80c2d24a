"""Every payment and refund has its receipt at the register, once: lost answers, refusals, prepayments, agents."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.billing.models import InvoicePayment
from apps.catalog.models import ProviderTerms, Trade
from apps.connectors import webhooks
from apps.connectors.models import Connection, InboundMessage
from apps.core import audit, clock, faults, lane_runner
from apps.core.errors import Refused
from apps.core.models import Due, WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import LegalEntity
from apps.payments import receipt_lines, receipts, receipts_apart, refunds, registering
from apps.payments.models import Payment, Refund
from apps.payments.receipt_models import Receipt, ReceiptState
from apps.policies.fiscal import FiscalRule, ReceiptMethod
from apps.sandbox.control import Control
from tests.conftest import backends, eventually
from tests.orders.shop import Shop
from tests.payments.conftest import later
from tests.planted import execute, found

D = Decimal
CORRUPTIONS: list[tuple[str, str]] = [
    ("payments.receipt-of-money", "UPDATE payments_receipt SET total = total + 1 WHERE cause = 'payment'"),
    ("payments.receipt-of-money", "UPDATE payments_receipt SET operation = 'sell' WHERE cause = 'refund'"),
    ("payments.receipt-of-money", "DELETE FROM payments_receipt WHERE cause = 'refund'"),
    ("payments.receipt-of-money", "DELETE FROM payments_receipt"),
    ("payments.receipt-adds-up", "UPDATE payments_receipt SET lines = '[]' WHERE cause = 'payment'"),
    ("payments.receipt-adds-up", "UPDATE payments_receipt SET total = total * 3 WHERE cause = 'refund'"),
    ("payments.receipt-goes-on", "UPDATE payments_receipt SET state = 'sent' WHERE cause = 'payment'"),
    ("payments.receipt-goes-on", "UPDATE payments_receipt SET state = 'failed' WHERE cause = 'payment'"),
]


@pytest.fixture
def rule(shop: Shop, atol: Control, operator: LegalEntity) -> Iterator[FiscalRule]:
    """The operator's receipts are ours to make, at a group of registers of this test's own."""
    group = f"group-{shop.partner.slug}"
    with in_public():
        atol.add_register(group, inn=operator.inn)
        register = Connection.objects.create(
            kind="fiscal",
            connector="apps.payments.atol.Atol",
            name=group,
            config={
                "login": group,
                "password": "secret",
                "group": group,
                "base_url": f"{atol.base_url}/possystem/v5",
            },
            legal_entity=operator,
            is_test=True,
        )
        FiscalRule.objects.filter(legal_entity=operator).delete()
        made = FiscalRule.objects.create(
            legal_entity=operator,
            valid_from=clock.today() - timedelta(days=1),
            test_connection=register,
            place="https://armor.example",
            email="kassa@armor.example",
        )
    yield made
    with in_public():
        FiscalRule.objects.filter(pk=made.pk).delete()


@pytest.fixture
def registered(rule: FiscalRule, atol: Control) -> Callable[[], list[dict[str, Any]]]:
    """What the register has really registered."""

    def read() -> list[dict[str, Any]]:
        return [
            one
            for one in atol.register(shop=rule.test_connection.name)["receipts"]
            if one["status"] == "done"
        ]

    return read


def settled(shop: Shop) -> None:
    """Whatever is open is asked about until it is registered."""
    for _time in range(40):
        left = [one for one in Receipt.objects.all() if one.is_open]
        if not left:
            return
        for one in left:
            later(one)
            registering.sweep(one.pk)
        shop.deliver()
    raise AssertionError([str(one) for one in left])


def clean(shop: Shop) -> list[str]:
    return [str(one) for one in audit.run([shop.partner.pk])]


def money(rows: list[dict[str, Any]]) -> dict[str, Decimal]:
    """What was registered, by the way the money went."""
    found: dict[str, Decimal] = {}
    for row in rows:
        electronic = sum(D(str(one["sum"])) for one in row["receipt"]["payments"] if one["type"] == 1)
        found[row["operation"]] = found.get(row["operation"], D(0)) + electronic
    return found


def test_bought_and_given_back_in_parts(shop: Shop, registered: Any) -> None:
    subscription = shop.buy(shop.offer(price="1220.00"))
    payment = Payment.objects.get()
    part = refunds.refund(payment=payment, amount=Money(D("200.00")), reason="часть", actor="t")
    shop.deliver()
    settled(shop)
    rows = registered()
    assert money(rows) == {"sell": D("1220.00"), "sell_refund": D("200.00")}
    [sold] = [row for row in rows if row["operation"] == "sell"]
    [item] = sold["receipt"]["items"]
    assert (item["sum"], item["vat"], item["payment_method"]) == (
        1220.0,
        {"type": "vat22", "sum": 220.0},
        "full_payment",
    )
    assert sold["receipt"]["client"] == {"email": subscription.customer.email}
    of_payment, of_refund = Receipt.objects.order_by("pk")
    assert of_payment.fiscal["document"]
    assert of_payment.fiscal["url"].startswith("https://")
    assert of_refund.refund == part
    assert clean(shop) == []


def test_the_rouble_that_binds_a_card_for_a_trial_has_its_receipt_and_its_return(
    shop: Shop, registered: Any
) -> None:
    shop.buy(shop.offer(trial_days=7))
    settled(shop)
    assert money(registered()) == {"sell": D("1.00"), "sell_refund": D("1.00")}
    assert clean(shop) == []


def test_without_a_rule_nobody_makes_receipts(shop: Shop) -> None:
    FiscalRule.objects.all().delete()
    shop.buy(shop.offer())
    assert not Receipt.objects.exists()
    assert clean(shop) == []


def test_a_prepayment_is_settled_when_its_month_is_over(
    shop: Shop, rule: FiscalRule, registered: Any
) -> None:
    FiscalRule.objects.filter(pk=rule.pk).update(method=ReceiptMethod.PREPAYMENT)
    subscription = shop.buy(shop.offer(price="1220.00"))
    settled(shop)
    [paid] = Receipt.objects.all()
    assert (paid.is_prepayment, paid.closes_on) == (True, subscription.current_period_end)
    [first] = registered()
    assert first["receipt"]["items"][0]["vat"]["type"] == "vat122"
    payment = Payment.objects.get()
    refunds.refund(payment=payment, amount=Money(D("220.00")), reason="часть", actor="t")
    shop.deliver()
    shop.until(subscription.current_period_end + timedelta(days=1))
    settled(shop)
    [closing] = Receipt.objects.filter(cause="settlement")
    assert (closing.total, closing.prepaid) == (D("1000.00"), D("1000.00"))
    receipts_apart.close(payment.pk)
    assert Receipt.objects.filter(cause="settlement").count() == 1
    [told] = [row for row in registered() if row["external_id"] == str(closing.reference_id)]
    assert told["receipt"]["payments"] == [{"type": 2, "sum": 1000.0}]
    assert told["receipt"]["items"][0]["payment_method"] == "full_payment"
    assert clean(shop) == []
    back = refunds.refund(payment=payment, amount=Money(D("122.00")), reason="ещё часть", actor="t")
    shop.deliver()
    settled(shop)
    # What was a prepayment when the first part went back, is a settled sale now.
    made = {row["external_id"]: row["receipt"]["items"][0] for row in registered()}
    first, second = (
        made[str(one.reference_id)] for one in Receipt.objects.filter(cause="refund").order_by("pk")
    )
    assert (first["payment_method"], first["vat"]["type"]) == ("full_prepayment", "vat122")
    assert (second["payment_method"], second["vat"]["type"]) == ("full_payment", "vat22")
    assert back.receipts.get().total == D("122.00")
    assert clean(shop) == []


@pytest.mark.parametrize(("inn", "told"), [("7736050003", "7736050003"), ("", "000000000000")])
def test_what_is_sold_for_a_provider_says_so(shop: Shop, registered: Any, inn: str, told: str) -> None:
    """A supplier without an INN, as one from abroad, has twelve zeros."""
    offer = shop.offer(price="500.00")
    with in_public():
        provider = offer.tariff.product.provider
        type(provider).objects.filter(pk=provider.pk).update(
            legal_name="ООО «Доктор»", inn=inn, phone="+74951234567"
        )
        ProviderTerms.objects.create(
            provider=provider,
            product=offer.tariff.product,
            number="А-1",
            valid_from=clock.today(),
            trade=Trade.AGENCY,
            percent=D("10"),
        )
    shop.buy(offer)
    settled(shop)
    [row] = registered()
    [item] = row["receipt"]["items"]
    assert item["agent_info"] == {"type": "another"}
    assert item["supplier_info"] == {"name": "ООО «Доктор»", "inn": told, "phones": ["+74951234567"]}


@pytest.mark.parametrize("fault", ["drop_answer", "http_500", "http_503", "http_429"])
def test_a_lost_answer_makes_no_second_receipt(
    shop: Shop, rule: FiscalRule, atol: Control, registered: Any, fault: str
) -> None:
    group = rule.test_connection.name
    atol.fault(fault, match={"operation": "sell", "shop": group})
    shop.buy(shop.offer())
    assert [one.state for one in Receipt.objects.all()] != [ReceiptState.REGISTERED]
    settled(shop)
    assert len(registered()) == 1
    assert clean(shop) == []


def test_hung_receipts_hold_no_connection_to_the_database(
    shop: Shop, rule: FiscalRule, atol: Control, registered: Any
) -> None:
    match = {"operation": "sell", "shop": rule.test_connection.name}
    register = Connection.objects.filter(pk=rule.test_connection_id)
    register.update(is_enabled=False)
    offer = shop.offer()
    for _ in range(4):
        shop.buy(offer, customer=shop.customer())
    assert list(Receipt.objects.values_list("state", flat=True)) == [ReceiptState.QUEUED] * 4
    register.update(is_enabled=True)
    Due.objects.filter(lane=rule.test_connection_id).update(due_at=clock.wall())
    atol.fault("hold", times=4, seconds=30, match=match)
    before = backends()
    runner = lane_runner.Runner()
    runner._find_due = lambda besides: [] if runner._lanes else [rule.test_connection_id]
    thread = threading.Thread(target=runner.run)
    thread.start()
    eventually(lambda: len(atol.log(**match, held="True")) == 4)
    # Who hands out and who records, however many wait for the register.
    assert backends() - before <= 2
    atol.release()
    thread.join()
    settled(shop)
    assert len(registered()) == 4
    assert clean(shop) == []


@pytest.mark.parametrize("point", registering.FAULT_POINTS)
def test_a_death_at_any_point_loses_and_doubles_nothing(
    shop: Shop, rule: FiscalRule, registered: Any, point: str
) -> None:
    with faults.crash_at(point):
        try:
            shop.buy(shop.offer())
            for one in Receipt.objects.all():
                later(one)
                registering.sweep(one.pk)
        except faults.Crash:
            pass
    shop.hurry()
    settled(shop)
    assert len(registered()) == 1
    assert clean(shop) == []


def test_what_the_register_refuses_waits_for_staff_and_is_made_anew(
    shop: Shop, rule: FiscalRule, atol: Control, registered: Any, staff: Any
) -> None:
    atol.fault("fail", match={"shop": rule.test_connection.name}, reason="ФН исчерпан")
    shop.buy(shop.offer())
    settled(shop)
    [failed] = Receipt.objects.all()
    assert (failed.state, failed.reason) == ("failed", "ФН исчерпан")
    assert WorkItem.objects.filter(kind=receipts.KIND, object_id=failed.pk).exists()
    client = staff(shop.partner, "finance")
    shown = client.get(f"/admin/payments/receipt/{failed.pk}/change/").content.decode()
    assert "ФН исчерпан" in shown
    assert "Пробить заново" in shown
    client.post(f"/admin/payments/receipt/{failed.pk}/replace/")
    shop.deliver()
    settled(shop)
    failed.refresh_from_db()
    assert (failed.state, failed.replaced_by.state) == ("corrected", "registered")
    assert not WorkItem.objects.filter(kind=receipts.KIND, object_id=failed.pk).exists()
    assert len(registered()) == 1
    with pytest.raises(Refused):
        receipts_apart.replace(failed.pk, actor="t")
    shown = client.get(f"/admin/payments/receipt/{failed.replaced_by.pk}/change/").content.decode()
    assert "Скорректировать" in shown
    assert not any(one in shown for one in ("Пробить заново", "Спросить кассу", "У шлюза чека нет"))
    told = client.post(f"/admin/payments/receipt/{failed.pk}/replace/", follow=True)
    assert "Заменяют только непробитый чек" in told.content.decode()
    assert clean(shop) == []


def test_a_report_is_only_a_reason_to_ask(
    shop: Shop, rule: FiscalRule, atol: Control, client_for: Callable[..., Client]
) -> None:
    atol.fault("pending", match={"shop": rule.test_connection.name})
    shop.buy(shop.offer())
    [receipt] = Receipt.objects.all()
    assert receipt.state == ReceiptState.SENT
    forged = {"uuid": receipt.gateway_id, "status": "done", "payload": {"total": 1}}
    with in_public():
        answer = client_for(None).post(
            f"/hooks/{rule.test_connection_id}/", forged, content_type="application/json"
        )
        assert answer.status_code == 200
        for message in InboundMessage.objects.filter(connection=rule.test_connection_id):
            webhooks.process(message.pk)
    shop.deliver()
    receipt.refresh_from_db()
    assert receipt.state == ReceiptState.SENT
    atol.settle(receipt.gateway_id)
    settled(shop)
    receipt.refresh_from_db()
    assert receipt.state == ReceiptState.REGISTERED
    assert clean(shop) == []


def test_planted_corruptions_are_found(shop: Shop, registered: Any) -> None:
    shop.buy(shop.offer())
    refunds.refund(payment=Payment.objects.get(), amount=Money(D("100.00")), reason="часть", actor="t")
    shop.deliver()
    settled(shop)
    assert Refund.objects.get().state == "succeeded"
    assert clean(shop) == []
    assert InvoicePayment.objects.exists()
    assert [pair for pair in CORRUPTIONS if not found(pair[0], lambda pair=pair: execute(pair[1]))] == []


AMOUNTS = st.decimals("0.01", "9999999.99", places=2)


@given(
    st.lists(
        st.tuples(AMOUNTS, st.integers(1, 50), st.sampled_from([None, "10.00", "22.00"])),
        min_size=1,
        max_size=6,
    ),
    AMOUNTS,
)
def test_scaled_lines_add_up_and_each_is_price_by_quantity(rows: Any, total: Decimal) -> None:
    lines = [
        {
            "name": "Строка",
            "quantity": quantity,
            "amount": str(amount),
            "vat_rate": rate,
            "method": "x",
            "agent": None,
        }
        for amount, quantity, rate in rows
    ]
    scaled = receipt_lines.scaled(lines, Money(total))
    assert sum(D(one["amount"]) for one in scaled) == total
    for one in scaled:
        assert D(one["price"]) * one["quantity"] == D(one["amount"]) > 0
        assert D(one["vat"]) <= D(one["amount"])
