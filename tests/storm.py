"""Many charges while everything fails that can: what is killed, what misbehaves, and what must be true after.

They come due in waves, and a stroke falls into each. CHARGES, KILLS and DOWN_SECONDS make it long: `make soak` does.
"""

import os
import random
import time
from collections import Counter
from decimal import Decimal
from typing import Any

from tests.installation import Installation

CHARGES = int(os.environ.get("CHARGES", "60"))
KILLS = int(os.environ.get("KILLS", "4"))
"""So often the process that charges is killed; in turn with it each of OTHERS."""
DOWN_SECONDS = float(os.environ.get("DOWN_SECONDS", "3"))
"""For how long the gateway is off, once."""
OTHERS = ("postgres", "worker", "postgres gently", "intake")
OFF_SHARE = 10
"""One charge of so many comes due while the gateway is off."""
CHARGE = {"operation": "create_payment"}
MISCHIEF: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("drop_answer", CHARGE, {"every": 23}),
    ("http_500", CHARGE, {"every": 37, "committed": True}),
    ("http_500", CHARGE, {"every": 41, "committed": False}),
    ("http_429", CHARGE, {"every": 43, "committed": False}),
    ("http_202", CHARGE, {"every": 47}),
    ("decline", CHARGE, {"every": 29, "reason": "insufficient_funds"}),
    ("forge_webhook", CHARGE, {"every": 61, "altered": {"amount": {"value": "1.00", "currency": "RUB"}}}),
    ("http_500", {"operation": "get_payment"}, {"every": 5, "committed": True}),
    ("drop_answer", {"operation": "get_payment"}, {"every": 7}),
    ("duplicate_webhook", {"operation": "webhook"}, {"every": 11, "copies": 3}),
    ("late_webhook", {"operation": "webhook"}, {"every": 17, "seconds": 5}),
    ("no_webhook", {"operation": "webhook"}, {"every": 13}),
)
"""What the gateway does to each so-many-th request or message, all the time."""
SLOW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("delay", {"every": 2, "seconds": 0.4}),
    ("hold", {"every": 3, "seconds": 0.4, "before": False}),
)
"""So that a stroke meets charges before the gateway's commit and after it."""


