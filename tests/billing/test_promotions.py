"""Promo codes: what they take off, for how long, within which limits, also at once; offers to those who leave."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from apps.billing import promos, retention, subscriptions
from apps.billing.models import InvoiceState, SubscriptionDiscount, SubscriptionState
from apps.billing.preview import preview
from apps.billing.promotion_models import (
    LeavingAnswer,
    PromoCode,
    PromoRedemption,
    Promotion,
    RetentionOffer,
)
from apps.core import audit, clock
from apps.core.errors import Refused
from tests.orders.races import race, without_lock
from tests.orders.shop import Shop

D = Decimal


def faults_of(shop: Shop) -> list[str]:
    return [str(violation) for violation in audit.run([shop.partner.pk])]


def promotion(code: str = "OSEN", **terms: Any) -> Promotion:
    terms.setdefault("percent", D(0) if terms.get("amount") else D(30))
    made = Promotion.objects.create(name="Осень", created_at=clock.now(), **terms)
    if code:
        promos.make(promotion=made, text=code)
    return made


def refused(call: Any) -> str:
    with pytest.raises(Refused) as refusal:
        call()
    return refusal.value.code


@pytest.mark.parametrize(
    ("terms", "totals"),
    [
        ({"percent": D(30), "periods": 2}, ["104.30", "104.30", "149.00"]),
        ({"percent": D(30)}, ["104.30", "104.30", "104.30"]),
        ({"amount": D("49.01"), "periods": 1}, ["99.99", "149.00", "149.00"]),
        ({"amount": D(500), "periods": 1}, ["0.00", "149.00", "149.00"]),
    ],
)
def test_a_code_takes_off_what_it_says_for_as_long(
    shop: Shop, terms: dict[str, Any], totals: list[str]
) -> None:
    promotion(**terms)
    order = shop.order(shop.offer(), promo_code=" osen ")
    assert order.total == D(totals[0])
    shop.pay(order)
    subscription = order.item.subscription
    assert subscription
    for _month in range(2):
        subscription.refresh_from_db()
        seen = preview(subscription)
        shop.until(subscription.current_period_end)
        assert shop.invoices(subscription)[-1].due_money == seen.due
    assert [str(one.total) for one in shop.invoices(subscription)] == totals
    assert {one.state for one in shop.invoices(subscription)} == {InvoiceState.PAID}
    line = shop.invoices(subscription)[0].lines.get()
    assert (line.amount, line.discount) == (D(totals[0]), D(149) - D(totals[0]))
    assert faults_of(shop) == []


def test_a_code_waits_for_the_end_of_the_trial(shop: Shop) -> None:
    promotion(percent=D(50), periods=1)
    subscription = shop.buy(shop.offer(trial_days=7), promo_code="OSEN")
    assert str(preview(subscription).due.amount) == "74.50"
    shop.until(subscription.current_period_end)
    assert [str(one.total) for one in shop.invoices(subscription)] == ["0.00", "74.50"]
    assert faults_of(shop) == []


def test_where_a_code_does_not_hold(shop: Shop) -> None:
    offer, other = shop.offer(), shop.offer()
    today = clock.today()
    promotion("LATER", valid_from=today + timedelta(days=1))
    promotion("OVER", valid_until=today - timedelta(days=1))
    promotion("OFF", is_active=False)
    promotion("OTHER", tariff_ids=[other.tariff_id])
    promotion("CALLS", channel_codes=["calls"])
    promotion("TODAY", valid_from=today, valid_until=today, tariff_ids=[offer.tariff_id])
    codes = {
        text: refused(lambda text=text: promos.look(text, offer=offer))
        for text in ("NONE", "LATER", "OVER", "OFF", "OTHER", "CALLS")
    }
    assert codes == {
        "NONE": "promo_unknown",
        "LATER": "promo_not_valid",
        "OVER": "promo_not_valid",
        "OFF": "promo_not_valid",
        "OTHER": "promo_not_for_this",
        "CALLS": "promo_not_for_this",
    }
    given = promos.look("today", offer=offer, quantity=2)
    assert (given.gross.amount, given.discount.amount, given.price.amount) == (
        D(298),
        D("89.40"),
        D("208.60"),
    )


def test_a_customer_uses_it_once_and_what_was_not_bought_is_free_again(shop: Shop) -> None:
    made, customer, offer = promotion(total_limit=2), shop.customer(), shop.offer()
    order = shop.order(offer, customer=customer, promo_code="OSEN")
    assert refused(lambda: shop.order(offer, customer=customer, promo_code="OSEN")) == "promo_used"
    # It comes to nothing: in some days it is off, and the code may be used again.
    shop.gateway.fault("decline", match={"shop": shop.partner.slug})
    shop.pay(order)
    shop.until(clock.today() + timedelta(days=6))
    order.refresh_from_db()
    assert order.state == "cancelled"
    made.refresh_from_db()
    assert (made.used, PromoRedemption.objects.get().state) == (0, "released")
    shop.buy(offer, customer=customer, promo_code="OSEN")
    shop.buy(offer, promo_code="OSEN")
    assert refused(lambda: shop.order(offer, promo_code="OSEN")) == "promo_spent"
    assert faults_of(shop) == []


def test_a_batch_of_thousands_stops_when_its_budget_is_spent(shop: Shop) -> None:
    made = promotion("", percent=D(50), periods=2, budget=D("300.00"))
    codes = [one.code for one in promos.make(promotion=made, count=5000, prefix="vip-")]
    assert (len(set(codes)), PromoCode.objects.filter(limit=1).count()) == (5000, 5000)
    assert all(code.startswith("VIP-") and len(code) == 12 for code in codes)
    offer = shop.offer(price="100.00")
    for code in codes[:3]:
        shop.buy(offer, promo_code=code)
    made.refresh_from_db()
    assert (made.used, made.spent) == (3, D("300.00"))
    assert refused(lambda: shop.order(offer, promo_code=codes[3])) == "promo_spent"
    assert refused(lambda: shop.order(offer, promo_code=codes[0])) == "promo_used"
    assert faults_of(shop) == []


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("limit", ["total", "budget", "code", "customer"])
def test_two_at_once_and_one_place_left(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, locked: bool, limit: str
) -> None:
    """The promotion's lock lets one of two in; without it both get in over the limit."""
    terms: dict[str, Any] = {
        "total": {"total_limit": 1},
        "budget": {"budget": D("50.00"), "periods": 1},
        "code": {},
        "customer": {},
    }[limit]
    made = promotion("OSEN", **terms)
    if limit == "code":
        PromoCode.objects.update(limit=1)
    offer, customer = shop.offer(), shop.customer()
    # The customer's own lock would hold back one customer's two orders: here it is the promotion's that is looked at.
    mine = [
        subscriptions.create(
            customer=customer if limit == "customer" else shop.customer(),
            offer=offer,
            version=offer.current_version(),
            name="Облако",
        )
        for _one in range(2)
    ]

    def redeem(number: int) -> Any:
        with transaction.atomic():
            return promos.redeem("OSEN", subscription=mine[number], offer=offer)

    with monkeypatch.context() as patch:
        if not locked:
            without_lock(patch, Promotion)
        done = race(patch, shop.partner, lambda: redeem(0), (promos, "_count"), lambda: redeem(1))
    assert done.overtook is not locked
    made.refresh_from_db()
    taken = PromoRedemption.objects.count()
    assert taken == (1 if locked else 2)
    if locked:
        assert isinstance(done.second, Refused)


