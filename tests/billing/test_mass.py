"""Mass actions: counted by what does them, agreed to by another person above the limit, each row done once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.billing import changes, gifts, phases, subscriptions
from apps.billing.mass import actions
from apps.billing.mass.models import MassAction, MassRow, MassRowState, MassState
from apps.billing.models import (
    CreditNote,
    InvoiceState,
    PhaseKind,
    Subscription,
    SubscriptionDiscount,
    SubscriptionState,
)
from apps.catalog.models import Offer, Tariff
from apps.core import audit, clock, faults, mass
from apps.core.errors import Refused
from apps.core.models import Due
from apps.journal.models import Entry
from apps.payments.models import Refund
from tests.billing.bases import load, move
from tests.orders.races import race, without_lock
from tests.orders.shop import Shop


def violations(shop: Shop) -> list[str]:
    return [str(one) for one in audit.run([shop.partner.pk])]


def asked(kind: str, params: dict[str, Any], *mine: Subscription, actor: str = "anna") -> MassAction:
    return actions.create(
        kind=kind,
        params=params,
        subscription_ids=[one.pk for one in mine],
        reason="Сбой у поставщика",
        actor=actor,
    )


def counted(shop: Shop, kind: str, params: dict[str, Any], *mine: Subscription) -> MassAction:
    action = asked(kind, params, *mine)
    shop.hurry()
    action.refresh_from_db()
    return action


def done(shop: Shop, action: MassAction, actor: str = "anna") -> MassAction:
    actions.confirm(action.pk, actor=actor)
    shop.hurry()
    action.refresh_from_db()
    return action


def results(action: MassAction) -> list[tuple[str, Decimal, str]]:
    return [(row.state, row.amount, row.result) for row in action.rows.order_by("subscription_id")]


def another(offer: Offer, price: str) -> Offer:
    """A second tariff of the same product."""
    code = f"{offer.tariff.code}-PLUS"
    tariff = Tariff.objects.create(product=offer.tariff.product, code=code, name={"ru": "Больше"})
    tariff.publish(price=Decimal(price), period_count=1, period_unit="month")
    return Offer.objects.create(partner=offer.partner, tariff=tariff)


def test_days_are_given_and_the_next_charge_comes_so_much_later(shop: Shop) -> None:
    offer = shop.offer(price="310.00")
    one, leaving = shop.buy(offer), shop.buy(offer)
    subscriptions.cancel(leaving)
    paid_until = one.current_period_end
    assert paid_until
    action = counted(shop, "extend", {"days": 5}, one, leaving)
    days = (paid_until - clock.today()).days
    following = (paid_until + timedelta(days=days)).replace(day=paid_until.day) - paid_until
    worth = (Decimal("310.00") * 5 / following.days).quantize(Decimal("0.01"))
    assert action.state == MassState.READY
    assert results(action) == [
        ("counted", worth, ""),
        ("refused", Decimal("0.00"), "Подписка отключается: сначала возобновите её"),
    ]
    one.refresh_from_db()
    assert one.current_period_end == paid_until, "counted, not done"
    done(shop, action)
    one.refresh_from_db()
    later = paid_until + timedelta(days=5)
    assert one.current_period_end == one.billed_until == later
    assert (action.state, results(action)[0][:2]) == (MassState.DONE, ("done", worth))
    assert shop.service(one).active_until == later
    assert violations(shop) == []
    shop.until(later)
    shop.hurry()
    first, second = shop.invoices(one)
    assert (second.total, second.state) == (first.total, InvoiceState.PAID)
    assert second.lines.get().period_start == later
    assert violations(shop) == []


def test_a_gift_keeps_discounts_for_so_many_periods_and_terms_as_they_are(shop: Shop) -> None:
    one = shop.buy(shop.offer(price="300.00"))
    assert one.current_period_end
    less = SubscriptionDiscount.objects.create(
        subscription=one,
        name="Акция",
        percent=50,
        start_date=one.current_period_end,
        end_date=one.current_period_end + timedelta(days=28),
        created_at=clock.now(),
    )
    gifts.extend(subscription=one, days=30)
    less.refresh_from_db()
    one.refresh_from_db()
    assert less.end_date == one.current_period_end + timedelta(days=28)
    with pytest.raises(Refused, match="days_not_billed"):
        changes.change(subscription=one, quantity=2, when=changes.NOW)
    gifts.extend(subscription=one, days=3)
    kinds = [row.kind for row in one.phases.filter(dropped_at=None)]
    assert kinds == [PhaseKind.REGULAR, PhaseKind.GIFT, PhaseKind.GIFT, PhaseKind.REGULAR]
    shop.deliver()
    assert violations(shop) == []
    one.refresh_from_db()
    assert one.current_period_end is not None
    shop.until(one.current_period_end)
    shop.hurry()
    assert [invoice.total for invoice in shop.invoices(one)] == [Decimal("300.00"), Decimal("150.00")]
    assert violations(shop) == []


def test_a_moved_subscription_may_be_given_days(shop: Shop) -> None:
    offer = shop.offer()
    due_day = clock.today() + timedelta(days=10)
    load(
        shop,
        [
            {
                "external_id": "A-1",
                "customer_id": "1",
                "tariff": offer.tariff.code,
                "next_charge_date": due_day,
            }
        ],
    )
    move(1)
    shop.deliver()
    one = Subscription.objects.get(moved_from__external_id="A-1")
    gifts.extend(subscription=one, days=7)
    shop.hurry()
    one.refresh_from_db()
    assert one.current_period_end == due_day + timedelta(days=7)
    assert phases.on(one, due_day + timedelta(days=7)).kind == PhaseKind.REGULAR  # type: ignore[union-attr]


def test_what_gives_no_days(shop: Shop) -> None:
    one = shop.buy(shop.offer())
    for days in (0, 367):
        with pytest.raises(Refused, match="bad_days"):
            gifts.look(one, days)
    assert one.current_period_end
    phases.add(
        one,
        kind=PhaseKind.CHANGE,
        start_date=one.current_period_end + timedelta(days=3),
        price=Decimal("1.00"),
    )
    with pytest.raises(Refused, match="terms_to_come"):
        gifts.look(one, 5)
    one.end_date = one.current_period_end
    one.save()
    with pytest.raises(Refused, match="ends_anyway"):
        gifts.look(one, 5)


def test_a_part_of_the_last_payment_goes_back_to_the_card(shop: Shop) -> None:
    one, other = shop.buy(shop.offer(price="200.00")), shop.buy(shop.offer(price="99.99"))
    action = counted(shop, "refund", {"percent": "50"}, one, other)
    assert [row[:2] for row in results(action)] == [
        ("counted", Decimal("100.00")),
        ("counted", Decimal("50.00")),
    ]
    assert not CreditNote.objects.exists()
    done(shop, action)
    assert sorted(Refund.objects.values_list("amount", "state")) == [
        (Decimal("50.00"), "succeeded"),
        (Decimal("100.00"), "succeeded"),
    ]
    assert {one.state for one in Subscription.objects.all()} == {SubscriptionState.ACTIVE}
    assert violations(shop) == []
    again = done(shop, counted(shop, "refund", {"percent": "100"}, one))
    assert results(again)[0][:2] == ("done", Decimal("100.00")), "no more than is left"
    nothing = counted(shop, "refund", {"percent": "100"}, one)
    assert results(nothing)[0][0] == "refused"
    with pytest.raises(Refused, match="nothing_to_do"):
        actions.confirm(nothing.pk, actor="anna")
    assert violations(shop) == []


def test_tariffs_change_for_a_list_at_once_or_at_the_periods_end(shop: Shop) -> None:
    offer = shop.offer(price="100.00")
    dearer = another(offer, "200.00")
    one, stranger = shop.buy(offer), shop.buy(shop.offer())
    later = counted(shop, "change", {"offer": dearer.pk, "when": "period_end"}, one, stranger)
    assert [row[0] for row in results(later)] == ["counted", "refused"]
    now = counted(shop, "change", {"offer": dearer.pk, "when": "now"}, one)
    due = changes.preview(subscription=one, offer=dearer, when="now").due.amount
    assert results(now)[0][1] == due > 0
    done(shop, now)
    one.refresh_from_db()
    assert (one.offer_id, one.price) == (dearer.pk, Decimal("200.00"))
    done(shop, later)
    assert results(later)[0] == ("refused", Decimal("0.00"), "Эти условия действуют уже сейчас")
    assert violations(shop) == []


def test_a_sum_that_changed_after_it_was_agreed_to_is_refused(shop: Shop) -> None:
    one = shop.buy(shop.offer(price="200.00"))
    action = counted(shop, "refund", {"percent": "60"}, one)
    done(shop, counted(shop, "refund", {"percent": "60"}, one))
    done(shop, action)
    [(state, _amount, why)] = results(action)
    assert state == MassRowState.REFUSED
    assert "сумма изменилась" in why
    assert Refund.objects.count() == 1


def test_bad_parameters_are_refused_in_words(shop: Shop) -> None:
    one = shop.buy(shop.offer())
    for code, kind, params in (
        ("bad_kind", "nothing", {}),
        ("bad_days", "extend", {"days": 0}),
        ("bad_days", "extend", {"days": "5"}),
        ("bad_percent", "refund", {"percent": "0"}),
        ("bad_percent", "refund", {"percent": "x"}),
        ("bad_percent", "refund", {"percent": "NaN"}),
        ("offer_closed", "change", {"offer": 987654321}),
        ("bad_when", "change", {"offer": one.offer_id, "when": "never"}),
    ):
        with pytest.raises(Refused, match=code):
            asked(kind, params, one)
    with pytest.raises(Refused, match="nothing_chosen"):
        asked("extend", {"days": 1})
    assert not MassAction.objects.exists()


def test_above_the_limit_another_person_agrees(shop: Shop, settings: Any) -> None:
    settings.MASS_ACTION_SUM = 10
    one = shop.buy(shop.offer(price="200.00"))
    action = counted(shop, "refund", {"percent": "50"}, one)
    for actor in ("anna", "api:shop"):
        with pytest.raises(Refused, match="second_person"):
            actions.confirm(action.pk, actor=actor)
    assert not Refund.objects.exists()
    done(shop, action, actor="boris")
    assert (action.state, action.confirmed_by) == (MassState.DONE, "boris")
    settings.MASS_ACTION_SUM, settings.MASS_ACTION_ROWS = 10_000, 0
    action = counted(shop, "refund", {"percent": "10"}, one)
    with pytest.raises(Refused, match="second_person"):
        actions.confirm(action.pk, actor="anna")


def test_stopped_it_does_no_more(shop: Shop) -> None:
    one = shop.buy(shop.offer())
    action = counted(shop, "extend", {"days": 5}, one)
    actions.confirm(action.pk, actor="anna")
    actions.drop(action.pk, actor="anna")
    shop.hurry()
    assert results(action)[0][0] == "counted"
    with pytest.raises(Refused, match="already_over"):
        actions.drop(action.pk, actor="anna")
    with pytest.raises(Refused, match="not_ready"):
        actions.confirm(action.pk, actor="anna")


@pytest.mark.parametrize("point", actions.FAULT_POINTS)
def test_a_row_is_done_once_wherever_it_died(shop: Shop, point: str) -> None:
    offer = shop.offer(price="100.00")
    mine = [shop.buy(offer) for _n in range(4)]
    action = counted(shop, "refund", {"percent": "10"}, *mine)
    actions.confirm(action.pk, actor="anna")
    with faults.crash_at(point, after=2), pytest.raises(faults.Crash):
        shop.deliver()
    assert MassRow.objects.filter(state=MassRowState.COUNTED).exists()
    shop.hurry()
    action.refresh_from_db()
    assert action.state == MassState.DONE
    assert [row[0] for row in results(action)] == ["done"] * 4
    assert [note.total for note in CreditNote.objects.all()] == [Decimal("10.00")] * 4
    assert violations(shop) == []


def test_more_rows_than_one_turn_takes(shop: Shop, monkeypatch: Any) -> None:
    monkeypatch.setattr(mass, "CHUNK", 2)
    offer = shop.offer()
    mine = [shop.buy(offer) for _n in range(5)]
    action = done(shop, counted(shop, "extend", {"days": 1}, *mine))
    assert [row[0] for row in results(action)] == ["done"] * 5
    assert not Due.objects.filter(object_id=action.pk).exists()


def agreed_at_once(shop: Shop, patch: pytest.MonkeyPatch) -> tuple[list[str], int, bool]:
    """Two people agree at once: who is written down as who agreed, how often, and whether one overtook the other."""
    action = counted(shop, "extend", {"days": 1}, shop.buy(shop.offer()))
    found = race(
        patch,
        shop.partner,
        lambda: actions.confirm(action.pk, actor="boris").confirmed_by,
        (mass, "summary"),
        lambda: actions.confirm(action.pk, actor="vera").confirmed_by,
    )
    entries = Entry.objects.filter(action="mass.confirmed", object_id=str(action.pk))
    said = [one for one in (found.first, found.second) if isinstance(one, str)]
    return said, entries.count(), found.overtook


def test_without_the_lock_two_people_agree_to_one_action(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    without_lock(monkeypatch, MassAction)
    assert agreed_at_once(shop, monkeypatch) == (["boris", "vera"], 2, True)


def test_the_lock_lets_one_of_two_agree(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert agreed_at_once(shop, monkeypatch) == (["boris"], 1, False)


def given_at_once(shop: Shop, patch: pytest.MonkeyPatch) -> int:
    """Two workers have the same action, one with a lease that ran out: how many days were given in the end."""
    one = shop.buy(shop.offer())
    action = counted(shop, "extend", {"days": 3}, one)
    actions.confirm(action.pk, actor="anna")
    before = one.current_period_end
    race(
        patch,
        shop.partner,
        lambda: actions.work(action.pk),
        (actions._mass, "do"),
        lambda: actions.work(action.pk),
    )
    one.refresh_from_db()
    assert one.current_period_end
    assert before
    return (one.current_period_end - before).days


def test_without_locks_two_workers_do_a_row_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    without_lock(monkeypatch, MassAction, MassRow)
    assert given_at_once(shop, monkeypatch) == 6


def test_the_lock_has_a_row_done_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert given_at_once(shop, monkeypatch) == 3
