"""An unpaid renewal goes through its policy: tried, reminded, suspended, ended; never what the gateway forbids."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.billing import dunning, renewals, subscriptions
from apps.billing.dunning_models import Dunning
from apps.billing.models import Invoice, InvoicePayment, InvoiceState, Subscription, SubscriptionState
from apps.billing.periods import midnight
from apps.core import audit, clock, faults
from apps.core.models import Due
from apps.notifications.models import Message
from apps.orders.models import ServiceState
from apps.partners.models import Partner
from apps.payments import payments
from apps.payments.models import Payment, PaymentMethod
from apps.policies import dunning as rules
from apps.policies.dunning import Action, DeclineClass, Step
from apps.policies.dunning_models import (
    DunningChoice,
    DunningPolicy,
    DunningResult,
    DunningVersion,
    version_for,
)
from tests.billing.test_lifecycle_rests import addon_offer
from tests.orders.races import Race, race, without_lock
from tests.orders.shop import BROKE_LATER, Shop
from tests.planted import execute, found

FAILED, REMINDER, SUSPENDED, LAST = rules.MessageChoice.values


def is_clean(shop: Shop) -> bool:
    return list(audit.run([shop.partner.pk])) == []


def letters() -> dict[str, int]:
    found: dict[str, int] = {}
    for (kind,) in Message.objects.values_list("type"):
        found[kind] = found.get(kind, 0) + 1
    return found


def declined_as(shop: Shop, reason: str, times: int = 1) -> None:
    shop.gateway.fault("decline", reason=reason, times=times, match={"shop": shop.partner.slug})


def charges(subscription: Subscription) -> int:
    """Charges of the renewal that were claimed, whatever became of them."""
    return InvoicePayment.objects.filter(
        invoice__subscription=subscription, invoice__purpose="renewal"
    ).count()


@pytest.fixture
def policy(shop: Shop) -> Iterator[Callable[..., DunningVersion]]:
    """A policy of the shop's own."""
    made: list[DunningPolicy] = []

    def make(**timelines: list[Step]) -> DunningVersion:
        if not made:
            made.append(DunningPolicy.objects.create(name=f"Своя {shop.partner.slug}"))
            DunningChoice.objects.create(partner=shop.partner, policy=made[0])
        number = made[0].versions.count() + 1
        whole = rules.usual() | timelines
        assert rules.problems(whole) == []
        version = DunningVersion.objects.create(
            policy=made[0], number=number, timelines=rules.dumped(whole), created_at=clock.wall()
        )
        made[0].current = version
        made[0].save()
        return version

    yield make
    DunningChoice.objects.filter(policy__in=made).delete()


GRACE = [
    Step(0, Action.REMIND, FAILED),
    Step(1, Action.SUSPEND, SUSPENDED),
    Step(2, Action.RETRY, REMINDER),
    Step(3, Action.REMIND, LAST),
    Step(4, Action.END, FAILED),
]


def test_the_service_rests_and_comes_back_with_the_money(shop: Shop, policy: Any) -> None:
    policy(funds=GRACE)
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    declined_as(shop, "insufficient_funds")
    shop.until(end)
    subscription.refresh_from_db()
    row = Dunning.objects.get(subscription=subscription)
    assert (subscription.state, row.next_action, row.decline_class) == ("past_due", "suspend", "funds")
    assert shop.service(subscription).state == ServiceState.ACTIVE
    shop.until(end + timedelta(days=1))
    subscription.refresh_from_db()
    assert (subscription.state, shop.service(subscription).state) == ("suspended", ServiceState.SUSPENDED)
    assert is_clean(shop)
    shop.until(end + timedelta(days=2))
    subscription.refresh_from_db()
    row.refresh_from_db()
    assert (subscription.state, shop.service(subscription).state) == ("active", ServiceState.ACTIVE)
    assert (row.state, row.recovered_by, row.retries) == ("recovered", "retry", 1)
    assert (subscription.failures, len(shop.charges())) == (0, 2)
    sent = letters()
    assert (sent[FAILED], sent[SUSPENDED], sent.get(LAST)) == (1, 1, None)
    assert is_clean(shop)


