"""A signed link pays an unpaid renewal or changes its card without a sign-in, and gives no other right."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.billing import pay_links, subscriptions, trials
from apps.billing.dunning_models import Dunning
from apps.billing.models import Invoice, Subscription
from apps.core import audit, clock
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders.models import ServiceState
from apps.payments import payments
from apps.payments.models import Payment, PaymentMethod, Refund
from apps.policies import dunning as rules
from apps.policies.dunning import Action, Step
from apps.policies.dunning_models import DunningChoice, DunningPolicy, DunningVersion
from tests.conftest import make_partner
from tests.orders.shop import BROKE_LATER, GOOD, Shop

NEW_CARD = "5555555555554444"


def unpaid(shop: Shop) -> tuple[Subscription, str]:
    """A renewal that its card did not pay, and the link of the message about it."""
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    shop.until(subscription.current_period_end)
    subscription.refresh_from_db()
    text = Message.objects.filter(type="renewal_failed").latest("pk").text
    found = re.search(r"/p/[\w-]+/", text)
    assert found is not None
    return subscription, found[0]


def suspended(shop: Shop) -> tuple[Subscription, str]:
    """The same, its service suspended the next day."""
    steps = [Step(0, Action.REMIND, "renewal_failed"), Step(1, Action.SUSPEND), Step(30, Action.END)]
    policy = DunningPolicy.objects.create(name=f"Приостановка {shop.partner.slug}")
    policy.current = DunningVersion.objects.create(
        policy=policy,
        number=1,
        timelines=rules.dumped(rules.usual() | {"funds": steps}),
        created_at=clock.wall(),
    )
    policy.save()
    DunningChoice.objects.create(partner=shop.partner, policy=policy)
    subscription, link = unpaid(shop)
    shop.until(subscription.current_period_end + timedelta(days=1))
    subscription.refresh_from_db()
    assert subscription.state == "suspended"
    return subscription, link


def is_clean(shop: Shop) -> bool:
    return list(audit.run([shop.partner.pk])) == []


def pay_there(shop: Shop, url: str, card: str = GOOD) -> None:
    """The customer pays on the gateway's page; a webhook would have us read the payment, as here."""
    shop.gateway.pay(url, card=card)
    payments.settle(Payment.objects.latest("pk").pk)
    shop.deliver()


@pytest.fixture
def web(shop: Shop, client_for: Callable[..., Client]) -> Client:
    return client_for(shop.partner)


def test_paying_by_the_link_brings_the_service_back_at_once(shop: Shop, web: Client) -> None:
    subscription, link = suspended(shop)
    old = subscription.method_id
    page = web.get(link)
    text = page.content.decode()
    assert page.status_code == 200
    assert "149" in text
    assert "Услуга приостановлена" in text
    assert page["X-Robots-Tag"] == "noindex"
    assert subscription.customer.email not in text
    assert "Анна" not in text
    # Opening it changes nothing.
    assert Payment.objects.filter(save_method=True).count() == 1
    answer = web.post(link, {"do": "pay"})
    assert answer.status_code == 302
    assert answer["Location"].startswith(shop.gateway.base_url)
    pay_there(shop, answer["Location"])
    subscription.refresh_from_db()
    assert (subscription.state, shop.service(subscription).state) == ("active", ServiceState.ACTIVE)
    assert subscription.method_id != old
    row = Dunning.objects.get()
    assert (row.state, row.recovered_by) == ("recovered", "customer")
    assert "Оплачено, спасибо" in web.get(link).content.decode()
    assert web.post(link, {"do": "pay"}).status_code == 302
    assert len(shop.charges()) == 2
    # The next month is charged by the new card.
    shop.until(subscription.current_period_end)
    assert len(shop.charges()) == 3
    assert is_clean(shop)


def test_a_second_press_pays_nothing_twice(shop: Shop, web: Client) -> None:
    _subscription, link = unpaid(shop)
    first, second = (web.post(link, {"do": "pay"})["Location"] for _time in range(2))
    assert first == second
    assert "Продолжить оплату" in web.get(link).content.decode()


def test_no_charge_beside_the_customers_own_payment(shop: Shop, web: Client) -> None:
    subscription, link = unpaid(shop)
    web.post(link, {"do": "pay"})
    shop.until(subscription.current_period_end + timedelta(days=1))
    assert Payment.objects.filter(subscription_id=subscription.pk, purpose="renewal").count() == 2
    assert Dunning.objects.get().retries == 0


