"""What is CloudPayments' own: two signatures of a notification, a page that lets another card be tried."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from apps.connectors.base import ConnectorError, ForgedMessage, Inbound
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.cloudpayments import CloudPayments
from apps.sandbox.control import Control
from tests.payments.conftest import Till
from tests.payments.gateways import CLOUDPAYMENTS

BODY = (
    b"TransactionId=504&Amount=10.00&Currency=RUB&InvoiceId=1234567&AccountId=user_x&Status=Completed"
    b"&Name=%D0%A2%D0%B5%D1%81%D1%82"
)
RAW = "jKwT3Gd+2FfnMFMV7nmzvqlMS4YE4YcrKkVszykhH54="
DECODED = "Rg/ObcxwizJsH6qMOUu+aBIUtapjKCgIqP9+YTDJCHM="


@pytest.fixture
def till(partner: Partner, till_for: Any, cloudpayments: Control) -> Till:
    made: Till = till_for(partner, kind=CLOUDPAYMENTS, control=cloudpayments)
    return made


def connector(till: Till) -> CloudPayments:
    values = CLOUDPAYMENTS.config(till.shop, till.gateway)
    return CloudPayments(CloudPayments.Config(**values), till.connection)


@pytest.mark.parametrize("headers", [{"content-hmac": RAW}, {"x-content-hmac": DECODED}])
def test_the_published_signatures(till: Till, headers: dict[str, str]) -> None:
    told = connector(till).receive(Inbound("POST", {}, headers, BODY))
    assert (told.reference, told.gateway_id, told.type) == (1234567, "504", "payment.completed")


def test_what_is_not_signed_by_the_terminal_is_forged(till: Till) -> None:
    other = base64.b64encode(hmac.digest(b"other", BODY, hashlib.sha256)).decode()
    wrong = [
        ({}, BODY),
        ({"content-hmac": other}, BODY),
        ({"content-hmac": RAW}, BODY + b"&Amount=1"),
        ({"content-hmac": DECODED}, BODY),
        ({"content-hmac": "\u0442"}, BODY),
    ]
    for headers, body in wrong:
        with pytest.raises(ForgedMessage):
            connector(till).receive(Inbound("POST", {}, headers, body))


def test_after_a_refusal_that_we_have_seen_its_page_pays_no_more(till: Till) -> None:
    payment = till.paid(card=CLOUDPAYMENTS.poor)
    assert payment.state == "failed"
    # The customer still has the page open and tries another card.
    till.gateway.pay(payment.confirmation_url or page_of(till), card=CLOUDPAYMENTS.good)
    assert [row["status"] for row in till.register()[0]] == ["canceled"]
    assert payments.settle(payment.pk).state == "failed"


def page_of(till: Till) -> str:
    [created] = till.gateway.log(operation="orders/create", shop=till.shop)
    address: str = created["answer"]["Model"]["Url"]
    return address


def test_another_card_on_the_same_page_pays_the_same_payment(till: Till) -> None:
    payment = till.pending()
    till.gateway.pay(payment.confirmation_url, card=CLOUDPAYMENTS.poor)
    till.gateway.pay(payment.confirmation_url, card=CLOUDPAYMENTS.good)
    payment = payments.settle(payment.pk)
    assert payment.is_paid
    assert payment.fee > 0


def test_wrong_keys_are_told_at_once(till: Till) -> None:
    till.connection.config = {**till.connection.config, "api_secret": "wrong"}
    with pytest.raises(ConnectorError) as failed:
        till.connection.open().check()
    assert failed.value.code == "invalid_credentials"
