"""SBP at every gateway that offers it: paid behind a QR, the account saved, charged, taken back at the bank."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from apps.core.errors import Refused
from apps.core.money import Money
from apps.partners.models import Partner
from apps.payments import payments, refund_calls, refunds
from apps.payments.models import Payment, Refund
from apps.sandbox.control import Control
from tests.payments.conftest import PRICE, Till, later, look, planned
from tests.payments.gateways import CLOUDPAYMENTS, GATEWAYS, ROBOKASSA, TBANK, YOOKASSA, GatewayKind
from tests.payments.test_gateways import agree
from tests.sandbox.conftest import eventually

OFFER = [YOOKASSA, TBANK, CLOUDPAYMENTS]


@pytest.fixture(params=OFFER, ids=lambda one: one.name)
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


def paid(till: Till) -> Payment:
    """A first payment behind a QR."""
    payment = till.pending(instrument="sbp")
    assert payment.confirmation_url
    page = httpx.get(payment.confirmation_url, trust_env=False, verify=False)
    assert "<svg" in page.text
    till.gateway.pay_sbp(payment.confirmation_url)
    return payments.settle(payment.pk)


def test_paid_by_qr_saved_renewed_and_given_back(counter: Till, kind: GatewayKind) -> None:
    first = paid(counter)
    assert (first.state, first.instrument) == ("succeeded", "sbp")
    assert first.method is not None
    assert first.method.instrument == "sbp"
    assert "СБП" in first.method.title
    renewal = payments.settle(payments.send(counter.charge(first.method).pk).pk)
    assert (renewal.state, renewal.instrument) == ("succeeded", "sbp")
    made = refunds.refund(payment=renewal, reason="r", actor="t")
    made = refund_calls.send(made.pk)
    # Through SBP money goes back when the payer's bank has taken it.
    assert made.state == "pending"
    assert eventually(lambda: look(made).state == "succeeded")
    agree(counter, kind)


def waiting(till: Till, kind: GatewayKind, payment: Payment, amount: str | None = None) -> Refund:
    """A refund that the payer's bank keeps waiting."""
    till.gateway.fault("pending", match={"operation": kind.refund, "shop": till.shop})
    money = Money(Decimal(amount)) if amount else None
    made = refunds.refund(payment=payment, amount=money, reason="r", actor="t")
    return refund_calls.send(made.pk)


def number(kind: GatewayKind, made: Refund) -> str:
    """By what the simulator's control knows a refund: T-Bank has only its payment."""
    return made.payment.gateway_id if kind is TBANK else made.gateway_id


@pytest.mark.parametrize("code", ["6005", "I05043"])
def test_a_refund_that_the_payers_bank_refuses_is_not_done(
    counter: Till, kind: GatewayKind, code: str
) -> None:
    if kind is CLOUDPAYMENTS and not code.isdigit():
        pytest.skip("Its words are numbers")
    payment = paid(counter)
    made = waiting(counter, kind, payment)
    assert made.state == "pending"
    assert look(made).state == "pending"
    counter.gateway.settle(number(kind, made), code)
    made = look(made)
    # An account that is not there any more is paid by bank transfer; else staff decide.
    by_bank = code == "I05043"
    assert (made.state, made.route) == (("pending", "bank") if by_bank else ("failed", "gateway"))
    assert made.decline_reason == code
    assert counter.work(made)
    payment.refresh_from_db()
    assert payment.state == "succeeded"
    if not by_bank:
        agree(counter, kind)
        again = refund_calls.send(refunds.refund(payment=payment, reason="r", actor="t").pk)
        assert eventually(lambda: look(again).state == "succeeded")
    agree(counter, kind)


def test_refunds_of_one_payment_go_one_after_the_other(counter: Till, kind: GatewayKind) -> None:
    payment = paid(counter)
    first = waiting(counter, kind, payment, "100.00")
    second = refunds.refund(payment=payment, amount=Money(Decimal("100.00")), reason="r", actor="t")
    assert refund_calls.send(second.pk).state == "created"
    assert look(second).state == "created"
    assert planned(refund_calls.SWEEP, second.pk)
    counter.gateway.settle(number(kind, first))
    assert look(first).state == "succeeded"
    assert look(second).state == "pending"
    assert eventually(lambda: look(second).state == "succeeded")
    agree(counter, kind)


