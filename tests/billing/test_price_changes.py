"""A new price: counted before, published once, told or asked, and never charged where the customer did not agree."""

import threading
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.billing import price_changes, subscriptions
from apps.billing.models import PhaseKind, PriceConsent, Subscription, SubscriptionState
from apps.catalog import price_changes as catalogue
from apps.catalog.models import Offer, PriceChange
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from tests.orders.shop import Shop

_C = PriceConsent.State


def drafted(offer: Offer, price: str = "199.00", **options: Any) -> PriceChange:
    options = {"policy": "at_renewal", "notice_days": 10, "effective_date": clock.today(), **options}
    with in_public():
        change = PriceChange.objects.create(
            tariff=offer.tariff, price=Decimal(price), created_at=clock.wall(), **options
        )
    return change


def published(shop: Shop, offer: Offer, price: str = "199.00", **options: Any) -> PriceChange:
    """A change that is counted and published, its letters written."""
    change = drafted(offer, price, **options)
    with in_public():
        catalogue.count(change)
    shop.deliver()
    with in_public():
        change = catalogue.publish(change.pk, actor="olga")
    shop.deliver()
    return change


def amounts(shop: Shop) -> list[str]:
    return [row["amount"] for row in shop.charges()]


def consent_of(subscription: Subscription) -> PriceConsent:
    return PriceConsent.objects.get(subscription=subscription)


def test_the_console_counts_before_publishing(shop: Shop) -> None:
    offer, own = shop.offer(price="149.00"), shop.offer(price="149.00")
    shop.buy(offer), shop.buy(offer, quantity=2)
    yearly = shop.offer(price="1200.00", period_unit="year")
    shop.buy(yearly)
    change = drafted(offer)
    with in_public(), pytest.raises(Refused, match="not_counted"):
        catalogue.publish(change.pk)
    with in_public():
        catalogue.count(change)
    shop.deliver()
    impact = change.impacts.get(partner=shop.partner)
    assert (impact.subscriptions, impact.old_monthly, impact.new_monthly) == (
        2,
        Decimal("447"),
        Decimal("597"),
    )
    by_year = drafted(yearly, "2400.00")
    with in_public():
        catalogue.count(by_year)
    shop.deliver()
    assert by_year.impacts.get().difference == Decimal("100.00")
    assert own.tariff.price_changes.count() == 0
    # Who has a price of its own pays that.
    with in_public():
        Offer.objects.filter(pk=offer.pk).update(price=Decimal("99.00"))
        catalogue.count(change)
    shop.deliver()
    assert change.impacts.get(partner=shop.partner).subscriptions == 0


def test_at_renewal_is_told_and_moved_at_the_first_bill_date_after_the_notice(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer, quantity=2)
    first_end = subscription.current_period_end
    assert first_end
    # Forty days of notice: the next bill date is too early, the one after it is the first that will do.
    published(shop, offer, notice_days=40)
    consent = consent_of(subscription)
    assert consent.state == _C.NOTIFIED
    assert consent.effective_date > first_end
    assert consent.effective_date >= clock.today() + timedelta(days=40)
    letter = Message.objects.get(type="price_change")
    assert "298,00" in letter.text or "298" in letter.text
    assert "398" in letter.text
    assert f"{consent.effective_date:%d.%m.%Y}" in letter.text
    phase = subscription.phases.get(kind=PhaseKind.PRICE_CHANGE)
    assert (phase.price, phase.quantity, phase.start_date) == (Decimal("199.00"), 2, consent.effective_date)
    shop.until(first_end)
    assert amounts(shop) == ["298.00", "298.00"]
    shop.until(consent.effective_date)
    assert amounts(shop) == ["298.00", "298.00", "398.00"]
    subscription.refresh_from_db()
    assert subscription.price == Decimal("199.00")
    # New sales go by it too; planning again tells nobody twice.
    offer.tariff.refresh_from_db()
    assert offer.tariff.current
    assert offer.tariff.current.price == Decimal("199.00")
    price_changes.plan(consent.change_id)
    assert Message.objects.filter(type="price_change").count() == 1


def test_grandfathered_subscribers_keep_their_price(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer, policy="grandfather")
    assert not PriceConsent.objects.exists()
    shop.until(subscription.current_period_end)
    assert amounts(shop) == ["149.00", "149.00"]


