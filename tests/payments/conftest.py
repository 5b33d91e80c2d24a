"""A partner with a gateway of its own shop at the simulator, a customer, and hands on both."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.models import Due, Event, WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import LegalEntity, Partner
from apps.payments import payments, refund_calls
from apps.payments.models import Payment, PaymentMethod, Refund
from apps.policies.refunding import RefundLimit, RefundReason, RefundTally
from apps.sandbox.control import GOOD_CARD, Control
from tests.payments.gateways import YOOKASSA, GatewayKind
from tests.staff import staff

__all__ = ["staff"]
_shops = itertools.count(int.from_bytes(os.urandom(5)))
PRICE = Money(Decimal("399.00"))


@dataclass
class Till:
    """Takes payments of one customer of one partner at one shop."""

    partner: Partner
    connection: Connection
    customer: Customer
    shop: str
    gateway: Control
    good_card: str = GOOD_CARD

    def start(self, **options: Any) -> Payment:
        """A payment as billing would write it; a first one saves its method."""
        first = {"save_method": True, "return_url": "https://shop.example/thanks"}
        with transaction.atomic():
            return payments.start(
                customer=self.customer,
                amount=options.pop("amount", PRICE),
                description="Антивирус на месяц",
                **(options if "method" in options else first | options),
            )

    def pending(self, **options: Any) -> Payment:
        """A first payment that waits on its page."""
        return payments.send(self.start(**options).pk)

    def paid(self, *, card: str = "", **options: Any) -> Payment:
        """A first payment, paid on the page and settled."""
        payment = self.pending(**options)
        self.gateway.pay(payment.confirmation_url, card=card or self.good_card)
        return payments.settle(payment.pk)

    def method(self, card: str = "") -> PaymentMethod:
        """A method saved by a first payment."""
        method = self.paid(card=card).method
        assert method is not None
        return method

    def charge(self, method: PaymentMethod) -> Payment:
        """A renewal's charge, written and not yet sent."""
        return self.start(method=method, purpose="renewal")

    def register(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Payments and refunds as the gateway has them."""
        found = self.gateway.register(shop=self.shop)
        return found["payments"], found["refunds"]

    def events(self, row: Payment | Refund | PaymentMethod) -> list[str]:
        """Types of events about a row."""
        return sorted(Event.objects.filter(object_id=row.pk).values_list("type", flat=True))

    def work(self, row: Payment | Refund) -> str:
        """Why staff look at a row; empty where they do not."""
        return "".join(WorkItem.objects.filter(object_id=row.pk).values_list("reason", flat=True))


def thread(till: Till, work: Callable[[], Any]) -> threading.Thread:
    """A started thread that works at the till's partner, as another worker would."""

    def run() -> None:
        try:
            with in_partner(till.partner):
                work()
        finally:
            connection.close()

    started = threading.Thread(target=run)
    started.start()
    return started


def later(row: Payment | Refund, by: timedelta = timedelta(minutes=1)) -> None:
    """Lets time pass over a row: what was in flight is so no more."""
    type(row)._default_manager.filter(pk=row.pk).update(
        claimed_at=clock.wall() - by, created_at=clock.now() - by
    )


def look(row: Payment | Refund) -> Any:
    """The next planned look at a row, now."""
    later(row)
    return payments.sweep(row.pk) if isinstance(row, Payment) else refund_calls.sweep(row.pk)


def agreed(till: Till) -> None:
    """The auditor finds nothing, and the gateway's register equals ours."""
    assert [str(one) for one in audit.of_partners([till.partner])] == []
    theirs, given_back = till.register()
    alive = {(p["id"], p["amount"], p["metadata"]["payment"]) for p in theirs if p["status"] == "succeeded"}
    assert alive == {
        (p.gateway_id, str(p.amount), str(p.pk))
        for p in Payment.objects.filter(state__in=["succeeded", "refunded"])
    }
    assert {p["id"] for p in theirs} == set(
        Payment.objects.exclude(gateway_id="").values_list("gateway_id", flat=True)
    )
    done = {(r["id"], r["payment_id"], r["amount"]) for r in given_back if r["status"] == "succeeded"}
    ours = Refund.objects.filter(state="succeeded").select_related("payment")
    assert done == {(r.gateway_id, r.payment.gateway_id, str(r.amount)) for r in ours}


@pytest.fixture
def till_for(operator: LegalEntity, yookassa: Control) -> Callable[..., Till]:
    """Makes a till at a new shop of a gateway, for the current partner."""

    def make(
        partner: Partner, *, kind: GatewayKind = YOOKASSA, control: Control = yookassa, **options: Any
    ) -> Till:
        shop = str(next(_shops))
        control.add_shop(shop, "secret")
        with in_public():
            made = Connection.objects.create(
                kind="payment",
                connector=kind.path,
                name=f"{kind.name} {shop}",
                config=kind.config(shop, control),
                legal_entity=operator,
                **{"partner": partner, "is_test": partner.is_sandbox, **options},
            )
        customer = customers.register(phone="+79161234567")
        return Till(partner, made, customer, shop, control, kind.good)

    return make


@pytest.fixture
def till(partner: Partner, till_for: Callable[..., Till]) -> Iterator[Till]:
    """A till on the operator's connection, the only one that is enabled for this test."""
    others = Connection.objects.filter(kind="payment", partner=None, is_test=False, is_enabled=True)
    names = list(others.values_list("pk", flat=True))
    others.update(is_enabled=False)
    made = till_for(partner)
    Connection.objects.filter(pk=made.connection.pk).update(partner=None)
    yield made
    Connection.objects.filter(pk=made.connection.pk).update(is_enabled=False)
    Connection.objects.filter(pk__in=names).update(is_enabled=True)


@pytest.fixture
def limits() -> Iterator[Callable[..., None]]:
    """limits(role, one=, day=): what a role may give back alone."""

    def put(role: str, one: str | None = None, day: str | None = None) -> None:
        RefundLimit.objects.update_or_create(
            role=role, defaults={"one": one and Decimal(one), "day": day and Decimal(day)}
        )

    yield put
    with in_public():
        RefundLimit.objects.all().delete()
        RefundTally.objects.all().delete()
        RefundReason.objects.all().delete()


def planned(kind: str, object_id: UUID) -> bool:
    """Whether a task is planned."""
    return Due.objects.filter(kind=kind, object_id=object_id).exists()
