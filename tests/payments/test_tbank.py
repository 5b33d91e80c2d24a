"""What is T-Bank's own: its signature, its official description, orders that are found again."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from apps.connectors.base import ConnectorError, ForgedMessage, Inbound
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.payments import methods, payments, refund_calls, refunds, unbinding
from apps.payments.tbank import TBank, sign
from apps.sandbox.control import Control
from tests.payments.conftest import Till, look
from tests.payments.gateways import TBANK
from tests.payments.tbank_description import validate, validate_call

NOTICES = {"LINKACCOUNT": "NotificationQr", "ADDCARD": "NotificationAddCard"}


@pytest.fixture
def till(partner: Partner, till_for: Any, tbank: Control) -> Till:
    made: Till = till_for(partner, kind=TBANK, control=tbank)
    return made


def test_the_published_signatures() -> None:
    request = {
        "TerminalKey": "MerchantTerminalKey",
        "Amount": 19200,
        "OrderId": "21090",
        "Description": "Подарочная карта на 1000 рублей",
        "DATA": {"Phone": "+71234567890"},
        "Receipt": {"Items": []},
    }
    expected = "0024a00af7c350a3a67ca168ce06502aa72772456662e38696d48b56ee9c97d9"
    assert sign(request, "usaf8fw8fsw21g") == expected
    notice = {
        "TerminalKey": "1321054611234DEMO",
        "OrderId": "201709",
        "Success": True,
        "Status": "AUTHORIZED",
        "PaymentId": 8742591,
        "ErrorCode": "0",
        "Amount": 9855,
        "CardId": 322264,
        "Pan": "430000******0777",
        "ExpDate": "1122",
        "RebillId": 101709,
    }
    expected = "b906d28e76c6428e37b25fcf86c0adc52c63d503013fdd632e300593d165766b"
    assert sign(notice, "Dfsfh56dgKl") == expected
    assert sign({**notice, "Token": "x", "Data": {"a": 1}}, "Dfsfh56dgKl") == expected


USED = {
    "Init",
    "Charge",
    "CheckOrder",
    "Cancel",
    "Confirm",
    "GetCardList",
    "GetQr",
    "ChargeQr",
    "GetQrState",
    "AddAccountQr",
    "GetAddAccountQrState",
    "AddCustomer",
    "AddCard",
    "GetAddCardState",
    "RemoveCard",
}
"""All that the connector calls, but for receipts (`test_tbank_receipts`)."""
PAGES = {"confirm_payment", "confirm_link", "confirm_binding"}


def validated(till: Till) -> list[dict[str, Any]]:
    """Calls and notifications of a terminal, each held against the description; gives the calls."""
    calls = [one for one in till.gateway.log(shop=till.shop) if one["operation"] not in PAGES]
    for call in calls:
        assert call["status"] == 200
        validate_call(f"/v2/{call['operation']}", call["body"], call["answer"])
    for hook in till.gateway.webhooks():
        if hook["shop"] == till.shop:
            validate(NOTICES.get(hook["event"], "NotificationPayment"), hook["body"])
    return calls


def test_requests_and_answers_are_as_the_official_description_says(till: Till) -> None:
    method = till.method(TBANK.three_ds)
    payment = payments.send(till.charge(method).pk)
    made = refunds.refund(payment=payment, reason="r", actor="t")
    refund_calls.send(made.pk)
    sbp = till.pending(instrument="sbp")
    till.gateway.pay_sbp(sbp.confirmation_url)
    account = payments.settle(sbp.pk).method
    assert account is not None
    charge = payments.send(till.charge(account).pk)
    assert charge.is_paid
    back = refunds.refund(payment=charge, reason="r", actor="t")
    till.gateway.fault("pending", match={"operation": "Cancel", "shop": till.shop})
    refund_calls.send(back.pk)
    assert look(back).state in {"pending", "succeeded"}
    held = till.paid(card=TBANK.good, capture=False)
    payments.capture(held.pk)
    assert payments.settle(held.pk).is_paid
    till.connection.config = {**till.connection.config, "binds_free": True}
    till.connection.save(update_fields=["config"])
    for instrument in ("bank_card", "sbp"):
        bound = till.pending(purpose="binding", instrument=instrument)
        pay = (
            till.gateway.pay_sbp
            if instrument == "sbp"
            else lambda url: till.gateway.pay(url, card=TBANK.good)
        )
        pay(bound.confirmation_url)
        assert payments.settle(bound.pk).is_paid
    unbinding.unbind(methods.refuse_method(method, actor="t").pk)
    with in_public():
        till.connection.open().check()
    assert {one["operation"] for one in validated(till)} == USED


def test_refusals_are_as_the_official_description_says(till: Till) -> None:
    assert payments.send(till.charge(till.method(TBANK.poor_later)).pk).state == "failed"
    assert till.paid(card=TBANK.poor).state == "failed"
    sbp = till.pending(instrument="sbp")
    till.gateway.pay_sbp(sbp.confirmation_url)
    account = payments.settle(sbp.pk).method
    assert account is not None
    for operation in ("ChargeQr", "Cancel"):
        till.gateway.fault("decline", match={"operation": operation, "shop": till.shop}, reason="99")
    assert payments.send(till.charge(account).pk).state == "failed"
    made = refunds.refund(payment=till.paid(), reason="r", actor="t")
    refund_calls.send(made.pk)
    assert look(made).state == "failed"
    # An order that never came there, and a password that is wrong.
    till.gateway.fault("http_500", match={"operation": "Init", "shop": till.shop})
    lost = payments.send(till.start().pk)
    look(lost)
    till.connection.config = {**till.connection.config, "password": "wrong"}
    with pytest.raises(ConnectorError):
        till.connection.open().check()
    calls = [one for one in till.gateway.log(shop=till.shop) if one["operation"] not in PAGES]
    calls = [one for one in calls if one["status"] == 200]
    refused = {
        (one["operation"], one["answer"]["ErrorCode"])
        for one in calls
        if isinstance(one["answer"], dict) and not one["answer"]["Success"]
    }
    assert {name for name, _code in refused} >= {"Charge", "ChargeQr", "Cancel", "CheckOrder"}
    for call in calls:
        validate_call(f"/v2/{call['operation']}", call["body"], call["answer"])
    # A refusal that is not as described would be seen.
    charge = next(one for one in calls if one["operation"] == "Charge" and not one["answer"]["Success"])
    for broken in ({"ErrorCode": 116}, {"Success": "false"}, {"Status": None}):
        with pytest.raises(jsonschema.ValidationError):
            validate_call("/v2/Charge", charge["body"], {**charge["answer"], **broken})


def test_the_simulator_tells_the_state_of_a_payment_as_described(till: Till) -> None:
    """The connector asks by order, not by payment: GetState is for other clients."""
    for payment in (till.paid(), till.paid(card=TBANK.poor)):
        body = {"TerminalKey": till.shop, "PaymentId": payment.gateway_id}
        body["Token"] = sign(body, "secret")
        answer = httpx.post(f"{till.gateway.base_url}/v2/GetState", json=body).json()
        validate_call("/v2/GetState", body, answer)
        assert answer["Status"] == ("CONFIRMED" if payment.is_paid else "REJECTED")


def test_a_notification_is_believed_to_be_ours_only_when_signed(till: Till) -> None:
    payment = till.paid()
    [*_others, last] = till.gateway.webhooks(payment_id=payment.gateway_id)
    connector = TBank(TBank.Config(**TBANK.config(till.shop, till.gateway)), till.connection)

    def read(body: Any) -> Any:
        return connector.receive(Inbound("POST", {}, {}, json.dumps(body).encode()))

    told = read(last["body"])
    assert (told.reference, told.gateway_id) == (payment.reference_id, payment.gateway_id)
    assert told.type == "payment.confirmed"
    for changed in (
        {"Amount": 1},
        {"OrderId": "7"},
        {"Status": "REFUNDED"},
        {"TerminalKey": "other"},
        {"Token": ""},
    ):
        with pytest.raises(ForgedMessage):
            read({**last["body"], **changed})
    for nonsense in ([], "", {"Token": 1}, {"OrderId": "1"}, None):
        with pytest.raises(ForgedMessage):
            read(nonsense)


def test_a_wrong_password_is_told_at_once(till: Till) -> None:
    till.connection.config = {**till.connection.config, "password": "wrong"}
    with pytest.raises(ConnectorError) as failed:
        till.connection.open().check()
    assert failed.value.code == "invalid_credentials"


def test_a_session_that_was_never_charged_is_charged_by_its_own_number(till: Till) -> None:
    method = till.method()
    till.gateway.fault("drop_answer", match={"operation": "Init", "shop": till.shop})
    charge = payments.send(till.charge(method).pk)
    assert charge.state == "unknown"
    assert look(charge).is_paid
    rows = [row for row in till.register()[0] if row["order"] == str(charge.reference_id)]
    assert [row["status"] for row in rows] == ["succeeded"]
    assert len(till.gateway.log(operation="Init", order=str(charge.reference_id))) == 1


def test_a_refused_card_is_never_charged_by_a_session_that_stood_open(till: Till) -> None:
    method = till.method()
    till.gateway.fault("drop_answer", match={"operation": "Init", "shop": till.shop})
    charge = payments.send(till.charge(method).pk)
    payments.refuse_method(method, actor="t")
    charge = look(charge)
    assert (charge.state, charge.is_lost) == ("failed", True)
    [row] = [row for row in till.register()[0] if row["order"] == str(charge.reference_id)]
    assert (row["word"], row["status"]) == ("CANCELED", "canceled")
