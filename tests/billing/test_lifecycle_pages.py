"""Seats, transfer and history, and the same changes over HTTP: the API and the console."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, connections
from django.test import Client

from apps.billing import changes, history, seats, subscriptions, transfers
from apps.billing.arrangements import Seat
from apps.billing.models import Subscription, SubscriptionState
from apps.channels.models import ApiKey, Channel
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.journal.models import Entry
from apps.orders.models import Service
from apps.payments import payments
from tests.billing.test_lifecycle import another, faults_of, in_thirds
from tests.orders.shop import Shop
from tests.orders.test_api import SCOPES
from tests.orders.test_console import staff

__all__ = ["staff"]


@pytest.fixture
def api(shop: Shop, client_for: Callable[..., Client]) -> Client:
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), SCOPES)
    return client_for(shop.partner, Authorization=f"Bearer {text}")


def test_seats_pass_from_hand_to_hand(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), quantity=2)
    one = seats.assign(subscription=subscription, name="Анна", email="anna@example.ru", actor="test")
    two = seats.assign(subscription=subscription, phone="+79990001122", actor="test")
    assert (one.position, two.position) == (1, 2)
    for wrong, code in (
        ({"name": "Пётр"}, "no_seat_free"),
        ({"name": "Пётр", "position": 1}, "seat_taken"),
        ({"name": "Пётр", "position": 3}, "bad_position"),
        ({}, "bad_holder"),
    ):
        with pytest.raises(Refused) as refusal:
            seats.assign(subscription=subscription, **wrong)
        assert refusal.value.code == code
    # Fewer pieces than people: somebody has to leave first.
    with pytest.raises(Refused) as refusal:
        changes.change(subscription=subscription, quantity=1, when="now")
    assert refusal.value.code == "seats_taken"
    seats.replace(subscription=subscription, position=2, name="Пётр", actor="test")
    assert [seat.name for seat in seats.held(subscription)] == ["Анна", "Пётр"]
    seats.release(subscription=subscription, position=2, actor="test")
    changes.change(subscription=subscription, quantity=1, when="now", actor="test")
    assert Seat.objects.filter(subscription=subscription).count() == 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, email, phone FROM billing_seat")
        stored = str(cursor.fetchall())
    assert not [word for word in ("Анна", "anna@", "7999") if word in stored]
    assert not [
        entry for entry in Entry.objects.filter(action__startswith="seat") if "Анна" in str(entry.data)
    ]


def test_the_last_seat_goes_to_one_of_two(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    refused: list[str] = []

    def take(number: int) -> None:
        try:
            with in_partner(shop.partner):
                seats.assign(subscription=subscription, name=f"N{number}")
        except Refused as refusal:
            refused.append(refusal.code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(4)))
    assert refused == ["no_seat_free"] * 3
    assert len(seats.held(subscription)) == 1


def test_transferred_without_the_card_and_with_its_history(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    giver, taker = subscription.customer, shop.customer("boris")
    end = subscription.current_period_end
    transfers.transfer(subscription=subscription, to=taker, actor="test")
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.customer, subscription.method) == (taker, None)
    assert Service.objects.get().customer == taker
    assert shop.invoices(subscription)[0].customer == giver
    with pytest.raises(Refused) as refusal:
        transfers.transfer(subscription=subscription, to=taker)
    assert refusal.value.code == "same_customer"
    assert {"invoice", "payment", "deed"} <= {moment.kind for moment in history.of(subscription)}
    assert end is not None
    shop.until(end)
    subscription.refresh_from_db()
    # Nobody's card is charged.
    assert (len(shop.charges()), subscription.state) == (1, SubscriptionState.PAST_DUE)
    assert faults_of(shop) == []


def test_a_transfer_and_a_refusal_of_the_card_at_once(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    taker, method = shop.customer("boris"), subscription.method
    assert method is not None

    def run(number: int) -> None:
        try:
            with in_partner(shop.partner):
                if number:
                    transfers.transfer(subscription=subscription, to=taker)
                else:
                    payments.refuse_method(method, actor="customer")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    shop.deliver()
    subscription.refresh_from_db()
    assert (subscription.customer, subscription.method) == (taker, None)
    assert faults_of(shop) == []


def test_the_history_says_what_was_charged_and_why(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)
    changes.change(subscription=subscription, offer=another(shop, offer, "449.00"), actor="olga")
    shop.deliver()
    subscription.refresh_from_db()
    subscriptions.cancel(subscription, at_period_end=False, reason="переезд", actor="olga")
    shop.deliver()
    told = history.of(subscription)
    assert [moment.at for moment in told] == sorted((moment.at for moment in told), reverse=True)
    assert {moment.kind for moment in told} == {
        "terms",
        "invoice",
        "payment",
        "refund",
        "credit",
        "message",
        "deed",
    }
    text = "\n".join(f"{moment.title}: {'; '.join(moment.details)}" for moment in told)
    for words in (
        "За что: ",
        " из ",
        "дней по 449",
        "Причина: переезд",
        "на баланс",
        "обратно на карту",
        "НДС",
    ):
        assert words in text, text
    charged = sum((one.amount.amount for one in told if one.kind == "payment" and one.amount), Decimal(0))
    assert charged == sum((Decimal(row["amount"]) for row in shop.charges()), Decimal(0))


def test_all_of_it_by_api(shop: Shop, api: Client) -> None:
    offer = shop.offer(price="149.00")
    dearer = another(shop, offer, "449.00")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)
    address = f"/api/v1/subscriptions/{subscription.pk}/"

    def post(path: str, **data: object) -> dict[str, object]:
        answer = api.post(f"{address}{path}/", data, content_type="application/json")
        assert answer.status_code == 200, answer.content
        return answer.json()  # type: ignore[no-any-return]

    seen = post("preview-change", offer=dearer.pk)
    made = post("change", offer=dearer.pk)
    assert (made["state"], made["start_date"]) == ("waiting", seen["start_date"])
    shop.deliver()
    assert shop.invoices(subscription)[1].due_money.amount == Decimal(str(seen["due"]))
    assert post("change", offer=offer.pk)["state"] == "planned"
    assert post("undo-change")["price"] == "449.00"
    assert post("seats", name="Анна")["position"] == 1
    assert [seat["name"] for seat in api.get(f"{address}seats/").json()] == ["Анна"]
    post("release-seat", position=1)
    assert post("pause")["state"] == "paused"
    assert post("resume")["state"] == "active"
    shop.until(subscription.current_period_end)
    subscription.refresh_from_db()
    assert subscription.current_period_end is not None
    last = subscription.current_period_end + timedelta(days=10)
    post("end-date", end_date=str(last))
    assert Subscription.objects.get(pk=subscription.pk).terms["periods"] == 0
    post("end-date", periods=3)
    assert Subscription.objects.get(pk=subscription.pk).terms["periods"] == 3
    for neither in ({}, {"end_date": None, "periods": 3}, {"periods": 0}):
        answer = api.post(f"{address}end-date/", neither, content_type="application/json")
        assert answer.status_code == 400, answer.content
    taker = shop.customer("boris")
    assert post("transfer", customer=str(taker.pk))["customer"] == str(taker.pk)
    assert len(api.get(f"{address}history/").json()) > 10
    wrong = api.post(f"{address}change/", {"quantity": 1}, content_type="application/json")
    assert (wrong.status_code, wrong.json()["title"]) == (409, "nothing_changes")
    assert faults_of(shop) == []


def test_all_of_it_in_the_console(shop: Shop, staff: Callable[[str], Client]) -> None:
    client = staff("support")
    offer = shop.offer(price="149.00")
    dearer = another(shop, offer, "449.00")
    subscription = shop.buy(offer)
    in_thirds(shop, subscription)
    base = f"/admin/billing/subscription/{subscription.pk}/"
    given = {"offer": dearer.pk, "quantity": 1, "when": "now"}
    assert "Посчитать" in client.get(f"{base}change-terms/").content.decode()
    page = client.post(f"{base}change-terms/", given)
    assert "К оплате сейчас" in page.content.decode()
    assert ">Сменить<" in re.sub(r"\s+", "", page.content.decode())
    assert Subscription.objects.get(pk=subscription.pk).price == Decimal("149.00")
    assert client.post(f"{base}change-terms/", {**given, "confirmed": "1"}).status_code == 302
    shop.deliver()
    assert Subscription.objects.get(pk=subscription.pk).price == Decimal("449.00")
    for name, data in (
        ("assign-seat", {"name": "Анна"}),
        ("release-seat", {"position": 1}),
        ("pause", {"day": ""}),
        ("resume", {"go": "1"}),
        ("undo-change", {"go": "1"}),
        ("end-date", {"day": "", "periods": "4"}),
        ("end-date", {"day": ""}),
        ("transfer", {"customer": shop.customer("boris").email}),
    ):
        assert client.get(f"{base}{name}/").status_code == 200, name
        assert client.post(f"{base}{name}/", data).status_code == 302, name
    page = client.get(f"{base}history-of/")
    assert page.status_code == 200
    assert "За что: " in page.content.decode()
