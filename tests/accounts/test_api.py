"""`/api/v1/customers/` over HTTP: registered once, found however spelt, changed, never another partner's."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.channels.models import ApiKey
from apps.channels.services import create_defaults
from apps.core.models import Attempt
from apps.core.tenancy import in_partner
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.partners.models import Partner
from tests.conftest import make_partner

URL = "/api/v1/customers/"


@pytest.fixture
def client(partner: Partner, client_for: Callable[..., Client]) -> Client:
    return client_for(partner, Authorization=f"Bearer {key_for(['customers:read', 'customers:write'])}")


def how_many(partner: Partner) -> int:
    # A request ends with no partner current.
    with in_partner(partner):
        return Customer.objects.count()


def key_for(scopes: list[str]) -> str:
    _web, api = create_defaults()
    _key, secret = ApiKey.issue(channel=api, name="test", scopes=scopes)
    return secret


def post(client: Client, body: dict[str, Any], **headers: str) -> Any:
    return client.post(URL, body, content_type="application/json", headers=headers)


def test_a_customer_is_registered_once_and_completed(partner: Partner, client: Client) -> None:
    body = {"phone": "8 916 000-00-01", "name": "Анна"}
    first = post(client, body, **{"Idempotency-Key": "one"})
    replay = post(client, body, **{"Idempotency-Key": "one"})
    assert (first.status_code, first.json()["phone"]) == (201, "+79160000001")
    assert (replay.status_code, replay.json()) == (201, first.json())
    assert post(client, {"phone": "1"}, **{"Idempotency-Key": "one"}).status_code == 422

    again = post(client, {"phone": "+79160000001", "external_id": "c-1", "email": "A@example.ru"})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert (again.json()["external_id"], again.json()["email"]) == ("c-1", "a@example.ru")
    changed = client.patch(
        f"{URL}{first.json()['id']}/", {"name": "Анна С."}, content_type="application/json"
    )
    assert (changed.status_code, changed.json()["name"]) == (200, "Анна С.")
    assert how_many(partner) == 1


def test_customers_are_found_by_their_contacts(partner: Partner, client: Client) -> None:
    anna = customers.register(phone="+79160000001", email="a@example.ru", external_id="c-1")
    customers.register(external_id="c-2")
    assert len(client.get(URL).json()["results"]) == 2
    for query in ("phone=89160000001", "phone=+79160000001", "email=A@example.ru", "external_id=c-1"):
        assert [row["id"] for row in client.get(f"{URL}?{query}").json()["results"]] == [str(anna.pk)], query
    assert client.get(f"{URL}{anna.pk}/").json()["email"] == "a@example.ru"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "no_contact"),
        ({"phone": "12"}, 400, "bad_phone"),
        ({"email": "a@"}, 400, "bad_email"),
        ({"phone": "+79160000001", "language": "fr"}, 400, "invalid"),
        ({"phone": "+79160000001", "external_id": "c-2"}, 409, "customer_conflict"),
    ],
)
def test_bad_input_is_answered_clearly_and_changes_nothing(
    partner: Partner, client: Client, body: dict[str, Any], status: int, code: str
) -> None:
    customers.register(phone="+79160000001")
    customers.register(external_id="c-2")
    answer = post(client, body)
    assert (answer.status_code, answer.json()["title"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert how_many(partner) == 2


def test_no_key_a_weak_key_and_a_foreign_key(
    partner: Partner, client: Client, client_for: Callable[..., Client]
) -> None:
    anna = customers.register(email="marker@example.ru")
    weak = client_for(partner, Authorization=f"Bearer {key_for(['customers:read'])}")
    assert client_for(partner).get(URL).status_code in (401, 403)
    assert weak.get(URL).status_code == 200
    assert post(weak, {"email": "b@example.ru"}).status_code == 403
    with in_partner(make_partner()) as other:
        theirs = f"Bearer {key_for(['customers:read'])}"
    foreign, own = client_for(partner, Authorization=theirs), client_for(other, Authorization=theirs)
    for answer in (foreign.get(URL), foreign.get(f"{URL}{anna.pk}/"), own.get(f"{URL}{anna.pk}/")):
        assert answer.status_code in (401, 403, 404)
        assert b"marker" not in answer.content
    assert own.get(URL).json()["results"] == []


def code_to(contact: str) -> str:
    """The last code that was sent there."""
    sent = next(
        one for one in Message.objects.filter(type="contact_code").order_by("-pk") if one.to == contact
    )
    return next(word for word in sent.text.replace(":", " ").split() if word.isdigit() and len(word) == 6)


def test_a_contact_is_changed_by_the_customers_codes(partner: Partner, client: Client) -> None:
    Attempt.objects.all().delete()
    anna = post(client, {"phone": "+79160000001", "email": "anna@codes.example"}).json()
    here = f"{URL}{anna['id']}/"

    def patch(**body: Any) -> Any:
        return client.patch(here, body, content_type="application/json")

    def ask(**body: Any) -> Any:
        return client.post(f"{here}contact-codes/", body, content_type="application/json")

    refused = patch(phone="+79160000002", name="Анна")
    assert (refused.status_code, refused.json()["title"]) == (409, "proof_needed")
    assert client.get(here).json()["name"] == ""
    assert ask().status_code == 400
    assert ask(contact="+79160000002").json() == {"new": "+7 *** 00-02", "old": "+7 *** 00-01"}
    with in_partner(partner):
        codes = {"new": code_to("+79160000002"), "old": code_to("+79160000001")}
    assert patch(phone="+79160000003", codes=codes).json()["title"] == "wrong_code"
    both = patch(phone="+79160000002", email="other@codes.example", codes=codes)
    assert both.json()["title"] == "one_contact"
    done = patch(phone="8 916 000-00-02", name="Анна", codes=codes)
    assert (done.status_code, done.json()["phone"], done.json()["name"]) == (200, "+79160000002", "Анна")
    # Removed and set anew, it would need no proof.
    assert patch(phone="").json()["title"] == "proof_needed"
    assert ask(remove="phone").json() == {"new": "", "old": "+7 *** 00-02"}
    with in_partner(partner):
        codes = {"old": code_to("+79160000002")}
    assert patch(phone="", codes=codes).json()["phone"] == ""
    assert patch(phone="+79160000009").json()["title"] == "proof_needed"
    assert patch(email="ANNA@codes.example", name="Анна С.").status_code == 200
    with in_partner(partner):
        entry = Entry.objects.filter(action="customer.contact-moved").get()
        assert entry.actor.startswith("api:")


def test_who_is_known_by_the_partners_id_alone_is_who_the_partner_says(client: Client) -> None:
    here = f"{URL}{post(client, {'external_id': 'c-77'}).json()['id']}/"
    assert client.patch(here, {"phone": "+79160000077"}, content_type="application/json").status_code == 200
