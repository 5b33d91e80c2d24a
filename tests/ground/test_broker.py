"""Web, worker and beat as processes over the configured broker (tests/broker.py), which wakes and holds nothing."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.conf import settings
from django.db.models import F

from apps.billing import subscriptions
from apps.billing.models import Invoice, Subscription
from apps.catalog.models import Offer
from apps.channels.models import ApiKey, Channel
from apps.connectors.models import Connection
from apps.core import audit, clock, due
from apps.core.models import Delivery, Due
from apps.core.tenancy import in_partner, in_public
from apps.demo.history import Past
from apps.notifications.models import Message
from apps.orders.models import Order
from apps.partners.models import Partner
from apps.providers.models import Provider
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from armor.ports import free_port
from armor.processes import die_with_parent
from armor.supervisor import beat_program, web_program, worker_program
from tests.broker import Gate, broker
from tests.conftest import eventually, make_partner
from tests.orders.shop import Shop, open_shop

pytestmark = pytest.mark.slow
SOON = 10
"""Seconds that a woken worker may take on a busy machine; nothing but the message would wake it at all."""


@dataclass
class Site:
    """The platform's own processes beside this test, over its database."""

    folder: Path
    env: dict[str, str]
    gate: Gate
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, part: str) -> None:
        if part in self.running:
            return
        [program] = [
            one for one in (web_program(self.port), worker_program(), beat_program()) if one.name == part
        ]
        with (self.folder / f"{part}.log").open("ab") as said:
            self.running[part] = subprocess.Popen(
                list(program.command),
                cwd=settings.BASE_DIR,
                env=self.env | {"ARMOR_PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def kill(self, part: str) -> None:
        """kill -9 of the part with all its processes."""
        process = self.running.pop(part)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def health(self, query: str = "") -> dict[str, Any]:
        """What /healthz says, and with which status; nothing while the web is not up."""
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self.port}/healthz{query}", timeout=30, trust_env=False, verify=False
            )
        except httpx.TransportError:
            return {}
        return {**answer.json(), "code": answer.status_code}


