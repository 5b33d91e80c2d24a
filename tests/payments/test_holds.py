"""Money held first, at every gateway that can: taken in full or in part, let go, expired; never twice."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from apps.connectors.base import ConnectorError
from apps.core import faults
from apps.core.errors import Refused
from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.partners.models import Partner
from apps.payments import payments, refund_calls, refunds
from apps.payments.calling import _request
from apps.payments.models import Payment
from apps.sandbox.control import Control
from tests.payments.conftest import Till, look
from tests.payments.gateways import GATEWAYS, ROBOKASSA, TBANK, YOOKASSA, GatewayKind
from tests.payments.test_gateways import agree

PART = Money(Decimal("150.25"))


@pytest.fixture(params=[one for one in GATEWAYS if one.capture], ids=lambda one: one.name)
def kind(request: pytest.FixtureRequest) -> GatewayKind:
    found: GatewayKind = request.param
    return found


@pytest.fixture
def counter(
    kind: GatewayKind, request: pytest.FixtureRequest, partner: Partner, till_for: Callable[..., Till]
) -> Till:
    control: Control = request.getfixturevalue(kind.name)
    return till_for(partner, kind=kind, control=control)


def held(till: Till, kind: GatewayKind) -> Payment:
    """A first payment whose money is held."""
    payment = till.paid(card=kind.good, capture=False)
    assert (payment.state, payment.is_open, payment.is_paid) == ("authorized", True, False)
    assert till.events(payment) == ["payments.PaymentAuthorized"]
    assert not Transfer.objects.filter(document_id=payment.pk).exists()
    return payment


def test_taken_in_full_and_the_method_is_saved(counter: Till, kind: GatewayKind) -> None:
    payment = held(counter, kind)
    payments.capture(payment.pk, actor="t")
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.amount) == ("succeeded", Decimal("399.00"))
    assert payment.method is not None
    charge = payments.send(counter.start(method=payment.method, capture=False).pk)
    charge = payments.settle(charge.pk)
    assert charge.state == "authorized"
    payments.capture(charge.pk)
    assert payments.settle(charge.pk).is_paid
    agree(counter, kind)


def test_taken_in_part_and_no_more_goes_back_than_that(counter: Till, kind: GatewayKind) -> None:
    payment = held(counter, kind)
    payments.capture(payment.pk, PART)
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.amount) == ("succeeded", PART.amount)
    assert payment.refundable() == PART.amount
    with pytest.raises(Refused):
        refunds.refund(payment=payment, amount=Money(Decimal("399.00")), reason="r", actor="t")
    made = refunds.refund(payment=payment, reason="r", actor="t")
    refund_calls.send(made.pk)
    assert look(made).state == "succeeded"
    agree(counter, kind)


def test_let_go(counter: Till, kind: GatewayKind) -> None:
    payment = held(counter, kind)
    payments.release(payment.pk, actor="t")
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.is_open) == ("failed", False)
    assert counter.events(payment) == ["payments.PaymentAuthorized", "payments.PaymentFailed"]
    agree(counter, kind)


@pytest.mark.crossed("kind")
@pytest.mark.parametrize("fault", ["drop_answer", "http_500", "http_503"])
def test_a_capture_whose_answer_is_lost_is_made_once(counter: Till, kind: GatewayKind, fault: str) -> None:
    payment = held(counter, kind)
    committed = {"committed": True} if fault == "http_500" else {}
    counter.gateway.fault(fault, match={"operation": kind.capture, "shop": counter.shop}, **committed)
    payments.capture(payment.pk, PART)
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.second_stage) == ("authorized", "capture")
    payment = look(payment)
    assert (payment.state, payment.amount) == ("succeeded", PART.amount)
    agree(counter, kind)


def test_a_crash_after_the_capture_loses_nothing(counter: Till, kind: GatewayKind) -> None:
    payment = held(counter, kind)
    payments.capture(payment.pk)
    for point in ("payments.captured-not-recorded", "payments.fetched-not-recorded"):
        with faults.crash_at(point), pytest.raises(faults.Crash):
            payments.settle(payment.pk)
    assert look(payment).is_paid
    agree(counter, kind)


def test_decided_once(counter: Till, kind: GatewayKind) -> None:
    payment = held(counter, kind)
    for amount in (Money(Decimal("399.01")), Money(Decimal("0.00")), Money(Decimal("1.00"), "USD")):
        with pytest.raises(Refused, match="не больше"):
            payments.capture(payment.pk, amount)
    payments.capture(payment.pk, PART)
    payments.capture(payment.pk, PART)
    with pytest.raises(Refused) as refused:
        payments.capture(payment.pk)
    assert refused.value.code == "already_decided"
    with pytest.raises(Refused) as refused:
        payments.release(payment.pk)
    assert refused.value.code == "already_decided"
    payments.settle(payment.pk)
    with pytest.raises(Refused):
        payments.release(payment.pk)
    agree(counter, kind)


def test_what_the_gateway_will_not_take_is_decided_anew(counter: Till, kind: GatewayKind) -> None:
    payment = held(counter, kind)
    payments.capture(payment.pk)
    # Ours says less than theirs has: nothing of it comes there, whoever is asked.
    Payment.objects.filter(pk=payment.pk).update(capture_amount=Decimal("9999.00"))
    payment = payments.settle(payment.pk)
    payment.refresh_from_db()
    assert (payment.state, payment.second_stage, payment.capture_amount) == ("authorized", "", None)
    assert "Шлюз отказал" in counter.work(payment)
    payments.release(payment.pk)
    assert payments.settle(payment.pk).state == "failed"
    agree(counter, kind)


@pytest.mark.parametrize("kind", [YOOKASSA, TBANK], ids=["yookassa", "tbank"])
def test_what_nobody_took_for_a_week_is_let_go_by_the_gateway(counter: Till, kind: GatewayKind) -> None:
    payment = held(counter, kind)
    counter.gateway.set_clock(datetime.now(UTC) + timedelta(days=8))
    try:
        payment = look(payment)
    finally:
        counter.gateway.set_clock(None)
    # T-Bank calls it reversed, whoever let go of it.
    word = "reversed" if kind is TBANK else "expired_on_capture"
    assert (payment.state, payment.decline_reason) == ("failed", word)
    assert counter.events(payment) == ["payments.PaymentAuthorized", "payments.PaymentFailed"]
    assert not Transfer.objects.filter(document_id=payment.pk).exists()
    with pytest.raises(Refused):
        payments.capture(payment.pk)
    agree(counter, kind)


def test_nothing_is_taken_by_a_card_that_was_taken_back(counter: Till, kind: GatewayKind) -> None:
    method = counter.method(kind.good)
    charge = payments.send(counter.start(method=method, capture=False).pk)
    charge = payments.settle(charge.pk)
    payments.refuse_method(method, actor="t")
    with pytest.raises(Refused) as refused:
        payments.capture(charge.pk)
    assert refused.value.code == "method_refused"
    payments.release(charge.pk)
    assert payments.settle(charge.pk).state == "failed"
    agree(counter, kind)


@pytest.mark.parametrize("kind", [ROBOKASSA], ids=["robokassa"])
def test_a_gateway_that_holds_nothing_says_so(counter: Till, kind: GatewayKind) -> None:
    with pytest.raises(Refused) as refused:
        counter.start(capture=False)
    assert refused.value.code == "no_two_stage"
    payment = counter.pending()
    gateway = counter.connection.open()
    for call in (lambda asked: gateway.capture(asked, PART), gateway.release):
        with pytest.raises(ConnectorError):
            call(_request(payment))


@pytest.mark.parametrize("kind", [YOOKASSA], ids=["yookassa"])
def test_staff_take_and_let_go(counter: Till, kind: GatewayKind, staff_client: Callable[..., Client]) -> None:
    whole, let_go = held(counter, kind), held(counter, kind)
    urls = {name: f"admin:payments_payment_{name}" for name in ("change", "capture", "release")}

    def page(name: str, payment: Payment) -> str:
        return reverse(urls[name], args=[payment.pk], urlconf="armor.urls_partner")

    money = staff_client(counter.partner, role="finance", of=counter.partner)
    shown = money.get(page("change", whole)).content.decode()
    assert page("capture", whole) in shown
    assert "Деньги удержаны" in shown
    # A box of type=number would show a sum with a comma as nothing at all.
    box = re.search(r'<input[^>]*name="amount"[^>]*>', money.get(page("capture", whole)).content.decode())
    assert box is not None
    assert 'value="399,00"' in box[0]
    assert 'type="text"' in box[0]
    assert "не больше" in money.post(page("capture", whole), {"amount": "400"}).content.decode()
    support = staff_client(counter.partner, role="support", of=counter.partner)
    assert support.post(page("capture", whole), {"amount": "150,25"}).status_code == 403
    assert money.post(page("capture", whole), {"amount": "150,25"}).status_code == 302
    assert money.post(page("release", let_go)).status_code == 302
    whole.refresh_from_db()
    let_go.refresh_from_db()
    assert (whole.state, whole.amount, let_go.state) == ("succeeded", PART.amount, "failed")
    assert page("capture", whole) not in money.get(page("change", whole)).content.decode()
    agree(counter, kind)
