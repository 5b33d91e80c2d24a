"""The preview by API and in the console: the sums that are then billed."""

from decimal import Decimal
from typing import Any

from apps.billing.models import Invoice
from apps.channels.models import ApiKey, Channel
from tests.billing.test_lifecycle import another
from tests.orders.shop import Shop


def test_the_next_invoice_and_a_change_by_api_and_console(
    shop: Shop, client_for: Any, staff_client: Any
) -> None:
    subscription = shop.buy(shop.offer(price="100.00"))
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), ["subscriptions:read"])
    client = client_for(shop.partner, Authorization=f"Bearer {secret}")
    address = f"/api/v1/subscriptions/{subscription.pk}/preview/"
    seen = client.get(address).json()
    assert (seen["date"], seen["due"]) == (str(subscription.current_period_end), "100.00")
    assert seen["lines"][0]["amount"] == "100.00"
    assert client.get(address, {"as_of": "yesterday"}).status_code == 400
    change = client.get(address, {"quantity": 3, "when": "now"}).json()
    assert Decimal(change["due"]) == Decimal("200.00")
    assert Decimal(change["total"]) - Decimal(change["credits"][0]["amount"]) == Decimal("200.00")
    assert Invoice.objects.count() == 1
    page = staff_client(shop.partner, of=shop.partner).get(
        f"/admin/billing/subscription/{subscription.pk}/change/"
    )
    assert "100,00" in page.content.decode()


def test_a_change_to_another_period_is_previewed_as_it_is_done(shop: Shop, client_for: Any) -> None:
    offer = shop.offer(price="100.00")
    subscription = shop.buy(offer)
    year = another(shop, offer, price="900.00", period_unit="year")
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), ["subscriptions:read"])
    client = client_for(shop.partner, Authorization=f"Bearer {secret}")
    # Nothing is locked: a preview has no transaction.
    address = f"/api/v1/subscriptions/{subscription.pk}/preview/"
    seen = client.get(address, {"offer": year.pk, "when": "now"})
    assert (seen.status_code, Decimal(seen.json()["total"])) == (200, Decimal("900.00"))
