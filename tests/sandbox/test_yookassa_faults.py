"""YooKassa misbehaves: lost and held answers, a kill, false webhooks, time, and many at once."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.sandbox.conftest import SECRET, SHOP, Hooks, eventually

ORDER = {
    "amount": {"value": "150.00", "currency": "RUB"},
    "capture": True,
    "confirmation": {"type": "redirect", "return_url": "https://shop.example/thanks"},
    "save_payment_method": True,
}


class Shop:
    """A client as plain as can be."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=base_url, auth=(SHOP, SECRET), timeout=60, verify=False)

    def post(self, path: str, body: dict[str, Any], key: str) -> httpx.Response:
        return self.http.post(f"/v3/{path}", json=body, headers={"Idempotence-Key": key})

    def get(self, payment_id: str) -> dict[str, Any]:
        return self.http.get(f"/v3/payments/{payment_id}").json()

    def create(self, key: str) -> dict[str, Any]:
        return self.post("payments", ORDER, key).json()

    def paid(self, control: Control, key: str) -> dict[str, Any]:
        payment = self.create(key)
        control.pay(payment["confirmation"]["confirmation_url"])
        return self.get(payment["id"])

    def charge(self, method_id: str, key: str) -> httpx.Response:
        body = {"amount": ORDER["amount"], "capture": True, "payment_method_id": method_id}
        return self.post("payments", body, key)


@pytest.fixture
def shop(yookassa: Control) -> Shop:
    return Shop(yookassa.base_url)


def test_page_pays_once(yookassa: Control, shop: Shop, hooks: Hooks) -> None:
    payment = shop.create("page")
    url = payment["confirmation"]["confirmation_url"]
    page = httpx.get(url, verify=False).text
    assert "тестовый магазин" in page
    assert "150,00\u00a0₽" in page
    assert "Заплатить" in page
    assert "введите номер" in yookassa.pay(url, card="1234").text
    answers: list[int] = []
    hands = (yookassa, Control(yookassa.base_url))
    clicks = [threading.Thread(target=lambda c=c: answers.append(c.pay(url).status_code)) for c in hands]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert answers == [303, 303]
    assert eventually(lambda: hooks.of(payment["id"])) == [("payment.succeeded", "succeeded")]
    assert len(yookassa.webhooks(payment_id=payment["id"])) == 1


def test_customer_is_declined_refuses_or_fails_3ds(yookassa: Control, shop: Shop) -> None:
    for key, form, reason in (
        ("poor", {"card_number": "5555555555554600", "expiry": "1235", "cvc": "123"}, "insufficient_funds"),
        ("away", {"action": "cancel"}, "expired_on_confirmation"),
        ("3ds", {"card_number": "5555555555554592", "expiry": "12/35", "cvc": "123"}, "3d_secure_failed"),
    ):
        payment = shop.create(key)
        answer = httpx.post(payment["confirmation"]["confirmation_url"], data=form, verify=False)
        if key == "3ds":
            address = f"{yookassa.base_url}{answer.headers['location']}"
            assert "Подтвердите оплату" in httpx.get(address, verify=False).text
            answer = httpx.post(address, data={"action": "confirm"}, verify=False)
        assert answer.status_code == (303 if key == "away" else 200)
        after = shop.get(payment["id"])
        assert (after["status"], after["cancellation_details"]["reason"]) == ("canceled", reason)


def test_sbp(yookassa: Control, shop: Shop) -> None:
    payment = shop.post("payments", ORDER | {"payment_method_data": {"type": "sbp"}}, "sbp").json()
    httpx.post(payment["confirmation"]["confirmation_url"], data={"action": "sbp"}, verify=False)
    method = shop.get(payment["id"])["payment_method"]
    assert (method["type"], method["saved"]) == ("sbp", True)
    assert shop.charge(method["id"], "sbp-2").json()["status"] == "succeeded"


