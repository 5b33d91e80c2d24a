"""What one thread of the crowd does at a house, by services and over HTTP, and what it is told there."""

import http.client
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from apps.accounts import sign_in
from apps.accounts.customers import register
from apps.accounts.models import Customer
from apps.callcenters import requests
from apps.core import clock, models, wake
from apps.core.tenancy import in_partner, in_public
from apps.sandbox.control import Control
from tests.isolation.houses import House
from tests.isolation.spied import PROBE

REFUSALS = {302, 401, 403, 404}


@dataclass
class Visit:
    """One act of a thread: whose house it is at, whose it must see nothing of, and what the thread has seen."""

    own: House
    other: House
    people: list[UUID]
    """The house's own ids of the customers whom both have, by number."""
    gateway: Control
    web: http.client.HTTPConnection
    dice: random.Random
    seen: Counter[str]
    forgets: bool = False

    def person(self) -> int:
        """One of the customers whom both houses have."""
        return self.dice.randrange(len(self.people))

    def told(self, where: str, text: str) -> None:
        """Counts an answer: right with a word of this house and none of the other's."""
        leaks = any(marker in text for marker in self.other.markers)
        missing = not any(marker in text for marker in self.own.markers)
        self.seen[f"{where}.{'leak' if leaks else 'missing' if missing else 'right'}"] += 1
        if missing and not self.forgets:
            sys.stderr.write(f"{where}: nothing of {self.own.partner.slug} in: {text[:300]}\n")

    def ask(
        self, host: str, path: str, *, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, str]:
        """An HTTP request over this thread's own connection; the status and the whole answer."""
        sent = json.dumps(body) if body is not None else None
        headers = {"Host": host, "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        try:
            self.web.request(method, path, sent, headers)
            answer = self.web.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # It was kept alive for too long: the server has hung up, and has not taken the request.
            self.web.close()
            self.web.request(method, path, sent, headers)
            answer = self.web.getresponse()
        return answer.status, answer.read().decode() + str(answer.getheaders())


# -- what somebody does: services ---------------------------------------------------------------------


def read(visit: Visit) -> None:
    with in_partner(visit.own.partner):
        name = Customer.objects.get(external_id=f"A-{visit.person()}").name
    visit.told("service", name)


def read_in_transaction(visit: Visit) -> None:
    with in_partner(visit.own.partner), transaction.atomic():
        name = Customer.objects.get(external_id=f"A-{visit.person()}").name
    visit.told("service", name)


def read_after_rollback(visit: Visit) -> None:
    """A rollback takes the search path back as well."""
    with in_partner(visit.own.partner):
        with suppress(ZeroDivisionError), transaction.atomic():
            Customer.objects.filter(external_id="A-0").update(language="en")
            raise ZeroDivisionError
        visit.told("service", Customer.objects.get(external_id="A-0").name)


def read_at_both(visit: Visit) -> None:
    """Inside the work of one partner, a look at the other's, and back."""
    with in_partner(visit.own.partner):
        with in_partner(visit.other.partner):
            theirs = Customer.objects.get(external_id="A-1").name
        mine = Customer.objects.get(external_id="A-1").name
    visit.told("service", mine)
    visit.told("service", theirs.replace(visit.other.markers[0], visit.own.markers[0]))
    if visit.own.markers[0] in theirs:
        visit.seen["service.leak"] += 1


def read_many(visit: Visit) -> None:
    with in_partner(visit.own.partner):
        names = [customer.name for customer in Customer.objects.iterator(chunk_size=7)]
    visit.told("service", " ".join(names))


def register_again(visit: Visit) -> None:
    with in_partner(visit.own.partner):
        found = register(phone="+79161112233", email="ivan@example.ru", external_id="A-1", name="Иван")
        visit.told("service", found.name)


def ask_for_help(visit: Visit) -> None:
    marker = visit.own.markers[0]
    with in_partner(visit.own.partner):
        customer = Customer.objects.get(external_id="A-1")
        requests.open_request(customer=customer, subject=f"Вопрос {marker}", text=customer.name)
    visit.told("service", customer.name)


def give_work(visit: Visit) -> None:
    """A task for the worker about one of the customers; it may be planned already."""
    own = visit.own.partner
    planned = models.Due(
        partner_id=own.pk,
        kind=PROBE,
        object_id=visit.people[visit.person()],
        due_at=clock.wall(),
    )
    with in_public(), transaction.atomic():
        models.Due.objects.bulk_create([planned], ignore_conflicts=True)
        wake.after_commit()
    visit.seen["tasks"] += 1


# -- over HTTP ----------------------------------------------------------------------------------------


def _by_key(visit: Visit, path: str) -> None:
    status, text = visit.ask(
        visit.own.partner.host, f"/api/v1/{path}", Authorization=f"Bearer {visit.own.key}"
    )
    visit.told("web", text if status == 200 else f"{status} {text}")


def api_customers(visit: Visit) -> None:
    _by_key(visit, f"customers/?external_id=A-{visit.person()}")


def api_order(visit: Visit) -> None:
    _by_key(visit, f"orders/{visit.own.ids['order']}/")


def api_orders(visit: Visit) -> None:
    _by_key(visit, "orders/?external_id=A-1&state=completed")


def _page(visit: Visit, path: str, **headers: str) -> None:
    visit.told("web", visit.ask(visit.own.partner.host, path, **headers)[1])


def storefront(visit: Visit) -> None:
    _page(visit, "/")


def product(visit: Visit) -> None:
    _page(visit, f"/product/{visit.own.ids['product']}/")


def feed(visit: Visit) -> None:
    _page(visit, "/feeds/web.yml")


def cabinet(visit: Visit) -> None:
    _page(visit, "/cabinet/", Cookie=f"{sign_in.COOKIE}={visit.own.session}")


def own_console(visit: Visit) -> None:
    _page(visit, "/admin/accounts/customer/", Cookie=_session(visit.own.staff))


def switched_console(visit: Visit) -> None:
    path = f"/p/{visit.own.partner.slug}/admin/accounts/customer/"
    visit.told("web", visit.ask("localhost", path, Cookie=_session(visit.own.operator))[1])


def _session(client: Any) -> str:
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


def strangers_key(visit: Visit) -> None:
    """The other's key here, and ids of here."""
    _refused(visit, f"/api/v1/orders/{visit.own.ids['order']}/", Authorization=f"Bearer {visit.other.key}")


def strangers_id(visit: Visit) -> None:
    """The own key, and an id of there."""
    _refused(visit, f"/api/v1/orders/{visit.other.ids['order']}/", Authorization=f"Bearer {visit.own.key}")


def strangers_session(visit: Visit) -> None:
    _refused(visit, "/cabinet/", Cookie=f"{sign_in.COOKIE}={visit.other.session}")


def _refused(visit: Visit, path: str, **headers: str) -> None:
    status, text = visit.ask(visit.own.partner.host, path, **headers)
    leaks = status not in REFUSALS or any(marker in text for marker in visit.other.markers)
    visit.seen["web.leak" if leaks else "web.refused"] += 1


def buy(visit: Visit) -> None:
    """A sale to one of the common customers: the worker delivers the key and writes the letter."""
    own = visit.own
    body = {
        "offer": own.ids["offer"],
        "customer": {"external_id": f"A-{visit.person()}"},
        "return_url": "https://partner.example/thanks",
    }
    credentials = {"Authorization": f"Bearer {own.key}", "Idempotency_Key": uuid4().hex}
    status, text = visit.ask(own.partner.host, "/api/v1/orders/", method="POST", body=body, **credentials)
    order = json.JSONDecoder().raw_decode(text)[0] if status == 201 else {}
    page = (order.get("payment") or {}).get("confirmation_url")
    visit.told("web", text)
    if page:
        visit.gateway.pay(page)
        visit.seen["sales"] += 1


ACTS: dict[Callable[[Visit], None], int] = {
    read: 300,
    read_in_transaction: 150,
    read_after_rollback: 80,
    read_at_both: 80,
    read_many: 50,
    give_work: 80,
    storefront: 20,
    product: 15,
    feed: 20,
    cabinet: 20,
    api_customers: 50,
    api_order: 15,
    api_orders: 10,
    own_console: 2,
    switched_console: 2,
    strangers_key: 12,
    strangers_id: 12,
    strangers_session: 12,
    register_again: 50,
    ask_for_help: 20,
    buy: 5,
}
"""What somebody does, and how often in about a thousand."""
CONTROL: dict[Callable[[Visit], None], int] = dict.fromkeys((read, give_work, storefront, feed), 1)
"""What the control build does: nothing that a leak would spoil, and where one shows."""
