"""Orders that are paid together are delivered together: in as many statements as two of them, each by itself all the
same."""

from collections.abc import Iterable
from uuid import UUID

import pytest
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts import customers
from apps.connectors.base import ConnectorError
from apps.core import audit, events, gather
from apps.core.tenancy import connection
from apps.orders import provisioning, services
from apps.orders.models import Fulfilment, History, Order, Service
from apps.payments import payments
from tests.orders.shop import GOOD, Shop


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements each batch of paid invoices took."""
    found: list[int] = []
    whole = services.invoices_paid

    def counted(invoice_ids: Iterable[UUID]) -> None:
        with CaptureQueriesContext(connection) as made:
            whole(invoice_ids)
            gather.flush()
        found.append(len(made))

    monkeypatch.setattr(services, "invoices_paid", counted)
    return found


def paid(shop: Shop, count: int) -> list[Order]:
    """Orders that are paid, and whose fulfilments wait for their provider."""
    offer = shop.offer()
    orders = [shop.order(offer) for _ in range(count)]
    for order in orders:
        payment = order.payment()
        assert payment is not None
        shop.gateway.pay(payment.confirmation_url, card=GOOD)
        payments.settle(payment.pk)
    while events.deliver(shop.partner.pk):
        pass
    return orders


def asked(orders: list[Order]) -> dict[UUID, provisioning.Asked]:
    keys = Fulfilment.objects.filter(order__in=orders).values_list("pk", flat=True)
    return provisioning.claim(list(keys))


def test_many_take_no_statement_more_than_two(shop: Shop, counts: list[int]) -> None:
    def deliver(count: int) -> list[int]:
        counts.clear()
        orders = paid(shop, count)
        with CaptureQueriesContext(connection) as claiming:
            plans = asked(orders)
        answers = [(one, provisioning.call(one)) for one in plans.values()]
        with CaptureQueriesContext(connection) as concluding, transaction.atomic(), gather.gathering():
            provisioning.conclude(answers)
        assert [one.state for one in Order.objects.filter(pk__in=[one.pk for one in orders])] == [
            "completed"
        ] * count
        return [*counts, len(claiming), len(concluding)]

    # What is read once a process is read by the first.
    deliver(1)
    assert deliver(2) == deliver(6)
    shop.deliver()
    assert list(audit.run([shop.partner.pk])) == []


def test_each_goes_its_own_way(shop: Shop) -> None:
    orders = paid(shop, 4)
    plans = list(asked(orders).values())
    erased, refused, late, good = plans
    customers.erase(erased.fulfilment.service.customer, actor="test")
    answers = [
        (erased, provisioning.call(erased)),
        (refused, ConnectorError("no such product")),
        (late, ConnectorError("", retry=True, unknown=True)),
        (good, provisioning.call(good)),
    ]
    with transaction.atomic(), gather.gathering():
        provisioning.conclude(answers)
    states = dict(Fulfilment.objects.values_list("pk", "state"))
    assert [states[one.fulfilment.pk] for one in plans] == ["done", "needs_staff", "unknown", "done"]
    keys = dict(Service.objects.values_list("request_id", "key"))
    given = [bool(keys[one.fulfilment.pk]) for one in plans]
    assert given == [False, False, False, True]
    lines = History.objects.filter(object_id=good.fulfilment.pk).values_list("was", "became")
    assert list(lines) == [("", "queued"), ("queued", "in_progress"), ("in_progress", "done")]
    shop.deliver()
    assert list(audit.run([shop.partner.pk])) == []


def test_what_fails_at_the_end_takes_all_of_its_batch_back(shop: Shop) -> None:
    plans = list(asked(paid(shop, 2)).values())
    answer = provisioning.call(plans[0])
    with pytest.raises(LookupError), transaction.atomic(), gather.gathering():
        provisioning.conclude([(plans[0], answer), (plans[1], LookupError())])
    assert set(Fulfilment.objects.values_list("state", flat=True)) == {"in_progress"}
    assert set(Service.objects.values_list("state", flat=True)) == {"pending_active"}