def test_lost_answer_is_found_by_the_same_key(yookassa: Control, shop: Shop) -> None:
    method = shop.paid(yookassa, "lost-first")["payment_method"]["id"]
    yookassa.fault("drop_answer", match={"operation": "create_payment", "payment_method_id": method})
    with pytest.raises(httpx.TransportError):
        shop.charge(method, "lost")
    assert yookassa.log(operation="create_payment")[-1]["state"] == "dropped"
    again = shop.charge(method, "lost").json()
    made = [row for row in yookassa.register(shop=SHOP)["payments"] if row["idempotence_key"] == "lost"]
    assert [(row["id"], row["status"]) for row in made] == [(again["id"], "succeeded")]


def test_held_answer_is_seen_in_flight(yookassa: Control, shop: Shop) -> None:
    method = shop.paid(yookassa, "held-first")["payment_method"]["id"]
    yookassa.fault("hold", match={"operation": "create_payment"}, times=2)
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(shop.charge(method, "held")))
    thread.start()
    (held,) = eventually(lambda: yookassa.log(state="in_flight", held=True))
    assert (held["committed"], held["connected"], held["idempotence_key"]) == (True, True, "held")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{yookassa.base_url}/v3/payments",
            json=ORDER,
            auth=(SHOP, SECRET),
            headers={"Idempotence-Key": "gone"},
            timeout=0.3,
            verify=False,
        )
    assert yookassa.release() == 2
    thread.join()
    assert answers[0].json()["status"] == "succeeded"
    assert eventually(lambda: yookassa.log(idempotence_key="gone", state="abandoned"))


def test_held_request_is_not_done_before_its_release(yookassa: Control, shop: Shop) -> None:
    method = shop.paid(yookassa, "kept-first")["payment_method"]["id"]
    yookassa.fault("hold", before=True, match={"operation": "create_payment"})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{yookassa.base_url}/v3/payments",
            json={"amount": ORDER["amount"], "capture": True, "payment_method_id": method},
            auth=(SHOP, SECRET),
            headers={"Idempotence-Key": "kept"},
            timeout=0.3,
            verify=False,
        )
    (held,) = yookassa.log(idempotence_key="kept", state="in_flight", held=True)
    assert not held["committed"]

    def made() -> list[dict[str, Any]]:
        rows = yookassa.register(shop=SHOP)["payments"]
        return [row for row in rows if row["idempotence_key"] == "kept"]

    assert made() == []
    assert yookassa.release() == 1
    # Its sender is gone, and the request arrives all the same: once, whoever repeats it.
    assert eventually(lambda: yookassa.log(idempotence_key="kept", state="abandoned", committed=True))
    assert shop.charge(method, "kept").json()["id"] == made()[0]["id"]
    assert len(made()) == 1


def test_charge_left_pending_is_settled_later(yookassa: Control, shop: Shop, hooks: Hooks) -> None:
    method = shop.paid(yookassa, "pending-first")["payment_method"]["id"]
    yookassa.fault("pending", seconds=0.1)
    first = shop.charge(method, "pending-1").json()
    assert first["status"] == "pending"
    assert eventually(lambda: hooks.of(first["id"])) == [("payment.succeeded", "succeeded")]
    yookassa.fault("pending")
    second = shop.charge(method, "pending-2").json()
    yookassa.settle(second["id"], "general_decline")
    assert eventually(lambda: hooks.of(second["id"])) == [("payment.canceled", "canceled")]
    body = {"payment_id": first["id"], "amount": ORDER["amount"]}
    yookassa.fault("decline", reason="rejected_by_payee", match={"operation": "create_refund"})
    assert shop.post("refunds", body, "r-1").json()["status"] == "canceled"
    assert shop.post("refunds", body, "r-2").json()["status"] == "succeeded"


