"""Refusal of a method against a renewal, raced with either first: who commits first is right.

REFUSAL_RACES asks for more runs than the few of every day.
"""

import os
import time
from collections import Counter
from typing import Any

import pytest

from apps.billing import renewals
from apps.billing.models import Subscription
from apps.billing.periods import midnight
from apps.core import audit, clock
from apps.core.ids import made_at
from apps.core.models import Event
from apps.partners.models import Partner
from apps.payments import methods, payments
from apps.payments.models import CONSENT_REVOKED, Payment, PaymentMethod, PaymentState, Refund
from tests.accounts.at_once import at_once
from tests.orders.races import race, without_lock
from tests.orders.shop import Shop
from tests.planted import execute, found

RACES = int(os.environ.get("REFUSAL_RACES", "7"))
GAPS = (0.0, 0.01, 0.03, 0.06)
"""Seconds by which a refusal that runs free is sent after its renewal, in turn."""
STOPS: tuple[tuple[tuple[Any, str] | None, str], ...] = (
    (None, "refused first, nothing written"),
    ((payments, "_claim"), "written, never claimed"),
    ((payments, "_call"), "claimed first, captured after the refusal, given back"),
    ((payments, "conclude"), "claimed first, captured after the refusal, given back"),
    ((payments.faults, "at"), "claimed first, not sent"),
)
"""Where the charge is stopped for the refusal to go in between (None: before the renewal), and what comes of it.

At the last one the charge is claimed and not sent yet: the method is looked at again just before sending.
"""


def is_clean(shop: Shop) -> bool:
    """Fails with what the auditor found, which a bare False would hide."""
    assert list(audit.run([shop.partner.pk])) == []
    return True


def jump(shop: Shop, subscription: Subscription) -> None:
    assert subscription.current_period_end is not None
    moment = midnight(subscription.current_period_end)
    Partner.objects.filter(pk=shop.partner.pk).update(clock_at=moment)
    shop.partner.clock_at = moment


def charge_of(subscription: Subscription) -> Payment | None:
    return Payment.objects.filter(subscription_id=subscription.pk, purpose="renewal").first()


def outcome(charge: Payment | None) -> str:
    """How one race ended: whether a charge was written, claimed, captured, and given back."""
    if charge is None:
        return "refused first, nothing written"
    if charge.claimed_at is None:
        return "written, never claimed"
    if charge.state == PaymentState.REFUNDED:
        return "claimed first, captured after the refusal, given back"
    if charge.state == PaymentState.FAILED and not charge.gateway_id:
        return "claimed first, not sent"
    return f"claimed first, {charge.state}"


def refuse(method: PaymentMethod) -> None:
    methods.refuse_method(method, actor="customer", how="cabinet")


def renew_and_charge(subscription: Subscription) -> None:
    renewals.renew(subscription.pk)
    charge = charge_of(subscription)
    if charge is not None:
        payments.send(charge.pk)


def stopped(shop: Shop, patch: pytest.MonkeyPatch, subscription: Subscription, at: Any) -> None:
    """The refusal comes exactly there, and commits before the charge goes on."""
    method = subscription.method
    assert method is not None
    if at is None:
        refuse(method)
        renew_and_charge(subscription)
        return
    renewals.renew(subscription.pk)
    charge = charge_of(subscription)
    assert charge is not None
    seen = race(patch, shop.partner, lambda: payments.send(charge.pk), at, lambda: refuse(method))
    assert (seen.overtook, seen.second) == (True, None), seen


def running_free(shop: Shop, subscription: Subscription, gap: float) -> None:
    """Renewal with its charge in one thread, refusal in another, `gap` seconds after it: whoever comes first."""
    method = subscription.method
    assert method is not None

    def later() -> None:
        time.sleep(gap)
        refuse(method)

    at_once(shop.partner, [lambda: renew_and_charge(subscription), later])


def check(charge: Payment | None, method: PaymentMethod) -> None:
    """No charge is claimed after the refusal; one captured after it has gone back in full by itself."""
    assert method.refusal_recorded_at is not None
    if charge is None or charge.claimed_at is None:
        return
    assert charge.claimed_at < method.refusal_recorded_at
    back = [(one.amount, one.state) for one in Refund.objects.filter(payment=charge)]
    if charge.state == PaymentState.SUCCEEDED:
        # It is ours only where it was recorded before: both are written under the method's lock.
        came = Event.objects.get(type="payments.PaymentSucceeded", object_id=charge.pk)
        refused = Event.objects.get(type="payments.MethodRefused", object_id=method.pk)
        assert made_at(came.pk) <= made_at(refused.pk)
    assert back == ([(charge.amount, "succeeded")] if charge.state == PaymentState.REFUNDED else [])


