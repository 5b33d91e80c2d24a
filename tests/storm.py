"""Many charges at once while everything fails that can: what is killed, what misbehaves, and what must be true after.

CHARGES, KILLS and DOWN_SECONDS make it long: `make soak` does.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.installation import Installation

CHARGES = int(os.environ.get("CHARGES", "60"))
KILLS = int(os.environ.get("KILLS", "3"))
DOWN_SECONDS = float(os.environ.get("DOWN_SECONDS", "3"))
"""For how long the gateway is off, once."""
MISCHIEF: tuple[tuple[str, dict[str, Any]], ...] = (
    ("drop_answer", {}),
    ("drop_answer", {}),
    ("http_500", {"committed": True}),
    ("http_500", {"committed": False}),
    ("http_202", {}),
    ("http_429", {"committed": False}),
    ("delay", {"seconds": 0.5}),
    ("decline", {"reason": "insufficient_funds"}),
)
"""What the gateway does to a charge now and then."""
MESSAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("duplicate_webhook", {"copies": 3}),
    ("late_webhook", {"seconds": 2}),
    ("no_webhook", {}),
)
"""What it does to its messages."""


class Storm:
    """One partner's due renewals in an installation, charged while parts die and answers are lost."""

    def __init__(self, site: Installation, slug: str, count: int = CHARGES) -> None:
        self.site, self.slug, self.count = site, slug, count
        made = site.run_without_worker("-m", "tests.installed_base", slug, str(count))
        self.schema, self.partner, self.known = made["schema"], made["partner"], set(made["known"])
        self.seen: Counter[str] = Counter()
        """How often each fault was met, by the gateway's own log, and each part was killed."""
        self._random = random.Random(count)

    def begin(self) -> None:
        """All renewals come due at once."""
        self.site.rows(
            f"UPDATE core_due SET due_at = now() WHERE kind = 'billing.renew' AND partner_id = {self.partner}"
        )

    def rage(self, kills: int = KILLS) -> None:
        """Kills the workers at random, the one that charges each time; PostgreSQL once; the gateway is off once."""
        for number in range(kills):
            self._misbehave()
            self._wait(self._random.uniform(0.2, 2.0))
            self._kill("lanes")
            if number % 3 == 0:
                self._kill("worker")
            if number == kills // 3:
                self._kill("postgres")
            if number == 2 * kills // 3:
                self._switch_off()
        self._misbehave()

    def settles(self, seconds: float) -> None:
        """Waits until nothing is open: no payment, no invoice in collection, no work that is due."""
        self.site.until(self._is_settled, what="everything is settled", seconds=seconds)
        self.site.gateway.clear()

    def holds(self) -> None:
        """Our books are the gateway's, each period is charged once, the auditor finds nothing new."""
        ours, theirs = self._ours(), self._theirs()
        assert sorted(ours) == sorted(theirs)
        taken = [row for row in theirs if row[2] == "succeeded"]
        assert len(taken) + self.declined() >= self.count
        assert sum((row[3] for row in ours if row[2] == "succeeded"), Decimal(0)) == sum(
            (row[3] for row in taken), Decimal(0)
        )
        assert self._charged_twice() == []
        assert sorted(set(self.site.run("-m", "tests.audited", str(self.partner))) - self.known) == []

    def declined(self) -> int:
        """Charges that the gateway has declined, as it says."""
        return sum(row[2] == "failed" for row in self._theirs())

    # How it is done

    def _misbehave(self) -> None:
        """A handful of faults for the charges that come next; what nobody met is forgotten first."""
        gateway, place = self.site.gateway, {"operation": "create_payment", "shop": self.slug}
        gateway.clear()
        each = max(1, self.count // (KILLS + 1) // 40)
        for kind, how in self._random.sample(MISCHIEF, len(MISCHIEF)):
            gateway.fault(kind, match=place, times=each, **how)
        for kind, how in MESSAGES:
            gateway.fault(kind, match={"operation": "webhook", "shop": self.slug}, times=each, **how)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.site._care()
            time.sleep(0.05)

    def _kill(self, part: str) -> None:
        in_flight = len(self.site.gateway.log(shop=self.slug, state="in_flight"))
        self.seen[f"{part} killed"] += 1
        self.seen[f"in flight at a kill of {part}"] += in_flight
        self.site.kill(part)
        self.site.start(part)

    def _switch_off(self) -> None:
        self.site.gateway.switch(on=False)
        self._wait(DOWN_SECONDS)
        self.site.gateway.switch(on=True)

    def _is_settled(self) -> bool:
        [(left,)] = self.site.rows(
            f"""
            SELECT (SELECT count(*) FROM {self.schema}.payments_payment
                    WHERE state NOT IN ('succeeded', 'failed', 'refunded'))
                 + (SELECT count(*) FROM core_delivery)
                 + (SELECT count(*) FROM core_due WHERE partner_id = {self.partner} AND due_at <= now())
            """
        )
        return left == 0

    def _ours(self) -> list[tuple[str, str, str, Decimal]]:
        rows = self.site.rows(
            f"SELECT gateway_id, id, state, amount FROM {self.schema}.payments_payment WHERE gateway_id <> ''"
        )
        return [(gateway_id, str(key), state, amount) for gateway_id, key, state, amount in rows]

    def _theirs(self) -> list[tuple[str, str, str, Decimal]]:
        words = {"succeeded": "succeeded", "canceled": "failed"}
        register = self.site.gateway.register(shop=self.slug)
        for row in register["payments"]:
            if row["reason"]:
                self.seen[row["reason"]] += 1
        assert register["refunds"] == []
        return [
            (
                row["id"],
                row["idempotence_key"],
                words.get(row["status"], row["status"]),
                Decimal(row["amount"]),
            )
            for row in register["payments"]
        ]

    def _charged_twice(self) -> list[Any]:
        """Subscriptions of which one period was paid more than once."""
        return self.site.rows(
            f"""
            SELECT line.subscription_id, line.period_start, count(*)
            FROM {self.schema}.billing_invoiceline line
            JOIN {self.schema}.billing_invoicepayment link ON link.invoice_id = line.invoice_id
            JOIN {self.schema}.payments_payment payment ON payment.id = link.payment_id
            WHERE payment.state = 'succeeded' AND line.amount > 0
            GROUP BY line.subscription_id, line.period_start, line.description HAVING count(*) > 1
            """
        )

    def told(self) -> Iterator[str]:
        """What was met, a line each."""
        faults = Counter(row["fault"] for row in self.site.gateway.log(shop=self.slug, limit=1_000_000))
        for name, count in sorted((self.seen + Counter({str(k): v for k, v in faults.items() if k})).items()):
            yield f"{name}: {count}"
