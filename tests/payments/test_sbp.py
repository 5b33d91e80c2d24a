"""SBP at every gateway that offers it: paid behind a QR, the account saved, charged, taken back at the bank."""

from collections.abc import Callable

import httpx
import pytest

from apps.core.errors import Refused
from apps.core.money import Money
from apps.partners.models import Partner
from apps.payments import payments, refund_calls, refunds
from apps.payments.models import Payment
from apps.sandbox.control import Control
from tests.payments.conftest import PRICE, Till, look
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
    if kind is not CLOUDPAYMENTS:
        # Through SBP money goes back when the payer's bank has taken it.
        assert made.state == "pending"
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
