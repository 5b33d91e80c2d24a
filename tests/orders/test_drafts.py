"""Orders that staff put together for a customer: a draft, its total, a link to pay by."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from apps.accounts.models import Customer
from apps.billing.models import InvoicePayment
from apps.catalog.models import ProductParameter
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.money import Money
from apps.journal.models import Entry
from apps.notifications.models import Message
from apps.orders import drafting, history
from apps.orders.models import Order, OrderState
from apps.orders.placing import How, Wanted
from apps.providers.models import ActivationKey
from tests.billing.test_promotions import promotion
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
