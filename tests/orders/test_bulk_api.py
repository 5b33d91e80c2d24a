"""Many orders in one request: each is answered for, those that can be go together, whoever dies or repeats."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Customer
from apps.channels.models import ApiKey, Channel
from apps.core import audit, faults, gather
from apps.notifications.models import Message
from apps.orders import placing_at_once, placing_many
from apps.orders.models import Order
from apps.orders.placing import Wanted
from tests.accounts.at_once import at_once
from tests.orders.shop import Shop


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Client:
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), ["orders:read", "orders:write"])
    return client_for(shop.partner, Authorization=f"Bearer {text}")


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many orders were tried together, each time."""
    found: list[int] = []
    whole = placing_many.place

    def counted(asked: Any, **common: Any) -> list[Order]:
        found.append(len(asked))
        return whole(asked, **common)

    monkeypatch.setattr(placing_many, "place", counted)
    return found


def reported(shop: Shop) -> int:
    offer = shop.offer(price="100.00")
    offer.payer = "partner_reports"
    offer.save()
    return int(offer.pk)


def row(offer: int, number: str, **more: Any) -> dict[str, Any]:
    return {"offer": offer, "customer": {"external_id": number}, **more}


def send(api: Client, rows: list[dict[str, Any]], key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return api.post(
        "/api/v1/orders/bulk/", {"orders": rows}, content_type="application/json", headers=headers
    )


def test_each_is_answered_for_in_its_place(shop: Shop, api: Client, tries: list[int]) -> None:
    offer, card = reported(shop), shop.offer(price="50.00").pk
    rows = [row(offer, f"c-{number}") for number in range(6)]
    rows[2]["offer"] = 999_999
    rows[3]["expected_price"] = "99.00"
    rows[4] |= {"offer": card, "return_url": "https://bank.example/thanks"}
    rows.append(row(offer, "c-0", quantity=3))
    answer = send(api, rows)
    assert answer.status_code == 200, answer.content
    told = answer.json()["orders"]
    assert [one["problem"] and one["problem"]["code"] for one in told] == [
        None, None, "offer_closed", "price_changed", None, None, None,
    ]  # fmt: skip
    # Who is there twice comes apart, and is one customer all the same.
    assert told[0]["order"]["customer"] == told[6]["order"]["customer"]
    assert (told[6]["order"]["total"], tries[0]) == ("300.00", 7)
    # A refused order registers nobody.
    assert (Order.objects.count(), Customer.objects.count()) == (5, 4)
    numbers = sorted(Order.objects.values_list("number", flat=True))
    assert [int(one[-6:]) for one in numbers] == [1, 2, 3, 4, 5]
    shop.deliver()
    states = dict(Order.objects.values_list("pk", "state"))
    assert sorted(states.values()) == ["completed"] * 4 + ["pending"]
    assert list(audit.run([shop.partner.pk])) == []


def test_many_take_few_statements(shop: Shop) -> None:
    offer = reported(shop)

    def place(first: int, count: int) -> int:
        asked = [
            placing_many.Asked({"external_id": f"s-{number}"}, Wanted(offer), f"key-{number}")
            for number in range(first, first + count)
        ]
        with CaptureQueriesContext(connection) as made:
            orders = placing_many.place_each(asked)
        assert all(isinstance(one, Order) for one in orders)
        return len(made)

    place(0, 2)
    assert place(10, 3) == place(20, 12)
    # What known customers have is read for all of them at once.
    again = [
        placing_many.Asked({"external_id": f"s-{one}"}, Wanted(offer), f"more-{one}") for one in range(20, 32)
    ]
    with CaptureQueriesContext(connection) as made:
        assert all(isinstance(one, Order) for one in placing_many.place_each(again))
    assert (len(made) < 40, Order.objects.count()) == (True, 29)


def test_each_letter_of_a_batch_says_what_is_of_its_own_order(shop: Shop) -> None:
    offer = reported(shop)
    asked = [
        placing_many.Asked(
            {"external_id": f"l-{number}", "email": f"l-{number}@example.ru"},
            Wanted(offer, pieces),
            f"l-{number}",
        )
        for number, pieces in enumerate((1, 1, 2, 1))
    ]
    placing_many.place_each(asked)
    letters = {one.to: one.text for one in Message.objects.filter(type="payment_succeeded")}
    assert ["200" in letters[f"l-{number}@example.ru"] for number in range(4)] == [False, False, True, False]
    assert ["100" in letters[f"l-{number}@example.ru"] for number in range(4)] == [True, True, False, True]


def test_a_repeat_places_nothing_twice(shop: Shop, api: Client) -> None:
    offer = reported(shop)
    rows = [row(offer, f"r-{number}") for number in range(4)]
    with faults.crash_at("journal.done-not-kept"), pytest.raises(faults.Crash):
        send(api, rows, "bulk-1")
    assert Order.objects.count() == 4
    places = [
        placing_many.Asked({"external_id": f"r-{number}"}, Wanted(offer), one.request_key)
        for number, one in enumerate(Order.objects.order_by("number"))
    ]
    again = placing_many.place_each(places)
    assert [one.pk for one in again if isinstance(one, Order)] == list(
        Order.objects.order_by("number").values_list("pk", flat=True)
    )
    assert Order.objects.count() == 4


def test_killed_among_many_none_of_them_is_placed(shop: Shop, api: Client) -> None:
    offer = reported(shop)
    rows = [row(offer, f"k-{number}") for number in range(4)]
    with faults.crash_at("orders.placed-among-many", after=2), pytest.raises(faults.Crash):
        send(api, rows)
    assert not gather.is_gathering()
    assert (Order.objects.count(), Customer.objects.count()) == (0, 0)
    assert [one["problem"] for one in send(api, rows).json()["orders"]] == [None] * 4
    assert list(audit.run([shop.partner.pk])) == []


def test_what_has_no_form_places_nothing(shop: Shop, api: Client) -> None:
    good = row(reported(shop), "f-1")
    for rows in ([], [good, {**good, "quantity": 0}], [good] * 501):
        assert send(api, rows).status_code == 400
    assert not Order.objects.exists()


def test_calls_of_the_same_moment_are_placed_together_and_each_is_answered_for(
    shop: Shop, client_for: Callable[..., Client], tries: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), ["orders:write"])
    offer, given = reported(shop), list[int]()
    whole = placing_many.place_each

    def call(number: int) -> Any:
        client = client_for(shop.partner, Authorization=f"Bearer {text}")
        more = {"expected_price": "1.00"} if number == 2 else {}
        body = row(offer, f"at-once-{number}", return_url="https://shop.example/", **more)
        return client.post("/api/v1/orders/", body, content_type="application/json")

    def held(asked: Any, **common: Any) -> Any:
        given.append(len(asked))
        until = time.monotonic() + 30
        while len(given) == 1 and time.monotonic() < until and _waiting() < 5:
            time.sleep(0.01)
        return whole(asked, **common)

    def _waiting() -> int:
        return sum(len(line.waiting) for line in placing_at_once._lines.values())

    # What can be placed with others is known by the one before.
    assert call(0).status_code == 201
    monkeypatch.setattr(placing_many, "place_each", held)
    answers = at_once(shop.partner, [partial(call, number) for number in range(1, 7)])
    assert given == [1, 5]
    # The first alone in the same way; the others together, but for the one that saw another price: found by halves.
    assert sorted(tries[:2]) == [1, 5]
    refused = [one for one in answers if one.status_code != 201]
    assert [one.json()["title"] for one in refused] == ["price_changed"]
    told = {one.json()["id"]: one.json()["number"] for one in answers if one.status_code == 201}
    assert len(told) == len(set(told.values())) == 5
    # Told of what is at hand, each says what is read of it later.
    reading = client_for(
        shop.partner,
        Authorization=f"Bearer {ApiKey.issue(Channel.objects.get(code='api'), ['orders:read'])[1]}",
    )
    for one in answers:
        if one.status_code == 201:
            assert reading.get(f"/api/v1/orders/{one.json()['id']}/").json() == one.json()
    assert Order.objects.count() == 6
    assert not Customer.objects.filter(external_id="at-once-2").exists()
    assert list(audit.run([shop.partner.pk])) == []


