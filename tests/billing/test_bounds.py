"""A bill out of bounds is not issued: its subscription is parked, staff decide, and say why."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.billing import bounds, changes, gifts, parking, phases, renewals, subscriptions
from apps.billing.dunning_models import ParkedBill
from apps.billing.models import PhaseKind, Subscription
from apps.billing.periods import midnight
from apps.core import audit
from apps.core.errors import Refused
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.partners.models import Partner
from apps.policies.dunning_models import ChargeRules
from tests.billing.test_lifecycle import another, faults_of
from tests.billing.test_lifecycle_rests import addon_offer
from tests.orders.shop import Shop
from tests.planted import execute, found


def is_clean(shop: Shop) -> bool:
    return list(audit.run([shop.partner.pk])) == []


def wrong_price(subscription: Subscription, price: str) -> None:
    """A phase as a slip of a finger would leave it."""
    day = subscription.current_period_end
    assert day is not None
    row = phases.add(subscription, kind=PhaseKind.PRICE_CHANGE, start_date=day)
    type(row).objects.filter(pk=row.pk).update(price=Decimal(price))


def jump(shop: Shop, day: date | None) -> None:
    assert day is not None
    moment = midnight(day)
    Partner.objects.filter(pk=shop.partner.pk).update(clock_at=moment)
    shop.partner.clock_at = moment


def rules(shop: Shop, **fields: Any) -> None:
    with in_public():
        ChargeRules.objects.update_or_create(partner=shop.partner, defaults=fields)


def parked_one(shop: Shop, price: str = "14900.00") -> Subscription:
    subscription = shop.buy(shop.offer(price="149.00"))
    end = subscription.current_period_end
    execute("SET session_replication_role = replica")
    wrong_price(subscription, price)
    execute("SET session_replication_role = origin")
    shop.until(end)
    subscription.refresh_from_db()
    return subscription


def test_a_wrong_price_is_parked_and_not_charged(shop: Shop) -> None:
    subscription = parked_one(shop)
    assert subscription.is_parked
    assert (len(shop.invoices(subscription)), len(shop.charges())) == (1, 1)
    bill = ParkedBill.objects.get()
    # What the same 31 days cost by the price of the 30 before.
    assert (bill.total, bill.usual, bill.state) == (Decimal("14900.00"), Decimal("153.97"), "waiting")
    item = WorkItem.objects.get(partner_id=shop.partner.pk, kind=bounds.KIND)
    assert "Дороже обычного в" in item.reason
    shop.until(subscription.current_period_end + timedelta(days=3))
    assert len(shop.charges()) == 1
    assert is_clean(shop)


def test_an_addon_waits_with_a_parent_that_is_parked(shop: Shop) -> None:
    """After given days its own terms begin anew; they are taken up with the bill that waits."""
    parent = shop.buy(shop.offer(price="149.00"))
    addon = shop.buy(addon_offer(shop), customer=parent.customer, parent=parent)
    gifts.extend(subscription=parent, days=23)
    row = parent.phases.order_by("start_date").last()
    assert row is not None
    execute("SET session_replication_role = replica")
    parent.phases.filter(pk=row.pk).update(price=Decimal("14900.00"))
    execute("SET session_replication_role = origin")
    shop.until(row.start_date + timedelta(days=3))
    parent.refresh_from_db()
    addon.refresh_from_db()
    assert (parent.is_parked, addon.state, len(shop.charges())) == (True, "active", 2)
    assert faults_of(shop) == []


def test_a_dearer_tariff_that_the_customer_chose_is_charged(shop: Shop) -> None:
    offer = shop.offer(price="99.00")
    subscription = shop.buy(offer)
    dearer = another(shop, offer, "990.00")
    changes.change(subscription=subscription, offer=dearer, when="period_end", actor="test")
    assert subscription.current_period_end
    shop.until(subscription.current_period_end)
    assert [row["amount"] for row in shop.charges()] == ["99.00", "990.00"]
    assert is_clean(shop)


def test_released_it_is_charged_once(shop: Shop) -> None:
    subscription = parked_one(shop)
    bill = ParkedBill.objects.get()
    with pytest.raises(Refused, match="note_needed"):
        parking.release(bill.pk, note=" ", actor="olga")
    parking.release(bill.pk, note="Клиент согласился", actor="olga")
    with pytest.raises(Refused, match="bill_decided"):
        parking.void(bill.pk, note="Передумали", actor="olga")
    shop.until(subscription.current_period_end, 23)
    shop.deliver()
    assert [row["amount"] for row in shop.charges()] == ["149.00", "14900.00"]
    assert not WorkItem.objects.filter(partner_id=shop.partner.pk, kind=bounds.KIND).exists()
    entry = Entry.objects.get(action="subscription.bill-released")
    assert (entry.actor, entry.data["reason"]) == ("olga", "Клиент согласился")
    assert is_clean(shop)


def test_voided_it_is_looked_at_anew(shop: Shop) -> None:
    subscription = parked_one(shop)
    parking.void(ParkedBill.objects.get().pk, note="Ошибка в цене", actor="olga")
    renewals.renew(subscription.pk)
    # Nothing was corrected: the same bill waits again, and nothing was charged.
    assert [one.state for one in ParkedBill.objects.order_by("pk")] == ["voided", "waiting"]
    last = ParkedBill.objects.latest("pk")
    parking.void(last.pk, note="Не продлеваем", actor="olga", cancel=True)
    shop.until(subscription.current_period_end + timedelta(days=1))
    subscription.refresh_from_db()
    assert (subscription.state, len(shop.charges())) == ("ended", 1)
    assert is_clean(shop)


def test_an_allowed_bill_that_came_to_another_sum_waits_again(shop: Shop) -> None:
    subscription = parked_one(shop)
    ParkedBill.objects.update(total=Decimal("14899.00"))
    parking.release(ParkedBill.objects.get().pk, note="Верно", actor="olga")
    renewals.renew(subscription.pk)
    assert ParkedBill.objects.count() == 2
    assert len(shop.invoices(subscription)) == 1


def test_who_ends_needs_no_decision(shop: Shop) -> None:
    subscription = parked_one(shop)
    subscriptions.cancel(subscription, at_period_end=False, actor="test")
    shop.deliver()
    assert ParkedBill.objects.get().state == "voided"
    assert is_clean(shop)


def test_a_longer_period_more_pieces_and_the_end_of_a_discount_are_no_alarm(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    day = subscription.current_period_end
    assert day is not None
    yearly = shop.offer(price="1490.00", period_unit="year")
    phases.add(
        subscription,
        kind=PhaseKind.CHANGE,
        start_date=day,
        offer=yearly,
        version=yearly.tariff.current,
        anchor_date=day,
        price=Decimal("1490.00"),
        quantity=5,
    )
    shop.until(day)
    subscription.refresh_from_db()
    assert not subscription.is_parked
    assert shop.invoices(subscription)[1].total == Decimal("7450.00")


def test_limits_are_the_partners_own(shop: Shop) -> None:
    rules(shop, most_amount=Decimal("100.00"))
    first = shop.buy(shop.offer(price="149.00"))
    shop.until(first.current_period_end)
    assert "предела" in ParkedBill.objects.get().reason
    rules(shop, most_amount=None, most_invoices_a_day=1)
    second = shop.buy(shop.offer(price="1.00", period_unit="day"))
    jump(shop, second.current_period_end)
    renewals.renew(second.pk)
    assert not Subscription.objects.get(pk=second.pk).is_parked


def test_too_many_periods_at_once_are_parked(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(price="10.00", period_unit="day"))
    jump(shop, subscription.current_period_end + timedelta(days=5))
    renewals.renew(subscription.pk)
    assert "Периодов в счёте: 6" in ParkedBill.objects.get().reason


def test_a_batch_is_checked_in_as_many_queries_as_one(shop: Shop) -> None:
    mine = [shop.buy(shop.offer()) for _number in range(4)]
    jump(shop, mine[-1].current_period_end)

    def queries(keys: list[Any]) -> int:
        with CaptureQueriesContext(connection) as seen:
            renewals.renew_many(keys)
        return len([one for one in seen if "percentile_disc" in one["sql"] or "chargerules" in one["sql"]])

    assert queries([mine[0].pk]) == queries([one.pk for one in mine[1:]])


def test_staff_decide_in_the_console(shop: Shop, staff: Callable[..., Client]) -> None:
    subscription = parked_one(shop)
    bill = ParkedBill.objects.get()
    manager, support = staff(shop.partner, "manager"), staff(shop.partner, "support")
    url = f"/admin/billing/parkedbill/{bill.pk}"
    page = manager.get(f"{url}/change/").content.decode()
    assert "14\N{NO-BREAK SPACE}900" in page
    assert "Дороже обычного" in page
    assert support.post(f"{url}/release/", {"note": "хочу"}).status_code in {302, 403}
    bill.refresh_from_db()
    assert bill.state == "waiting"
    assert manager.get(f"{url}/release/").status_code == 200
    assert manager.post(f"{url}/release/", {"note": ""}).status_code == 200
    assert manager.post(f"{url}/release/", {"note": "Верно"}).status_code == 302
    bill.refresh_from_db()
    assert (bill.state, bill.note) == ("released", "Верно")
    assert Due.objects.filter(object_id=subscription.pk, kind="billing.renew").exists()


CORRUPTIONS = [("billing.parked-is-seen", "UPDATE billing_subscription SET is_parked = false")]


def test_the_auditor_finds_it(shop: Shop) -> None:
    parked_one(shop)
    for rule, corruption in CORRUPTIONS:
        assert found(rule, lambda sql=corruption: execute(sql)), rule