@dataclass
class Buyer:
    """A partner's system, which orders over HTTP, and its customers, who pay."""

    site: Site
    shop: Shop
    offer: Offer
    key: str

    def order(self) -> dict[str, Any]:
        body = {
            "offer": self.offer.pk,
            "customer": {"email": f"b{time.monotonic_ns()}@example.ru"},
            "return_url": "https://bank.example/{order}",
        }
        answer = httpx.post(
            f"http://127.0.0.1:{self.site.port}/api/v1/orders/",
            json=body,
            headers={
                "Host": f"{self.shop.partner.host}:{self.site.port}",
                "Authorization": f"Bearer {self.key}",
                "Idempotency-Key": str(time.monotonic_ns()),
            },
            timeout=60,
            trust_env=False,
            verify=False,
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def pay(self, order: dict[str, Any]) -> None:
        self.shop.gateway.pay(order["payment"]["confirmation_url"])

    def is_done(self, order: dict[str, Any]) -> Callable[[], bool]:
        def check() -> bool:
            with in_partner(self.shop.partner):
                return Order.objects.filter(pk=order["id"], state="completed").exists()

        return check


@pytest.fixture(scope="module")
def shop(
    operator: Any, yookassa_process: Simulator, provider_process: Simulator, mailbox_process: Simulator
) -> Shop:
    """A live partner's shop: sandboxes go by clocks of their own, which beat passes over."""
    with in_partner(make_partner()) as partner:
        gateway, provider = Control(yookassa_process.url), Control(provider_process.url)
        made = open_shop(partner, gateway, provider, mailbox_process, lambda: 0, lambda *_: None)
        Connection.objects.filter(partner=partner).update(is_test=False)
        Provider.objects.filter(pk=made.provider.pk).update(connection=F("test_connection"))
        return made


@pytest.fixture(scope="module")
def sold_long_ago(shop: Shop) -> UUID:
    """A subscription whose period is over; its renewal waits for the test to bring its moment."""
    with in_partner(shop.partner):
        past = Past(shop.partner, clock.wall() - timedelta(days=35))
        shop.deliver = past.settle  # type: ignore[assignment]
        subscription = shop.buy(shop.offer())
        past.settle()
        Partner.objects.filter(pk=shop.partner.pk).update(clock_at=None)
        shop.partner.clock_at = None
        mine, tomorrow = Due.objects.filter(partner_id=shop.partner.pk), clock.wall() + timedelta(days=1)
        # What its days have earned is in the books.
        mine.exclude(kind="billing.recognise").update(due_at=tomorrow)
        mine.update(is_sandbox=False)
        while rows := due.claim(partner_id=shop.partner.pk):
            assert all(due.run(row) for row in rows)
        mine.update(due_at=tomorrow)
        return UUID(str(subscription.pk))


@pytest.fixture(scope="module")
def site(
    shop: Shop, sold_long_ago: UUID, provider_process: Simulator, tmp_path_factory: Any
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("broker")
    parked = _park(shop.partner)
    with broker(os.environ["DATABASE_URL"]) as environment:
        gate = Gate(environment["BROKER_URL"])
        urls = {
            "ARMOR_YOOKASSA_URL": shop.gateway.base_url,
            "ARMOR_PROVIDER_URL": provider_process.url,
        }
        env = {**os.environ, **environment, **urls, "BROKER_URL": gate.url, "ARMOR_VAR": str(folder)}
        made = Site(folder, env, gate)
        made.start("web")
        yield made
        for part in list(made.running):
            made.kill(part)
        gate.shut()
    parked()


def _park(partner: Partner) -> Callable[[], None]:
    """What other tests left waiting in this database is nothing for this worker; gives the way back."""
    later = clock.wall() + timedelta(days=1)
    due = Due.objects.exclude(partner_id=partner.pk).filter(leased_until=None)
    due.update(leased_until=later)
    Delivery.objects.exclude(partner_id=partner.pk).update(next_at=later)

    def back() -> None:
        Due.objects.filter(leased_until=later).update(leased_until=None)
        Delivery.objects.filter(next_at=later).update(next_at=clock.wall())

    return back


@pytest.fixture
def buyer(site: Site, shop: Shop) -> Buyer:
    with in_partner(shop.partner):
        paid = Connection.objects.get(partner=shop.partner, kind="payment")
        shop.gateway.add_shop(shop.partner.slug, "secret", f"http://localhost:{site.port}/hooks/{paid.pk}/")
        _key, text = ApiKey.issue(Channel.objects.get(code="api"), ("orders:read", "orders:write"))
        offer = shop.offer()
    eventually(lambda: site.health("?part=web").get("code") == 200)
    return Buyer(site, shop, offer, text)


def test_a_committed_event_wakes_a_worker(site: Site, buyer: Buyer) -> None:
    """No beat runs: what is done was told through the broker."""
    assert "beat" not in site.running
    site.start("worker")
    first = buyer.order()
    buyer.pay(first)
    eventually(buyer.is_done(first))
    second = buyer.order()
    buyer.pay(second)
    eventually(buyer.is_done(second), seconds=SOON)


def test_beat_finds_what_is_due_without_being_told(site: Site, buyer: Buyer, sold_long_ago: UUID) -> None:
    site.start("worker")
    order = buyer.order()
    buyer.pay(order)
    eventually(buyer.is_done(order))
    site.start("beat")
    with in_public():
        Due.objects.filter(kind="billing.renew", object_id=sold_long_ago).update(due_at=clock.wall())
        Due.objects.filter(kind="billing.notice", object_id=order["subscription"]).update(due_at=clock.wall())

    def both() -> bool:
        with in_partner(buyer.shop.partner):
            told = Message.objects.filter(type="renewal_ahead", state="sent").exists()
            return told and Invoice.objects.filter(subscription=sold_long_ago, state="paid").count() == 2

    eventually(both)
    with in_partner(buyer.shop.partner):
        assert Subscription.objects.get(pk=sold_long_ago).state == "active"
        # Told a month too early, for this test: its own day is still to come, and the auditor looks for it.
        subscriptions.plan(Subscription.objects.get(pk=order["subscription"]))
    well = {"database", "web", "worker", "lanes", "beat", "broker", "yookassa", "provider"}
    eventually(lambda: site.health()["code"] == 200)
    assert site.health()["parts"] == dict.fromkeys(well, "ok")


def test_a_worker_killed_over_its_work_loses_nothing(site: Site, buyer: Buyer, provider_sim: Control) -> None:
    site.start("worker")
    site.start("beat")
    place = {"operation": "activate"}
    provider_sim.clear_log()
    provider_sim.fault("hold", match=place)
    order = buyer.order()
    buyer.pay(order)
    eventually(lambda: provider_sim.log(**place, state="in_flight", held=True))
    site.kill("worker")
    provider_sim.release()
    assert not buyer.is_done(order)()
    # The dead worker's lease would run out in minutes.
    with in_public():
        Due.objects.filter(partner_id=buyer.shop.partner.pk).update(lease=None, leased_until=None)
    site.start("worker")
    eventually(buyer.is_done(order))
    rows = provider_sim.register()["activations"]
    asked = {row["request_id"] for row in provider_sim.log(**place)}
    assert len(asked) == 1
    assert [row["status"] for row in rows if row["request_id"] in asked] == ["active"]
    assert [str(found) for found in audit.run([buyer.shop.partner.pk])] == []


def test_orders_are_taken_while_the_broker_is_down(site: Site, buyer: Buyer) -> None:
    site.start("worker")
    site.start("beat")
    eventually(lambda: site.health()["code"] == 200)
    site.gate.shut()
    try:
        began = time.monotonic()
        orders = [buyer.order() for _ in range(3)]
        for order in orders:
            buyer.pay(order)
        # One of them waits for the broker, the others know that it is down.
        assert time.monotonic() - began < SOON
        # Of the web's processes, each asks the broker for itself and keeps the answer for some seconds.
        silent = eventually(
            lambda: (said := site.health())["parts"]["broker"] == "silent" and said, seconds=SOON
        )
        assert silent["code"] == 503
        assert site.health("?part=web&part=database")["code"] == 200
        assert not any(buyer.is_done(order)() for order in orders)
    finally:
        site.gate.open()
    for order in orders:
        eventually(buyer.is_done(order), seconds=90)
    eventually(lambda: site.health()["code"] == 200)
    assert site.running["beat"].poll() is None
    assert site.running["worker"].poll() is None
    assert [str(found) for found in audit.run([buyer.shop.partner.pk])] == []


def test_a_part_that_nobody_knows_is_not_well(site: Site, buyer: Buyer) -> None:
    assert site.health("?part=moon")["code"] == 503
