"""Money is taken once, by what the gateway shows, and nothing else."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import transaction

from apps.connectors.models import InboundMessage
from apps.core import clock
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.search import find
from apps.core.tenancy import in_partner
from apps.ledger.models import Transfer
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.models import Payment, PaymentMethod
from tests.conftest import eventually
from tests.payments.conftest import PRICE, Till, agreed, later, look, thread


def test_first_payment_saves_its_method_and_renewal_charges_it(
    till: Till, deliver: Callable[[], int]
) -> None:
    channel = till.customer.pk  # any id: a dimension is only carried along
    written = till.start(channel_id=channel, product_id=7)
    deliver()
    payment = Payment.objects.get(pk=written.pk)
    assert (payment.state, payment.is_open) == ("pending", True)
    assert payments.send(payment.pk).gateway_id == payment.gateway_id
    answer = till.gateway.pay(payment.confirmation_url)
    assert answer.headers["location"] == "https://shop.example/thanks"
    payment = payments.settle(payment.pk)
    assert payment.is_paid
    assert payments.settle(payment.pk).settled_at == payment.settled_at
    method = PaymentMethod.objects.get(customer=till.customer)
    assert (method.title, method.is_active, payment.method) == ("•• 4477", True, method)
    assert till.events(payment) == ["payments.PaymentSucceeded"]
    assert find(payment.gateway_id).get().object_id == payment.pk

    renewal = till.charge(method)
    deliver()
    renewal.refresh_from_db()
    assert (renewal.state, renewal.confirmation_url) == ("succeeded", "")
    moved = Transfer.objects.filter(partner=till.partner).order_by("pk")
    assert list(moved.values_list("debit", "credit", "amount", "kind")) == [
        ("clearing", "receivable", Decimal("399.00"), "new"),
        ("fee", "clearing", Decimal("13.96"), "new"),
        ("clearing", "receivable", Decimal("399.00"), "renewal"),
        ("fee", "clearing", Decimal("13.96"), "renewal"),
    ]
    first = moved[0]
    assert (first.connection_id, first.seller_id) == (till.connection.pk, till.connection.legal_entity_id)
    assert (first.customer_id, first.channel_id, first.product_id) == (till.customer.pk, channel, 7)
    agreed(till)


def test_declines_end_a_payment_with_the_banks_reason(till: Till) -> None:
    assert till.paid(card="5555555555554600").decline_reason == "insufficient_funds"
    poor, gone = till.method("4000000000000341"), till.method("4000000000000127")
    declined = payments.send(till.charge(poor).pk)
    assert (declined.state, declined.decline_reason, declined.is_lost) == (
        "failed",
        "insufficient_funds",
        True,
    )
    assert till.events(declined) == ["payments.PaymentFailed"]
    poor.refresh_from_db()
    assert poor.is_active
    # The bank says that its owner has taken the consent back: the method is never charged again.
    assert payments.send(till.charge(gone).pk).decline_reason == "permission_revoked"
    gone.refresh_from_db()
    assert gone.refused_at
    with pytest.raises(Refused, match="method_refused"):
        till.charge(gone)
    agreed(till)


def test_page_that_nobody_pays_expires(sandbox_partner: Partner, till_for: Callable[..., Till]) -> None:
    till = till_for(sandbox_partner)
    payment = till.pending()
    try:
        till.gateway.set_clock(clock.now() + timedelta(hours=3))
        assert eventually(lambda: not look(payment).is_open)
    finally:
        till.gateway.set_clock(None)
    payment.refresh_from_db()
    assert (payment.state, payment.decline_reason) == ("failed", "expired_on_confirmation")


def test_dropped_answer_is_unknown_and_charged_once(till: Till) -> None:
    method = till.method()
    match = {"operation": "create_payment", "shop": till.shop}
    till.gateway.fault("drop_answer", match=match)
    charge = payments.send(till.charge(method).pk)
    assert (charge.state, till.events(charge)) == ("unknown", [])
    assert payments.send(charge.pk).state == "unknown"
    assert look(charge).is_paid
    # Refused without being done, then "accepted, not finished": both end in one charge.
    till.gateway.fault("http_429", match=match)
    till.gateway.fault("http_202", match=match)
    charge = payments.send(till.charge(method).pk)
    assert charge.state == "created"
    assert look(charge).state == "unknown"
    assert look(charge).is_paid
    # Before the answer is lost for good the gateway forgets the key: then its list tells.
    till.gateway.fault("drop_answer", match=match)
    charge = payments.send(till.charge(method).pk)
    later(charge, timedelta(hours=30))
    assert payments.sweep(charge.pk).is_paid
    agreed(till)


def test_what_never_arrived_fails_only_when_the_gateway_says_so(till: Till) -> None:
    charge = till.charge(till.method())
    till.gateway.fault("http_500", match={"operation": "create_payment", "shop": till.shop})
    assert payments.send(charge.pk).state == "unknown"
    assert look(charge).is_paid
    till.gateway.fault("http_500", times=2, match={"operation": "create_payment", "shop": till.shop})
    lost = payments.send(till.start().pk)
    later(lost, timedelta(hours=25))
    till.gateway.fault("http_500", match={"operation": "list_payments"})
    assert payments.sweep(lost.pk).state == "unknown"
    assert "не сказал" in till.work(lost)
    lost = payments.sweep(lost.pk)
    assert (lost.state, lost.decline_reason, till.work(lost)) == ("failed", "never_received", "")
    agreed(till)


def test_two_workers_and_a_double_click_charge_once(till: Till) -> None:
    charge = till.charge(till.method())

    for worker in [thread(till, lambda: payments.send(charge.pk)) for _ in range(4)]:
        worker.join()
    assert payments.settle(charge.pk).is_paid
    assert len(till.register()[0]) == 2
    agreed(till)


def test_partners_own_connection_keeps_the_money_out_of_the_operators_clearing(
    partner: Partner, till_for: Callable[..., Till]
) -> None:
    till = till_for(partner)
    payments.refund(payment=till.paid(), amount=Money(Decimal("99.00")), reason="часть", actor="finance")
    moved = Transfer.objects.filter(partner=partner)
    assert list(moved.values_list("debit", "credit", "owner")) == [
        ("partner_payable", "receivable", "partner")
    ]


def test_sandbox_never_charges_a_live_connection(
    till: Till, sandbox_partner: Partner, till_for: Callable[..., Till]
) -> None:
    with in_partner(sandbox_partner):
        with pytest.raises(Refused, match="no_connection"), transaction.atomic():
            Till(sandbox_partner, till.connection, till.customer, "", till.gateway).start()
        made = till_for(sandbox_partner).paid()
        assert made.is_paid
        assert made.connection.is_test
        Payment.objects.get(pk=made.pk)
        assert set(Transfer.objects.filter(partner=sandbox_partner).values_list("is_sandbox", flat=True)) == {
            True
        }


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@pytest.fixture
def hook(till: Till) -> Iterator[str]:
    """The real address of the shop's webhooks."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), _Threads, _Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://localhost:{server.server_port}/hooks/{till.connection.pk}/"
    till.gateway.add_shop(till.shop, "secret", url)
    yield url
    till.gateway.add_shop(till.shop, "secret", None)
    server.shutdown()
    server.server_close()


