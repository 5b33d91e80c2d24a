"""Races of a subscription's life: right with the lock; with it taken away the same two workers do harm.

The table of all races, their locks and tests is docs/races.md.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.billing import (
    adjusting,
    bounds,
    changes,
    discounts,
    dunning,
    facts,
    invoices,
    parking,
    pauses,
    phases,
    price_changes,
    renewals,
    retention,
    seats,
    subscriptions,
    transfers,
)
from apps.billing import run as billing_run
from apps.billing.arrangements import Seat, SubscriptionChange, TrialUse
from apps.billing.dunning_models import ParkedBill
from apps.billing.models import (
    Invoice,
    InvoicePayment,
    PhaseKind,
    PriceConsent,
    Subscription,
    SubscriptionDiscount,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.core import clock
from apps.core.errors import Refused
from apps.core.models import Event
from apps.payments import payments
from apps.payments.models import Payment, PaymentMethod
from tests.billing.test_bounds import wrong_price
from tests.billing.test_lifecycle import another
from tests.billing.test_lifecycle_rests import addon_offer
from tests.billing.test_price_changes import consent_of, published
from tests.billing.test_promotions import offered
from tests.billing.test_renewals import jump
from tests.orders.races import Both, Runner, atomic, race, run, without_lock
from tests.orders.shop import BROKE_LATER, Shop
from tests.planted import execute

__all__ = ["run"]
_S = SubscriptionState


def refusal(got: Any) -> str:
    """The code of a refusal; empty for anything else that came of it."""
    return got.code if isinstance(got, Refused) else ""


def due_today(shop: Shop, **options: Any) -> Subscription:
    """A subscription on the day of its next bill."""
    subscription = shop.buy(shop.offer(**options))
    jump(shop, subscription.current_period_end)
    return subscription


def renewal_charges() -> int:
    return Payment.objects.filter(purpose="renewal").count()


@Both
def test_one_period_renewed_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = due_today(shop)

    def renew() -> None:
        renewals.renew(subscription.pk)

    at = billing_run, "write"
    run(renew, at, renew, Subscription, PaymentMethod, indexes=("billing_period_once",))
    # Without lock and index the same days are billed, and charged, twice.
    assert (len(shop.invoices(subscription)) - 1, renewal_charges()) == ((1, 1) if locked else (2, 2))


def test_the_index_alone_keeps_a_period_from_being_billed_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = due_today(shop)

    def renew() -> None:
        renewals.renew(subscription.pk)

    without_lock(monkeypatch, Subscription, PaymentMethod)
    done = race(monkeypatch, shop.partner, renew, (billing_run, "write"), renew)
    assert isinstance(done.first, IntegrityError)
    assert (done.overtook, len(shop.invoices(subscription)) - 1, renewal_charges()) == (True, 1, 1)


@Both
def test_renewing_and_changing_the_tariff(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = due_today(shop, price="149.00")
    dearer = another(shop, Subscription.objects.get().offer, "449.00")
    done = run(
        lambda: renewals.renew(subscription.pk),
        (billing_run, "write"),
        lambda: changes.change(subscription=subscription, offer=dearer, when="period_end"),
        Subscription,
    )
    assert refusal(done.second) == ("invoice_open" if locked else "")
    [one] = facts.load([Subscription.objects.get()], since=clock.today())
    # Without the lock the days billed at the old price stand under the new terms: they would be billed again.
    assert bool(one.difference(clock.today()).charges) is not locked


@Both
def test_renewing_and_pausing(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = due_today(shop)
    done = run(
        lambda: renewals.renew(subscription.pk),
        (billing_run, "write"),
        lambda: pauses.pause(subscription=subscription),
        Subscription,
    )
    subscription.refresh_from_db()
    assert refusal(done.second) == ("invoice_open" if locked else "")
    # Without the lock a resting subscription is charged for the days it rests.
    assert subscription.state == (_S.ACTIVE if locked else _S.PAUSED)
    assert renewal_charges() == 1


@Both
def test_going_on_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    pauses.pause(subscription=subscription)
    jump(shop, clock.today() + timedelta(days=3))

    def resume() -> None:
        pauses.resume(subscription=subscription)

    run(resume, (phases, "add"), resume, Subscription)
    again = SubscriptionPhase.objects.filter(kind=PhaseKind.REGULAR, start_date=clock.today())
    # Each of two terms from one day on would be billed.
    assert again.count() == (1 if locked else 2)


@Both
def test_a_renewal_is_settled_while_its_subscription_is_ended(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = due_today(shop)
    renewals.renew(subscription.pk)
    charge = Payment.objects.get(purpose="renewal")
    payments.send(charge.pk)
    done = run(
        atomic(renewals.paid, charge.pk),
        (subscriptions, "extend"),
        lambda: subscriptions.cancel(subscription, at_period_end=False),
        Subscription,
        Invoice,
    )
    subscription.refresh_from_db()
    assert subscription.state == _S.CANCELLED
    # Without the lock the database's own rule is what is left: a void invoice is not paid any more.
    assert isinstance(done.first, IntegrityError) is not locked


@Both
def test_an_addon_is_paid_while_its_subscription_is_ended(shop: Shop, run: Runner, locked: bool) -> None:
    parent = shop.buy(shop.offer())
    order = shop.order(addon_offer(shop), customer=parent.customer, parent=parent)
    payment = order.payment()
    assert payment
    payment.refresh_from_db()
    shop.gateway.pay(payment.confirmation_url)
    payments.settle(payment.pk)
    run(
        atomic(renewals.paid, payment.pk),
        # When it has looked at its parent.
        (adjusting, "date_lines"),
        lambda: subscriptions.cancel(parent, at_period_end=False),
        Subscription,
        Invoice,
    )
    addon = Subscription.objects.get(parent=parent)
    parent.refresh_from_db()
    assert parent.state == _S.CANCELLED
    # Without the lock it runs on, with nothing that it belongs to.
    assert addon.is_live is not locked


@Both
def test_two_clicks_on_one_change(shop: Shop, run: Runner, locked: bool) -> None:
    offer = shop.offer(price="149.00")
    subscription, dearer = shop.buy(offer), another(shop, offer, "449.00")

    def click() -> Any:
        return changes.change(subscription=subscription, offer=dearer, when="now")

    at, indexes = (adjusting, "draft"), ("billing_one_change_at_a_time",)
    run(click, at, click, Subscription, PaymentMethod, indexes=indexes)
    waiting = SubscriptionChange.objects.filter(state="waiting").count()
    to_pay = InvoicePayment.objects.filter(invoice__purpose="change", failed=False).count()
    # The one asked for last counts; without the lock both wait and both are charged.
    assert (waiting, to_pay) == ((1, 1) if locked else (2, 2))


@Both
def test_two_who_decide_about_one_bill(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer(price="149.00"))
    execute("SET session_replication_role = replica")
    wrong_price(subscription, "14900.00")
    execute("SET session_replication_role = origin")
    jump(shop, subscription.current_period_end)
    renewals.renew(subscription.pk)
    bill = ParkedBill.objects.get()
    done = run(
        lambda: parking.release(bill.pk, note="Верно", actor="olga"),
        (bounds, "decide"),
        lambda: parking.void(bill.pk, note="Неверно", actor="anna", cancel=True),
        ParkedBill,
        Subscription,
    )
    bill.refresh_from_db()
    assert refusal(done.second) == ("bill_decided" if locked else "")
    # Without the lock a bill goes out that a colleague has called wrong before.
    assert bill.state == "released"
    cancelled = Event.objects.filter(type="billing.SubscriptionCancelled", object_id=subscription.pk)
    assert cancelled.exists() is not locked


@Both
def test_agreeing_to_a_price_and_refusing_it(shop: Shop, run: Runner, locked: bool) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer, policy="with_consent")
    asked = consent_of(subscription)
    done = run(
        lambda: price_changes.answer(asked.pk, agrees=False),
        (price_changes, "_close"),
        lambda: price_changes.answer(asked.pk, agrees=True),
        PriceConsent,
        Subscription,
    )
    asked.refresh_from_db()
    assert refusal(done.second) == ("consent_closed" if locked else "")
    assert asked.state == PriceConsent.State.REFUSED or not locked
    # Without the lock who has refused the new price stands on it.
    dearer = SubscriptionPhase.objects.filter(kind=PhaseKind.PRICE_CHANGE, dropped_at=None)
    assert dearer.exists() is not locked


@Both
def test_passing_on_to_somebody_who_is_being_erased(shop: Shop, run: Runner, locked: bool) -> None:
    subscription, taker = shop.buy(shop.offer()), shop.customer("boris")

    def erase() -> None:
        customers.erase(taker, actor="test")
        shop.deliver()

    run(
        lambda: transfers.transfer(subscription=subscription, to=taker),
        (subscriptions, "drop_change"),
        erase,
        Customer,
    )
    shop.deliver()
    subscription.refresh_from_db()
    assert subscription.customer == taker
    # Without the lock it is somebody's who is gone, and nothing will ever end it.
    assert subscription.cancel_at_period_end is locked


@Both
def test_the_last_seat_is_taken_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())

    def take() -> Any:
        return seats.assign(subscription=subscription, name="Анна")

    done = run(take, (Seat.objects, "create"), take, Subscription, indexes=("billing_seat_once",))
    assert refusal(done.second) == ("no_seat_free" if locked else "")
    assert len(seats.held(subscription)) == (1 if locked else 2)


@Both
def test_staying_twice(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer())
    offered()

    def stay() -> Any:
        return retention.accept(subscription=subscription)

    done = run(stay, (discounts, "give"), stay, Subscription, indexes=("billing_retained_once",))
    assert refusal(done.second) == ("nothing_offered" if locked else "")
    assert SubscriptionDiscount.objects.count() == (1 if locked else 2)


def test_the_index_alone_gives_one_who_stays_one_discount(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = shop.buy(shop.offer())
    offered()

    def stay() -> Any:
        return retention.accept(subscription=subscription)

    without_lock(monkeypatch, Subscription)
    done = race(monkeypatch, shop.partner, stay, (discounts, "give"), stay)
    assert (done.overtook, refusal(done.second)) == (False, "nothing_offered")
    assert SubscriptionDiscount.objects.count() == 1


@Both
def test_two_trials_by_one_card(shop: Shop, run: Runner, locked: bool) -> None:
    """Two people nobody would take for one, but for their card: the unique index is the lock."""
    offer = shop.offer(trial_days=7)
    mine = [shop.order(offer, customer=shop.customer(name)) for name in ("anna", "boris")]
    found = []
    for order in mine:
        payment = order.payment()
        assert payment
        payment.refresh_from_db()
        shop.gateway.pay(payment.confirmation_url)
        found.append(payments.settle(payment.pk).pk)
    one, two = (atomic(renewals.paid, key) for key in found)
    run(one, (subscriptions, "start"), two, indexes=("billing_trial_once",))
    assert Subscription.objects.filter(state=_S.TRIAL).count() == (1 if locked else 2)
    cards = TrialUse.objects.filter(digest=PaymentMethod.objects.order_by("pk")[0].fingerprint)
    assert cards.count() == (1 if locked else 2)


@Both
def test_a_step_of_dunning_and_a_refusal_of_the_card(shop: Shop, run: Runner, locked: bool) -> None:
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    end = subscription.current_period_end
    assert end is not None
    shop.until(end)
    jump(shop, end + timedelta(days=1))
    method = subscription.method
    assert method is not None
    run(
        lambda: dunning.step(subscription.pk),
        (invoices, "pay"),
        lambda: payments.refuse_method(method, actor="customer"),
        PaymentMethod,
    )
    refused = Event.objects.get(type="payments.MethodRefused", object_id=method.pk)
    last = method.payments.filter(purpose="renewal").order_by("pk").last()
    assert last is not None
    # Without the lock a charge is written by a card that was taken back before.
    assert (last.pk.int < refused.pk.int) is locked
