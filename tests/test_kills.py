"""kill -9 of worker, web and PostgreSQL, again and again, under charges and deliveries: none is lost or doubled.

The gateway's own log shows each charge in flight at the moment of the kill; a kill without one counts for nothing.
Four hits are one of each kind: before and after the gateway's commit, early and late. `make soak` sets HITS=10.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.installation import Installation
from tests.installed_orders import MODES, account
from tests.storm import CHARGES, DOWN_SECONDS, Storm

pytestmark = pytest.mark.slow
HITS, SPARE = int(os.environ.get("HITS", "2")), 3
EACH = int(os.environ.get("EACH", "3"))
"""Orders of each provider."""
STROKES = ("lanes", "worker", "postgres", "intake", "lanes")
SOONER = (
    "UPDATE core_due SET due_at = now() WHERE kind = 'orders.fulfil' AND partner_id = {} AND due_at > now()"
)
RENEWED = "UPDATE core_due SET due_at = now() WHERE kind = 'billing.renew' AND object_id = '{}'"


@pytest.fixture(scope="module")
def site(tmp_path_factory: Any) -> Iterator[Installation]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ARMOR_WEB_PROCESSES", "1")  # each of its starts costs seconds
        installation = Installation(tmp_path_factory.mktemp("installation"))
    with installation:
        yield installation


def test_worker_dies_while_it_charges(site: Installation) -> None:
    shop = Shop(site, "worker", sold=HITS + SPARE)
    # The one that calls outside.
    hits = kill_under("lanes", [shop.renewal(*row) for row in shop.renewals], shop)
    shop.comes_out_whole(hits)


def test_web_dies_while_it_starts_a_payment(site: Installation) -> None:
    shop = Shop(site, "web", new=HITS + SPARE)
    hits = kill_under("web", [shop.order(*row) for row in shop.offers], shop)
    shop.comes_out_whole(hits)


def test_postgres_dies_while_a_charge_is_under_way(site: Installation) -> None:
    half = (HITS + SPARE + 1) // 2
    shop = Shop(site, "database", sold=half, new=half)
    charges = [shop.renewal(*row) for row in shop.renewals], [shop.order(*row) for row in shop.offers]
    hits = kill_under("postgres", [one for both in zip(*charges, strict=True) for one in both], shop)
    shop.comes_out_whole(hits)


def test_many_charges_in_a_storm(site: Installation) -> None:
    """Workers and PostgreSQL die, answers are lost, messages doubled, the gateway is off: no kopeck is."""
    storm = Storm(site, "storm")
    storm.rage()
    storm.settles(seconds=300 + CHARGES / 5 + DOWN_SECONDS * 2)
    logging.getLogger(__name__).info("%d charges: %s", CHARGES, storm.told())
    storm.holds()
    storm.was_one()


def test_whoever_dies_and_whatever_a_provider_does_each_is_delivered_once(site: Installation) -> None:
    """Providers are slow, flap, lie, lose their answers and do things twice, while parts die beside them."""
    made = site.run_without_worker("-m", "tests.installed_orders", "providers", str(EACH))
    slug, pages = made["slug"], made["pages"]
    accounts = [account(slug, mode) for mode in MODES]
    site.gateway.fault(
        "duplicate_webhook", match={"operation": "webhook", "shop": slug}, times=10**6, every=3
    )
    for one in accounts:
        # So that a stroke meets calls to them.
        place = {"operation": "activate", "account": one}
        site.provider.fault("delay", match=place, times=10**6, seconds=1.0)
    states = f"SELECT state, count(*) FROM {made['schema']}.orders_fulfilment GROUP BY state"
    hits = paid = 0

    def asked() -> int:
        return sum(len(site.provider.log(account=one, state="in_flight")) for one in accounts)

    def is_over() -> bool:
        # Backoffs of minutes are over sooner.
        site.rows(SOONER.format(made["partner"]))
        found = dict(site.rows(states))
        return sum(found.values()) == paid and not found.keys() - {"done", "needs_staff"}

    for number, part in enumerate(STROKES):
        for page in pages[number :: len(STROKES)]:
            site.gateway.pay(page)
            paid += 1
        site.until(lambda: asked() or is_over(), what="a provider is asked")
        site.kill(part)
        hits += asked() > 0
        time.sleep(0.3)
        site.start(part)
    assert hits, "no stroke met a call to a provider"
    site.until(is_over, what="nothing is left to be done", seconds=300)
    theirs = [row for one in accounts for row in site.provider.register(account=one)["activations"]]
    assert Counter(row["request_id"] for row in theirs).most_common(1)[0][1] == 1
    there = {row["request_id"] for row in theirs if row["status"] == "active"}
    ours = site.rows(f"SELECT id::text, state, error FROM {made['schema']}.orders_fulfilment")
    assert {key for key, state, _error in ours if state == "done"} == there
    for key, state, error in ours:
        queued = site.rows(
            f"SELECT 1 FROM core_workitem WHERE object_id = '{key}' AND kind = 'orders.Fulfilment'"
        )
        assert (len(queued), bool(error)) == ((1, True) if state == "needs_staff" else (0, bool(error)))
    assert len(there) * 2 > len(pages), ours
    charged = [row for row in site.gateway.register(shop=slug)["payments"] if row["status"] == "succeeded"]
    assert len(charged) == len(pages)
    assert site.run("-m", "tests.audited", str(made["partner"])) == []


Charge = tuple[str, Callable[[], None]]
"""A sum that nobody else pays, and what makes the platform charge it."""


def kill_under(part: str, charges: Sequence[Charge], shop: "Shop") -> int:
    """Kills the part under charge after charge, held in turn before and after the gateway's commit; counts the hits."""
    hits = 0
    for number, (amount, begin) in enumerate(charges):
        if hits < HITS:
            hits += kill_once(part, amount, begin, shop, before=number % 4 in {1, 2}, early=number % 2 == 0)
        else:
            begin()
    return hits


