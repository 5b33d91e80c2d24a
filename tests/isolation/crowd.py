"""A crowd at two partners: 16 threads of HTTP and services, a web server and a worker, each over a small pool.

    python -m tests.isolation --operations 4000 --forgetful 800 --gateway URL --provider URL --mailbox URL,PORT

It wants a database of its own (DATABASE_URL, BROKER_URL, ISOLATION_SEEN) and prints as JSON what was seen where, of
the product (`product`) and then, in the same houses, of the build that forgets whose data it is about (`control`):
`right`, `leak`, a stranger `refused`, and connections that left a pool `clean` or `dirty`.
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection, connections

from apps.accounts.customers import register
from apps.accounts.models import Customer
from apps.callcenters.models import CustomerRequest
from apps.core import audit, clock, models, wake
from apps.core.tasks import beat
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.orders.models import OrderItem, Service
from apps.partners.models import LegalEntity
from apps.payments.models import Payment
from apps.sandbox.control import Control
from armor.ports import free_port
from armor.processes import die_with_parent
from armor.programs import accepts
from armor.supervisor import web_program, worker_program
from tests.isolation import spied
from tests.isolation.acts import ACTS, CONTROL, Visit
from tests.isolation.houses import MARKERS, House, open_house

THREADS, CUSTOMERS = 16, 20
PATIENCE = 180.0
"""Seconds that the worker may take to finish what the crowd has left."""


class Crowd:
    """Two houses, the programs that serve them, and the threads."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.forgets = given, False
        self.gateway = Control(given.gateway.url)
        self.port = free_port()
        self.houses: list[House] = []
        self.people: dict[int, list[UUID]] = {}

    def settle_in(self) -> None:
        """Two partners with the same twenty customers."""
        with in_public():
            LegalEntity.objects.create(is_operator=True, name="ООО «Платформа»", inn="7707083893")
        for marker in MARKERS:
            outside = (self.given.gateway, self.given.provider, self.given.mailbox)
            house = open_house(marker, *outside, keys=self.given.operations // 100 + 20)
            with in_partner(house.partner):
                people = [self._customer(number, marker) for number in range(CUSTOMERS)]
            self.people[house.partner.pk] = [customer.pk for customer in people]
            self.houses.append(house)
            webhook = f"http://127.0.0.1:{self.port}/hooks/{house.ids['connection']}/"
            self.gateway.add_shop(house.partner.slug, "secret", webhook)

    def _customer(self, number: int, marker: str) -> Customer:
        if number == 1:
            return Customer.objects.get(external_id="A-1")
        phone, email = f"+791611133{number:02d}", f"ivan{number}@example.ru"
        return register(phone=phone, email=email, external_id=f"A-{number}", name=f"Иван {marker} {number}")

    def live(self, operations: int) -> Counter[str]:
        """Sixteen threads share the operations; what all of them have seen."""
        seen: list[Counter[str]] = []
        each = operations // THREADS
        threads = [
            threading.Thread(target=self._visit, args=(random.Random(number), each, seen))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(seen) < THREADS:
            raise RuntimeError("A thread has failed")
        total: Counter[str] = Counter()
        for counted in seen:
            total.update(counted)
        return total

    def _visit(self, dice: random.Random, operations: int, all_seen: list[Counter[str]]) -> None:
        """One thread, now at this house, now at that."""
        seen: Counter[str] = Counter()
        web = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            for _ in range(operations):
                own, other = dice.sample(self.houses, 2)
                people = self.people[own.partner.pk]
                self._act(Visit(own, other, people, self.gateway, web, dice, seen, self.forgets))
                seen["operations"] += 1
        finally:
            connections.close_all()
            web.close()
        all_seen.append(seen)

    def _act(self, visit: Visit) -> None:
        ways = CONTROL if self.forgets else ACTS
        [act] = visit.dice.choices(list(ways), weights=list(ways.values()))
        try:
            act(visit)
        except Customer.DoesNotExist:
            if not self.forgets:
                raise
        # Back into the pool, as at the end of a request.
        connections.close_all()

    def quiet_down(self) -> None:
        """Waits until the worker has done everything that goes by the wall clock."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            now = clock.wall()
            due = models.Due.objects.filter(is_sandbox=False, due_at__lte=now)
            waiting = models.Delivery.objects.filter(next_at__lte=now)
            if not (due.exists() or waiting.exists() or any(map(_awaits_payment, self.houses))):
                return
            wake.after_commit()
            wake.after_commit(lanes=True)
            time.sleep(0.5)
        raise TimeoutError("The worker does not come to an end")

    def left_behind(self) -> dict[str, Any]:
        """What stands in the tables and in the mailbox afterwards, and what the auditor says."""
        crossed: list[str] = []
        services = 0
        for own, other in (self.houses, self.houses[::-1]):
            with in_partner(own.partner):
                services += Service.objects.exclude(key="").count()
                texts = [
                    *OrderItem.objects.values_list("name", flat=True),
                    *Service.objects.values_list("name", flat=True),
                    *Service.objects.values_list("key", flat=True),
                    *(message.subject + message.text for message in Message.objects.all()),
                    *Customer.objects.values_list("name", flat=True),
                    *CustomerRequest.objects.values_list("subject", flat=True),
                ]
            words = [*other.markers, other.partner.slug.upper() + "-"]
            crossed += [text[:80] for text in texts if any(word in text for word in words)]
        letters = [str(letter) for letter in Control(self.given.mailbox.url).messages()]
        both = [letter[:200] for letter in letters if all(marker in letter for marker in MARKERS)]
        with in_public():
            for part in ("worker", "lanes", "beat"):
                beat(part)
            violations = [str(found) for found in audit.run([house.partner.pk for house in self.houses])]
        return {
            "services": services,
            "letters": len(letters),
            "crossed": crossed + both,
            "violations": violations,
        }


def _awaits_payment(house: House) -> bool:
    """Whether the gateway has not told yet of a payment; everybody here pays."""
    with in_partner(house.partner):
        return Payment.objects.filter(settled_at=None).exists()


@dataclass(frozen=True)
class Outside:
    """A simulator that somebody else has started."""

    url: str
    smtp_port: int = 0


@contextmanager
def running(crowd: Crowd) -> Iterator[None]:
    """The web server and the worker as `make run` starts them, watched."""
    web = [word.replace("armor.wsgi", "tests.isolation.programs") for word in web_program(crowd.port).command]
    worker = ["tests.isolation.programs" if word == "armor" else word for word in worker_program().command]
    environment = os.environ | {"ISOLATION_FORGETS": str(int(crowd.forgets))}
    started = [
        subprocess.Popen(
            command,
            env=environment,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=die_with_parent(15),
        )
        for command in (web, worker)
    ]
    try:
        while not accepts(crowd.port):
            if started[0].poll() is not None:
                raise RuntimeError("The web server has ended")
            time.sleep(0.05)
        yield
        assert all(process.poll() is None for process in started)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=30)


def lived(crowd: Crowd, operations: int) -> dict[str, Any]:
    """Lets the crowd in for a while; what was seen by then."""
    before = _words()
    connections.close_all()
    connection.close_pool()
    with running(crowd):
        began = time.monotonic()
        seen = crowd.live(operations)
        seconds = time.monotonic() - began
        if not crowd.forgets:
            crowd.quiet_down()
    summary: dict[str, Any] = {**seen, **(_words() - before), "seconds": round(seconds, 1)}
    summary["per_second"] = round(operations / seconds, 1)
    return summary


def _words() -> Counter[str]:
    file = Path(os.environ["ISOLATION_SEEN"])
    return Counter(file.read_text().split() if file.exists() else ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=4000)
    parser.add_argument("--forgetful", type=int, default=800, help="operations of the control build")
    for name in ("gateway", "provider"):
        parser.add_argument(f"--{name}", type=Outside, required=True)
    parser.add_argument("--mailbox", required=True, help="address and SMTP port with a comma between")
    given = parser.parse_args()
    url, smtp_port = given.mailbox.split(",")
    given.mailbox = Outside(url, int(smtp_port))
    crowd = Crowd(given)
    crowd.settle_in()
    spied.start()
    product = lived(crowd, given.operations)
    product |= crowd.left_behind()
    crowd.forgets = True
    spied.forget_from_now()
    control = lived(crowd, given.forgetful)
    sys.stdout.write(json.dumps({"product": product, "control": control}, ensure_ascii=False))