def test_forged_expired_and_others_links_say_so(shop: Shop, web: Client, client_for: Any) -> None:
    subscription, link = unpaid(shop)
    wrong = link[:-3] + ("A" if link[-3] != "A" else "B") + link[-2:]
    for path in (wrong, "/p/nobody/", "/p/%D0%B0/", link[:-4] + "/"):
        answer = web.get(path)
        assert (answer.status_code, "Ссылка не подходит" in answer.content.decode()) == (404, True), path
        assert web.post(path, {"do": "pay"}).status_code == 404
    with in_partner(make_partner(is_sandbox=True)) as other:
        assert client_for(other).get(link).status_code == 404
    invoice = Invoice.objects.get(purpose="renewal")
    token = pay_links.token_of(invoice, last_date=clock.today() - timedelta(days=1))
    gone = web.get(f"/p/{token}/")
    assert (gone.status_code, "Срок ссылки прошёл" in gone.content.decode()) == (410, True)
    assert len(pay_links.token_of(invoice)) == 46
    assert subscription.state == "past_due"


def test_what_is_cancelled_is_not_paid(shop: Shop, web: Client) -> None:
    subscription, link = unpaid(shop)
    subscriptions.cancel(subscription, actor="test")
    shop.deliver()
    page = web.get(link).content.decode()
    assert "Подписка завершена" in page
    assert 'value="pay"' not in page
    assert web.post(link, {"do": "pay"}).status_code == 302
    assert Payment.objects.filter(save_method=True).count() == 1


def test_a_card_is_changed_before_the_charge(shop: Shop, web: Client) -> None:
    """By the link of the notice: a rouble that goes back, and the new card is charged."""
    subscription = shop.buy(shop.offer(), card=BROKE_LATER)
    shop.until(subscription.current_period_end - timedelta(days=1))
    notice = Message.objects.get(type="renewal_ahead").text
    link = re.search(r"/p/[\w-]+/", notice)[0]  # type: ignore[index]
    page = web.get(link).content.decode()
    assert "Сменить способ оплаты" in page
    assert "Отказаться от автосписаний" in page
    answer = web.post(link, {"do": "bind"})
    assert answer.status_code == 302
    pay_there(shop, answer["Location"], NEW_CARD)
    assert "•• 4444" in web.get(link).content.decode()
    assert Refund.objects.get(payment__purpose="binding").state == "succeeded"
    shop.until(subscription.current_period_end)
    subscription.refresh_from_db()
    assert (subscription.state, Dunning.objects.count()) == ("active", 0)
    assert is_clean(shop)


@pytest.mark.parametrize(("card", "state"), [(GOOD, "active"), (BROKE_LATER, "past_due")])
def test_a_card_bound_while_a_debt_is_chased_is_charged_at_once(shop: Shop, card: str, state: str) -> None:
    subscription, _link = unpaid(shop)
    binding = payments.send(trials.bind(subscription=subscription, return_url="https://shop.example/").pk)
    pay_there(shop, binding.confirmation_url, card)
    subscription.refresh_from_db()
    assert subscription.state == state
    row = Dunning.objects.get()
    assert row.state == ("recovered" if state == "active" else "running")
    assert is_clean(shop)


def test_a_card_is_refused_by_the_link_with_evidence(shop: Shop, web: Client) -> None:
    subscription, link = unpaid(shop)
    answer = web.post(link, {"do": "refuse"}, headers={"User-Agent": "Телефон"})
    assert answer.status_code == 302
    method = PaymentMethod.objects.get(pk=subscription.method_id)
    assert (method.is_active, method.refused_how, method.refused_by) == (False, "link", "customer")
    assert method.refused_ip
    assert method.refused_agent
    assert method.refusal_recorded_at
    page = web.get(link).content.decode()
    assert 'value="refuse"' not in page
    assert 'value="pay"' in page
    shop.deliver()
    assert is_clean(shop)


def test_too_many_tries_are_put_off(shop: Shop, web: Client) -> None:
    _subscription, link = unpaid(shop)
    answers = [web.post(link, {"do": "pay"}).status_code for _time in range(11)]
    assert answers[-1] == 429
    assert set(answers[:-1]) == {302}


def test_support_finds_the_link_on_the_invoice(shop: Shop, staff: Callable[..., Client]) -> None:
    unpaid(shop)
    invoice = Invoice.objects.get(purpose="renewal")
    support = staff(shop.partner, "support")
    page = support.get(f"/admin/billing/invoice/{invoice.pk}/pay-link/", follow=True).content.decode()
    assert "/p/" in page
    row = Dunning.objects.get()
    page = support.get(f"/admin/billing/dunning/{row.pk}/change/").content.decode()
    assert "/p/" in page
    assert "Списание не прошло" in page
