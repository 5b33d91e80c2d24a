"""Receipts to T-Bank, and what it tells of them, are as its official description says."""

import json
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from apps.core import clock
from apps.core.tenancy import in_public
from apps.partners.models import LegalEntity, Partner
from apps.payments import payments, receipt_lines, receipts_apart, registering
from apps.payments.models import Payment
from apps.policies.fiscal import FiscalRule, ReceiptMethod
from apps.sandbox.control import Control
from tests.payments.conftest import Till
from tests.payments.gateways import TBANK
from tests.payments.test_gateway_receipts import AGENT, Books, give_back, sold

__all__ = ["sold"]
DATA = Path(__file__).parent / "data"
SPEC = json.loads((DATA / "tbank_openapi_1.80.json").read_text(encoding="utf-8"))["components"]["schemas"]
SPEC |= json.loads((DATA / "tbank_openapi_receipts.json").read_text(encoding="utf-8"))["components"][
    "schemas"
]
for name in ("Items_FFD_105", "Items_FFD_12"):
    # The description is older than the rate: what it will be called is a setting of the connection.
    SPEC[name]["properties"]["Tax"]["enum"] += ["vat22", "vat122"]


def validate(name: str, value: Any) -> None:
    components = {"components": {"schemas": SPEC}}
    jsonschema.validate(value, {**deepcopy(SPEC[name]), **components})


@pytest.fixture
def books(partner: Partner, till_for: Any, tbank: Control, operator: LegalEntity, sold: list[Any]) -> Any:
    till: Till = till_for(partner, kind=TBANK, control=tbank)
    with in_public():
        FiscalRule.objects.filter(legal_entity=operator).delete()
        rule = FiscalRule.objects.create(
            legal_entity=operator,
            maker="gateway",
            method=ReceiptMethod.PREPAYMENT,
            valid_from=clock.today() - timedelta(days=1),
            place="https://armor.example",
            email="kassa@armor.example",
        )
    yield Books(till, TBANK, rule)
    with in_public():
        FiscalRule.objects.filter(pk=rule.pk).delete()


def calls(books: Books, operation: str) -> list[dict[str, Any]]:
    found = [one["body"] for one in books.till.gateway.log(shop=books.till.shop, operation=operation)]
    assert found, operation
    return found


def test_receipts_and_notifications_of_them_are_as_described(books: Books, sold: list[Any]) -> None:
    sold[0] = receipt_lines.Sold(
        sold[0].name, 3, sold[0].amount, sold[0].vat_rate, agent=AGENT, is_ahead=True
    )
    payment: Payment = payments.settle(payments.send(books.till.charge(books.till.method()).pk).pk)
    give_back(payment, "99.00")
    books.settled()
    closing = receipts_apart.close(payment.pk)
    assert closing is not None
    registering.send(closing.pk)
    books.settled()
    for body in calls(books, "Init"):
        validate("Receipt_FFD_105", body["Receipt"])
        assert sum(item["Amount"] for item in body["Receipt"]["Items"]) == body["Amount"]
    for body in calls(books, "Cancel"):
        validate("Cancel", body)
    for body in calls(books, "SendClosingReceipt"):
        validate("SendClosingReceipt", body)
    told = [one["body"] for one in books.till.gateway.webhooks() if one["shop"] == books.till.shop]
    about = [one for one in told if one["Status"] == "RECEIPT"]
    assert len(about) == 4
    for one in about:
        validate("NotificationFiscalization", one)