def test_an_addon_rests_and_comes_back_with_its_subscription(shop: Shop, policy: Any) -> None:
    policy(funds=GRACE)
    parent = shop.buy(shop.offer())
    addon = shop.buy(addon_offer(shop), customer=parent.customer, parent=parent)
    end = parent.current_period_end
    declined_as(shop, "insufficient_funds")
    shop.until(end + timedelta(days=1))
    addon.refresh_from_db()
    assert (addon.state, shop.service(addon).state) == ("suspended", ServiceState.SUSPENDED)
    shop.until(end + timedelta(days=2))
    addon.refresh_from_db()
    assert (addon.state, shop.service(addon).state) == ("active", ServiceState.ACTIVE)
    assert is_clean(shop)


def test_it_ends_by_its_policy_and_is_reported(shop: Shop, policy: Any) -> None:
    version = policy(funds=GRACE)
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end + timedelta(days=4))
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_reason) == (SubscriptionState.ENDED, "unpaid")
    assert shop.service(subscription).is_over
    assert charges(subscription) == 2
    result = DunningResult.objects.get(partner_id=shop.partner.pk)
    assert (result.state, result.version_id, result.decline_class) == ("lost", version.pk, "funds")
    assert (result.amount, result.closed_date) == (subscription.price, end + timedelta(days=4))
    sent = letters()
    assert (sent[FAILED], sent[REMINDER], sent[SUSPENDED], sent[LAST]) == (2, 1, 1, 1)
    assert is_clean(shop)


@pytest.mark.parametrize("reason", ["card_expired", "fraud_suspected", "permission_revoked"])
def test_what_must_not_be_charged_again_is_not(shop: Shop, reason: str) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    declined_as(shop, reason)
    shop.until(end + timedelta(days=5))
    subscription.refresh_from_db()
    assert (charges(subscription), subscription.state) == (1, SubscriptionState.ENDED)
    assert is_clean(shop)


def test_the_class_of_the_last_decline_counts(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    declined_as(shop, "insufficient_funds")
    shop.until(end)
    declined_as(shop, "card_expired")
    shop.until(end + timedelta(days=4))
    row = Dunning.objects.get()
    assert (row.first_class, row.decline_class, charges(subscription)) == ("funds", "card", 2)
    assert row.next_action == Action.END
    assert is_clean(shop)


def test_rules_that_became_stricter_hold_for_what_runs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end)
    none = rules.RetryRules(name="", never=frozenset(), most=0)
    monkeypatch.setattr("apps.payments.yookassa.YooKassa.retry_rules", none)
    shop.until(end + timedelta(days=4))
    assert charges(subscription) == 1
    row = Dunning.objects.get()
    assert [one["what"] for one in row.log].count("forbidden") == 2


def test_a_running_one_keeps_the_edition_it_began_with(shop: Shop, policy: Any) -> None:
    first = policy(funds=GRACE)
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end)
    policy(funds=[Step(0, Action.REMIND, FAILED), Step(50, Action.END, FAILED)])
    shop.until(end + timedelta(days=4))
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.ENDED
    assert Dunning.objects.get().version_id == first.pk


def test_an_edition_is_never_changed(shop: Shop, policy: Any) -> None:
    version = policy()
    with pytest.raises(IntegrityError), transaction.atomic():
        DunningVersion.objects.filter(pk=version.pk).update(number=99)


def test_a_late_worker_charges_once_a_day(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end)
    moment = midnight(end + timedelta(days=4))
    Partner.objects.filter(pk=shop.partner.pk).update(clock_at=moment)
    shop.partner.clock_at = moment
    for _time in range(2):
        dunning.step(subscription.pk)
    shop.deliver()
    dunning.step(subscription.pk)
    row = Dunning.objects.get()
    assert (charges(subscription), row.retries) == (2, 1)
    assert (row.next_action, row.next_date) == (Action.RETRY, end + timedelta(days=5))
    assert is_clean(shop)


def two_steps_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[Subscription, Race]:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end)
    moment = midnight(end + timedelta(days=1))
    Partner.objects.filter(pk=shop.partner.pk).update(clock_at=moment)
    shop.partner.clock_at = moment

    def step() -> None:
        dunning.step(subscription.pk)

    return subscription, race(monkeypatch, shop.partner, step, (dunning, "_retry"), step)


def test_two_workers_at_once_charge_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription, seen = two_steps_at_once(shop, monkeypatch)
    assert (seen.first, seen.second, seen.overtook) == (None, None, False)
    assert (charges(subscription), Dunning.objects.get().retries) == (2, 1)


