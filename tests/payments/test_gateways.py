"""The one contract of every gateway: bought, saved, charged, declined, given back; lost answers double nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.test import Client

from apps.connectors import webhooks
from apps.connectors.models import InboundMessage
from apps.core import audit, due
from apps.core.models import Due
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.payments import calling, payments, refund_calls, refunds
from apps.payments.declines import class_of
from apps.payments.models import Payment, Refund
from apps.sandbox.control import Control
from tests.payments.conftest import Till, later, look
from tests.payments.gateways import GATEWAYS, GatewayKind


@pytest.fixture(params=GATEWAYS, ids=lambda one: one.name)
def kind(request: pytest.FixtureRequest) -> GatewayKind:
    found: GatewayKind = request.param
    return found


@pytest.fixture
def counter(
    kind: GatewayKind, request: pytest.FixtureRequest, partner: Partner, till_for: Callable[..., Till]
) -> Till:
    """A till at a shop of this gateway, on a connection of the partner's own."""
    control: Control = request.getfixturevalue(kind.name)
    return till_for(partner, kind=kind, control=control)


def agree(till: Till, kind: GatewayKind) -> None:
    """The auditor finds nothing, and what the gateway took and gave back is what we say, once each."""
    assert [str(v) for v in audit.of_partners([till.partner])] == []
    theirs, given_back = till.register()
    taken = [
        (*kind.in_register(row), Decimal(row["amount"])) for row in theirs if row["status"] == "succeeded"
    ]
    ours = Payment.objects.filter(state__in=["succeeded", "refunded"], amount__gt=0)
    name = kind.in_register(theirs[0])[0] if theirs else "key"
    mine = [(name, str(row.pk if name == "key" else row.reference_id), row.amount) for row in ours]
    assert sorted(taken) == sorted(mine)
    back = sorted(Decimal(row["amount"]) for row in given_back if row["status"] == "succeeded")
    assert back == sorted(Refund.objects.filter(state="succeeded").values_list("amount", flat=True))


@pytest.mark.parametrize(
    ("name", "ours", "told"),
    [("amount", Decimal("1.00"), "сумма: 1.00 ≠ 399.00"), ("currency", "USD", "валюта: USD ≠ RUB")],
)
def test_another_sum_or_currency_settles_nothing(
    counter: Till, kind: GatewayKind, name: str, ours: Any, told: str
) -> None:
    """T-Bank and Robokassa name no currency: theirs is the rouble, so that ours, if another, is noticed."""
    payment = counter.pending()
    mine = Payment.objects.filter(pk=payment.pk)
    was = getattr(payment, name)
    mine.update(**{name: ours})
    counter.gateway.pay(payment.confirmation_url, card=kind.good)
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.is_paid, counter.events(payment)) == ("unknown", False, [])
    assert told in counter.work(payment)
    mine.update(**{name: was})
    assert look(payment).is_paid
    assert counter.work(payment) == ""
    agree(counter, kind)


def test_a_payment_of_another_reference_settles_nothing(counter: Till, kind: GatewayKind) -> None:
    paid, waiting = counter.paid(), counter.pending()
    known = Payment.objects.filter(pk=waiting.pk)
    known.update(gateway_id=paid.gateway_id)
    counter.gateway.pay(waiting.confirmation_url, card=kind.good)
    if kind.name == "cloudpayments":
        # Asked by our reference alone, it keeps the number of its order: a wrong one of ours misleads nobody.
        assert payments.settle(waiting.pk).is_paid
        known.update(gateway_id=waiting.gateway_id)
    else:
        assert payments.settle(waiting.pk).state == "unknown"
        assert "У шлюза другой платёж" in counter.work(waiting)
        assert counter.events(waiting) == []
        known.update(gateway_id=waiting.gateway_id)
        assert look(waiting).is_paid
    agree(counter, kind)


def test_bought_saved_renewed_and_given_back(counter: Till, kind: GatewayKind) -> None:
    first = counter.paid(card=kind.three_ds)
    assert (first.state, first.is_paid) == ("succeeded", True)
    assert first.method is not None
    assert first.method.title == f"•• {kind.three_ds[-4:]}"
    assert bool(first.method.fingerprint) == kind.knows_cards
    renewal = payments.send(counter.charge(first.method).pk)
    renewal = payments.settle(renewal.pk)
    assert (renewal.state, renewal.confirmation_url) == ("succeeded", "")
    part = refunds.refund(payment=renewal, amount=Money(Decimal("99.50")), reason="часть", actor="t")
    refund_calls.send(part.pk)
    assert look(part).state == "succeeded"
    rest = refunds.refund(payment=renewal, reason="остаток", actor="t")
    refund_calls.send(rest.pk)
    assert look(rest).state == "succeeded"
    renewal.refresh_from_db()
    assert renewal.state == "refunded"
    agree(counter, kind)


def test_what_the_bank_declines_costs_nothing_and_says_why(counter: Till, kind: GatewayKind) -> None:
    refused = counter.paid(card=kind.poor)
    assert (refused.state, refused.decline_reason) == ("failed", kind.funds)
    method = counter.method(kind.poor_later)
    renewal = payments.settle(payments.send(counter.charge(method).pk).pk)
    assert (renewal.state, renewal.decline_reason) == ("failed", kind.funds)
    assert class_of(renewal.decline_reason, counter.connection) == kind.funds_class
    agree(counter, kind)


