"""Orders that staff put together for a customer: a draft, its total, a link to pay by."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.billing.models import InvoicePayment
from apps.catalog.models import Product, ProductParameter, SalesStop
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import Due
from apps.core.money import Money
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.orders import drafting, history
from apps.orders.models import Order, OrderState
from apps.orders.placing import START, How, Wanted
from apps.providers.models import ActivationKey, Provider
from tests.billing.test_promotions import promotion
from tests.catalog.test_sales_stops import HOUR, works
from tests.orders.shop import Shop
from tests.orders.test_console import address, staff

__all__ = ["staff"]
D = Decimal
MUST = "Обязательное поле"
OSEN = How(promo_code="OSEN", by_link=True)


def clean(shop: Shop) -> bool:
    wrong = [str(one) for one in audit.run([shop.partner.pk])]
    assert wrong == []
    return True


def test_saved_changed_and_placed_with_a_link(shop: Shop) -> None:
    keys, account = shop.offer(price="100.00", keys=3, delivery="key"), shop.offer(price="250.00")
    promotion()
    draft = drafting.save(customer=shop.customer(), items=[Wanted(keys.pk, 2)], actor="olga")
    assert (draft.state, draft.total, draft.number, draft.invoice) == (OrderState.DRAFT, D(200), "", None)
    wanted = [Wanted(keys.pk, 3), Wanted(account.pk)]
    drafting.save(customer=draft.customer, items=wanted, actor="olga", draft=draft, how=OSEN)
    draft.refresh_from_db()
    assert (draft.total, draft.items.count()) == (D(550), 2)
    seen = drafting.total(draft)
    # Looked at, nothing was sold: no invoice, and no key lies for it.
    assert not Order.objects.exclude(invoice=None).exists()
    assert not ActivationKey.objects.filter(state="reserved").exists()
    assert clean(shop)
    placed = drafting.place(draft, actor="anna")
    assert (placed.state, placed.money, placed.actor) == (OrderState.PENDING, seen, "anna")
    assert seen < Money(D(550), "RUB")
    assert {one.became for one in history.of(placed)} == {"draft", "acknowledged", "pending"}
    assert ActivationKey.objects.filter(state="reserved").count() == 3
    letter = Message.objects.get(type="order_to_pay")
    assert str(seen) in letter.text
    assert "/p/" in letter.text
    # The payment begins when the customer follows the link.
    assert not InvoicePayment.objects.exists()
    told = Entry.objects.filter(object_id=str(draft.pk)).order_by("pk").values_list("action", "actor")
    assert list(told) == [
        ("order.drafted", "olga"),
        ("order.drafted", "olga"),
        ("order.draft-placed", "anna"),
    ]
    with pytest.raises(Refused, match="not_a_draft"):
        drafting.place(draft, actor="anna")
    with pytest.raises(Refused, match="not_a_draft"):
        drafting.save(customer=draft.customer, items=wanted, actor="olga", draft=draft)
    shop.deliver()
    assert clean(shop)


def test_what_costs_nothing_is_begun_at_once(shop: Shop) -> None:
    offer = shop.offer(price="100.00")
    promotion(percent=D(100))
    draft = drafting.save(customer=shop.customer(), items=[Wanted(offer.pk)], actor="olga", how=OSEN)
    assert drafting.total(draft).amount == 0
    drafting.place(draft, actor="olga")
    shop.deliver()
    draft.refresh_from_db()
    assert draft.state == OrderState.COMPLETED
    assert not Message.objects.filter(type="order_to_pay").exists()
    assert clean(shop)


def test_another_price_is_seen_before_it_is_placed(shop: Shop) -> None:
    offer = shop.offer(price="100.00")
    draft = drafting.save(customer=shop.customer(), items=[Wanted(offer.pk)], actor="olga")
    offer.tariff.publish(price=D(120), period_count=1, period_unit="month")
    for attempt in (lambda: drafting.total(draft), lambda: drafting.place(draft, actor="olga")):
        with pytest.raises(Refused, match="price_changed"):
            attempt()
    draft.refresh_from_db()
    assert draft.state == OrderState.DRAFT


def test_a_forgotten_draft_is_called_off(shop: Shop) -> None:
    draft = drafting.save(customer=shop.customer(), items=[Wanted(shop.offer().pk)], actor="olga")
    shop.until(clock.today() + timedelta(days=29))
    draft.refresh_from_db()
    assert draft.state == OrderState.DRAFT
    shop.until(clock.today() + timedelta(days=2))
    draft.refresh_from_db()
    assert draft.state == OrderState.CANCELLED
    assert clean(shop)


def test_staff_order_for_a_later_day(shop: Shop, staff: Callable[[str], Client]) -> None:
    promotion()
    offer, support = shop.offer(price="100.00"), staff("support")
    day, add = clock.today() + timedelta(days=5), address("orders_order_add")
    given = {"contact": "new@example.ru", "offer_1": offer.pk, "quantity_1": 2, "promo_code": "OSEN"}
    yesterday = clock.today() - timedelta(days=1)
    past = support.post(add, given | {"scheduled_date": f"{yesterday:%d.%m.%Y}"})
    assert "Дата исполнения уже прошла" in past.content.decode()
    # What is refused registers nobody.
    assert (Order.objects.count(), Customer.objects.count()) == (0, 0)
    assert support.post(add, given | {"scheduled_date": f"{day:%d.%m.%Y}"}).status_code == 302
    draft = Order.objects.get()
    assert draft.scheduled_at is not None
    at = clock.local(draft.scheduled_at)
    assert (at.date(), at.hour) == (day, 8)
    edit, place = (address(f"orders_order_{name}", draft.pk) for name in ("edit_draft", "place_draft"))
    form = support.get(edit).context["form"]
    assert form["scheduled_date"].value() == day
    # Another day in the form is another moment; the same day keeps the hour that was asked for.
    noon = at.replace(hour=12)
    drafting.change(draft, asked={"scheduled_at": noon}, actor="olga")
    same = {name: value for name, value in given.items() if name != "contact"}
    assert support.post(edit, same | {"scheduled_date": f"{day:%d.%m.%Y}"}).status_code == 302
    draft.refresh_from_db()
    assert draft.scheduled_at == noon
    page = support.get(place).content.decode()
    assert f"Исполним: {day:%d.%m.%Y} 12:00" in page
    # The promo code is reckoned, though it is redeemed on the day only.
    assert f"К оплате в этот день: {Money(D(140), 'RUB')}" in page
    done = support.post(place, follow=True)
    assert "Заказ принят: исполним" in done.content.decode()
    draft.refresh_from_db()
    assert (draft.state, draft.invoice, bool(draft.number)) == (OrderState.PENDING, None, True)
    assert not Message.objects.filter(type="order_to_pay").exists()
    assert clean(shop)
    shop.until(day)
    draft.refresh_from_db()
    assert draft.total == D(140)
    assert Message.objects.filter(type="order_to_pay").count() == 1
    # As with any order that staff place, the payment begins with the link.
    assert not InvoicePayment.objects.exists()
    assert clean(shop)


def test_whose_link_could_not_be_sent_is_not_promised_a_day(shop: Shop) -> None:
    nobody, day = customers.register(external_id="client-1"), clock.now() + timedelta(days=5)
    draft = drafting.save(customer=nobody, items=[Wanted(shop.offer().pk)], scheduled_at=day, actor="olga")
    with pytest.raises(Refused, match="no_contact"):
        drafting.place(draft, actor="olga")
    draft.refresh_from_db()
    assert (draft.state, draft.number) == (OrderState.DRAFT, "")
    assert not Due.objects.filter(object_id=draft.pk, kind=START).exists()
    # Where the partner collects, there is no link.
    paid = shop.offer()
    paid.payer = "partner_reports"
    paid.save()
    other = drafting.save(customer=nobody, items=[Wanted(paid.pk)], scheduled_at=day, actor="olga")
    drafting.place(other, actor="olga")
    shop.until(clock.local(day).date())
    other.refresh_from_db()
    assert other.state == OrderState.COMPLETED


def test_placed_too_late_for_its_day_it_stays_a_draft(shop: Shop) -> None:
    day = clock.now() + timedelta(days=1)
    draft = drafting.save(
        customer=shop.customer(), items=[Wanted(shop.offer().pk)], scheduled_at=day, actor="olga"
    )
    shop.until(clock.local(day).date() + timedelta(days=1))
    for attempt in (lambda: drafting.total(draft), lambda: drafting.place(draft, actor="olga")):
        with pytest.raises(Refused, match="bad_date"):
            attempt()
    draft.refresh_from_db()
    assert draft.state == OrderState.DRAFT
    drafting.change(draft, asked={"scheduled_at": None}, actor="olga")
    drafting.place(draft, actor="olga")
    draft.refresh_from_db()
    assert draft.invoice is not None


def test_what_is_not_sold_just_now_says_so_before_it_is_chosen(
    shop: Shop, staff: Callable[[str], Client]
) -> None:
    closed, late, other = shop.offer(price="100.00"), shop.offer(), shop.offer()
    support, add = staff("support"), address("orders_order_add")
    own = Provider.objects.create(
        code=f"late-{shop.partner.slug}", name="Позже", sells_when_down=True, promise_hours=3
    )
    Product.objects.filter(pk=late.tariff.product_id).update(provider=own)
    stops = [works(closed, tariff=closed.tariff), works(late, tariff=late.tariff)]
    try:
        with CaptureQueriesContext(connection) as seen:
            labels = options(support.get(add))
        until, promised = (clock.local(at) for at in (stops[0].ends_at, stops[1].ends_at + 3 * HOUR))
        assert labels[closed.pk].endswith(f"· Временно не продаётся, ожидаем {until:%d.%m.%Y %H:%M}")
        assert labels[late.pk].endswith(f"· Выдача задерживается: обещаем до {promised:%d.%m.%Y %H:%M}")
        assert labels[other.pk].endswith(str(other.money))
        # However many rows there are, offers and stops are read once.
        assert sum("catalog_offer" in one["sql"] for one in seen.captured_queries) == 1
        assert sum('FROM "catalog_salesstop"' in one["sql"] for one in seen.captured_queries) == 1
        given = {"contact": "new@example.ru", "offer_1": closed.pk, "quantity_1": 1}
        refused = support.post(add, given)
        assert f"Временно не продаётся, ожидаем {until:%d.%m.%Y %H:%M}" in str(refused.context["form"].errors)
        assert not Order.objects.exists()
        assert support.post(add, given | {"offer_1": late.pk}).status_code == 302
        draft = Order.objects.get()
        place = support.get(address("orders_order_place_draft", draft.pk)).content.decode()
        assert f"обещаем до {promised:%d.%m.%Y %H:%M}" in place
        edit = support.get(address("orders_order_edit_draft", draft.pk))
        product = Product.objects.get(pk=late.tariff.product_id)
        assert edit.context["notes"] == [
            f"{product}: Выдача задерживается: обещаем до {promised:%d.%m.%Y %H:%M}"
        ]
        # A text that staff wrote for buyers does not hide that it is closed.
        SalesStop.objects.filter(pk=stops[0].pk).update(message={"ru": "Вернёмся к утру"})
        assert options(support.get(add))[closed.pk].endswith("Временно не продаётся: «Вернёмся к утру»")
    finally:
        SalesStop.objects.filter(pk__in=[one.pk for one in stops]).delete()


def options(page: Any) -> dict[int, str]:
    """What is offered in the first row, by offer."""
    return {key: label for key, label in page.context["form"].fields["offer_1"].choices if key}


def test_in_the_console(shop: Shop, staff: Callable[[str], Client]) -> None:
    offer = shop.offer(price="100.00")
    ProductParameter.objects.create(
        product=offer.tariff.product,
        code="login",
        name={"ru": "Логин"},
        kind="text",
        asked_at="order",
        is_required=True,
    )
    support, finance = staff("support"), staff("finance")
    add = address("orders_order_add")
    assert finance.get(add).status_code == 403
    assert "Промокод" in support.get(add).content.decode()
    given = {"contact": "new@example.ru", "name": "Пётр", "offer_1": offer.pk, "quantity_1": 2}
    # The product asks something: that is asked once it is chosen.
    page = support.post(add, given)
    assert page.status_code == 200
    assert "Логин" in page.content.decode()
    # An empty field, not a mistake: nobody was asked yet. Left empty, it is one.
    form = page.context["form"]
    assert (form.new, dict(form.errors)) == (["answer_1_login"], {})
    assert MUST not in page.content.decode()
    empty = given | {"answer_1_login": "", "asked": form["asked"].value()}
    left = support.post(add, empty)
    assert (left.context["form"].new, list(left.context["form"].errors)) == ([], ["answer_1_login"])
    assert MUST in left.content.decode()
    assert not Order.objects.exists()
    done = support.post(add, given | {"answer_1_login": "petr"})
    draft = Order.objects.get()
    assert done.url == address("orders_order_change", draft.pk)
    assert (draft.customer, draft.item.answers) == (
        Customer.objects.get(email="new@example.ru"),
        {"login": "petr"},
    )
    edit, place = (address(f"orders_order_{name}", draft.pk) for name in ("edit_draft", "place_draft"))
    assert 'value="petr"' in support.get(edit).content.decode()
    assert (
        support.post(edit, {"offer_1": offer.pk, "quantity_1": 3, "answer_1_login": "petr"}).status_code
        == 302
    )
    assert "new@example.ru" in support.get(place).content.decode()
    assert finance.post(place).status_code == 403
    assert support.post(place).status_code == 302
    draft.refresh_from_db()
    assert (draft.state, draft.total) == (OrderState.PENDING, D(300))
    # What is no draft any more has no such buttons.
    assert support.get(edit).status_code == 403
    person = address("accounts_customer_order_for_customer", draft.customer_id)
    assert support.get(person).url == f"{add}?customer={draft.customer_id}"
    assert support.get(person, follow=True).status_code == 200