def test_a_code_for_what_runs_already(shop: Shop) -> None:
    promotion("NEWONLY")
    promotion("ANY", is_new_only=False, periods=2)
    subscription = shop.buy(shop.offer())
    assert refused(lambda: promos.apply(subscription=subscription, code="NEWONLY")) == "promo_not_for_this"
    promos.apply(subscription=subscription, code="any", actor="customer")
    assert refused(lambda: promos.apply(subscription=subscription, code="any")) == "promo_has_one"
    assert str(preview(subscription).due.amount) == "104.30"
    for _month in range(3):
        subscription.refresh_from_db()
        shop.until(subscription.current_period_end)
    totals = [str(one.total) for one in shop.invoices(subscription)]
    assert totals == ["149.00", "104.30", "104.30", "149.00"]
    assert faults_of(shop) == []


def offered(**terms: Any) -> RetentionOffer:
    terms = {"kind": "discount", "percent": D(30), "periods": 3, **terms}
    return RetentionOffer.objects.create(name={"ru": "Скидка 30 % на 3 месяца"}, **terms)


def test_who_stays_pays_less_and_is_asked_once(shop: Shop) -> None:
    subscription, other = shop.buy(shop.offer()), shop.buy(shop.offer())
    offered(tariff_ids=[987654321], sort=1)
    offer = offered()
    assert retention.offer_for(subscription) == offer
    retention.accept(subscription=subscription, reason="dear", actor="customer")
    assert retention.offer_for(subscription) is None
    assert refused(lambda: retention.accept(subscription=subscription)) == "nothing_offered"
    start = subscription.current_period_end
    discount = SubscriptionDiscount.objects.get()
    assert (discount.start_date, discount.percent) == (start, D(30))
    assert str(preview(subscription).due.amount) == "104.30"
    # Another one leaves all the same.
    retention.left(subscription=other, reason="broken")
    subscriptions.cancel(other, reason="Что-то не работает")
    report = retention.report(clock.today(), clock.today() + timedelta(days=1))
    assert [(row.name, row.asked, row.stayed) for row in report.by_offer] == [
        ("Скидка 30 % на 3 месяца", 2, 1)
    ]
    assert {(row.name, row.asked, row.stayed) for row in report.by_reason} == {
        ("Дорого", 1, 1),
        ("Что-то не работает", 1, 0),
    }
    assert (report.total.asked, report.total.stayed, report.total.percent) == (2, 1, 50)
    assert LeavingAnswer.objects.count() == 2
    assert faults_of(shop) == []


def test_a_pause_instead_of_leaving(shop: Shop) -> None:
    subscription = shop.buy(shop.offer())
    offered(kind="pause", percent=D(0), periods=None, pause_days=30)
    retention.accept(subscription=subscription)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.resume_date) == (
        SubscriptionState.PAUSED,
        clock.today() + timedelta(days=30),
    )
