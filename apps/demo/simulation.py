"""Months of a platform's life in minutes: customers, partners and faults act through HTTP, time by the clock."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx

from apps.connectors.models import InboundMessage
from apps.core import audit, clock, models
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.demo import clockwork, company
from apps.demo.connect import TEST_SHOP
from apps.demo.visitors import PartnerSystem, Refusal, Shopper
from apps.demo.world import World
from apps.partners import clock as partner_clock
from apps.partners.models import Partner
from apps.sandbox.control import GOOD_CARD

CARDS = (GOOD_CARD,) * 7 + ("5555555555554600", "4000000000000341", "5555555555554444")
"""Mostly good; one declined at once, one at renewals, one with 3-D Secure."""
FAULTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("yookassa", "decline", {"reason": "insufficient_funds"}),
    ("yookassa", "drop_answer", {"match": {"operation": "create_payment"}}),
    ("yookassa", "http_500", {"committed": True, "match": {"operation": "create_payment"}}),
    ("yookassa", "http_429", {"match": {"operation": "create_payment"}}),
    ("yookassa", "duplicate_webhook", {"copies": 3}),
    ("yookassa", "no_webhook", {}),
    ("provider", "drop_answer", {}),
    ("provider", "http_503", {}),
    ("provider", "out_of_stock", {}),
    ("smsaero", "http_500", {}),
    ("mailbox", "reject", {}),
)
ROUNDS = 40
"""How often everything that waits is brought forward at the end."""


@dataclass
class Player:
    """A sandbox partner with its own system."""

    partner: Partner
    system: PartnerSystem
    offers: list[int]
    at_once: list[int]
    """Those of the offers whose first paid month begins without a trial."""


@dataclass
class Simulation:
    """One run; the same seed decides the same things."""

    world: World
    dice: random.Random
    say: Callable[[str], None]
    after_month: Callable[[], None] = lambda: None
    players: list[Player] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def run(self, *, partners: int, customers: int, months: int) -> dict[str, Any]:
        """Lives through it and sums it up; `violations` is empty where everything holds."""
        began = time.monotonic()
        self.players = [self._player(number) for number in range(partners)]
        for month in range(months):
            self._faults()
            share = customers // months + (1 if month < customers % months else 0)
            for player in self.players:
                for _buyer in range(share):
                    self._buy(player)
                self._move(player)
                self._change_of_mind(player)
            self.after_month()
            self.say(f"месяц {month + 1} из {months}: {dict(self.counted)}")
        self._quiet_down()
        summary = self._summary()
        summary["seconds"] = round(time.monotonic() - began, 1)
        summary["violations"] = self._violations()
        for player in self.players:
            player.system.close()
        return summary

    def _player(self, number: int) -> Player:
        """A partner is made as staff would; from then on all goes through HTTP."""
        with in_public():
            mark = uuid4().hex[:6]
            shop = company.Shop(
                f"sim-{mark}", f"Симуляция {number + 1}-{mark}", "#0369a1", "", is_sandbox=True
            )
            partner = company.partner(shop)
            key = company.api_key(partner)
        system = PartnerSystem(self.world, partner.host, key)
        offers = [offer for offer in _all(system, "offers/") if _is_monthly(offer)]
        at_once = [offer["id"] for offer in offers if not offer["trial_days"]]
        return Player(partner, system, [offer["id"] for offer in offers], at_once)

    def _faults(self) -> None:
        """A few things will go wrong in the coming month."""
        for _fault in range(self.dice.randint(1, 4)):
            simulator, kind, fields = self.dice.choice(FAULTS)
            self.world.outside.control(simulator).fault(kind, times=self.dice.randint(1, 2), **fields)
            self.counted["faults"] += 1

    def _buy(self, player: Player) -> None:
        number = self.counted["customers"]
        phone, email = f"+7900{self.dice.randrange(10**7):07d}", f"buyer{number}-{uuid4().hex[:6]}@example.ru"
        # Whoever comes first stays: even a short run has somebody to renew.
        offers, cards = (player.offers, CARDS) if number else (player.at_once, CARDS[:1])
        name, offer, card = (
            self.dice.choice(company_people()),
            self.dice.choice(offers),
            self.dice.choice(cards),
        )
        self.counted["customers"] += 1
        try:
            if number % 2:
                with Shopper(
                    self.world, player.partner.host, meanwhile=lambda: self._push(player)
                ) as shopper:
                    page = shopper.buy(offer, email=email, phone=phone, name=name)
            else:
                page = self._by_api(
                    player, offer, {"external_id": f"c-{uuid4().hex}", "email": email, "name": name}
                )
        except (Refusal, httpx.HTTPError) as error:
            self.counted["not_sold"] += 1
            self.say(f"{player.partner.slug}: {error}")
            return
        self.world.outside.control("yookassa").pay(page, card=card)
        self._settle(player)

    def _by_api(self, player: Player, offer: int, customer: dict[str, str]) -> str:
        key = uuid4().hex
        order = player.system.order(offer, customer, key)
        # A system that lost the answer asks again.
        if player.system.order(offer, customer, key)["id"] != order["id"]:
            raise AssertionError("one key has made two orders")
        deadline = time.monotonic() + 30
        while not order["payment"]["confirmation_url"] and time.monotonic() < deadline:
            self._push(player)
            order = player.system.get(f"orders/{order['id']}/")
        if not order["payment"]["confirmation_url"]:
            raise Refusal("no page to pay on")
        return str(order["payment"]["confirmation_url"])

    def _change_of_mind(self, player: Player) -> None:
        """Now and then somebody cancels."""
        active = [row for row in _all(player.system, "subscriptions/") if row["state"] == "active"]
        if active and self.dice.random() < 0.3:
            chosen = self.dice.choice(active)
            if not chosen.get("cancel_at_period_end"):
                player.system.cancel(chosen["id"])
                self.counted["cancelled"] += 1

    def _move(self, player: Player) -> None:
        player.partner.refresh_from_db()
        moment = (player.partner.clock_at or clock.wall()) + timedelta(days=self.dice.choice((29, 30, 31)))
        partner_clock.move(player.partner, moment, settle=self._settling(player))
        if moment > self._gateway_now():
            self.world.outside.control("yookassa").set_clock(moment)

    def _gateway_now(self) -> datetime:
        now = self.world.outside.control("yookassa").health()["now"]
        return datetime.fromisoformat(now.replace("Z", "+00:00"))

    def _settle(self, player: Player) -> None:
        self._settling(player)()

    def _push(self, player: Player) -> None:
        """What waits for its moment is tried now: nobody watches a page for minutes here."""
        self._hurry([player])
        self._settle(player)

    def _settling(self, player: Player) -> Callable[[], None]:
        settling = clockwork.Settling(player.partner, seconds=600)

        def settle() -> None:
            self._platform()
            settling()

        return settle

    def _platform(self) -> None:
        """Messages from outside belong to nobody yet: without a worker, they are read here."""
        if not self.world.has_workers:
            while run_once():
                continue

    # -- the end ---------------------------------------------------------------------------------------

    def _quiet_down(self) -> None:
        """No more faults; everything that waits for its moment is tried now, until nothing is open."""
        for name in ("yookassa", "provider", "smsaero", "mailbox"):
            self.world.outside.control(name).clear()
        for round_ in range(ROUNDS):
            self._hurry(self.players)
            for player in self.players:
                self._settle(player)
            if not self._open() or round_ == ROUNDS - 1:
                return
            time.sleep(0.5)

    def _hurry(self, players: list[Player]) -> None:
        ids, now = [player.partner.pk for player in players], clock.wall()
        waiting = models.Due.objects.filter(partner_id__in=ids, lease=None, is_sandbox=False)
        waiting.update(due_at=now, leased_until=None)
        models.Due.objects.filter(partner_id__in=ids, lease=None, is_sandbox=True).update(leased_until=None)
        models.Delivery.objects.filter(partner_id__in=ids).update(next_at=now)

    def _open(self) -> int:
        """What has not come to an end yet: payments of which nobody knows, fulfilments and messages under way."""
        from apps.notifications.models import Message
        from apps.orders.models import Fulfilment
        from apps.payments.models import Payment

        found = 0
        for player in self.players:
            with in_partner(player.partner):
                found += Payment.objects.filter(state__in=["created", "sending", "unknown"]).count()
                found += Fulfilment.objects.filter(
                    state__in=["queued", "in_progress", "retry", "unknown"]
                ).count()
                found += Message.objects.filter(state__in=["queued", "sending"]).count()
        return found

    def _summary(self) -> dict[str, Any]:
        from apps.billing.models import Invoice
        from apps.notifications.models import Message
        from apps.orders.models import Order, Service
        from apps.payments.models import Payment

        total, ours = Counter(self.counted), dict[str, str]()
        for player in self.players:
            with in_partner(player.partner):
                taken = Payment.objects.filter(state__in=["succeeded", "refunded"]).exclude(gateway_id="")
                ours |= {p.gateway_id: str(p.amount) for p in taken if not p.is_lost or p.refunds.exists()}
                total["orders"] += Order.objects.count()
                total["payments"] += Payment.objects.count()
                total["failed_payments"] += Payment.objects.filter(state="failed").count()
                total["renewals"] += Invoice.objects.filter(purpose="renewal", state="paid").count()
                total["messages"] += Message.objects.filter(state__in=["sent", "delivered"]).count()
                total["services"] += Service.objects.count()
                total["keys"] += Service.objects.exclude(key="").count()
        total["open"] = self._open()
        total["webhooks"] = InboundMessage.objects.count()
        theirs = self._register()
        return {
            **total,
            "partners": len(self.players),
            "ours": str(sum(map(Decimal, ours.values()), Decimal(0))),
            "register": str(sum(map(Decimal, theirs.values()), Decimal(0))),
            "differences": sorted(set(ours.items()) ^ set(theirs.items())),
        }

    def _register(self) -> dict[str, str]:
        """What the gateway itself has taken for our partners, by its id."""
        mine = {str(player.partner.pk) for player in self.players}
        rows = self.world.outside.control("yookassa").register(shop=TEST_SHOP[0])["payments"]
        return {
            row["id"]: str(Decimal(row["amount"]).quantize(Decimal("0.01")))
            for row in rows
            if row["status"] == "succeeded" and (row.get("metadata") or {}).get("partner") in mine
        }

    def _violations(self) -> list[str]:
        ids = [player.partner.pk for player in self.players]
        return [f"{found.rule} [{found.partner or 'platform'}] {found.text}" for found in audit.run(ids)]


def company_people() -> tuple[str, ...]:
    """Names to buy under."""
    from apps.demo.history import PEOPLE

    return PEOPLE


def _all(system: PartnerSystem, path: str) -> list[dict[str, Any]]:
    page = system.get(path)
    return list(page["results"] if isinstance(page, dict) else page)


def _is_monthly(offer: dict[str, Any]) -> bool:
    """A month's subscription that nobody has to deliver by hand."""
    by_machine = offer["product"]["delivery"] in {"key", "account"}
    return by_machine and offer["period"] == {"count": 1, "unit": "month"}
