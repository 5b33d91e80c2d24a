"""The official YooKassa SDK, which knows nothing of our simulator, works against it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from yookassa import Configuration, Payment, PaymentMethod, Receipt, Refund, Settings
from yookassa.domain.exceptions import (
    BadRequestError,
    InternalServerError,
    NotFoundError,
    ResponseProcessingError,
    TooManyRequestsError,
    UnauthorizedError,
)
from yookassa.domain.notification import WebhookNotificationFactory

from apps.sandbox.control import Control
from tests.sandbox.conftest import SECRET, SHOP, Hooks, eventually

RETURN_URL = "https://shop.example/thanks?order=1"


@pytest.fixture(autouse=True)
def configured(yookassa: Control) -> Iterator[None]:
    Configuration.configure(SHOP, SECRET, api_url=f"{yookassa.base_url}/v3")
    yield
    Configuration.api_url = "https://api.yookassa.ru/v3"


def order(amount: str = "299.00", **fields: Any) -> dict[str, Any]:
    confirmation = {"type": "redirect", "return_url": RETURN_URL}
    body = {"amount": {"value": amount, "currency": "RUB"}, "capture": True, "confirmation": confirmation}
    return body | {"description": "Антивирус, 1 месяц", "metadata": {"order": "7"}} | fields


def charge(method_id: str, amount: str = "299.00", **fields: Any) -> dict[str, Any]:
    body = {"amount": {"value": amount, "currency": "RUB"}, "capture": True, "payment_method_id": method_id}
    return body | fields


def saved_method(yookassa: Control, card: str = "5555555555554477") -> str:
    payment = Payment.create(order(save_payment_method=True))
    yookassa.pay(payment.confirmation.confirmation_url, card=card)
    return Payment.find_one(payment.id).payment_method.id


def test_buy_save_renew_refund(yookassa: Control, hooks: Hooks) -> None:
    line = {
        "description": "Антивирус",
        "quantity": "1.00",
        "amount": {"value": "299.00", "currency": "RUB"},
        "vat_code": 11,
        "payment_mode": "full_payment",
        "payment_subject": "service",
    }
    receipt = {"customer": {"email": "anna@example.com"}, "items": [line], "tax_system_code": 2}
    payment = Payment.create(order(save_payment_method=True, receipt=receipt), "buy-1")
    assert (payment.status, payment.paid, payment.test) == ("pending", False, True)

    answer = yookassa.pay(payment.confirmation.confirmation_url, card="5555 5555 5555 4444")
    assert (answer.status_code, answer.headers["location"]) == (303, RETURN_URL)
    paid = Payment.find_one(payment.id)
    assert (paid.status, paid.paid, str(paid.amount.value)) == ("succeeded", True, "299.00")
    assert paid.payment_method.saved
    assert paid.payment_method.card.last4 == "4444"
    assert paid.authorization_details.three_d_secure.applied
    assert paid.metadata["order"] == "7"

    renewal = Payment.create(charge(paid.payment_method.id))
    assert (renewal.status, renewal.confirmation) == ("succeeded", None)

    for amount, rest in (("100.00", True), ("199.00", False)):
        refund = Refund.create({"payment_id": payment.id, "amount": {"value": amount, "currency": "RUB"}})
        assert Refund.find_one(refund.id).status == "succeeded"
        assert Payment.find_one(payment.id).refundable is rest
    with pytest.raises(BadRequestError):
        Refund.create({"payment_id": payment.id, "amount": {"value": "0.01", "currency": "RUB"}})
    assert len(Refund.list({"payment_id": payment.id}).items) == 2

    wanted = [("payment.succeeded", "succeeded"), *[("refund.succeeded", "succeeded")] * 2]
    assert eventually(lambda: len(hooks.of(payment.id)) == 3)
    assert hooks.of(payment.id) == wanted
    body = next(row for row in hooks.received if row["object"]["id"] == payment.id)
    assert WebhookNotificationFactory().create(body).object.id == payment.id
    assert Settings.get_account_settings().account_id == SHOP


def test_two_stages(yookassa: Control, hooks: Hooks) -> None:
    held = Payment.create(order(capture=False))
    yookassa.pay(held.confirmation.confirmation_url)
    assert Payment.find_one(held.id).status == "waiting_for_capture"
    with pytest.raises(BadRequestError):
        Refund.create({"payment_id": held.id, "amount": {"value": "1.00", "currency": "RUB"}})
    done = Payment.capture(held.id, {"amount": {"value": "200.00", "currency": "RUB"}})
    assert (done.status, str(done.amount.value)) == ("succeeded", "200.00")

    other = Payment.create(order(capture=False))
    yookassa.pay(other.confirmation.confirmation_url)
    assert Payment.cancel(other.id).cancellation_details.reason == "canceled_by_merchant"
    events = [("payment.waiting_for_capture", "waiting_for_capture"), ("payment.canceled", "canceled")]
    # Two messages at once arrive in any order.
    assert eventually(lambda: sorted(hooks.of(other.id)) == sorted(events))


@pytest.mark.parametrize(
    ("card", "reason"),
    [("4000000000000341", "insufficient_funds"), ("4000000000000069", "card_expired")],
)
def test_renewals_decline_by_card(yookassa: Control, card: str, reason: str) -> None:
    payment = Payment.create(charge(saved_method(yookassa, card)))
    assert (payment.status, payment.cancellation_details.reason) == ("canceled", reason)


def test_revoked_method_and_planned_decline(yookassa: Control) -> None:
    method = saved_method(yookassa)
    yookassa.fault("decline", reason="issuer_unavailable", match={"metadata": {"order": "9"}})
    assert Payment.create(charge(method)).status == "succeeded"
    declined = Payment.create(charge(method, metadata={"order": "9", "shop": "x"}))
    assert declined.cancellation_details.reason == "issuer_unavailable"
    yookassa.revoke_method(method)
    assert Payment.create(charge(method)).cancellation_details.reason == "permission_revoked"


def test_list_goes_on_by_cursor(yookassa: Control) -> None:
    made = [Payment.create(order(f"{number}.00")).id for number in range(1, 6)]
    first = Payment.list({"limit": 3})
    second = Payment.list({"limit": 3, "cursor": first.next_cursor})
    assert [item.id for item in first.items + second.items][:5] == made[::-1]
    since = Payment.find_one(made[3]).created_at
    assert [item.id for item in Payment.list({"created_at.gte": since}).items] == made[:2:-1]


def test_one_key_is_one_payment(yookassa: Control) -> None:
    first = Payment.create(order(), "same-key")
    assert Payment.create(order(), "same-key").id == first.id
    with pytest.raises(BadRequestError):
        Payment.create(order("300.00"), "same-key")


def test_bad_requests(yookassa: Control) -> None:
    method = saved_method(yookassa)
    wrong = {
        "amount.value": order("0.00"),
        "amount.currency": order() | {"amount": {"value": "1.00", "currency": "USD"}},
        "confirmation": order() | {"confirmation": None},
        "save_payment_method": charge(method) | {"save_payment_method": True},
        "payment_method_id": charge("nobody"),
        "description": order(description="ы" * 129),
        "metadata": order(metadata={str(number): "x" for number in range(17)}),
    }
    url, headers = f"{yookassa.base_url}/v3/payments", {"Idempotence-Key": "wrong"}
    for parameter, body in wrong.items():
        answer = httpx.post(url, json=body, auth=(SHOP, SECRET), headers=headers, timeout=60, verify=False)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["parameter"]) == (
            400,
            "invalid_request",
            parameter,
        )
    answer = httpx.post(url, json=order(), auth=(SHOP, SECRET), timeout=60, verify=False)
    assert answer.json()["parameter"] == "Idempotence-Key"
    with pytest.raises(NotFoundError):
        Payment.find_one("2d96f4ca-000f-5000-8000-000000000000")
    Configuration.secret_key = "wrong"
    with pytest.raises(UnauthorizedError):
        Payment.list()


def test_another_shop_sees_nothing(yookassa: Control) -> None:
    payment = Payment.create(order())
    yookassa.add_shop("200600", "other")
    Configuration.account_id, Configuration.secret_key = "200600", "other"
    with pytest.raises(NotFoundError):
        Payment.find_one(payment.id)
    assert Payment.list().items == []


@pytest.mark.parametrize(
    ("kind", "error", "made"),
    [
        ("http_202", ResponseProcessingError, 1),
        ("http_429", TooManyRequestsError, 0),
        ("http_500", InternalServerError, 0),
    ],
)
def test_refusals(yookassa: Control, kind: str, error: type[Exception], made: int) -> None:
    yookassa.fault(kind, match={"operation": "create_payment"})
    with pytest.raises(error):
        Payment.create(order(), f"key-{kind}")
    found = [row for row in yookassa.register()["payments"] if row["idempotence_key"] == f"key-{kind}"]
    assert len(found) == made
    again = Payment.create(order(), f"key-{kind}")
    assert [again.id] == [row["id"] for row in found] or not made


@pytest.mark.parametrize("kind", ["bank_card", "sbp"])
def test_a_method_saved_without_a_payment(yookassa: Control, hooks: Hooks, kind: str) -> None:
    asked = {"type": kind, "confirmation": {"type": "redirect", "return_url": RETURN_URL}}
    method = PaymentMethod.create(asked, f"bind-{kind}")
    assert (method.type, method.status, method.saved) == (kind, "pending", False)
    with pytest.raises(BadRequestError):
        Payment.create(charge(method.id))
    page = method.confirmation.confirmation_url
    done = yookassa.pay_sbp(page) if kind == "sbp" else yookassa.pay(page, card="5555555555554477")
    assert done.headers["location"] == RETURN_URL
    found = PaymentMethod.find_one(method.id)
    assert (found.status, found.saved) == ("active", True)
    told = eventually(lambda: [row for row in hooks.received if row["object"]["id"] == method.id])
    assert told[0]["event"] == "payment_method.active"
    assert WebhookNotificationFactory().create(told[0]).object.id == method.id
    assert Payment.create(charge(method.id)).status == "succeeded"


def test_sbp_behind_a_qr_is_saved_and_taken_back_at_the_bank(yookassa: Control) -> None:
    body = order(payment_method_data={"type": "sbp"}, save_payment_method=True)
    with pytest.raises(BadRequestError):
        Payment.create(body | {"amount": {"value": "9.99", "currency": "RUB"}})
    with pytest.raises(BadRequestError):
        Payment.create(body | {"capture": False})
    payment = Payment.create(body)
    yookassa.pay_sbp(payment.confirmation.confirmation_url)
    method = Payment.find_one(payment.id).payment_method
    assert (method.type, method.saved) == ("sbp", True)
    renewal = Payment.create(charge(method.id))
    assert renewal.status == "succeeded"
    asked = {"payment_id": renewal.id, "amount": {"value": "299.00", "currency": "RUB"}}
    back = Refund.create(asked)
    assert back.status == "pending"
    assert eventually(lambda: Refund.find_one(back.id).status == "succeeded")
    yookassa.revoke_method(method.id)
    refused = Payment.create(charge(method.id))
    assert (refused.status, refused.cancellation_details.reason) == ("canceled", "permission_revoked")


LINE = {
    "description": "Антивирус",
    "quantity": "1.00",
    "amount": {"value": "299.00", "currency": "RUB"},
    "vat_code": 11,
    "payment_mode": "full_payment",
    "payment_subject": "service",
}


def receipt_of(payment_id: str, **fields: Any) -> dict[str, Any]:
    settled = {"type": "cashless", "amount": {"value": "299.00", "currency": "RUB"}}
    body = {"type": "payment", "payment_id": payment_id, "customer": {"email": "anna@example.com"}}
    body |= {"items": [LINE], "settlements": [settled], "tax_system_code": 2, "send": True}
    return body | fields


def test_receipts_apart_from_money(yookassa: Control) -> None:
    """Made, found again by their key and number, listed by their payment and by their refund; refused when wrong."""
    payment, other = Payment.create(charge(saved_method(yookassa))), Payment.create(order())
    made = Receipt.create(receipt_of(payment.id), "receipt-1")
    assert (made.type, made.payment_id) == ("payment", payment.id)
    assert Receipt.create(receipt_of(payment.id), "receipt-1").id == made.id
    found = Receipt.find_one(made.id)
    assert (found.status, found.id) == ("succeeded", made.id)
    assert found.fiscal_document_number
    assert found.fiscal_storage_number
    assert found.fiscal_attribute
    [item] = found.items
    assert (item.description, str(item.amount.value), item.vat_code) == ("Антивирус", "299.00", 11)
    assert [(one.type, str(one.amount.value)) for one in found.settlements] == [("cashless", "299.00")]

    refund = Refund.create({"payment_id": payment.id, "amount": {"value": "299.00", "currency": "RUB"}})
    asked = receipt_of(payment.id, type="refund", refund_id=refund.id)
    del asked["payment_id"]
    back = Receipt.create(asked, "receipt-2")
    assert (back.type, back.refund_id) == ("refund", refund.id)
    assert [one.id for one in Receipt.list({"refund_id": refund.id}).items] == [back.id]
    assert made.id in [one.id for one in Receipt.list({"payment_id": payment.id}).items]
    assert Receipt.list({"payment_id": other.id}).items == []

    # Of money that has not come, and a list longer than a page.
    with pytest.raises(BadRequestError):
        Receipt.create(receipt_of(other.id), "receipt-3")
    with pytest.raises(NotFoundError):
        Receipt.find_one("rt-2da5c87d-0384-50e8-a7f3-8d5646dd9e10")
    for number in range(3):
        Receipt.create(receipt_of(payment.id), f"more-{number}")
    first = Receipt.list({"payment_id": payment.id, "limit": 2})
    second = Receipt.list({"payment_id": payment.id, "limit": 2, "cursor": first.next_cursor})
    numbers = [one.id for one in first.items + second.items]
    assert len(set(numbers)) == len(numbers) == 4


def test_a_receipt_that_the_register_refuses_or_keeps(yookassa: Control) -> None:
    payment = Payment.create(charge(saved_method(yookassa)))
    for kind, status in (("refuse_receipt", "canceled"), ("wait_receipt", "pending")):
        yookassa.fault(kind, match={"payment": payment.id})
        made = Receipt.create(receipt_of(payment.id), f"{kind}-{payment.id}")
        found = Receipt.find_one(made.id)
        assert (found.status, found.fiscal_document_number) == (status, None)
