"""API: what a promo code gives, a code for a running subscription, and the offer to who is about to leave."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.accounts.models import Customer
from apps.billing import promos, retention
from apps.billing.promotion_models import CancelReason
from apps.core.errors import Refused
from apps.journal.api import idempotent

GIVEN = {
    "code": "OSEN-30",
    "name": "Осенняя скидка",
    "percent": "30.00",
    "amount": "0.00",
    "periods": 3,
    "price": "99.00",
    "discount": "29.70",
    "first_price": "69.30",
    "currency": "RUB",
}
OFFERED = {
    "offer": {
        "kind": "discount",
        "name": "Оставайтесь: скидка 30 % на 3 месяца",
        "percent": "30.00",
        "periods": 3,
    }
}


class AskedSerializer(serializers.Serializer[Any]):
    """For what, and for whom."""

    offer = serializers.IntegerField(min_value=1, help_text=_("Номер предложения"))
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=99)
    customer = serializers.UUIDField(
        required=False, help_text=_("Клиент, если известен: проверится, не использовал ли он код")
    )


class GivenSerializer(serializers.Serializer[Any]):
    """What a code gives on an offer for one whole period."""

    code = serializers.CharField(source="code.code")
    name = serializers.CharField(source="promotion.name")
    percent = serializers.DecimalField(5, 2, source="promotion.percent")
    amount = serializers.DecimalField(14, 2, source="promotion.amount")
    periods = serializers.IntegerField(
        source="promotion.periods", allow_null=True, help_text=_("null: навсегда")
    )
    price = serializers.DecimalField(14, 2, source="gross.amount", help_text=_("Без скидки"))
    discount = serializers.DecimalField(14, 2, source="discount.amount")
    first_price = serializers.DecimalField(14, 2, source="price.amount", help_text=_("Со скидкой"))
    currency = serializers.CharField(source="gross.currency")


class CodeSerializer(serializers.Serializer[Any]):
    """A code."""

    code = serializers.CharField(max_length=60)


class StaySerializer(serializers.Serializer[Any]):
    """Why they would have left."""

    reason = serializers.ChoiceField(CancelReason.choices, required=False, allow_blank=True)


class RetentionOfferSerializer(serializers.Serializer[Any]):
    """What is offered beside the button to cancel."""

    kind = serializers.ChoiceField(["discount", "pause"])
    name = serializers.CharField()
    percent = serializers.DecimalField(5, 2)
    periods = serializers.IntegerField(allow_null=True)
    pause_days = serializers.IntegerField(allow_null=True)


class OfferedSerializer(serializers.Serializer[Any]):
    """The offer, or null."""

    offer = RetentionOfferSerializer(allow_null=True)


@extend_schema(tags=["promo-codes"])
class PromoCodesViewSet(viewsets.GenericViewSet[Any]):
    """Promo codes: looked at before they are used in an order."""

    serializer_class = GivenSerializer
    lookup_value_regex = "[^/]{1,60}"
    lookup_field = "code"
    required_scopes = {"GET": "orders:read"}

    @extend_schema(
        operation_id="promo_codes_retrieve",
        summary=_("Что даёт промокод"),
        description=_("Ничего не занимает: код используется, когда с ним оформлен заказ (promo_code)."),
        parameters=[
            OpenApiParameter("code", str, OpenApiParameter.PATH),
            OpenApiParameter("offer", int, required=True, description=_("Номер предложения")),
            OpenApiParameter("quantity", int, description=_("Сколько штук")),
            OpenApiParameter("customer", str, description=_("Клиент, если известен")),
        ],
        responses=GivenSerializer,
        examples=[OpenApiExample("given", summary=_("Скидка"), value=GIVEN, response_only=True)],
    )
    def retrieve(self, request: Request, code: str) -> Response:
        asked = AskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given, key = asked.validated_data, request.auth
        offer = key.offers().filter(pk=given["offer"]).first()  # type: ignore[union-attr]
        if offer is None:
            raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
        customer = None
        if "customer" in given:
            customer = Customer.objects.filter(pk=given["customer"]).first()
            if customer is None:
                raise Refused("customer_not_found", _("Такого клиента нет"), status=404)
        found = promos.look(
            code,
            offer=offer,
            customer=customer,
            quantity=given["quantity"],
            channel_code=key.channel_code,  # type: ignore[union-attr]
        )
        return Response(GivenSerializer(found).data)


class PromotionActions:
    """Actions of the subscriptions' view."""

    get_object: Any
    get_serializer: Any

    @extend_schema(
        summary=_("Применить промокод к действующей подписке"),
        description=_("Скидка — со следующего списания."),
        request=CodeSerializer,
        examples=[OpenApiExample("code", summary=_("Код"), value={"code": "OSEN-30"}, request_only=True)],
    )
    @action(detail=True, methods=["post"], url_path="promo-code")
    @idempotent
    def promo_code(self, request: Request, pk: str) -> Response:
        given = CodeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        promos.apply(subscription=self.get_object(), code=given.validated_data["code"], actor=_actor(request))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        methods=["get"],
        summary=_("Что предложить тому, кто уходит"),
        responses=OfferedSerializer,
        examples=[OpenApiExample("offered", summary=_("Предложение"), value=OFFERED, response_only=True)],
    )
    @extend_schema(
        methods=["post"],
        summary=_("Клиент остаётся: применить предложение"),
        request=StaySerializer,
        examples=[
            OpenApiExample("stays", summary=_("Остаётся"), value={"reason": "dear"}, request_only=True)
        ],
    )
    @action(detail=True, methods=["get", "post"], pagination_class=None, filterset_class=None)
    @idempotent
    def retention(self, request: Request, pk: str) -> Response:
        subscription = self.get_object()
        if request.method == "GET":
            return Response(OfferedSerializer({"offer": retention.offer_for(subscription)}).data)
        given = StaySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        reason = given.validated_data.get("reason", "")
        retention.accept(subscription=subscription, reason=reason, actor=_actor(request))
        return Response(self.get_serializer(self.get_object()).data)


def routes(router: SimpleRouter) -> None:
    """Adds promo codes to the API."""
    router.register("promo-codes", PromoCodesViewSet, basename="promo_code")


def _actor(request: Request) -> str:
    key: Any = request.auth
    return f"api:{key.channel_code}" if key else ""
