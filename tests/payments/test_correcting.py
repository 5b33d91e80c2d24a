"""A registered receipt that is wrong is undone and said right, once; money without a receipt gets a correction."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections

from apps.accounts.models import Customer
from apps.core import clock, faults
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_partner
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.payments import correcting, receipt_letters, receipts, receipts_apart, refunds, registering
from apps.payments.correcting import Right
from apps.payments.models import Payment
from apps.payments.receipt_models import Receipt
from apps.policies.fiscal import FiscalRule, ReceiptMethod
from apps.sandbox.control import Control
from apps.settlements.comparing import _receipted
from tests.orders.shop import Shop
from tests.payments.test_receipts import clean, money, registered, rule, settled
from tests.planted import execute, found

__all__ = ["registered", "rule"]
D = Decimal
TEN = Right(rates=["10"])


def wrong_one(shop: Shop) -> Receipt:
    """Of 1220 ₽ with VAT of 22 %, where 10 % is right."""
    shop.buy(shop.offer(price="1220.00"))
    settled(shop)
    return Receipt.objects.get()


def corrected(made: Receipt) -> Receipt:
    return correcting.correct(made.pk, TEN, reason="Ставка НДС 22 % вместо 10 %", actor="t")


def state_of(made: Receipt) -> str:
    made.refresh_from_db()
    return str(made.state)


def by_operation(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["operation"]: row["receipt"] for row in rows}


def test_a_wrong_rate_is_undone_and_said_right(shop: Shop, registered: Any) -> None:
    wrong = wrong_one(shop)
    right = corrected(wrong)
    # Nothing is said right before the wrong one is undone; all the while the day's receipts are the day's money.
    assert (state_of(wrong), state_of(right)) == ("registered", "held")
    assert _receipted([wrong.payment_id]) == {wrong.payment_id: D("1220.00")}
    assert clean(shop) == []
    settled(shop)
    assert (state_of(wrong), state_of(right)) == ("corrected", "registered")
    assert _receipted([wrong.payment_id]) == {wrong.payment_id: D("1220.00")}
    rows = registered()
    assert [row["operation"] for row in rows] == ["sell", "sell_refund_correction", "sell_correction"]
    told = by_operation(rows)
    undone, said = told["sell_refund_correction"], told["sell_correction"]
    day = f"{wrong.business_date:%d.%m.%Y}"
    for one in (undone, said):
        assert one["correction_info"] == {"type": "self", "base_date": day}
        assert one["additional_check_props"] == wrong.fiscal["attribute"]
        assert one["total"] == 1220.0
    assert undone["items"] == told["sell"]["items"]
    assert said["items"][0]["vat"] == {"type": "vat10", "sum": 110.91}
    assert money(rows) == {
        "sell": D("1220.00"),
        "sell_refund_correction": D("1220.00"),
        "sell_correction": D("1220.00"),
    }
    assert clean(shop) == []
    # What goes back from now on, goes by the right rate.
    refunds.refund(payment=wrong.payment, amount=Money(D("110.00")), reason="часть", actor="t")
    shop.deliver()
    settled(shop)
    back = by_operation(registered())["sell_refund"]
    assert back["items"][0]["vat"] == {"type": "vat10", "sum": 10.0}
    assert clean(shop) == []


def test_it_is_corrected_once_and_may_be_wrong_again(shop: Shop, registered: Any) -> None:
    wrong = wrong_one(shop)
    with pytest.raises(Refused, match="ничего не меняется"):
        correcting.correct(wrong.pk, Right(rates=["22"]), reason="—", actor="t")
    right = corrected(wrong)
    for one in (wrong, right):
        with pytest.raises(Refused, match="один раз"):
            corrected(one)
    settled(shop)
    with pytest.raises(Refused, match="один раз"):
        corrected(wrong)
    with pytest.raises(Refused, match="один раз"):
        corrected(Receipt.objects.get(cause="reversal"))
    again = correcting.correct(right.pk, Right(rates=[None]), reason="Без НДС", actor="t")
    settled(shop)
    assert [state_of(one) for one in (wrong, right, again)] == ["corrected", "corrected", "registered"]
    assert len(registered()) == 5
    assert clean(shop) == []


def test_a_refunds_receipt_is_corrected_too(shop: Shop, registered: Any) -> None:
    payment = wrong_one(shop).payment
    made = refunds.refund(payment=payment, amount=Money(D("122.00")), reason="часть", actor="t")
    shop.deliver()
    settled(shop)
    right = corrected(Receipt.objects.get(refund=made))
    settled(shop)
    assert (right.refund, state_of(right)) == (made, "registered")
    assert sorted(row["operation"] for row in registered()) == [
        "sell",
        "sell_correction",
        "sell_refund",
        "sell_refund_correction",
    ]
    assert clean(shop) == []


def test_a_prepayment_that_was_corrected_is_settled_by_the_right_rate(
    shop: Shop, rule: FiscalRule, registered: Any
) -> None:
    FiscalRule.objects.filter(pk=rule.pk).update(method=ReceiptMethod.PREPAYMENT)
    right = corrected(wrong_one(shop))
    settled(shop)
    assert right.closes_on is not None
    closing = receipts_apart.close(right.payment_id)
    assert closing is not None
    settled(shop)
    assert (closing.lines[0]["vat_rate"], closing.total) == ("10", D("1220.00"))
    last = registered()[-1]
    assert (last["operation"], last["receipt"]["payments"]) == ("sell", [{"type": 2, "sum": 1220.0}])
    assert clean(shop) == []


@pytest.mark.parametrize("refused", ["sell_refund_correction", "sell_correction"])
def test_what_the_register_refuses_of_a_correction_is_made_anew(
    shop: Shop, rule: FiscalRule, atol: Control, registered: Any, refused: str
) -> None:
    wrong = wrong_one(shop)
    right = corrected(wrong)
    atol.fault("fail", match={"shop": rule.test_connection.name, "operation": refused}, reason="ФН исчерпан")
    settled_but(shop, right)
    failed = Receipt.objects.get(state="failed")
    assert state_of(wrong) == "registered"
    assert WorkItem.objects.filter(kind=receipts.KIND, object_id=failed.pk).exists()
    assert clean(shop) == []
    anew = receipts_apart.replace(failed.pk, actor="t")
    assert anew.correction == failed.correction
    settled(shop)
    assert state_of(wrong) == "corrected"
    assert [row["operation"] for row in registered()] == ["sell", "sell_refund_correction", "sell_correction"]
    assert registered()[-1]["receipt"]["items"][0]["vat"]["type"] == "vat10"
    assert clean(shop) == []


def settled_but(shop: Shop, right: Receipt) -> None:
    """As far as it goes while one of them is refused."""
    try:
        settled(shop)
    except AssertionError:
        assert state_of(right) == "held"


@pytest.mark.parametrize("point", registering.FAULT_POINTS)
def test_a_death_at_any_point_corrects_once(shop: Shop, registered: Any, point: str) -> None:
    wrong = wrong_one(shop)
    corrected(wrong)
    with faults.crash_at(point):
        try:
            settled(shop)
        except faults.Crash:
            pass
    shop.hurry()
    settled(shop)
    assert [row["operation"] for row in registered()] == ["sell", "sell_refund_correction", "sell_correction"]
    assert state_of(wrong) == "corrected"
    assert clean(shop) == []


def test_two_who_correct_at_once_correct_once(shop: Shop, registered: Any) -> None:
    wrong = wrong_one(shop)
    start, told = threading.Barrier(2), []

    def press() -> None:
        with in_partner(shop.partner.pk):
            start.wait()
            try:
                told.append(corrected(wrong).pk)
            except Refused as refusal:
                told.append(refusal.code)
        connections.close_all()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(str(one) for one in told)[-1] == "receipt_not_registered"
    settled(shop)
    assert len(registered()) == 3
    assert clean(shop) == []


def test_where_there_is_no_register_it_says_so(shop: Shop, rule: FiscalRule) -> None:
    wrong = wrong_one(shop)
    Receipt.objects.filter(pk=wrong.pk).update(way="inside")
    FiscalRule.objects.filter(pk=rule.pk).update(maker="gateway", test_connection=None)
    with pytest.raises(Refused, match="Шлюз не пробивает чеков коррекции"):
        corrected(wrong)
    assert Receipt.objects.count() == 1


def test_money_that_had_no_receipt_gets_a_correction(shop: Shop, rule: FiscalRule, registered: Any) -> None:
    began = rule.valid_from
    FiscalRule.objects.filter(pk=rule.pk).update(valid_from=clock.today() + timedelta(days=2))
    shop.buy(shop.offer(price="1220.00"))
    payment = Payment.objects.get()
    refunds.refund(payment=payment, amount=Money(D("122.00")), reason="часть", actor="t")
    shop.deliver()
    with pytest.raises(Refused, match="подключите кассу"):
        correcting.make_up(payment.pk, reason="Касса не была подключена", actor="t")
    FiscalRule.objects.filter(pk=rule.pk).update(valid_from=began)
    correcting.make_up(payment.pk, reason="Касса не была подключена", actor="t")
    with pytest.raises(Refused, match="чека нет"):
        correcting.make_up(payment.pk, reason="Касса не была подключена", actor="t")
    settled(shop)
    assert money(registered()) == {"sell_correction": D("1220.00"), "sell_refund_correction": D("122.00")}
    day = f"{clock.local(payment.settled_at).date():%d.%m.%Y}"
    assert registered()[0]["receipt"]["correction_info"] == {"type": "self", "base_date": day}
    assert "additional_check_props" not in registered()[0]["receipt"]
    assert clean(shop) == []


def test_staff_correct_by_a_page_that_says_the_sum(shop: Shop, registered: Any, staff: Any) -> None:
    wrong = wrong_one(shop)
    page = f"/admin/payments/receipt/{wrong.pk}/correct/"
    manager = staff(shop.partner, "manager")
    assert manager.get(page).status_code == 403
    client = staff(shop.partner, "finance")
    assert "Скорректировать" in client.get(f"/admin/payments/receipt/{wrong.pk}/change/").content.decode()
    shown = client.get(page).content.decode()
    assert "1 220 ₽" in shown.replace("\u00a0", " ").replace("\u202f", " ")
    said = {"rate_0": "10", "taxation": "osn", "reason": ""}
    assert client.post(page, said).status_code == 200
    assert Receipt.objects.count() == 1
    same = client.post(page, {**said, "rate_0": "22", "reason": "Проверка"}).content.decode()
    assert "В чеке ничего не меняется" in same
    assert client.post(page, {**said, "reason": "Ставка 10 %"}).status_code == 302
    assert client.post(page, {**said, "reason": "Ещё раз"}).status_code == 403
    settled(shop)
    assert len(registered()) == 3
    entry = Entry.objects.get(action="receipt.corrected")
    assert (entry.object_id, entry.data) == (str(wrong.pk), {"reason": "Ставка 10 %"})
    right = Receipt.objects.get(replaces=wrong)
    assert "Ставка 10 %" in client.get(f"/admin/payments/receipt/{right.pk}/change/").content.decode()


def test_staff_make_a_receipt_for_money_that_had_none(shop: Shop, rule: FiscalRule, staff: Any) -> None:
    began = rule.valid_from
    FiscalRule.objects.filter(pk=rule.pk).update(valid_from=clock.today() + timedelta(days=2))
    shop.buy(shop.offer(price="1220.00"))
    FiscalRule.objects.filter(pk=rule.pk).update(valid_from=began)
    client, payment = staff(shop.partner, "finance"), Payment.objects.get()
    address = f"/admin/payments/payment/{payment.pk}"
    assert "Пробить чек коррекции" in client.get(f"{address}/change/").content.decode()
    assert client.post(f"{address}/make-up/", {"reason": "Касса молчала"}).status_code == 302
    assert "make-up/" not in client.get(f"{address}/change/").content.decode()
    assert client.get(f"{address}/make-up/").status_code == 403
    settled(shop)
    assert Receipt.objects.get().state == "registered"
    assert clean(shop) == []


def test_a_customer_gets_the_receipt_again_by_a_button(shop: Shop, registered: Any, staff: Any) -> None:
    wrong = wrong_one(shop)
    page, key = f"/admin/payments/receipt/{wrong.pk}", uuid7()
    client = staff(shop.partner, "support")
    assert "Выслать клиенту" in client.get(f"{page}/change/").content.decode()
    assert wrong.payment.customer.email in client.get(f"{page}/send/").content.decode()
    for _twice in range(2):
        assert client.post(f"{page}/send/", {"key": str(key)}).status_code == 302
    [letter] = Message.objects.filter(type="fiscal_receipt")
    assert (letter.to, letter.channel) == (wrong.payment.customer.email, "email")
    for told in (
        wrong.fiscal["fn"],
        wrong.fiscal["document"],
        wrong.fiscal["attribute"],
        wrong.fiscal["url"],
    ):
        assert told in letter.text
        assert told in letter.html
    assert "Приход" in letter.text
    assert Entry.objects.filter(action="receipt.sent", object_id=str(wrong.pk)).count() == 1
    # In the customer's language; and what is corrected is not sent any more.
    Customer.objects.filter(pk=wrong.payment.customer_id).update(language="en")
    english = receipt_letters.send(wrong.pk, actor="t", key=uuid7())
    assert ("Fiscal receipt of" in english.subject, "Kind: Sale" in english.text) == (True, True)
    corrected(wrong)
    with pytest.raises(Refused, match="ничем не заменён"):
        receipt_letters.send(wrong.pk, actor="t", key=uuid7())
    assert client.get(f"{page}/send/").status_code == 403


def test_without_an_address_there_is_nowhere_to_send(shop: Shop, registered: Any) -> None:
    made = wrong_one(shop)
    phone = Customer.objects.filter(pk=made.payment.customer_id)
    phone.update(email="", phone="+79161234567")
    assert "ФПД" in receipt_letters.send(made.pk, actor="t", key=uuid7()).text
    phone.update(phone="", external_id="AB-1")
    with pytest.raises(Refused, match="ни почты, ни телефона"):
        receipt_letters.send(made.pk, actor="t", key=uuid7())


CORRUPTIONS = [
    ("payments.receipt-corrected", "UPDATE payments_receipt SET total = total + 1 WHERE cause = 'reversal'"),
    ("payments.receipt-corrected", "UPDATE payments_receipt SET operation = 'sell' WHERE cause = 'reversal'"),
    ("payments.receipt-corrected", "DELETE FROM payments_receipt WHERE cause = 'reversal'"),
    (
        "payments.receipt-corrected",
        "UPDATE payments_receipt SET state = 'held' WHERE replaces_id IS NOT NULL",
    ),
    ("payments.receipt-corrected", "UPDATE payments_receipt SET state = 'sent' WHERE cause = 'reversal'"),
    (
        "payments.receipt-corrected",
        "UPDATE payments_receipt SET replaces_id = NULL WHERE replaces_id IS NOT NULL",
    ),
]


def test_planted_corruptions_are_found(shop: Shop, registered: Any) -> None:
    corrected(wrong_one(shop))
    settled(shop)
    assert clean(shop) == []
    assert [pair for pair in CORRUPTIONS if not found(pair[0], lambda pair=pair: execute(pair[1]))] == []
