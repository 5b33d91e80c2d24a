"""What a customer does with a subscription in the cabinet, and a purchase with a promo code or a trial."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.accounts import sign_in
from apps.accounts.models import Customer
from apps.billing import promos, seats
from apps.billing.models import Subscription, SubscriptionState
from apps.billing.promotion_models import LeavingAnswer, Promotion, RetentionOffer
from apps.catalog.models import Offer, ProductParameter
from apps.core import clock
from apps.orders.models import Fulfilment, Order, Service
from apps.payments import payments
from apps.payments.models import PaymentMethod
from tests.billing.test_lifecycle import another, faults_of
from tests.orders.shop import Shop

_S = SubscriptionState
SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def browser(shop: Shop, client_for: Callable[..., Client]) -> Callable[[Customer | None], Client]:
    """A browser of the partner's host, signed in as a customer or as nobody."""

    def make(customer: Customer | None = None) -> Client:
        made = client_for(shop.partner)
        if customer is not None:
            made.cookies[sign_in.COOKIE] = sign_in._open(customer)
        return made

    return make


def hidden(page: str) -> dict[str, str]:
    """What a form of a page sends back by itself."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def page_of(row: Subscription, rest: str = "") -> str:
    return f"/cabinet/subscriptions/{row.pk}/{rest}"


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def test_what_is_charged_next_and_what_was_taken_for_what(shop: Shop, browser: Any) -> None:
    row = shop.buy(shop.offer(), quantity=2)
    mine = browser(row.customer)
    page = text_of(mine.get(page_of(row)))
    assert row.current_period_end
    assert f"298{SPACE}₽" in page
    assert f"{row.current_period_end:%d.%m.%Y}" in page
    assert "•• 4477" in page
    story = text_of(mine.get(page_of(row, "history/")))
    assert "За что" in story
    assert f"2 × 149{SPACE}₽" in story
    assert browser(shop.customer("boris")).get(page_of(row)).status_code == 404


def test_another_tariff_to_the_kopeck(shop: Shop, browser: Any) -> None:
    offer = shop.offer()
    row = shop.buy(offer)
    dearer = another(shop, offer, "449.00")
    mine = browser(row.customer)
    page = text_of(mine.get(page_of(row, f"change/?offer={dearer.pk}")))
    assert "Сменить и доплатить" in page
    now = hidden(page.split("</form>")[0])
    assert (now["when"], now["due"]) == ("now", "300.00")
    # What was not shown is not taken.
    assert mine.post(page_of(row, "change/"), {**now, "due": "1.00"}).status_code == 409
    assert "Списываем доплату" in text_of(mine.post(page_of(row, "change/"), now, follow=True))
    shop.deliver()
    row.refresh_from_db()
    assert (row.price, shop.charges()[-1]["amount"]) == (Decimal("449.00"), "300.00")
    # And down again, when what is paid is over; and back.
    page = text_of(mine.post(page_of(row, "change/"), {"quantity": "3"}))
    assert f"1{SPACE}347{SPACE}₽" in page or "1\N{NARROW NO-BREAK SPACE}347" in page
    later = {"confirmed": "1", "when": "period_end", "due": "0.00", "quantity": "3"}
    assert "Запланировано" in text_of(mine.post(page_of(row, "change/"), later, follow=True))
    assert "Оставить как сейчас" in text_of(mine.get(page_of(row)))
    assert "Всё остаётся как сейчас" in text_of(mine.post(page_of(row, "undo-change/"), follow=True))
    assert faults_of(shop) == []


def test_a_pause_and_on_again(shop: Shop, browser: Any) -> None:
    row = shop.buy(shop.offer())
    mine = browser(row.customer)
    assert f"149{SPACE}₽" in text_of(mine.get(page_of(row, "pause/")))
    assert mine.post(page_of(row, "pause/"), {"until": ""}).status_code == 400
    until = clock.today() + timedelta(days=20)
    page = text_of(mine.post(page_of(row, "pause/"), {"until": f"{until}"}, follow=True))
    assert "На паузе" in page
    assert "Возобновить сейчас" in page
    assert "снова продлевается" in text_of(mine.post(page_of(row, "resume/"), follow=True))
    row.refresh_from_db()
    assert row.state == _S.ACTIVE


def test_seats_have_their_holders(shop: Shop, browser: Any) -> None:
    row = shop.buy(shop.offer(), quantity=2)
    mine = browser(row.customer)
    assert mine.post(page_of(row, "seats/1/"), {}).status_code == 400
    assert "Место назначено" in text_of(mine.post(page_of(row, "seats/1/"), {"name": "Анна"}, follow=True))
    mine.post(page_of(row, "seats/1/"), {"name": "Пётр", "email": "petr@example.ru"})
    page = text_of(mine.get(page_of(row)))
    assert "Пётр" in page
    assert "Место 2: свободно" in page
    mine.post(page_of(row, "seats/1/"), {"release": "1"})
    assert seats.held(row) == []


def test_a_promo_code_in_the_cabinet(shop: Shop, browser: Any) -> None:
    made = Promotion.objects.create(name="Осень", percent=50, is_new_only=False, created_at=clock.now())
    promos.make(promotion=made, text="OSEN")
    row = shop.buy(shop.offer())
    mine = browser(row.customer)
    wrong = mine.post(page_of(row, "promo/"), {"code": "NO"})
    assert wrong.status_code == 400
    assert "Такого промокода нет" in wrong.content.decode()
    page = text_of(mine.post(page_of(row, "promo/"), {"code": "osen"}, follow=True))
    assert "Промокод применён" in page
    assert f"74,50{SPACE}₽" in page


def test_leaving_takes_no_click_more_and_staying_takes_one(shop: Shop, browser: Any) -> None:
    kept, gone = shop.buy(shop.offer()), shop.buy(shop.offer())
    RetentionOffer.objects.create(
        name={"ru": "Останьтесь: скидка 30 % на 3 месяца"}, kind="discount", percent=30, periods=3
    )
    mine, other = browser(kept.customer), browser(gone.customer)
    page = text_of(mine.get(page_of(kept, "cancel/")))
    assert "Останьтесь" in page
    assert "Отключить сейчас и вернуть" in page
    assert "предложение действует" in text_of(
        mine.post(page_of(kept, "stay/"), {"reason": "dear"}, follow=True)
    )
    assert "Останьтесь" not in text_of(mine.get(page_of(kept, "cancel/")))
    # The way out is as long as without an offer: the page, and the button on it.
    left = other.post(page_of(gone, "cancel/"), {"when": "period_end", "reason": "unused"}, follow=True)
    assert "Отключится" in text_of(left)
    gone.refresh_from_db()
    assert (gone.cancel_at_period_end, gone.cancel_reason) == (True, "Редко пользуюсь")
    assert list(LeavingAnswer.objects.order_by("id").values_list("stayed", "reason")) == [
        (True, "dear"),
        (False, "unused"),
    ]
    assert "снова продлевается" in text_of(other.post(page_of(gone, "resume/"), follow=True))
    now = other.post(page_of(gone, "cancel/"), {"when": "now"}, follow=True)
    assert "Отменена" in text_of(now)
    shop.deliver()
    assert faults_of(shop) == []


def test_it_passes_to_somebody_else(shop: Shop, browser: Any) -> None:
    row = shop.buy(shop.offer())
    mine = browser(row.customer)
    assert mine.post(page_of(row, "transfer/"), {"contact": "никто"}).status_code == 400
    assert "передана" in text_of(
        mine.post(page_of(row, "transfer/"), {"contact": "olga@example.ru"}, follow=True)
    )
    row.refresh_from_db()
    assert (row.customer.email, row.method) == ("olga@example.ru", None)
    assert mine.get(page_of(row)).status_code == 404


def test_an_addon_costs_what_was_shown(shop: Shop, browser: Any) -> None:
    row = shop.buy(shop.offer())
    extra = shop.offer(price="60.00")
    extra.tariff.is_addon = True
    extra.tariff.save(update_fields=["is_addon"])
    shop.until(clock.today() + timedelta(days=10))
    mine = browser(row.customer)
    assert "Подключить" in text_of(mine.get(page_of(row)))
    page = text_of(mine.get(page_of(row, f"addons/{extra.pk}/")))
    shown = re.search(r"Подключить и оплатить ([\d,]+)", page)
    assert shown
    answer = mine.post(page_of(row, f"addons/{extra.pk}/"))
    assert answer.status_code == 302
    order = Order.objects.order_by("id").last()
    assert order
    assert order.total == Decimal(shown[1].replace(",", "."))
    shop.deliver()
    shop.pay(order)
    page = text_of(mine.get(page_of(row)))
    assert "Отключить" in page
    assert f"209{SPACE}₽" in page
    assert faults_of(shop) == []


def test_what_is_asked_at_the_end_is_told_in_the_cabinet_or_by_staff(
    shop: Shop, browser: Any, staff_client: Callable[..., Client]
) -> None:
    offer = shop.offer()
    ProductParameter.objects.create(
        product=offer.tariff.product,
        code="birth",
        name={"ru": "дата рождения"},
        kind="string",
        asked_at="fulfilment",
        is_required=True,
        pattern=r"\d\d\.\d\d\.\d{4}",
    )
    one, two = shop.buy(offer), shop.buy(offer)
    assert {row.state for row in Fulfilment.objects.all()} == {"info_needed"}
    assert "дата рождения" in Fulfilment.objects.all()[0].error
    service = shop.service(one)
    mine = browser(one.customer)
    assert "Заполнить данные" in text_of(mine.get(page_of(one)))
    address = f"/cabinet/services/{service.pk}/data/"
    assert mine.post(address, {"answer_birth": "вчера"}).status_code == 400
    mine.post(address, {"answer_birth": "01.02.1990"})
    shop.hurry()
    assert shop.service(one).state == "active"
    waiting = Fulfilment.objects.get(service__subscription=two)
    staff = staff_client(shop.partner, of=shop.partner)
    desk = f"/admin/orders/fulfilment/{waiting.pk}/asked/"
    assert "рождения" in text_of(staff.get(desk))
    assert staff.post(desk, {"birth": "03.04.1991"}).status_code == 302
    shop.hurry()
    assert shop.service(two).answers == {"birth": "03.04.1991"}
    assert {row.state for row in Service.objects.all()} == {"active"}
    assert faults_of(shop) == []


def filled(page: str, **given: str) -> dict[str, str]:
    return {**hidden(page), "email": "new@example.ru", "recurring": "on", "terms": "on", **given}


def test_the_price_with_a_code_is_seen_before_it_is_paid(shop: Shop, browser: Any) -> None:
    made = Promotion.objects.create(name="Осенняя скидка", percent=30, periods=1, created_at=clock.now())
    promos.make(promotion=made, text="OSEN")
    offer, visitor = shop.offer(), browser()
    address = f"/checkout/{offer.pk}/"
    page = text_of(visitor.get(address))
    wrong = visitor.post(address, filled(page, promo="NO", apply="1"))
    assert wrong.status_code == 404
    assert "Такого промокода нет" in wrong.content.decode()
    # Pressed without «apply»: nothing is bought for a sum that was not shown.
    unseen = visitor.post(address, filled(page, promo="osen"))
    assert unseen.status_code == 409
    assert Order.objects.count() == 0
    page = text_of(visitor.post(address, filled(page, promo="osen", apply="1")))
    assert "Осенняя скидка" in page
    assert f"Оплатить 104,30{SPACE}₽" in page
    bought = visitor.post(address, filled(page, promo="osen"))
    assert bought.status_code == 302
    order = Order.objects.get()
    assert (order.total, order.item.price) == (Decimal("104.30"), Decimal("149.00"))
    assert "104,30" in order.checkout.consents[0]["text"]
    shop.deliver()
    shop.pay(order)
    assert faults_of(shop) == []


def test_a_trial_is_said_for_what_it_is_and_not_sold_twice(shop: Shop, browser: Any) -> None:
    offer: Offer = shop.offer(trial_days=7)
    visitor, address = browser(), f"/checkout/{offer.pk}/"
    page = text_of(visitor.get(address))
    assert "Попробовать бесплатно" in page
    assert "спишет 1" in page
    assert visitor.post(address, filled(page)).status_code == 302
    order = Order.objects.get()
    shop.deliver()
    shop.pay(order)
    again = visitor.post(address, filled(text_of(visitor.get(address))))
    assert again.status_code == 409
    text = again.content.decode()
    assert "Пробный период этого продукта у вас уже был" in text
    assert f"Оплатить 149{SPACE}₽" in text
    paid = visitor.post(address, filled(text))
    assert paid.status_code == 302
    assert Order.objects.order_by("id").last().total == Decimal("149.00")


def test_a_trial_without_a_card_asks_for_none(shop: Shop, browser: Any) -> None:
    offer = shop.offer(trial_days=7, trial_needs_method=False)
    visitor, address = browser(), f"/checkout/{offer.pk}/"
    page = text_of(visitor.get(address))
    assert 'name="recurring"' not in page
    answer = visitor.post(address, filled(page), follow=True)
    assert "Готовим ваш заказ" in text_of(answer)
    shop.deliver()
    row = Subscription.objects.get()
    assert row.state == _S.TRIAL
    mine = browser(row.customer)
    shop.until(clock.today() + timedelta(days=8))
    page = text_of(mine.get(page_of(row)))
    assert "Выберите, как платить" in page
    waiting = mine.post(page_of(row, "card/"), {"pay_with": "bank_card"})
    shop.deliver()
    shop.gateway.pay(mine.get(waiting.url).url)
    for payment in row.customer.payments.all():
        payments.settle(payment.pk)
    shop.deliver()
    shop.until(clock.today() + timedelta(days=1))
    row.refresh_from_db()
    assert row.state == _S.ACTIVE
    assert PaymentMethod.objects.get().title == "•• 4477"
    assert faults_of(shop) == []
