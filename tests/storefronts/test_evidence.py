"""What a dispute's papers say of a sale: consent word for word, notice, delivery, use; on our page and by API."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.accounts import customers
from apps.billing.models import Subscription
from apps.core import audit, clock
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.orders.models import Order, Service
from apps.payments import disputes, evidence, payments
from apps.payments.dispute_models import Dispute
from apps.payments.models import Payment
from apps.policies.dunning_models import ChargeRules
from apps.providers.portal import usage
from apps.storefronts.models import Checkout
from tests.orders.fixtures import shop
from tests.orders.shop import GOOD, Shop
from tests.orders.test_api import api, body

__all__ = ["api", "shop"]
Facts = list[tuple[str, str, list[str]]]


def opened(payment: Payment | None, number: str = "cb-1") -> Dispute:
    """A chargeback of all of a payment."""
    assert payment is not None
    return disputes.open(
        payment=payment,
        kind="chargeback",
        amount=Money(payment.amount),
        reason="Держатель карты не узнаёт операцию",
        reason_code="10.4",
        gateway_id=number,
        respond_by=clock.now() + timedelta(days=7),
    )


def sections(payment: Payment) -> dict[str, Facts]:
    """The evidence of a payment, as the PDF shows it."""
    data = evidence.data_of(opened(payment))
    return {
        one["title"]: [(fact["at"], fact["what"], fact["details"]) for fact in one["facts"]]
        for one in data["sections"]
    }


def used(service: Service, *rows: str) -> None:
    """The provider tells of the use of a service."""
    with in_public():
        content = "услуга;месяц;количество;единица\n" + "\n".join(f"{service.pk};{row}" for row in rows)
        product = service.product
        usage.load(provider=product.provider, name="use.csv", content=content.encode(), actor="provider")


@pytest.fixture
def announced(shop: Shop) -> Shop:
    """A shop that tells of a charge three days ahead."""
    with in_public():
        ChargeRules.objects.update_or_create(
            partner=shop.partner, defaults={"notice_days": 3, "require_notice": True}
        )
    return shop


def moment(at: Any) -> str:
    return f"{clock.local(at):%d.%m.%Y %H:%M}"


def test_a_renewal_of_a_sale_on_the_storefront(
    announced: Shop, client_for: Callable[..., Any], form_of: Callable[..., dict[str, Any]]
) -> None:
    shop = announced
    offer = shop.offer(delivery="key", keys=3)
    browser = client_for(shop.partner)
    address = f"/checkout/{offer.pk}/"
    page = browser.get(address)
    browser.post(address, form_of(page, email="anna@example.ru", name="Анна"), HTTP_USER_AGENT="Опера 9")
    order = Order.objects.get()
    shop.deliver()
    shop.pay(order)
    subscription = Subscription.objects.get()
    service = shop.service(subscription)
    end = subscription.current_period_end
    assert end is not None
    used(service, f"{clock.today():%Y-%m};12.5;ГБ")
    shop.until(end)
    renewal = Payment.objects.exclude(pk=order.payment().pk).get()  # type: ignore[union-attr]
    assert renewal.is_paid
    service.refresh_from_db()

    found = sections(renewal)
    proof = Checkout.objects.get()
    agreed = {what: (at, details) for at, what, details in found["Согласие покупателя"]}
    assert len(agreed) == len(proof.consents)
    at, details = agreed["Согласие на автоматические списания"]
    [text] = [one["text"] for one in proof.consents if one["purpose"] == "recurring"]
    assert "149" in text
    assert (at, details) == (moment(proof.placed_at), [f"«{text}»", "IP-адрес 127.0.0.1", "Опера 9"])

    ahead = f"{end - timedelta(days=3):%d.%m.%Y}"
    [(_at, subject, details)] = [one for one in found["Уведомления клиенту"] if one[0].startswith(ahead)]
    assert f"{end:%d.%m.%Y}" in subject, found["Уведомления клиенту"]
    assert details[0] == "письмо: an•••@example.ru"
    assert details[1].startswith(("Состояние: Отправлено", "Состояние: Доставлено"))

    delivered = found["Заказ и выдача"]
    assert any(order.number in what for _at, what, _details in delivered)
    given = [line for _at, _what, lines in delivered for line in lines if "ключ" in line]
    assert given == [f"Выдан ключ •••• {service.key[-4:]}"]
    assert service.key not in str(found)

    [(_at, what, lines)] = found["Пользование услугой"]
    assert what == service.name
    day = f"{clock.local(clock.wall()):%d.%m.%Y}"
    assert lines[-1].startswith("Потребление за ")
    assert f": 12,5 ГБ — по данным поставщика от {day}" in lines[-1]
    assert "не сообщает" not in str(lines)
    # The shop's gateway is the partner's own: what its bank has taken has a line in the partner's statement.
    assert [str(one) for one in audit.run([shop.partner.pk])] == []
    for state in ("won", "lost"):
        disputes.decide(opened(order.payment(), state).pk, state, actor="finance")
        assert [str(one) for one in audit.run([shop.partner.pk])] == []


def test_without_a_word_of_the_provider_no_use_is_claimed(shop: Shop) -> None:
    subscription = shop.buy(shop.offer(delivery="key", keys=1))
    # What is doubted proves nothing.
    used(shop.service(subscription), f"{clock.today():%Y-%m};0;ГБ")
    [(_at, _what, lines)] = sections(Payment.objects.get())["Пользование услугой"]
    assert lines[-1] == "О входах и загрузках поставщик платформе не сообщает."


CONSENT = {"text": "Списывать 149 ₽ каждый месяц", "ip": "203.0.113.7", "channel": "Приложение банка"}


@pytest.mark.parametrize("draft", [False, True])
def test_a_consent_that_a_partner_passes_on_is_in_the_papers(shop: Shop, api: Client, draft: bool) -> None:
    at = clock.now() - timedelta(hours=1)
    said = {**CONSENT, "at": at.isoformat()}
    # A draft may get it when the buyer gives it.
    asked = body(shop.offer(), **({"draft": True} if draft else {"consent": said}))
    answer = api.post("/api/v1/orders/", asked, content_type="application/json")
    assert answer.status_code == 201, answer.content
    order = Order.objects.get()
    if draft:
        here = f"/api/v1/orders/{order.pk}/"
        assert api.patch(here, {"consent": said}, content_type="application/json").status_code == 200
        assert api.patch(here, {"quantity": 1}, content_type="application/json").status_code == 200
        confirmed = api.post(f"{here}confirm/", content_type="application/json")
        assert confirmed.status_code == 200, confirmed.content
    order.refresh_from_db()
    shop.pay(order, GOOD)
    payment = order.payment()
    assert payment is not None
    [(when, what, lines)] = sections(payments.settle(payment.pk))["Согласие покупателя"]
    assert (when, what) == (moment(at), "Согласие, переданное партнёром с заказом")
    assert lines == [f"«{CONSENT['text']}»", "Где дано: Приложение банка", "IP-адрес 203.0.113.7"]
    # Of who is erased the consent stays, without the address it came from.
    customers.erase(order.customer, actor="t")
    shop.deliver()
    order.refresh_from_db()
    assert (order.consent["text"], order.consent.get("ip")) == (CONSENT["text"], None)


@pytest.mark.parametrize("wrong", [{"at": "2999-01-01T00:00:00Z"}, {"ip": "somewhere"}, {"text": ""}])
def test_a_consent_that_can_not_be_is_refused(shop: Shop, api: Client, wrong: dict[str, str]) -> None:
    said = {**CONSENT, "at": clock.now().isoformat(), **wrong}
    answer = api.post("/api/v1/orders/", body(shop.offer(), consent=said), content_type="application/json")
    assert answer.status_code == 400
    assert not Order.objects.exists()


def test_an_order_without_one_says_so(shop: Shop) -> None:
    shop.buy(shop.offer())
    assert sections(Payment.objects.get())["Согласие покупателя"] == []
    assert Order.objects.get().consent == {}
    assert Decimal("149.00") == Payment.objects.get().amount