def kill_once(
    part: str, amount: str, begin: Callable[[], None], shop: "Shop", *, before: bool, early: bool
) -> bool:
    """True where the gateway's log shows the charge under way as the part dies.

    `before`: its commit comes after the kill. `early`: it goes on while the part is still down.
    """
    site, gateway = shop.site, shop.site.gateway
    place = {"operation": "create_payment", "shop": shop.slug, "amount": amount}
    gateway.fault("hold", match=place, before=before)
    begin()

    def held() -> list[dict[str, Any]]:
        return gateway.log(**place, state="in_flight", held=True)

    [entry] = site.until(held, what=f"{amount} is held")
    site.kill(part)
    [still] = held()
    hit = (still["id"], still["committed"], entry["connected"]) == (entry["id"], not before, True)
    if part != "postgres":
        # The client has gone with the part that died, so it was this one that had the charge in hand.
        hit = hit and bool(eventually_gone(held))
    if early:
        gateway.release()
    site.start(part)
    gateway.release()
    return hit


def eventually_gone(held: Callable[[], list[dict[str, Any]]], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while any(row["connected"] for row in held()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Shop:
    """A live partner in the installation: its customers come, pay and are renewed."""

    def __init__(self, site: Installation, slug: str, *, sold: int = 0, new: int = 0) -> None:
        made = site.run_without_worker("-m", "tests.installed_shop", slug, str(sold), str(new))
        self.site, self.slug, self.schema = site, slug, made["schema"]
        self.renewals: list[tuple[str, str]] = made["renewals"]
        self.offers: list[tuple[int, str]] = made["offers"]
        self._headers = {
            "Host": f"{slug}.localhost:{site.web_port}",
            "Authorization": f"Bearer {made['key']}",
        }
        self._buyers: list[threading.Thread] = []

    def renewal(self, subscription: str, amount: str) -> Charge:
        """The moment of a renewal has come: the worker charges the saved card."""

        def begin() -> None:
            self.site.rows(RENEWED.format(subscription))

        return amount, begin

    def order(self, offer: int, amount: str) -> Charge:
        """A customer's system orders over the API: the web asks the gateway for the payment."""

        def begin() -> None:
            buyer = threading.Thread(target=self._buy, args=[offer], daemon=True)
            buyer.start()
            self._buyers.append(buyer)

        return amount, begin

    def comes_out_whole(self, hits: int) -> None:
        """Everything is settled and delivered by itself, our books are the gateway's, the auditor finds nothing."""
        for buyer in self._buyers:
            buyer.join(120)
        self.site.until(self._settled, what="everything is settled", seconds=300)
        assert hits >= HITS, f"only {hits} of the kills hit a charge under way"
        assert "rules hold" in self.site.run("manage.py", "audit")
        ours, theirs = self._ours(), self._theirs()
        assert sorted(ours) == sorted(theirs)
        assert sum(row[3] for row in ours) == sum(row[3] for row in theirs)
        expected = [amount for _id, amount in self.renewals] * 2 + [amount for _id, amount in self.offers]
        assert sorted(str(row[3]) for row in theirs) == sorted(expected)
        assert {row[2] for row in theirs} == {"succeeded"}

    # How it is done

    def _buy(self, offer: int) -> None:
        """Sent again and again under its key, as a careful client does, until there is a page to pay on."""
        body = {
            "offer": offer,
            "customer": {"external_id": f"client-{offer}"},
            "return_url": "https://bank.example/{order}",
        }
        page = ""
        while not page:
            self._ask("POST", "orders/", json=body, headers={"Idempotency-Key": f"order-{offer}"})
            found = self._ask("GET", "orders/", params={"external_id": f"client-{offer}"})
            orders = found.json()["results"] if found is not None else []
            assert len(orders) < 2
            page = orders[0]["payment"]["confirmation_url"] if orders else ""
            time.sleep(0.2)
        self.site.gateway.pay(page)

    def _ask(self, method: str, path: str, **given: Any) -> httpx.Response | None:
        """The answer; None where the web is down, or its database."""
        headers = {**self._headers, **given.pop("headers", {})}
        url = f"http://127.0.0.1:{self.site.web_port}/api/v1/{path}"
        try:
            answer = httpx.request(
                method, url, headers=headers, timeout=60, trust_env=False, verify=False, **given
            )
        except httpx.TransportError:
            return None
        return answer if answer.status_code < 500 else None

    def _settled(self) -> bool:
        [(left,)] = self.site.rows(
            f"""
            SELECT (SELECT count(*) FROM {self.schema}.payments_payment
                    WHERE state NOT IN ('succeeded', 'failed', 'refunded'))
                 + (SELECT count(*) FROM {self.schema}.billing_invoice WHERE state <> 'paid')
                 + (SELECT count(*) FROM {self.schema}.orders_order WHERE state <> 'completed')
                 + (SELECT count(*) FROM {self.schema}.orders_service WHERE state <> 'active')
                 + (SELECT abs(count(*) - {len(self.renewals) * 2 + len(self.offers)})
                    FROM {self.schema}.billing_invoice)
                 + (SELECT count(*) FROM core_delivery)
                 + (SELECT count(*) FROM core_due WHERE due_at <= now())
            """
        )
        return left == 0

    def _ours(self) -> list[tuple[str, str, str, Decimal]]:
        rows = self.site.rows(f"SELECT gateway_id, id, state, amount FROM {self.schema}.payments_payment")
        return [(gateway_id, str(key), state, amount) for gateway_id, key, state, amount in rows]

    def _theirs(self) -> list[tuple[str, str, str, Decimal]]:
        register = self.site.gateway.register(shop=self.slug)
        assert register["refunds"] == []
        return [
            (row["id"], row["idempotence_key"], row["status"], Decimal(row["amount"]))
            for row in register["payments"]
        ]