@pytest.mark.crossed("kind")
@pytest.mark.parametrize("fault", ["drop_answer", "http_500"])
@pytest.mark.parametrize("committed", [False, True])
def test_a_charge_whose_answer_is_lost_is_made_once(
    counter: Till, kind: GatewayKind, fault: str, committed: bool
) -> None:
    method = counter.method(kind.good)
    # Each call of it in turn: the session, the charge itself.
    for operation in kind.charges:
        planned: dict[str, Any] = {"match": {"operation": operation, "shop": counter.shop}}
        if fault == "http_500":
            planned["committed"] = committed
        counter.gateway.fault(fault, **planned)
        charge = payments.send(counter.charge(method).pk)
        assert charge.is_open
        # Where a charge is begun and decided later, the first look begins it.
        assert look(charge).is_paid or look(charge).is_paid, operation
    agree(counter, kind)


def test_a_refund_whose_answer_is_lost_is_made_once(counter: Till, kind: GatewayKind) -> None:
    payment = counter.paid(card=kind.good)
    counter.gateway.fault("drop_answer", match={"operation": kind.refund, "shop": counter.shop})
    made = refunds.refund(payment=payment, amount=Money(Decimal("100.00")), reason="часть", actor="t")
    assert refund_calls.send(made.pk).state == "unknown"
    if not kind.refunds_are_found:
        # Made again it would go back twice: a person looks at the gateway's cabinet.
        later(made, timedelta(hours=3))
        assert refund_calls.sweep(made.pk).state == "unknown"
        assert "Возврат не завершён" in counter.work(made)
        assert len(counter.register()[1]) == 1
        return
    assert look(made).state == "succeeded"
    agree(counter, kind)


def test_a_page_that_never_came_takes_nothing(counter: Till, kind: GatewayKind) -> None:
    if not kind.create:
        pytest.skip("A page here is a link: nothing is asked for it")
    counter.gateway.fault("drop_answer", match={"operation": kind.create, "shop": counter.shop})
    payment = payments.send(counter.start().pk)
    assert payment.state == "unknown"
    payment = look(payment)
    # Either its page is known after all, or nothing can come of it any more.
    assert bool(payment.confirmation_url) == (payment.state == "pending")
    assert payment.state in {"pending", "failed"}
    agree(counter, kind)


def test_a_page_that_nobody_paid_for_a_day_is_over(counter: Till, kind: GatewayKind) -> None:
    if kind.ends_pages:
        pytest.skip("This gateway ends its pages by itself, by its own clock")
    payment = counter.pending()
    later(payment, timedelta(hours=26))
    payment = payments.sweep(payment.pk)
    assert (payment.state, payment.decline_reason) == ("failed", "expired_on_confirmation")
    # Where the page still takes money, all of it goes back by itself.
    counter.gateway.pay(page_of(counter, payment), card=kind.good)
    payment = payments.settle(payment.pk)
    if payment.state == "refunded":
        made = payment.refunds.get()
        refund_calls.send(made.pk)
        assert look(made).state == "succeeded"
    agree(counter, kind)


def page_of(till: Till, payment: Payment) -> str:
    """The page as the customer still has it open."""
    gateway = till.connection.open()
    found: str = gateway.create_payment(calling._request(payment)).confirmation_url
    return found


def test_a_charge_under_way_is_asked_about_until_it_is_decided(counter: Till, kind: GatewayKind) -> None:
    method = counter.method(kind.good)
    counter.gateway.fault("pending", match={"operation": kind.charges[-1], "shop": counter.shop})
    charge = payments.send(counter.charge(method).pk)
    assert charge.state == "pending"
    assert look(charge).state == "pending"
    counter.gateway.settle(charge.gateway_id)
    assert look(charge).is_paid
    agree(counter, kind)


def test_its_webhooks_settle_and_forged_ones_change_nothing(
    counter: Till, kind: GatewayKind, deliver: Callable[[], int]
) -> None:
    payment = counter.pending()
    httpx.get(payment.confirmation_url, trust_env=False, verify=False)
    counter.gateway.fault("no_webhook", times=9, match={"shop": counter.shop})
    before = Payment.objects.get(pk=payment.pk)
    for altered in ({"Status": "CONFIRMED", "status": "succeeded"}, {"OrderId": "1", "id": "1"}):
        counter.gateway.resend_webhook(payment.gateway_id, altered=altered)
    for hook in counter.gateway.webhooks(payment_id=payment.gateway_id):
        assert arrive(counter, hook, kind) == 200
    deliver()
    payment.refresh_from_db()
    assert (payment.state, payment.gateway_id) == ("pending", before.gateway_id)
    counter.gateway.pay(payment.confirmation_url, card=kind.good)
    counter.gateway.resend_webhook(payment.gateway_id, times=2)
    for hook in counter.gateway.webhooks(payment_id=payment.gateway_id)[-2:]:
        assert arrive(counter, hook, kind) == 200
    deliver()
    payment.refresh_from_db()
    assert payment.is_paid
    agree(counter, kind)


def arrive(till: Till, hook: dict[str, Any], kind: GatewayKind) -> int:
    """A message as the gateway posts it, read as a worker reads it."""
    client = Client(headers={"host": "localhost"})
    with in_public():
        address = f"/hooks/{till.connection.pk}/"
        headers = dict(hook.get("headers") or {"Content-Type": "application/json"})
        content = hook.get("content") or json.dumps(hook["body"])
        answer = client.post(address, content, content_type=headers.pop("Content-Type"), headers=headers)
        assert answer.content.decode().startswith(kind.acknowledged)
        mine = InboundMessage.objects.filter(connection=till.connection).values("pk")
        for row in Due.objects.filter(kind=webhooks.TASK, object_id__in=mine):
            assert due.run(row)
    return answer.status_code