def test_without_locks_both_would_charge(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both come to the charge; what is left then is the database, which holds one payment under way."""
    without_lock(monkeypatch, Subscription, Invoice, PaymentMethod)
    subscription, seen = two_steps_at_once(shop, monkeypatch)
    assert seen.overtook
    assert [one["what"] for one in Dunning.objects.get().log].count("retry") == 1
    assert charges(subscription) == 2


@pytest.mark.parametrize("point", dunning.FAULT_POINTS)
def test_a_crash_in_a_step(shop: Shop, point: str) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    declined_as(shop, "insufficient_funds")
    shop.until(end)
    with faults.crash_at(point), pytest.raises(faults.Crash):
        shop.until(end + timedelta(days=1))
    Due.objects.filter(partner_id=shop.partner.pk).update(lease=None, leased_until=None)
    shop.until(end + timedelta(days=2))
    subscription.refresh_from_db()
    assert (subscription.state, charges(subscription), len(shop.charges())) == ("active", 2, 2)
    assert is_clean(shop)


def test_a_cancelled_one_is_chased_no_more(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end)
    subscriptions.cancel(subscription, actor="test")
    shop.deliver()
    row = Dunning.objects.get()
    assert (row.state, shop.invoices(subscription)[1].state) == ("stopped", InvoiceState.VOID)
    assert not Due.objects.filter(partner_id=shop.partner.pk, kind="billing.dunning").exists()
    assert is_clean(shop)


def test_a_card_refused_on_the_way_is_not_tried_again(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end)
    payments.refuse_method(Subscription.objects.get().method, actor="test")
    shop.deliver()
    assert Dunning.objects.get().decline_class == DeclineClass.REVOKED
    shop.until(end + timedelta(days=6))
    subscription.refresh_from_db()
    assert (charges(subscription), subscription.state) == (1, SubscriptionState.ENDED)
    assert letters()["method_refused"] == 1
    assert is_clean(shop)


def test_who_goes_by_which_policy(shop: Shop, policy: Any) -> None:
    version = policy()
    other = DunningPolicy.objects.create(name=f"Для тарифа {shop.partner.slug}")
    other.current = DunningVersion.objects.create(
        policy=other, number=1, timelines=rules.dumped(rules.usual()), created_at=clock.wall()
    )
    other.save()
    offer = shop.offer()
    assert version_for(shop.partner.pk, offer.tariff_id) == version
    DunningChoice.objects.create(tariff_id=offer.tariff_id, policy=other)
    assert version_for(shop.partner.pk, offer.tariff_id) == version
    assert version_for(-1, offer.tariff_id) == other.current
    DunningChoice.objects.create(partner=shop.partner, tariff_id=offer.tariff_id, policy=other)
    assert version_for(shop.partner.pk, offer.tariff_id) == other.current
    assert version_for(-1, None).policy.is_default
    DunningChoice.objects.filter(policy=other).delete()


def test_a_renewal_run_beside_a_dunning_charges_nothing(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    shop.until(subscription.current_period_end)
    for _time in range(2):
        renewals.renew(subscription.pk)
    shop.deliver()
    assert charges(subscription) == 1


ONE = "(SELECT min(id::text)::uuid FROM billing_dunning)"
PARTNER = "(SELECT id FROM partners_partner WHERE schema_name = current_schema())"
CORRUPTIONS = [
    ("billing.dunning-follows-invoice", f"UPDATE billing_dunning SET amount = amount + 1 WHERE id = {ONE}"),
    (
        "billing.dunning-is-planned",
        f"DELETE FROM core_due WHERE kind = 'billing.dunning' AND partner_id = {PARTNER}",
    ),
    (
        "billing.dunning-is-reported",
        f"UPDATE policies_dunningresult SET state = 'lost' WHERE partner_id = {PARTNER}",
    ),
    ("billing.dunning-has-policy", "UPDATE billing_dunning SET version_id = -1"),
    (
        "billing.no-forbidden-retry",
        "UPDATE payments_payment SET decline_reason = 'card_expired' WHERE state = 'failed'",
    ),
    (
        "policies.dunning-is-allowed",
        "UPDATE policies_dunningpolicy SET is_default = false",
    ),
]


def test_the_auditor_finds_it(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    shop.until(end + timedelta(days=1))
    assert Payment.objects.filter(state="failed").count() == 2
    for rule, corruption in CORRUPTIONS:
        assert found(rule, lambda sql=corruption: execute(sql)), rule
