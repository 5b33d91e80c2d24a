"""What is T-Bank's own: its signature, its official description, orders that are found again."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from apps.connectors.base import ConnectorError, ForgedMessage, Inbound
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.payments import payments, refund_calls, refunds
from apps.payments.tbank import TBank, sign
from apps.sandbox.control import Control
from tests.payments.conftest import Till, look
from tests.payments.gateways import TBANK
from tests.sandbox.conftest import eventually

SPEC = json.loads((Path(__file__).parent / "data" / "tbank_openapi_1.80.json").read_text(encoding="utf-8"))
"""The methods used here, of the official description, without its texts.

Its `DATA` is one of three shapes that all admit any object, so that it would never be exactly one: any of them here.
"""

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


def validate(schema: dict[str, Any], value: Any) -> None:
    jsonschema.validate(value, {**schema, "components": SPEC["components"]})


def test_requests_and_answers_are_as_the_official_description_says(till: Till) -> None:
    method = till.method(TBANK.three_ds)
    payment = payments.send(till.charge(method).pk)
    made = refunds.refund(payment=payment, reason="r", actor="t")
    refund_calls.send(made.pk)
    sbp = till.pending(instrument="sbp")
    till.gateway.pay_sbp(sbp.confirmation_url)
    account = payments.settle(sbp.pk).method
    assert account is not None
    by_sbp = payments.send(till.charge(account).pk)
    assert by_sbp.is_paid
    back = refund_calls.send(refunds.refund(payment=by_sbp, reason="r", actor="t").pk)
    assert eventually(lambda: look(back).state == "succeeded")
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
    with in_public():
        till.connection.open().check()
    calls = till.gateway.log(shop=till.shop)
    pages = {"confirm_payment", "confirm_link", "confirm_binding"}
    called = {one["operation"] for one in calls} - pages
    assert called == {path.rpartition("/")[2] for path in SPEC["paths"]} - {"GetState"}
    for call in calls:
        if call["operation"] in pages:
            continue
        about = SPEC["paths"][f"/v2/{call['operation']}"]["post"]
        validate(about["requestBody"]["content"]["application/json"]["schema"], call["body"])
        if call["status"] == 200 and (isinstance(call["answer"], list) or call["answer"]["Success"]):
            validate(about["responses"]["200"]["content"]["application/json"]["schema"], call["answer"])
    for hook in till.gateway.webhooks():
        if hook["shop"] == till.shop:
            name = NOTICES.get(hook["event"], "NotificationPayment")
            validate({"$ref": f"#/components/schemas/{name}"}, hook["body"])


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