def test_with_consent_moves_only_who_agreed(shop: Shop, client_for: Any) -> None:
    offer = shop.offer(price="149.00")
    agreed, refused, silent = (shop.buy(offer) for _ in range(3))
    published(shop, offer, policy="with_consent", note={"ru": "Добавили каналы"})
    day = consent_of(agreed).effective_date
    assert {consent.state for consent in PriceConsent.objects.all()} == {_C.WAITING}
    assert not agreed.phases.filter(kind=PhaseKind.PRICE_CHANGE).exists()
    client = client_for(shop.partner)
    for subscription, said in ((agreed, "yes"), (refused, "no")):
        link = price_changes.link(consent_of(subscription))
        assert link in Message.objects.get(type="price_change", customer_ref=subscription.customer_id).text
        page = "/price/" + link.split("/price/")[1]
        text = client.get(page).content.decode()
        assert "199" in text
        assert "Согласиться" in text
        assert client.post(page, {"answer": said}).status_code == 302
        assert "Согласиться" not in client.get(page).content.decode()
    assert client.get("/price/forged:xyz/").status_code == 404
    refused.refresh_from_db()
    assert refused.cancel_at_period_end
    shop.until(day)
    for subscription in (agreed, refused, silent):
        subscription.refresh_from_db()
    assert sorted(amounts(shop)) == ["149.00"] * 3 + ["199.00"]
    assert agreed.price == Decimal("199.00")
    assert (refused.state, silent.state) == (SubscriptionState.ENDED, SubscriptionState.ENDED)
    assert consent_of(silent).state == _C.LAPSED
    assert consent_of(agreed).ip == "127.0.0.1"
    with pytest.raises(Refused, match="consent_closed"):
        price_changes.answer(consent_of(silent).pk, agrees=True)


def test_a_lower_price_needs_no_consent(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer, "99.00", policy="with_consent", notice_days=1)
    assert consent_of(subscription).state == _C.NOTIFIED
    shop.until(subscription.current_period_end)
    assert amounts(shop) == ["149.00", "99.00"]


def test_who_cancelled_meanwhile_is_left_alone_and_found_when_back(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    before, after = shop.buy(offer), shop.buy(offer)
    subscriptions.cancel(before)
    published(shop, offer)
    assert not PriceConsent.objects.filter(subscription=before).exists()
    subscriptions.uncancel(before)
    shop.deliver()
    assert consent_of(before).state == _C.NOTIFIED
    subscriptions.cancel(after)
    shop.deliver()
    shop.until(consent_of(after).effective_date)
    assert sorted(amounts(shop)) == ["149.00", "149.00", "199.00"]


def test_who_refused_and_came_back_is_asked_again(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer, policy="with_consent")
    price_changes.answer(consent_of(subscription).pk, agrees=False)
    subscriptions.uncancel(subscription)
    shop.deliver()
    assert consent_of(subscription).state == _C.WAITING
    shop.until(consent_of(subscription).effective_date)
    subscription.refresh_from_db()
    assert (subscription.state, amounts(shop)) == (SubscriptionState.ENDED, ["149.00"])


def test_who_took_another_tariff_meanwhile_is_not_moved_back(shop: Shop) -> None:
    from apps.billing import phases

    offer, other = shop.offer(price="149.00"), shop.offer(price="300.00")
    subscription = shop.buy(offer)
    published(shop, offer)
    day = consent_of(subscription).effective_date
    version = other.current_version()
    phases.add(
        subscription,
        kind=PhaseKind.CHANGE,
        start_date=day,
        offer=other,
        version=version,
        price=version.price,
    )
    price_changes.follow([subscription.pk])
    assert consent_of(subscription).state == _C.VOID
    assert subscription.phases.get(kind=PhaseKind.PRICE_CHANGE).dropped_at
    shop.until(day)
    assert amounts(shop) == ["149.00", "300.00"]


def test_more_seats_meanwhile_pay_the_new_price_for_all(shop: Shop) -> None:
    from apps.billing import phases

    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer)
    phases.add(subscription, kind=PhaseKind.CHANGE, start_date=clock.today() + timedelta(days=1), quantity=3)
    price_changes.follow([subscription.pk])
    planned = subscription.phases.get(kind=PhaseKind.PRICE_CHANGE, dropped_at=None)
    assert (planned.quantity, planned.price) == (3, Decimal("199.00"))


