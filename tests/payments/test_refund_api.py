"""A partner's system asks for a refund once, above its limit a person decides, and sees the disputes of its own."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.channels.models import ApiKey, Channel, Scope
from apps.core import clock
from apps.payments import disputes
from apps.payments.models import Refund
from tests.payments.conftest import Till, agreed
from tests.payments.test_disputes import opened

REFUNDS, DISPUTES = "/api/v1/refunds/", "/api/v1/disputes/"


@pytest.fixture
def api(till: Till, client_for: Callable[..., Client]) -> Callable[..., Client]:
    """api(*scopes): a client with a key of these."""

    def make(*scopes: str) -> Client:
        channel = Channel.objects.get(code="api")
        _key, text = ApiKey.issue(channel, scopes or Scope.values, name="Интеграция")
        return client_for(till.partner, Authorization=f"Bearer {text}")

    return make


def ask(client: Client, key: str = "", **body: Any) -> Any:
    return client.post(REFUNDS, body, "application/json", headers={"Idempotency-Key": key} if key else {})


def test_asked_for_twice_it_goes_back_once(
    till: Till, api: Callable[..., Client], deliver: Callable[[], int]
) -> None:
    payment, client = till.paid(), api()
    wanted = {"payment": str(payment.pk), "amount": "100.00", "reason": "Не подошло"}
    wanted |= {"reason_code": "refused", "demanded_on": f"{clock.today()}"}
    first, again = (ask(client, "one", **wanted) for _ in range(2))
    assert (first.status_code, first.json()) == (201, again.json())
    made = first.json()
    assert (made["state"], made["amount"], made["customer"]) == ("created", "100.00", str(till.customer.pk))
    assert made["due_date"] == f"{clock.today() + timedelta(days=10)}"
    deliver()
    assert client.get(f"{REFUNDS}{made['id']}/").json()["state"] == "succeeded"
    assert [row["id"] for row in client.get(f"{REFUNDS}?payment={payment.pk}").json()["results"]] == [
        made["id"]
    ]
    assert client.get(f"{REFUNDS}?state=failed").json()["results"] == []
    agreed(till)


def test_above_the_limit_of_keys_a_person_decides(
    till: Till, api: Callable[..., Client], limits: Callable[..., None]
) -> None:
    limits("api", one="100")
    payment, client = till.paid(), api()
    answer = ask(client, payment=str(payment.pk), reason="Не подошло")
    assert (answer.status_code, answer.json()["state"], answer.json()["amount"]) == (
        201,
        "requested",
        "399.00",
    )
    assert till.register()[1] == []
    refused = ask(client, payment=str(payment.pk), amount="1.00", reason="Не подошло")
    assert (refused.status_code, refused.json()["type"].rsplit("#")[-1]) == (409, "refund_too_much")


def test_what_is_wrong_is_said_and_nothing_is_done(till: Till, api: Callable[..., Client]) -> None:
    payment, client = till.paid(), api()
    good = {"payment": str(payment.pk), "reason": "Не подошло"}
    for wrong in (
        {"amount": "0"},
        {"amount": "много"},
        {"reason": ""},
        {"reason_code": "no-such"},
        {"demanded_on": f"{clock.today() + timedelta(days=1)}"},
        {"payment": "nobody"},
    ):
        answer = ask(client, **good | wrong)
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), wrong
        assert list(answer.json()["errors"]) == list(wrong)
    assert ask(client, **good | {"payment": str(till.customer.pk)}).status_code == 404
    assert ask(api("invoices:read"), **good).status_code == 403
    assert api("orders:read").get(DISPUTES).status_code == 403
    assert not Refund.objects.exists()


def test_disputes_are_listed_and_disputed_money_is_not_given_back(
    till: Till, api: Callable[..., Client]
) -> None:
    dispute, client = opened(till.paid()), api()
    (listed,) = client.get(f"{DISPUTES}?state=needs_response&kind=chargeback").json()["results"]
    assert (listed["id"], listed["reason_code"], listed["is_taken"]) == (str(dispute.pk), "10.4", True)
    refused = ask(client, payment=listed["payment"], reason="Не подошло")
    assert refused.json()["type"].rsplit("#")[-1] == "refund_too_much"
    disputes.decide(dispute.pk, "won", actor="finance")
    assert client.get(f"{DISPUTES}{dispute.pk}/").json()["state"] == "won"
    assert client.get(f"{DISPUTES}?state=needs_response").json()["results"] == []
    assert client.post(DISPUTES, {}, "application/json").status_code == 405
