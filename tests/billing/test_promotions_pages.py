"""Promo codes and retention over HTTP: the API and the console."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.test import Client

from apps.billing.models import SubscriptionDiscount
from apps.billing.promotion_models import LeavingAnswer, PromoCode, Promotion, RetentionOffer
from apps.orders.models import Order
from tests.billing.test_lifecycle import faults_of
from tests.billing.test_lifecycle_pages import api
from tests.orders.shop import Shop

__all__ = ["api"]
FORM = {
    "name": "Осень",
    "text": "osen-26",
    "percent": "30",
    "amount": "0",
    "periods": "2",
    "per_customer": "1",
    "total_limit": "10",
    "budget": "1000",
    "channel_codes": "",
    "is_new_only": "on",
    "is_active": "on",
    "redemptions-TOTAL_FORMS": "0",
    "redemptions-INITIAL_FORMS": "0",
}


def console(shop: Shop, staff_client: Callable[..., Client], role: str = "manager") -> Client:
    return staff_client(shop.partner, role=role, of=shop.partner)


def test_a_code_from_the_console_to_an_order_of_the_api(
    shop: Shop, api: Client, staff_client: Callable[..., Client]
) -> None:
    offer, staff = shop.offer(), console(shop, staff_client)
    made = staff.post("/admin/billing/promotion/add/", FORM)
    assert made.status_code == 302, made.content.decode()[:3000]
    promotion = Promotion.objects.get()
    assert PromoCode.objects.get().code == "OSEN-26"
    # Neither both, nor for ever within a budget, nor the same code twice.
    for wrong in ({"amount": "10"}, {"periods": "", "text": ""}, {"text": "osen-26"}, {"text": "=1+1"}):
        assert staff.post("/admin/billing/promotion/add/", {**FORM, **wrong}).status_code == 200
    assert Promotion.objects.count() == 1
    seen = api.get(f"/api/v1/promo-codes/osen-26/?offer={offer.pk}&quantity=2")
    assert seen.status_code == 200, seen.content
    assert (seen.json()["price"], seen.json()["first_price"], seen.json()["periods"]) == (
        "298.00",
        "208.60",
        2,
    )
    assert api.get(f"/api/v1/promo-codes/nothing/?offer={offer.pk}").json()["title"] == "promo_unknown"
    asked: dict[str, Any] = {
        "offer": offer.pk,
        "customer": {"external_id": "A-1"},
        "promo_code": "osen-26",
        "return_url": "https://bank.example/{order}",
    }
    order = api.post("/api/v1/orders/", asked, content_type="application/json")
    assert order.status_code == 201, order.content
    assert order.json()["total"] == "104.30"
    shop.deliver()
    shop.pay(Order.objects.get())
    again = api.post("/api/v1/orders/", asked, content_type="application/json")
    assert (again.status_code, again.json()["title"]) == (409, "promo_used")
    promotion.refresh_from_db()
    assert (promotion.used, promotion.spent) == (1, Decimal("89.40"))
    # Of a limit nobody takes away what is used.
    changed = {**FORM, "text": "", "total_limit": "0"}
    assert staff.post(f"/admin/billing/promotion/{promotion.pk}/change/", changed).status_code == 200
    assert faults_of(shop) == []


def test_a_batch_is_made_and_exported_by_managers_alone(
    shop: Shop, staff_client: Callable[..., Client]
) -> None:
    staff = console(shop, staff_client)
    staff.post("/admin/billing/promotion/add/", {**FORM, "text": ""})
    page = f"/admin/billing/promotion/{Promotion.objects.get().pk}"
    assert staff.post(f"{page}/codes/", {"count": "0"}).status_code == 200
    assert staff.post(f"{page}/codes/", {"count": "2500", "beginning": "vip-"}).status_code == 302
    file = staff.get(f"{page}/export/")
    lines = b"".join(file.streaming_content).decode("utf-8-sig").splitlines()
    assert (len(lines), lines[0]) == (2501, "Код;Использован;Раз")
    assert lines[1].startswith("VIP-")
    other = console(shop, staff_client, role="support")
    assert other.get(f"{page}/export/").status_code == 403
    assert other.post(f"{page}/codes/", {"count": "5"}).status_code == 403


def test_an_offer_to_stay_by_console_and_api(
    shop: Shop, api: Client, staff_client: Callable[..., Client]
) -> None:
    staff = console(shop, staff_client)
    form = {
        "name_0": "Останьтесь: −30 % на 3 месяца",
        "kind": "discount",
        "percent": "30",
        "periods": "3",
        "sort": "1",
        "is_active": "on",
    }
    assert staff.post("/admin/billing/retentionoffer/add/", {**form, "periods": ""}).status_code == 200
    assert staff.post("/admin/billing/retentionoffer/add/", form).status_code == 302
    assert RetentionOffer.objects.count() == 1
    row, gone = shop.buy(shop.offer()), shop.buy(shop.offer())
    address = f"/api/v1/subscriptions/{row.pk}/retention/"
    assert api.get(address).json()["offer"]["percent"] == "30.00"
    assert api.post(address, {"reason": "nonsense"}, content_type="application/json").status_code == 400
    assert api.post(address, {"reason": "dear"}, content_type="application/json").status_code == 200
    assert SubscriptionDiscount.objects.get().percent == Decimal(30)
    assert api.get(address).json() == {"offer": None}
    assert api.post(address, {}, content_type="application/json").json()["title"] == "nothing_offered"
    cancel = f"/api/v1/subscriptions/{gone.pk}/cancel/"
    assert api.post(cancel, {"reason": "unused"}, content_type="application/json").status_code == 200
    assert set(LeavingAnswer.objects.values_list("reason", "stayed")) == {("dear", True), ("unused", False)}
    page = staff.get("/admin/billing/retentionoffer/report/").content.decode()
    assert "Редко пользуюсь" in page
    assert "хотели уйти 2, остались 1 (50 %)" in page
    assert staff.get("/admin/billing/retentionoffer/report/?since=вчера").status_code == 200