def test_a_real_change_of_quantity_keeps_what_is_planned(shop: Shop) -> None:
    """Whoever changes terms writes the coming ones anew; the new price goes on as it was told, once."""
    from apps.billing import changes

    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer)
    day = consent_of(subscription).effective_date
    changes.change(subscription=subscription, quantity=2, when="period_end", actor="olga")
    shop.deliver()
    consent = consent_of(subscription)
    assert (consent.state, consent.effective_date) == (_C.NOTIFIED, day)
    assert Message.objects.filter(type="price_change").count() == 1
    shop.until(day)
    assert amounts(shop) == ["149.00", "398.00"]


def test_who_rested_on_the_day_is_told_anew(shop: Shop) -> None:
    from apps.billing import pauses

    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer)
    day = consent_of(subscription).effective_date
    shop.until(day - timedelta(days=5))
    pauses.pause(subscription=subscription, actor="olga")
    shop.deliver()
    shop.until(day + timedelta(days=5))
    pauses.resume(subscription=subscription, actor="olga")
    shop.deliver()
    consent = consent_of(subscription)
    assert consent.state == _C.NOTIFIED
    assert consent.effective_date >= clock.today() + timedelta(days=10)
    assert Message.objects.filter(type="price_change").count() == 2


def test_a_later_change_replaces_one_that_has_not_come(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer, "199.00", notice_days=60)
    published(shop, offer, "179.00", notice_days=5)
    states = dict(PriceConsent.objects.values_list("price", "state"))
    assert states == {Decimal("199.00"): _C.VOID, Decimal("179.00"): _C.NOTIFIED}
    [phase] = subscription.phases.filter(kind=PhaseKind.PRICE_CHANGE, dropped_at=None)
    assert phase.price == Decimal("179.00")


def test_bought_at_the_old_price_after_publishing_is_told_too(shop: Shop) -> None:
    offer = shop.offer(price="149.00")
    published(shop, offer, effective_date=clock.today() + timedelta(days=20), notice_days=10)
    offer = Offer.objects.get(pk=offer.pk)
    assert offer.unit_price == Decimal("149.00")
    subscription = shop.buy(offer)
    assert consent_of(subscription).state == _C.NOTIFIED
    assert consent_of(subscription).effective_date >= clock.today() + timedelta(days=20)


@pytest.mark.parametrize("locked", [True, False])
def test_published_twice_at_once_is_published_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """With the row's lock one is refused; without it both pass the check."""
    offer = shop.offer(price="149.00")
    change = drafted(offer, policy="grandfather")
    if not locked:
        manager: Any = PriceChange.objects
        monkeypatch.setattr(
            type(manager.all()), "select_for_update", lambda self, **_options: self, raising=False
        )
    gate, results = threading.Barrier(2, timeout=20), []
    check = catalogue._check

    def slow(found: PriceChange) -> None:
        check(found)
        if not locked:
            gate.wait()

    monkeypatch.setattr(catalogue, "_check", slow)

    def attempt() -> None:
        try:
            with in_public():
                results.append(catalogue.publish(change.pk).version_id)
        except Exception as error:
            results.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if locked:
        assert "Refused" in results
        assert offer.tariff.versions.count() == 2
    else:
        # The database still keeps what was published: no two versions stand for one change.
        assert "Refused" not in results


def test_links_of_another_partner_open_nothing(shop: Shop, client_for: Any, operator: Any) -> None:
    from tests.conftest import make_partner

    offer = shop.offer(price="149.00")
    subscription = shop.buy(offer)
    published(shop, offer, policy="with_consent")
    page = "/price/" + price_changes.link(consent_of(subscription)).split("/price/")[1]
    with in_public():
        other = make_partner()
    assert client_for(other).get(page).status_code == 404
    with in_partner(shop.partner):
        assert client_for(shop.partner).get(page).status_code == 200


def test_a_published_change_is_frozen(shop: Shop) -> None:
    from django.db import IntegrityError, transaction

    offer = shop.offer(price="149.00")
    change = published(shop, offer, effective_date=date(2099, 1, 1))
    with in_public(), pytest.raises(IntegrityError), transaction.atomic():
        PriceChange.objects.filter(pk=change.pk).update(price=Decimal("1.00"))
    with in_public(), pytest.raises(Refused, match="already_published"):
        catalogue.publish(change.pk)
