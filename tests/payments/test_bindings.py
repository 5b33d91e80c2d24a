"""A method saved without a payment, where a gateway can; where it cannot, by a rouble that goes back."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.models import Payment
from apps.sandbox.control import Control
from tests.payments.conftest import Till, later, look
from tests.payments.gateways import GATEWAYS, TBANK, GatewayKind
from tests.payments.test_gateways import agree, arrive

CASES = [(kind, instrument) for kind in GATEWAYS for instrument in kind.binds]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].name}-{case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[GatewayKind, str]:
    found: tuple[GatewayKind, str] = request.param
    return found


@pytest.fixture
def counter(
    case: tuple[GatewayKind, str],
    request: pytest.FixtureRequest,
    partner: Partner,
    till_for: Callable[..., Till],
) -> Till:
    control: Control = request.getfixturevalue(case[0].name)
    till = till_for(partner, kind=case[0], control=control)
    till.connection.config = {**till.connection.config, "binds_free": True}
    till.connection.save(update_fields=["config"])
    return till


def begin(till: Till, instrument: str, **options: Any) -> Payment:
    rouble = Money(Decimal("1.00"))
    return till.pending(amount=rouble, purpose="binding", instrument=instrument, **options)


def agreed(till: Till, kind: GatewayKind, payment: Payment, *, agree: bool = True) -> None:
    """The customer saves the method on the page."""
    if payment.instrument == "sbp":
        till.gateway.pay_sbp(payment.confirmation_url, agree=agree)
    else:
        till.gateway.pay(payment.confirmation_url, card=kind.good if agree else kind.poor)


def test_saved_without_a_kopeck_and_charged_later(counter: Till, case: tuple[GatewayKind, str]) -> None:
    kind, instrument = case
    payment = begin(counter, instrument)
    assert (payment.state, payment.amount) == ("pending", Decimal("0.00"))
    agreed(counter, kind, payment)
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.refundable()) == ("succeeded", Decimal("0.00"))
    method = payment.method
    assert method is not None
    assert method.instrument == instrument
    assert counter.events(payment) == ["payments.PaymentSucceeded"]
    assert not Transfer.objects.filter(document_id=payment.pk).exists()
    assert counter.register() == ([], [])
    charge = payments.settle(payments.send(counter.charge(method).pk).pk)
    assert charge.is_paid
    agree(counter, kind)


def test_who_declines_saves_nothing(counter: Till, case: tuple[GatewayKind, str]) -> None:
    kind, instrument = case
    payment = begin(counter, instrument)
    agreed(counter, kind, payment, agree=False)
    payment = payments.settle(payment.pk)
    assert (payment.state, payment.method) == ("failed", None)


def test_a_page_that_was_lost_is_made_again_and_one_left_alone_ends(
    counter: Till, case: tuple[GatewayKind, str]
) -> None:
    kind, instrument = case
    operation = (
        {"bank_card": "AddCard", "sbp": "AddAccountQr"}[instrument]
        if kind is TBANK
        else "create_payment_method"
    )
    counter.gateway.fault("drop_answer", match={"operation": operation, "shop": counter.shop})
    payment = begin(counter, instrument)
    assert payment.state == "unknown"
    payment = look(payment)
    assert payment.state == "pending"
    assert payment.confirmation_url
    page = payment.confirmation_url
    later(payment, timedelta(hours=26))
    payment = payments.sweep(payment.pk)
    assert (payment.state, payment.decline_reason) == ("failed", "expired_on_confirmation")
    # Saved after all, once nobody waits for it: nothing is kept, and nothing is owed.
    payment.confirmation_url = page
    agreed(counter, kind, payment)
    assert payments.settle(payment.pk).state == "failed"


def test_its_notification_settles_it(
    counter: Till, case: tuple[GatewayKind, str], deliver: Callable[[], int]
) -> None:
    kind, instrument = case
    payment = begin(counter, instrument)
    agreed(counter, kind, payment)
    hooks = [one for one in counter.gateway.webhooks() if one["shop"] == counter.shop]
    assert hooks
    for hook in hooks:
        assert arrive(counter, hook, kind) == 200
    deliver()
    payment.refresh_from_db()
    assert payment.is_paid


@pytest.mark.parametrize("case", [(one, "bank_card") for one in GATEWAYS], ids=lambda case: case[0].name)
def test_without_it_a_rouble_is_taken(counter: Till, case: tuple[GatewayKind, str]) -> None:
    counter.connection.config = {**counter.connection.config, "binds_free": False}
    counter.connection.save(update_fields=["config"])
    payment = begin(counter, "bank_card")
    assert payment.amount == Decimal("1.00")