class Storm:
    """One partner's renewals in an installation, charged while parts die and answers are lost."""

    def __init__(self, site: Installation, slug: str, count: int = CHARGES, kills: int = KILLS) -> None:
        self.site, self.slug, self.count = site, slug, count
        made = site.run_without_worker("-m", "tests.installed_base", slug, str(count))
        self.schema, self.partner, self.known = made["schema"], made["partner"], set(made["known"])
        self.met: Counter[str] = Counter()
        """How many requests met each fault, how often each part was struck, and how often it was charging then."""
        self._strokes = [part for n in range(kills) for part in ("lanes", OTHERS[n % len(OTHERS)])]
        self._random = random.Random(count)

    def rage(self) -> None:
        """Wave after wave of charges, a stroke into each; the gateway is off for two of the last third's strokes."""
        off = self.count // OFF_SHARE
        size, rest = divmod(self.count - off, len(self._strokes))
        self._misbehave()
        for number, part in enumerate(self._strokes):
            self._come_due(size + (number < rest))
            self._under_way()
            self._strike(part)
            if number == 2 * len(self._strokes) // 3:
                self._darkness(off)
            # What one stroke leaves undone meets the next; but the storm does not run ahead of the charges.
            self._worked_off(but=size)
        assert self._still_to_come() == 0
        self._worked_off(but=self.count // 50)
        self._count_faults()
        self.site.gateway.clear()

    def settles(self, seconds: float) -> None:
        """Waits until nothing is open: no payment, no invoice in collection, no work that is due."""
        self.site.until(self._is_settled, what="everything is settled", seconds=seconds)

    def holds(self) -> None:
        """Our books are the gateway's, each period is charged once, the auditor finds nothing new."""
        ours, theirs = self._ours(), self._theirs()
        assert sorted(ours) == sorted(theirs)
        taken = [row for row in theirs if row[2] == "succeeded"]
        declined = sum(row[2] == "failed" for row in theirs)
        # One was sold before; each of the others was charged once, or declined once and is dunned some other day.
        assert len(taken) + declined == self.count + 1
        assert sum((row[3] for row in ours if row[2] == "succeeded"), Decimal(0)) == sum(
            (row[3] for row in taken), Decimal(0)
        )
        assert self._charged_twice() == []
        assert sorted(set(self.site.run("-m", "tests.audited", str(self.partner))) - self.known) == []

    def was_one(self) -> None:
        """Every kind of fault and stroke was met by as many as were planned at least: else nothing is proved."""
        for kind, match, how in MISCHIEF:
            # What went well is not asked about: there are as many questions as faults.
            asked = self.count // (10 if match["operation"] == "get_payment" else 1)
            planned = asked // self._every(how) // 2
            assert self.met[_name(kind, match, how)] >= max(planned, 1), (kind, how, self.told())
        parts, charging = set(self._strokes), Counter[str]()
        for part in parts:
            assert self.met[f"{part} struck"] == self._strokes.count(part)
            charging[part] = self.met[f"{part} struck while it charged"]
        assert charging.total() * 2 >= len(self._strokes), self.told()
        assert self.count < 10 * len(self._strokes) or all(charging[part] for part in parts), self.told()
        assert self.met["requests while the gateway was off"] >= max(1, DOWN_SECONDS // 120)
        assert self.met["charges that waited for the gateway to be on"] * 2 >= self.count // OFF_SHARE

    def told(self) -> str:
        """What was met."""
        return "; ".join(f"{name}: {count}" for name, count in sorted(self.met.items()))

    # What happens

    def _misbehave(self) -> None:
        for kind, match, how in MISCHIEF:
            self._plan(kind, match, {**how, "every": self._every(how)})
        for kind, how in SLOW:
            self._plan(kind, CHARGE, how)

    def _plan(self, kind: str, match: dict[str, Any], how: dict[str, Any]) -> None:
        self.site.gateway.fault(kind, match={**match, "shop": self.slug}, times=1_000_000_000, **how)

    def _every(self, how: dict[str, Any]) -> int:
        """A few of each even where there are not many charges."""
        return min(int(how["every"]), max(self.count // 3, 1))

    def _come_due(self, count: int) -> None:
        """So many more renewals are due now: they were put off for longer than any period."""
        self.site.rows(
            f"UPDATE core_due SET due_at = now() WHERE id IN (SELECT id {self._PUT_OFF} ORDER BY id LIMIT {count})"
        )

    def _still_to_come(self) -> int:
        [(count,)] = self.site.rows(f"SELECT count(*) {self._PUT_OFF}")
        return int(count)

    @property
    def _PUT_OFF(self) -> str:
        return (
            f"FROM core_due WHERE kind = 'billing.renew' AND partner_id = {self.partner}"
            " AND due_at > now() + interval '6 months'"
        )

    def _under_way(self) -> None:
        """Until the gateway has a charge in hand, and a moment longer."""
        self.site.until(lambda: self._in_flight() or self._is_settled(), what="a charge is under way")
        self._wait(self._random.uniform(0, 0.2))

    def _worked_off(self, but: int) -> None:
        """Until no more than so many charges are still to be made or found out about."""
        self.site.until(lambda: self._left() <= but, what="charges are made", seconds=600)

    def _strike(self, part: str) -> None:
        self.met[f"{part} struck"] += 1
        self.met[f"{part} struck while it charged"] += self._in_flight() > 0
        name, _space, gently = part.partition(" ")
        if gently:
            self.site.stop(name)
        else:
            self.site.kill(name)
        time.sleep(self._random.uniform(0, 1))
        self.site.start(name)

    def _darkness(self, count: int) -> None:
        """The gateway is off while charges come due; the process that charges and PostgreSQL die meanwhile."""
        gateway = self.site.gateway
        gateway.switch(on=False)
        self._come_due(count)
        self.site.until(lambda: gateway.log(fault="off", limit=1), what="the gateway is missed")
        self._wait(DOWN_SECONDS / 2)
        for part in ("lanes", "postgres"):
            self.site.kill(part)
            self.site.start(part)
        self._wait(DOWN_SECONDS / 2)
        refused = gateway.log(fault="off", limit=1_000_000)
        self.met["requests while the gateway was off"] = len(refused)
        self.met["charges that waited for the gateway to be on"] = self._open()
        gateway.switch(on=True)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.site._care()
            time.sleep(0.05)

    # What is seen

    def _in_flight(self) -> int:
        return len(self.site.gateway.log(**CHARGE, shop=self.slug, state="in_flight"))

    def _open(self) -> int:
        [(count,)] = self.site.rows(
            f"SELECT count(*) FROM {self.schema}.payments_payment WHERE state NOT IN ('succeeded', 'failed')"
        )
        return int(count)

    def _left(self) -> int:
        [(due,)] = self.site.rows(
            "SELECT count(*) FROM core_due WHERE kind = 'billing.renew' AND due_at <= now()"
            f" AND partner_id = {self.partner}"
        )
        return int(due) + self._open()

    def _count_faults(self) -> None:
        for row in self.site.gateway.faults():
            self.met[_name(row["kind"], row["match"], row)] += row["met"]

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


def _name(kind: str, match: dict[str, Any], how: dict[str, Any]) -> str:
    """A fault in words."""
    done = " after it was done" if how.get("committed") else ""
    return f"{match['operation']} {kind}{done}"
