"""Receipts to T-Bank, and what it tells of them, are as its official description says."""

from datetime import timedelta
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
from tests.payments.tbank_description import validate
from tests.payments.test_gateway_receipts import AGENT, Books, give_back, sold

__all__ = ["sold"]
SHAPES = {"1.05": "Receipt_FFD_105", "1.2": "Receipt_FFD_12"}


@pytest.fixture(params=SHAPES)
def ffd(request: pytest.FixtureRequest) -> str:
    """The fiscal format that the terminal's register keeps."""
    return str(request.param)


@pytest.fixture
def books(
    partner: Partner, till_for: Any, tbank: Control, operator: LegalEntity, sold: list[Any], ffd: str
) -> Any:
    till: Till = till_for(partner, kind=TBANK, control=tbank)
    till.connection.config = {**till.connection.config, "ffd": ffd}
    with in_public():
        till.connection.save(update_fields=["config"])
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


def test_receipts_and_notifications_of_them_are_as_described(books: Books, sold: list[Any], ffd: str) -> None:
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
        validate(SHAPES[ffd], body["Receipt"])
        assert body["Receipt"].get("FfdVersion", "1.05") == ffd
        assert sum(item["Amount"] for item in body["Receipt"]["Items"]) == body["Amount"]
    for body in calls(books, "Cancel"):
        validate("Cancel", body)
        validate(SHAPES[ffd], body["Receipt"])
    for body in calls(books, "SendClosingReceipt"):
        validate("SendClosingReceipt", body)
        validate(SHAPES[ffd], body["Receipt"])
    # The newer format asks for more: what lacks it would be seen.
    lacking = {key: value for key, value in body["Receipt"].items() if key != "FfdVersion"}
    lacking["Items"] = [{**item, "MeasurementUnit": None} for item in lacking["Items"]]
    with pytest.raises(jsonschema.ValidationError):
        validate("Receipt_FFD_12", lacking)
    told = [one["body"] for one in books.till.gateway.webhooks() if one["shop"] == books.till.shop]
    about = [one for one in told if one["Status"] == "RECEIPT"]
    assert len(about) == 4
    for one in about:
        validate("NotificationFiscalization", one)
