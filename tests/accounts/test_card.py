"""The customer's page in the console: what an incoming call opens tells all that an answer needs."""

from typing import Any

import pytest

from apps.accounts.models import Customer
from apps.callcenters import requests
from apps.callcenters.models import IncomingCall
from apps.core import clock
from apps.core.tenancy import in_public
from apps.orders.models import Order, Service
from tests.orders.shop import Shop
from tests.staff import staff

__all__ = ["staff"]


def address(row: Any) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


@pytest.mark.parametrize(("role", "sees"), [("manager", True), ("support", True), ("finance", False)])
def test_a_customers_card_shows_what_they_have_and_said(
    shop: Shop, staff: Any, role: str, sees: bool
) -> None:
    subscription = shop.buy(shop.offer())
    customer = Customer.objects.get(pk=subscription.customer_id)
    Customer.objects.filter(pk=customer.pk).update(name="")
    customer.refresh_from_db()
    made = requests.open_request(customer=customer, subject="Не приходит ключ", text="…")
    call = IncomingCall.objects.create(
        connection_id=1, call_id="c", phone="+79161234577", customer=customer, state="ringing",
        agent="lena", started_at=clock.now(),
    )  # fmt: skip
    own = (
        Order.objects.get(),
        subscription,
        *shop.invoices(subscription),
        Order.objects.get().payment(),
        made,
    )
    helped = (Service.objects.get(), call)
    with in_public():
        answer = staff(shop.partner, role).get(f"/admin/accounts/customer/{customer.pk}/change/")
    page = answer.content.decode()
    assert answer.status_code == 200
    for row in own:
        assert address(row) in page, row
    for row in helped:
        assert (address(row) in page) == sees, row
    # What they are called by is not rewritten.
    assert f">{customer.email}</a>" in page
    assert customer.email.capitalize() not in page