def test_webhooks_are_proven_at_the_gateway(
    till: Till, hook: str, deliver: Callable[[], int], eventually_processed: Callable[[int], None]
) -> None:
    payment, other = till.pending(), till.pending()
    # Forged: says that another, unpaid, payment came; and one that says another sum.
    till.gateway.resend_webhook(other.gateway_id, event="payment.succeeded", altered={"status": "succeeded"})
    eventually_processed(1)
    other.refresh_from_db()
    assert (other.state, till.events(other)) == ("pending", [])
    till.gateway.fault("duplicate_webhook", copies=3, match={"payment_id": payment.gateway_id})
    till.gateway.pay(payment.confirmation_url)
    eventually_processed(2)
    payment.refresh_from_db()
    assert payment.is_paid
    # Replayed and reordered: "canceled" after "succeeded", and the same once more.
    till.gateway.resend_webhook(payment.gateway_id, times=2)
    till.gateway.resend_webhook(payment.gateway_id, event="payment.canceled", altered={"status": "canceled"})
    till.gateway.resend_webhook(
        payment.gateway_id,
        event="payment.succeeded",
        altered={"amount": {"value": "1.00", "currency": "RUB"}},
    )
    eventually_processed(4)
    payment.refresh_from_db()
    assert (payment.amount, payment.is_paid) == (PRICE.amount, True)
    assert till.events(payment) == ["payments.PaymentSucceeded"]
    # A refund made in the gateway's own cabinet is ours too.
    till.gateway.cabinet_refund(payment.gateway_id, "100.00")
    eventually_processed(5)
    assert payment.refunds.get().amount == Decimal("100.00")
    assert payment.refundable() == Decimal("299.00")
    till.gateway.pay(other.confirmation_url)
    eventually_processed(6)
    agreed(till)


@pytest.fixture
def eventually_processed(till: Till, deliver: Callable[[], int]) -> Callable[[int], None]:
    """Waits until so many different messages came, and what they lead to is done."""
    from apps.core.tasks import run_once

    def run(count: int) -> None:
        came = InboundMessage.objects.filter(connection=till.connection)
        eventually(lambda: came.count() >= count)
        # What other tests left due may come again and again, and is nothing to wait for.
        eventually(lambda: run_once() >= 0 and not came.filter(state="new").exists())
        deliver()
        assert came.count() == count

    return run
