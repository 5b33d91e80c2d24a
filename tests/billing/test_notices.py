"""Notices before a charge: so many days ahead as the rules say; where they say so, no notice, no charge."""

from datetime import timedelta
from typing import Any

from apps.accounts.models import Customer
from apps.billing.models import Subscription
from apps.core import audit, clock
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_public
from apps.notifications.models import Message
from apps.policies.dunning_models import ChargeRules
from tests.orders.shop import Shop
from tests.planted import execute, found


def rules(shop: Shop, **fields: Any) -> None:
    with in_public():
        ChargeRules.objects.update_or_create(partner=shop.partner, defaults=fields)


def notices() -> list[Message]:
    return list(Message.objects.filter(type="renewal_ahead").order_by("pk"))


def is_clean(shop: Shop) -> bool:
    return list(audit.run([shop.partner.pk])) == []


def test_it_comes_as_many_days_ahead_as_the_rules_say(shop: Shop) -> None:
    rules(shop, notice_days=7, require_notice=True)
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    assert end is not None
    shop.until(end - timedelta(days=8))
    assert notices() == []
    shop.until(end - timedelta(days=6))
    [notice] = notices()
    assert clock.local(notice.created_at).date() == end - timedelta(days=7)
    assert notice.state in {"sent", "delivered"}
    assert "/p/" in notice.text
    assert f"{end:%d.%m.%Y}" in notice.text
    shop.until(end)
    assert len(shop.charges()) == 2
    assert is_clean(shop)


def unannounced(shop: Shop) -> Subscription:
    """A renewal that is due, and nobody has told its customer of it."""
    subscription = shop.buy(shop.offer())
    Due.objects.filter(partner_id=shop.partner.pk, kind="billing.notice").delete()
    shop.until(subscription.current_period_end)
    return subscription


def test_without_a_notice_the_charge_waits_until_one_is_old_enough(shop: Shop) -> None:
    rules(shop, notice_days=3, require_notice=True)
    subscription = unannounced(shop)
    end = subscription.current_period_end
    assert end is not None
    [notice] = notices()
    assert (len(shop.charges()), len(shop.invoices(subscription))) == (1, 1)
    assert f"{end + timedelta(days=3):%d.%m.%Y}" in notice.text
    shop.until(end + timedelta(days=2))
    assert len(shop.charges()) == 1
    shop.until(end + timedelta(days=3))
    subscription.refresh_from_db()
    # The period is the one that was due, whenever it was charged.
    assert (len(shop.charges()), subscription.current_period_start) == (2, end)
    assert is_clean(shop)


def test_a_notice_that_was_not_sent_is_none(shop: Shop) -> None:
    rules(shop, notice_days=3, require_notice=True)
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    assert end is not None
    shop.until(end - timedelta(days=1))
    Message.objects.filter(type="renewal_ahead").update(state="failed")
    shop.until(end + timedelta(days=1))
    assert len(shop.charges()) == 1
    item = WorkItem.objects.get(partner_id=shop.partner.pk, kind="billing.Subscription")
    assert "не доставлено" in item.reason
    Message.objects.filter(type="renewal_ahead").update(state="sent")
    shop.until(end + timedelta(days=2))
    assert len(shop.charges()) == 2
    assert not WorkItem.objects.filter(partner_id=shop.partner.pk, kind="billing.Subscription").exists()


def test_who_cannot_be_told_is_not_charged_and_staff_know(shop: Shop) -> None:
    rules(shop, notice_days=3, require_notice=True)
    subscription = shop.buy(shop.offer())
    Customer.objects.filter(pk=subscription.customer_id).update(email="", phone="", external_id="abc-1")
    shop.until(subscription.current_period_end + timedelta(days=1))
    assert len(shop.charges()) == 1
    item = WorkItem.objects.get(partner_id=shop.partner.pk, kind="billing.Subscription")
    assert "некуда" in item.reason


def test_where_the_rules_do_not_ask_the_charge_comes(shop: Shop) -> None:
    unannounced(shop)
    assert len(shop.charges()) == 2


def test_an_earlier_notice_asked_for_holds_for_what_is_planned(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    end = subscription.current_period_end
    assert end is not None
    shop.until(end - timedelta(days=1))
    rules(shop, notice_days=5, require_notice=True)
    shop.until(end)
    assert len(shop.charges()) == 1
    shop.until(end + timedelta(days=2))
    assert len(shop.charges()) == 2
    assert is_clean(shop)


CORRUPTIONS = [
    ("billing.no-notice-no-charge", "UPDATE notifications_message SET key = 'x' WHERE type = 'renewal_ahead'")
]


def test_the_auditor_finds_it(shop: Shop) -> None:
    rules(shop, notice_days=3, require_notice=True)
    subscription = shop.buy(shop.offer())
    shop.until(subscription.current_period_end)
    for rule, corruption in CORRUPTIONS:
        assert found(rule, lambda sql=corruption: execute(sql)), rule
