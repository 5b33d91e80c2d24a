"""Staff of a partner: every list and card opens; cancel, retry and hand over work; rights hold."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Customer
from apps.billing.models import Invoice, Subscription
from apps.channels.models import Channel
from apps.core.tenancy import in_public
from apps.orders.control import timeline
from apps.orders.models import Fulfilment, Order, Service
from apps.partners.models import StaffRole
from tests.orders.shop import Shop


def address(name: str, *args: object) -> str:
    return reverse(f"admin:{name}", urlconf="armor.urls_partner", args=args)


@pytest.fixture
def staff(shop: Shop, client_for: Callable[..., Client]) -> Callable[[str], Client]:
    """Staff with one role, signed in on the partner's host."""

    def sign_in(role: str) -> Client:
        client = client_for(shop.partner)
        with in_public():
            user = User.objects.create_user(f"{role}-{uuid4()}", is_staff=True)
            StaffRole.objects.create(user=user, partner=shop.partner, role=role)
            client.force_login(user)
            session = client.session
            session["host"] = shop.partner.host
            session.save()
        return client

    return sign_in


def test_staff_look_cancel_retry_and_hand_over(shop: Shop, staff: Callable[[str], Client]) -> None:
    subscription = shop.buy(shop.offer())
    manual = shop.buy(shop.offer(delivery="manual"))
    support, finance = staff("support"), staff("finance")
    for model in (Order, Fulfilment, Service, Subscription, Invoice):
        label = f"{model._meta.app_label}_{model._meta.model_name}"
        assert support.get(address(f"{label}_changelist"), {"q": "Облако"}).status_code == 200
        page = support.get(address(f"{label}_change", model.objects.all()[0].pk))
        assert page.status_code == 200, label
        # Only an order is begun by hand.
        made = {200} if model is Order else {403, 404}
        assert support.get(address(f"{label}_add")).status_code in made
    pdf = finance.get(address("billing_invoice_pdf", Invoice.objects.all()[0].pk))
    assert pdf["Content-Type"] == "application/pdf"

    waiting = Fulfilment.objects.get(state="needs_staff")
    given = {"key": "ПОЛИС-7", "url": "", "instructions": ""}
    assert finance.post(address("orders_fulfilment_hand_over", waiting.pk), given).status_code == 403
    assert support.get(address("orders_fulfilment_hand_over", waiting.pk)).status_code == 200
    assert support.post(address("orders_fulfilment_hand_over", waiting.pk), given).status_code == 302
    assert shop.service(manual).key == "ПОЛИС-7"
    assert support.post(address("orders_fulfilment_retry_one", waiting.pk), follow=True).status_code == 200

    cancel = address("billing_subscription_cancel_subscription", subscription.pk)
    assert support.get(cancel).status_code == 200
    subscription.refresh_from_db()
    assert not subscription.cancel_at_period_end
    assert finance.post(cancel, {"when": "period_end"}).status_code == 403
    assert "больше ничего" in support.post(cancel, {"when": "period_end"}, follow=True).content.decode()
    resume = address("billing_subscription_resume_subscription", subscription.pk)
    assert "как обычно" in support.post(resume, follow=True).content.decode()
    subscription.refresh_from_db()
    assert not subscription.cancel_at_period_end


def test_a_channel_is_shown_by_its_name(shop: Shop, staff: Callable[[str], Client]) -> None:
    """On lists, in their filters, on the pages of one, on the customer's, and on the order's way."""
    Channel.objects.create(code="calls-7", name="Операторы на линии", kind="call_centre")
    subscription = shop.buy(shop.offer(), channel_code="calls-7", actor="api:calls-7")
    shop.buy(shop.offer(), channel_code="closed-9")
    order, support = subscription.order_items.get().order, staff("support")
    pages = [
        *(address(f"{one}_changelist") for one in ("orders_order", "billing_subscription")),
        address("orders_order_change", order.pk),
        address("billing_subscription_change", subscription.pk),
        address("billing_invoice_change", order.invoice_id),
        address("accounts_customer_change", order.customer_id),
    ]
    for url in pages:
        page = support.get(url).content.decode()
        assert "Операторы на линии" in page, url
        # Its code stands in links of filters alone.
        assert "calls-7" not in page.replace("channel_code=calls-7", ""), url
    lists = [
        address(f"{one}_changelist") for one in ("orders_order", "billing_subscription", "billing_invoice")
    ]
    for url in lists:
        page = support.get(url, {"channel_code": "calls-7"}).content.decode()
        assert "Операторы на линии" in page, url
        assert "closed-9" not in page, url
    # A channel that is gone has its code left.
    assert "closed-9" in support.get(lists[0]).content.decode()
    facts = timeline.of(order, None).facts
    (placed,) = [one for one in facts if "Канал: Операторы на линии" in one.details]
    assert placed.actor == "Операторы на линии"
    assert not [one for one in facts if "calls-7" in f"{one.actor} {one.details}"]


def test_a_page_has_only_the_buttons_that_can_do_something(
    shop: Shop, staff: Callable[[str], Client]
) -> None:
    subscription, support = shop.buy(shop.offer()), staff("support")
    order = subscription.order_items.get().order
    customer = order.customer
    page, former = (
        address(f"accounts_customer_{name}", customer.pk) for name in ("change", "former_phone_looked")
    )
    shown = support.get(page).content.decode()
    assert "Новый заказ" in shown
    assert "Номер больше не его" not in shown
    assert "Услуги на прежнем номере" not in shown
    assert support.get(former).status_code == 403
    Customer.objects.filter(pk=customer.pk).update(phone="+79161112233")
    assert "Номер больше не его" in support.get(page).content.decode()
    asked = support.get(address("accounts_customer_change_contact", customer.pk)).content.decode()
    assert f"Анна · +79161112233 · {customer.email}" in asked
    Customer.objects.filter(pk=customer.pk).update(phone="", former_phone="+79161112233")
    assert "Услуги на прежнем номере" in support.get(page).content.decode()
    # Nothing of it is to be decided: nobody is asked.
    assert "ничего не осталось" in support.get(former, follow=True).content.decode()

    # What is done cannot be cancelled, and has no line for what it has none of.
    shown = support.get(address("orders_order_change", order.pk)).content.decode()
    assert order.name in shown
    assert "Отменить заказ" not in shown
    assert "Исполнить не раньше" not in shown
    assert support.get(address("orders_order_cancel_order", order.pk)).status_code == 403
    waits = shop.order(shop.offer())
    assert "Отменить заказ" in support.get(address("orders_order_change", waits.pk)).content.decode()