def test_what_goes_wrong_for_all_is_told_to_all_and_the_next_are_placed(
    shop: Shop, client_for: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    line_of = UUID(int=1)
    asked = placing_many.Asked(person={"external_id": "a"}, wanted=Wanted(1), request_key="")
    calls: list[int] = []

    def place_all(several: Any) -> Any:
        calls.append(len(several))
        if len(calls) == 1:
            until = time.monotonic() + 30
            while (
                time.monotonic() < until
                and sum(len(line.waiting) for line in placing_at_once._lines.values()) < 3
            ):
                time.sleep(0.01)
        if len(calls) == 2:
            raise ZeroDivisionError
        return [Order() for _one in several]

    def one() -> str:
        try:
            placing_at_once.place(line_of, asked, place_all)
        except ZeroDivisionError:
            return "failed"
        return "placed"

    assert sorted(at_once(shop.partner, [one] * 4)) == ["failed"] * 3 + ["placed"]
    assert calls == [1, 3]
    assert one() == "placed"


def test_where_there_were_several_a_moment_ago_the_first_waits_for_as_many(shop: Shop) -> None:
    line_of, calls = UUID(int=2), list[int]()
    asked = placing_many.Asked(person={"external_id": "a"}, wanted=Wanted(1), request_key="")
    line = placing_at_once._join(line_of)

    def place_all(several: Any) -> Any:
        calls.append(len(several))
        until = time.monotonic() + 30
        # The first one, till the others have come: it waits for nobody.
        while line.company == 1 and time.monotonic() < until and len(line.waiting) < 3:
            time.sleep(0.01)
        return [Order() for _one in several]

    def one() -> Any:
        return placing_at_once.place(line_of, asked, place_all)

    at_once(shop.partner, [one] * 4)
    assert (calls[0], sum(calls)) == (1, 4)
    # Who has been answered comes again one by one, and all are placed together.
    line.company, line.until = 4, time.monotonic() + 30
    calls.clear()
    at_once(shop.partner, [one, one, partial(_later, one), partial(_later, one)])
    assert calls == [4]
    # Who comes when that is long over, or alone for once, waits for nobody.
    line.until = time.monotonic() - 1
    one()
    assert (line.company, line.until, calls) == (1, 0.0, [4, 1])


def _later(call: Callable[[], Any]) -> Any:
    time.sleep(0.2)
    return call()