@pytest.mark.parametrize("committed", [False, True])
def test_a_refund_whose_answer_is_lost_goes_back_once(
    counter: Till, kind: GatewayKind, committed: bool
) -> None:
    payment = paid(counter)
    match = {"operation": kind.refund, "shop": counter.shop}
    counter.gateway.fault("http_500", match=match, committed=committed)
    made = refunds.refund(payment=payment, amount=Money(Decimal("100.00")), reason="r", actor="t")
    assert refund_calls.send(made.pk).state == "unknown"
    if kind is TBANK and not committed:
        # By its key it is not known: asked for again it might go back twice. It is not asked for again.
        assert look(made).state == "unknown"
        assert counter.register()[1] == []
        later(made, timedelta(minutes=20))
        made = refund_calls.sweep(made.pk)
        assert (made.state, made.decline_reason) == ("failed", "never_received")
        assert "Возврат не исполнен" in counter.work(made)
        # Staff give it back again: there is nothing that it could be mistaken for.
        made = refund_calls.send(refunds.refund(payment=payment, reason="r", actor="t").pk)
    assert eventually(lambda: look(made).state == "succeeded")
    agree(counter, kind)


def test_who_declines_in_the_bank_pays_nothing(counter: Till, kind: GatewayKind) -> None:
    payment = counter.pending(instrument="sbp")
    counter.gateway.pay_sbp(payment.confirmation_url, agree=False)
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.method) == ("failed", None)
    agree(counter, kind)


def test_an_account_taken_back_at_the_bank_is_charged_no_more(counter: Till, kind: GatewayKind) -> None:
    method = paid(counter).method
    assert method is not None
    counter.gateway.revoke_method(method.token.rpartition("/")[2])
    charge = payments.settle(payments.send(counter.charge(method).pk).pk)
    assert charge.state == "failed"
    method.refresh_from_db()
    assert (method.is_active, method.refused_how) == (False, "bank")
    with pytest.raises(Refused, match="отозвал"):
        counter.charge(method)
    agree(counter, kind)


@pytest.mark.parametrize("committed", [False, True])
def test_a_charge_whose_answer_is_lost_is_made_once(
    counter: Till, kind: GatewayKind, committed: bool
) -> None:
    method = paid(counter).method
    assert method is not None
    calls = ("Init", "ChargeQr") if kind is TBANK else kind.charges
    for operation in calls:
        match = {"operation": operation, "shop": counter.shop}
        counter.gateway.fault("http_500", match=match, committed=committed)
        charge = payments.send(counter.charge(method).pk)
        assert charge.is_open
        assert look(charge).is_paid, operation
    agree(counter, kind)


@pytest.mark.parametrize("kind", [one for one in GATEWAYS if one is not ROBOKASSA], ids=lambda one: one.name)
def test_too_little_and_holding_are_refused(counter: Till, kind: GatewayKind) -> None:
    with pytest.raises(Refused) as refused:
        counter.start(instrument="sbp", amount=Money(PRICE.amount / 100))
    assert refused.value.code == "amount_too_small"
    with pytest.raises(Refused) as refused:
        counter.start(instrument="sbp", capture=False)
    assert refused.value.code == "no_two_stage"


@pytest.mark.parametrize("kind", [ROBOKASSA], ids=["robokassa"])
def test_a_gateway_without_it_says_so(counter: Till, kind: GatewayKind) -> None:
    with pytest.raises(Refused) as refused:
        counter.start(instrument="sbp")
    assert refused.value.code == "instrument_not_offered"


@pytest.mark.parametrize("kind", [TBANK], ids=["tbank"])
@pytest.mark.parametrize(("code", "known_as"), [("3013", "card"), ("3041", "card"), ("3040", "")])
def test_words_of_tbank_about_an_account(counter: Till, kind: GatewayKind, code: str, known_as: str) -> None:
    method = paid(counter).method
    assert method is not None
    counter.gateway.fault("decline", match={"operation": "ChargeQr", "shop": counter.shop}, reason=code)
    charge = payments.send(counter.charge(method).pk)
    if code == "3040":
        # A technical error has decided nothing: the same session is charged again.
        assert charge.state == "unknown"
        assert look(charge).is_paid
    else:
        assert (charge.state, charge.decline_reason) == ("failed", code)
        assert counter.connection.connector_class.decline_classes[code] == known_as
    agree(counter, kind)
