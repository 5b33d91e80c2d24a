"""What goes wrong at every gateway alike: declines by reason, busy and slow ones, test accounts in a live place."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from apps.connectors.models import Connection
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.declines import class_of
from apps.policies.dunning import DeclineClass
from tests.payments.conftest import Till, look
from tests.payments.gateways import CLOUDPAYMENTS, GATEWAYS, ROBOKASSA, TBANK, YOOKASSA, GatewayKind
from tests.payments.test_gateways import agree

TELLS_FEE = {"yookassa": True, "cloudpayments": True, "tbank": False, "robokassa": False}
WORDS = [
    (kind, word, known_as)
    for kind, words in (
        (
            YOOKASSA,
            {
                "insufficient_funds": DeclineClass.FUNDS,
                "card_expired": DeclineClass.CARD,
                "issuer_unavailable": DeclineClass.TECHNICAL,
                "fraud_suspected": DeclineClass.FRAUD,
                "permission_revoked": DeclineClass.REVOKED,
                "general_decline": DeclineClass.UNKNOWN,
            },
        ),
        (
            TBANK,
            {
                "116": DeclineClass.FUNDS,
                "1054": DeclineClass.CARD,
                "1096": DeclineClass.TECHNICAL,
                "1043": DeclineClass.FRAUD,
                "99": DeclineClass.UNKNOWN,
            },
        ),
        (
            CLOUDPAYMENTS,
            {
                "5051": DeclineClass.FUNDS,
                "5054": DeclineClass.CARD,
                "5091": DeclineClass.TECHNICAL,
                "5041": DeclineClass.FRAUD,
                "6010": DeclineClass.REVOKED,
            },
        ),
        (ROBOKASSA, {"": DeclineClass.UNKNOWN}),
    )
    for word, known_as in words.items()
]


@pytest.fixture
def counter(
    kind: GatewayKind, request: pytest.FixtureRequest, partner: Partner, till_for: Callable[..., Till]
) -> Till:
    """A till at a shop of this gateway, on a connection of the partner's own."""
    return till_for(partner, kind=kind, control=request.getfixturevalue(kind.name))


every = pytest.mark.parametrize("kind", GATEWAYS, ids=lambda one: one.name)


@pytest.mark.parametrize(("kind", "word", "known_as"), WORDS, ids=lambda one: getattr(one, "name", str(one)))
def test_each_decline_has_its_class(counter: Till, kind: GatewayKind, word: str, known_as: str) -> None:
    method = counter.method(kind.good)
    match = {"operation": kind.charges[-1], "shop": counter.shop}
    counter.gateway.fault("decline", match=match, reason=word or None)
    charge = payments.settle(payments.send(counter.charge(method).pk).pk)
    assert (charge.state, charge.decline_reason) == ("failed", word or kind.funds)
    assert class_of(charge.decline_reason, counter.connection) == known_as
    method.refresh_from_db()
    # Whoever has taken the consent back at the bank has taken it back here.
    assert (method.refused_how == "bank") == (known_as == DeclineClass.REVOKED)
    agree(counter, kind)


@every
@pytest.mark.crossed("kind")
@pytest.mark.parametrize("fault", ["http_429", "http_503", "delay"])
def test_a_gateway_that_is_busy_or_slow_charges_once(counter: Till, kind: GatewayKind, fault: str) -> None:
    method = counter.method(kind.good)
    match = {"operation": kind.charges[-1], "shop": counter.shop}
    counter.gateway.fault(fault, match=match, seconds=0.3)
    charge = payments.send(counter.charge(method).pk)
    if fault == "delay":
        charge = payments.settle(charge.pk)
    for _look in range(2):
        charge = charge if charge.is_paid else look(charge)
    assert charge.is_paid
    agree(counter, kind)


@every
def test_its_fee_is_known_where_it_tells_one(counter: Till, kind: GatewayKind) -> None:
    payment = counter.paid(card=kind.good)
    assert (payment.fee > 0) == TELLS_FEE[kind.name]
    agree(counter, kind)


@every
def test_money_that_a_bank_took_back_stands_in_its_books(counter: Till, kind: GatewayKind) -> None:
    payment = counter.paid(card=kind.good)
    number = counter.register()[0][0]["id"]
    made = counter.gateway.charge_back(number, amount="100.00")
    [found] = counter.gateway.register(shop=counter.shop)["chargebacks"]
    assert (found, Decimal(found["amount"])) == (made, Decimal("100.00"))
    assert payments.settle(payment.pk).is_paid


@every
def test_a_test_account_never_takes_money_of_a_live_partner_nor_the_reverse(
    counter: Till, kind: GatewayKind
) -> None:
    method = counter.method(kind.good)
    with in_public():
        wrong = not counter.connection.is_test
        Connection.objects.filter(pk=counter.connection.pk).update(is_test=wrong)
        others = Connection.objects.filter(
            kind="payment", partner=None, is_test=counter.connection.is_test, is_enabled=True
        )
        names = list(others.values_list("pk", flat=True))
        others.update(is_enabled=False)
    method.refresh_from_db()
    try:
        for begin in (counter.start, lambda: counter.charge(method)):
            with pytest.raises(Refused) as refused:
                begin()
            assert refused.value.code == "no_connection"
    finally:
        with in_public():
            Connection.objects.filter(pk__in=names).update(is_enabled=True)
