"""Refusal of a method against a renewal, raced with either first: who commits first is right.

REFUSAL_RACES asks for more runs than the few of every day.
"""

import os
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from apps.billing import renewals
from apps.billing.models import Subscription
from apps.billing.periods import midnight
from apps.core import audit, clock
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.payments import methods, payments
from apps.payments.models import CONSENT_REVOKED, Payment, PaymentMethod, PaymentState, Refund
from tests.orders.races import race, without_lock
from tests.orders.shop import Shop
from tests.planted import execute, found

RACES = int(os.environ.get("REFUSAL_RACES", "9"))
GAPS = (-0.05, 0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.25, 0.6)
"""Seconds by which the refusal is sent after the renewal, in turn: from long before its claim to after its capture."""


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


@dataclass
class Ran:
    """How one race ended: whether a charge was written, claimed, captured, and given back."""

    charge: Payment | None

    @property
    def outcome(self) -> str:
        if self.charge is None:
            return "refused first, nothing written"
        if self.charge.claimed_at is None:
            return "written, never claimed"
        if self.charge.state == PaymentState.REFUNDED:
            return "claimed first, captured after the refusal, given back"
        return f"claimed first, {self.charge.state}"


def run_race(shop: Shop, subscription: Subscription, gap: float) -> Ran:
    """Renewal with its charge in one thread, refusal in another, `gap` seconds after it (or before it)."""
    method = subscription.method
    assert method is not None
    start = threading.Barrier(2)

    def renew() -> None:
        renewals.renew(subscription.pk)
        charge = charge_of(subscription)
        if charge is not None:
            payments.send(charge.pk)

    def refuse() -> None:
        methods.refuse_method(method, actor="customer", how="cabinet")

    def work(call: Any, delay: float) -> None:
        with in_partner(shop.partner):
            start.wait(30)
            if delay:
                threading.Event().wait(delay)
            call()

    delays = max(0.0, -gap), max(0.0, gap)
    threads = [
        threading.Thread(target=_closing, args=(work, call, delay))
        for call, delay in zip((renew, refuse), delays, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shop.deliver()
    return Ran(charge_of(subscription))


def _closing(work: Any, *args: Any) -> None:
    from django.db import connections

    try:
        work(*args)
    finally:
        connections.close_all()


def test_refusal_against_renewal(shop: Shop) -> None:
    """No charge is claimed after the refusal; one that was in flight goes back in full by itself."""
    offer, customer = shop.offer(), shop.customer()
    seen: Counter[str] = Counter()
    mine = [shop.buy(offer, customer=customer) for _number in range(RACES)]
    jump(shop, mine[-1])
    for number, subscription in enumerate(mine):
        ran = run_race(shop, subscription, GAPS[number % len(GAPS)])
        seen[ran.outcome] += 1
        method = PaymentMethod.objects.get(pk=subscription.method_id)
        charge = ran.charge
        assert method.refusal_recorded_at is not None
        if charge is not None and charge.claimed_at is not None:
            assert charge.claimed_at < method.refusal_recorded_at
        if charge is not None and charge.state == PaymentState.REFUNDED:
            back = Refund.objects.filter(payment=charge)
            assert [(one.amount, one.state) for one in back] == [(charge.amount, "succeeded")]
    assert sum(seen.values()) == RACES
    print(f"\n{RACES} races: {dict(sorted(seen.items()))}")  # noqa: T201 - asked for with -s
    # Both orders were provoked: some refusals came first, some charges.
    assert seen["refused first, nothing written"] + seen["written, never claimed"] > 0
    assert any(outcome.startswith("claimed first") for outcome in seen)
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
        (payments, "record"),
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
        (payments, "record"),
        lambda: methods.refuse_method(method, actor="customer", how="cabinet"),
    )
    shop.deliver()
    for rule, corruption in CORRUPTIONS:
        assert found(rule, lambda sql=corruption: execute(sql)), rule
