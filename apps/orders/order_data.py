"""API: what is said of an order when it is placed, kept as a draft or changed."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.accounts.api import CompanySerializer
from apps.core import clock
from apps.orders.placing import LIMIT, Wanted

LATER = timedelta(minutes=5)
"""By how much a partner's clock may go before ours."""
ORDER = {
    "offer": 17,
    "customer": {"external_id": "client-1042", "phone": "+79161234567", "email": "anna@example.ru"},
    "quantity": 1,
    "expected_price": "99.00",
    "return_url": "https://bank.example/thanks?order={order}",
}


class CustomerData(serializers.Serializer[Any]):
    """Whom to find or register: at least one of phone, e-mail and the partner's own id."""

    phone = serializers.CharField(max_length=40, required=False, allow_blank=True)
    email = serializers.CharField(max_length=254, required=False, allow_blank=True)
    external_id = serializers.CharField(max_length=100, required=False, allow_blank=True)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    company = CompanySerializer(required=False, help_text=_("Реквизиты, если покупает организация"))


class DeclaredData(serializers.Serializer[Any]):
    """What the customer says of themselves, where the product is not sold to everybody."""

    age = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=150)
    region = serializers.CharField(
        required=False, allow_blank=True, max_length=3, help_text=_("Код региона: 77")
    )


class ConsentData(serializers.Serializer[Any]):
    """What the buyer agreed to where you sold it: the bank asks for it when a payment is disputed."""

    text = serializers.CharField(max_length=4000, help_text=_("Текст согласия слово в слово"))
    at = serializers.DateTimeField(help_text=_("Когда дано"))
    ip = serializers.IPAddressField(required=False, help_text=_("IP-адрес покупателя"))
    channel = serializers.CharField(
        required=False, allow_blank=True, max_length=200, help_text=_("Где дано: сайт, приложение, звонок")
    )

    def validate_at(self, value: datetime) -> datetime:
        if value > clock.now() + LATER:
            raise serializers.ValidationError(_("Этот момент ещё не наступил"))
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**attrs, "at": attrs["at"].isoformat()}


class NewItem(serializers.Serializer[Any]):
    """One product of an order of several."""

    offer = serializers.IntegerField(min_value=1, help_text=_("Номер предложения"))
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=LIMIT)
    expected_price = serializers.DecimalField(14, 2, required=False, allow_null=True)
    answers = serializers.DictField(required=False)


class NewOrder(serializers.Serializer[Any]):
    """What is ordered, by whom, and where the customer returns after paying."""

    offer = serializers.IntegerField(required=False, min_value=1, help_text=_("Номер предложения"))
    items = NewItem(
        many=True,
        required=False,
        help_text=_("Вместо offer: несколько товаров одним счётом и платежом, без пробных периодов"),
    )
    customer = CustomerData()
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=LIMIT)
    subscription = serializers.UUIDField(
        required=False, help_text=_("Для дополнения: подписка клиента, к которой оно подключается")
    )
    expected_price = serializers.DecimalField(
        14, 2, required=False, allow_null=True, help_text=_("Цена, которую видел клиент; изменилась: 409")
    )
    return_url = serializers.CharField(
        max_length=1800,
        help_text=_("Куда вернуть клиента; {order} заменится на номер заказа"),
    )

    declared = DeclaredData(required=False, help_text=_("Для товаров с возрастом или регионами"))
    consent = ConsentData(required=False, help_text=_("Согласие покупателя: хранится с заказом"))
    answers = serializers.DictField(
        required=False, help_text=_("Ответы на questions предложения: код и значение")
    )
    promo_code = serializers.CharField(
        required=False, allow_blank=True, max_length=60, help_text=_("Промокод: скидка — в total")
    )
    trial = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text=_("false: без пробного периода тарифа, с оплатой сразу"),
    )

    instrument = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=20,
        help_text=_(
            "Чем платит клиент: bank_card, sbp или partner, из GET /orders/instruments/; пусто: выберет на странице "
            "шлюза. Такого нет: 409 instrument_not_offered"
        ),
    )

    scheduled_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text=_("Не раньше этого момента: до него ничего не списывается и не выдаётся"),
    )

    draft = serializers.BooleanField(
        default=False,
        help_text=_(
            "true: черновик. Счёта, платежа и резерва нет, пока его не оформят: POST /orders/{id}/confirm/"
        ),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("offer" in attrs) == bool(attrs.get("items")):
            raise serializers.ValidationError({"offer": _("Нужно одно из двух: offer или items")})
        if attrs["draft"] and attrs.get("subscription"):
            raise serializers.ValidationError({"draft": _("Черновик не бывает дополнением")})
        return attrs

    def validate_return_url(self, value: str) -> str:
        return web_address(value)


class DraftChange(serializers.Serializer[Any]):
    """What is to be another in a draft; what is not sent stays."""

    offer = serializers.IntegerField(required=False, min_value=1, help_text=_("Номер предложения"))
    items = NewItem(many=True, required=False, allow_empty=False)
    quantity = serializers.IntegerField(required=False, min_value=1, max_value=LIMIT)
    answers = serializers.DictField(required=False)
    declared = DeclaredData(required=False)
    consent = ConsentData(required=False)
    promo_code = serializers.CharField(required=False, allow_blank=True, max_length=60)
    trial = serializers.BooleanField(required=False, allow_null=True)
    instrument = serializers.CharField(required=False, allow_blank=True, max_length=20)
    return_url = serializers.CharField(required=False, max_length=1800)
    scheduled_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text=_("Исполнить не раньше; null: сразу")
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "items" in attrs and attrs.keys() & {"offer", "quantity", "answers"}:
            raise serializers.ValidationError({"items": _("С items не присылают offer, quantity и answers")})
        return attrs

    def validate_return_url(self, value: str) -> str:
        return web_address(value)


def wanted(item: dict[str, Any]) -> Wanted:
    """One product of what was said."""
    return Wanted(
        item["offer"], item.get("quantity", 1), item.get("expected_price"), item.get("answers") or {}
    )


def web_address(value: str) -> str:
    """Raises serializers.ValidationError where it is none."""
    if not value.startswith(("https://", "http://")):
        raise serializers.ValidationError(_("Нужен адрес, который начинается с https://"))
    return value