def test_webhooks_misbehave(yookassa: Control, shop: Shop, hooks: Hooks) -> None:
    yookassa.fault("duplicate_webhook", copies=3)
    twice = shop.paid(yookassa, "duplicate")["id"]
    assert eventually(lambda: len(hooks.of(twice)) == 3)

    yookassa.fault("forge_webhook", altered={"amount": {"value": "1.00"}})
    forged = shop.create("forged")["id"]
    assert eventually(lambda: hooks.of(forged)) == [("payment.succeeded", "succeeded")]
    assert shop.get(forged)["status"] == "pending"

    yookassa.fault("no_webhook")
    silent = shop.paid(yookassa, "silent")["id"]
    assert [row["state"] for row in yookassa.webhooks(payment_id=silent)] == ["suppressed"]
    assert hooks.of(silent) == []
    yookassa.resend_webhook(silent, times=2, altered={"status": "canceled"}, event="payment.canceled")
    assert eventually(lambda: hooks.of(silent) == [("payment.canceled", "canceled")] * 2)

    yookassa.fault("late_webhook", seconds=600)
    late = shop.paid(yookassa, "late")["id"]
    assert [row["state"] for row in yookassa.webhooks(payment_id=late)] == ["waiting"]

    hooks.status = 500
    stubborn = shop.paid(yookassa, "stubborn")["id"]
    eventually(lambda: len(hooks.of(stubborn)) >= 2)
    hooks.status = 200
    eventually(lambda: yookassa.webhooks(payment_id=stubborn)[0]["state"] == "delivered")


def test_time(yookassa: Control, shop: Shop) -> None:
    pending, kept = shop.create("expiring"), shop.create("kept-a-day")
    yookassa.set_clock(datetime.now(UTC) + timedelta(hours=25))
    after = shop.get(pending["id"])
    assert after["cancellation_details"]["reason"] == "expired_on_confirmation"
    assert shop.create("kept-a-day")["id"] != kept["id"]
    fresh = datetime.fromisoformat(shop.create("tomorrow")["created_at"])
    assert timedelta(hours=24) < fresh - datetime.now(UTC) < timedelta(hours=26)


def test_switched_off(yookassa: Control, shop: Shop) -> None:
    yookassa.switch(on=False)
    assert shop.post("payments", ORDER, "off").status_code == 503
    yookassa.switch(on=True)
    assert shop.post("payments", ORDER, "off").status_code == 200


def test_kill_loses_nothing(state: Path, hooks: Hooks) -> None:
    simulator = Simulator("yookassa", state=state, args=("--shop", f"{SHOP}:{SECRET}"))
    control, shop = Control(simulator.start()), Shop(simulator.url)
    paid = shop.paid(control, "before")
    before = control.register()
    simulator.kill()
    with (state / "yookassa.jsonl").open("ab") as journal:
        journal.write(b'[["payments", "cut short')
    Control(simulator.start())
    assert control.register() == before
    assert shop.create("before")["id"] == paid["id"]
    charged = shop.charge(paid["payment_method"]["id"], "after").json()
    simulator.kill()
    simulator.start()
    assert [row["id"] for row in control.register()["payments"]] == [paid["id"], charged["id"]]
    # The webhooks nobody could receive then are delivered now.
    control.add_shop(SHOP, SECRET, hooks.url)
    assert eventually(lambda: hooks.of(charged["id"])) == [("payment.succeeded", "succeeded")]
    simulator.stop()


def test_two_hundred_at_once(yookassa: Control, shop: Shop) -> None:
    method = shop.paid(yookassa, "crowd")["payment_method"]["id"]
    body = {"amount": ORDER["amount"], "capture": True, "payment_method_id": method}
    yookassa.fault("delay", seconds=0.5, times=200, match={"operation": "create_payment"})

    async def crowd() -> list[int]:
        auth = {"Authorization": aiohttp.encode_basic_auth(SHOP, SECRET)}
        async with aiohttp.ClientSession(headers=auth, connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(number: int) -> int:
                headers = {"Idempotence-Key": f"crowd-{number % 100}"}
                url = f"{yookassa.base_url}/v3/payments"
                async with session.post(url, json=body, headers=headers) as answer:
                    await answer.read()
                    return answer.status

            return await asyncio.gather(*(one(number) for number in range(200)))

    begun = time.monotonic()
    assert set(asyncio.run(crowd())) == {200}
    # One after another they would take 100 seconds.
    assert time.monotonic() - begun < 20
    made = [row for row in yookassa.register()["payments"] if row["payment_method_id"] == method]
    assert len(made) == 101