def test_refusal_against_renewal(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No charge is claimed after the refusal; one that was in flight goes back in full by itself."""
    offer, customer = shop.offer(), shop.customer()
    seen: Counter[str] = Counter()
    mine = [shop.buy(offer, customer=customer) for _number in range(RACES)]
    jump(shop, mine[-1])
    for number, subscription in enumerate(mine):
        turn, place = divmod(number, len(STOPS) + len(GAPS))
        if place < len(STOPS):
            stopped(shop, monkeypatch, subscription, STOPS[place][0])
        else:
            running_free(shop, subscription, GAPS[place - len(STOPS)] + turn % 5 / 100)
        shop.deliver()
        charge = charge_of(subscription)
        check(charge, PaymentMethod.objects.get(pk=subscription.method_id))
        seen[outcome(charge)] += 1
        if place < len(STOPS):
            assert outcome(charge) == STOPS[place][1]
    assert sum(seen.values()) == RACES
    print(f"\n{RACES} races: {dict(sorted(seen.items()))}")  # noqa: T201 - asked for with -s
    # Both orders were provoked: some refusals came first, some claims.
    assert seen["refused first, nothing written"]
    assert seen["written, never claimed"]
    assert sum(count for name, count in seen.items() if name.startswith("claimed first")) > 0
    theirs = shop.gateway.register(shop=shop.partner.slug)["refunds"]
    # As the gateway has it: what came back is what was captured after a refusal.
    assert len(theirs) == seen["claimed first, captured after the refusal, given back"]
    assert is_clean(shop)


def provoked(shop: Shop) -> tuple[Subscription, Payment]:
    """A renewal's charge that is written and not sent yet."""
    subscription = shop.buy(shop.offer())
    jump(shop, subscription)
    renewals.renew(subscription.pk)
    charge = charge_of(subscription)
    assert charge is not None
    assert charge.state == PaymentState.CREATED
    return subscription, charge


def claim_against_refusal(shop: Shop, patch: pytest.MonkeyPatch) -> tuple[Any, Payment, PaymentMethod]:
    """The refusal comes when the claim has read the method and not yet committed."""
    subscription, charge = provoked(shop)
    method = subscription.method
    assert method is not None
    seen = race(
        patch,
        shop.partner,
        lambda: payments.send(charge.pk),
        (clock, "wall"),
        lambda: methods.refuse_method(method, actor="customer", how="cabinet"),
    )
    charge.refresh_from_db()
    method.refresh_from_db()
    return seen, charge, method


def test_without_the_lock_a_charge_is_claimed_after_the_refusal(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock(monkeypatch, PaymentMethod)
    seen, charge, method = claim_against_refusal(shop, monkeypatch)
    assert seen.overtook
    assert charge.claimed_at is not None
    assert method.refusal_recorded_at is not None
    assert charge.claimed_at > method.refusal_recorded_at
    assert any("claimed after" in text for text in audit.RULES["payments.no-claim-after-refusal"].check())


def test_the_lock_makes_the_refusal_wait_for_the_claim(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, charge, method = claim_against_refusal(shop, monkeypatch)
    assert not seen.overtook
    assert charge.claimed_at is not None
    assert method.refusal_recorded_at is not None
    assert charge.claimed_at < method.refusal_recorded_at
    shop.deliver()
    assert is_clean(shop)


def test_one_in_flight_goes_back_in_full(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused when the gateway has captured and we have not written it down."""
    subscription, charge = provoked(shop)
    method = subscription.method
    assert method is not None
    seen = race(
        monkeypatch,
        shop.partner,
        lambda: payments.send(charge.pk),
        (payments, "conclude"),
        lambda: methods.refuse_method(method, actor="customer", how="cabinet"),
    )
    assert seen.overtook
    shop.deliver()
    charge.refresh_from_db()
    assert (charge.state, charge.decline_reason) == ("refunded", CONSENT_REVOKED)
    assert [(one.amount, one.state) for one in charge.refunds.all()] == [(charge.amount, "succeeded")]
    subscription.refresh_from_db()
    assert subscription.state == "past_due"
    assert is_clean(shop)


def test_evidence_of_the_first_refusal_stays(shop: Shop) -> None:
    method = shop.buy(shop.offer()).method
    assert method is not None
    methods.refuse_method(method, actor="customer", how="cabinet", ip="203.0.113.9", agent="Firefox")
    methods.refuse_method(method, actor="olga", how="call_centre")
    method.refresh_from_db()
    evidence = method.refused_how, method.refused_by, method.refused_ip, method.refused_agent
    assert evidence == ("cabinet", "customer", "203.0.113.9", "Firefox")


CORRUPTIONS = [
    (
        "payments.no-claim-after-refusal",
        "UPDATE payments_payment SET claimed_at = claimed_at + interval '1 day' WHERE claimed_at IS NOT NULL",
    ),
    ("payments.in-flight-goes-back", "UPDATE payments_refund SET amount = amount - 1"),
]


def test_the_auditor_knows_both(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    _subscription, charge = provoked(shop)
    method = charge.method
    assert method is not None
    race(
        monkeypatch,
        shop.partner,
        lambda: payments.send(charge.pk),
        (payments, "conclude"),
        lambda: methods.refuse_method(method, actor="customer", how="cabinet"),
    )
    shop.deliver()
    for rule, corruption in CORRUPTIONS:
        assert found(rule, lambda sql=corruption: execute(sql)), rule
