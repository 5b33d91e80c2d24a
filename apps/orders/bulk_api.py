"""API: many orders in one request, each answered for by itself."""

import hashlib
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.billing.api import actor_of
from apps.core.errors import Refused
from apps.journal.api import idempotent
from apps.orders import placing_many
from apps.orders.models import Order
from apps.orders.placing import LIMIT, Wanted
from apps.policies import numbering

MOST = 500
"""Orders of one request."""
ROW = {"offer": 17, "customer": {"external_id": "client-1042"}, "quantity": 1}
PLACED = {
    "order": {
        "id": "01938e2a-7b0f-7a90-bb21-0c4d5e6f7a81",
        "number": numbering.example("order"),
        "state": "pending",
        "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
        "total": "99.00",
        "currency": "RUB",
        "invoice": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
    },
    "problem": None,
}
REFUSED = {
    "order": None,
    "problem": {"code": "offer_closed", "detail": "Это предложение больше не продаётся"},
}


class PersonData(serializers.Serializer[Any]):
    """Whom to find or register: at least one of phone, e-mail and the partner's own id."""

    phone = serializers.CharField(max_length=40, required=False, allow_blank=True)
    email = serializers.CharField(max_length=254, required=False, allow_blank=True)
    external_id = serializers.CharField(max_length=100, required=False, allow_blank=True)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)


class NewRow(serializers.Serializer[Any]):
    """One order of many: one product for one customer."""

    offer = serializers.IntegerField(min_value=1, help_text=_("Номер предложения"))
    customer = PersonData()
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=LIMIT)
    expected_price = serializers.DecimalField(14, 2, required=False, allow_null=True)
    answers = serializers.DictField(required=False)
    return_url = serializers.URLField(
        required=False, allow_blank=True, default="", max_length=1800, help_text=_("Куда вернуть клиента")
    )
    scheduled_at = serializers.DateTimeField(required=False, allow_null=True)


class NewBulk(serializers.Serializer[Any]):
    """Orders to be placed, in their order."""

    orders = serializers.ListField(child=NewRow(), allow_empty=False, max_length=MOST)


class PlacedOrderSerializer(serializers.ModelSerializer[Order]):
    """An order that was placed."""

    customer = serializers.UUIDField(source="customer_id")
    invoice = serializers.UUIDField(source="invoice_id", allow_null=True)

    class Meta:
        model = Order
        fields = ("id", "number", "state", "customer", "total", "currency", "invoice")
        read_only_fields = fields


class RowProblemSerializer(serializers.Serializer[Any]):
    """Why an order was not placed."""

    code = serializers.CharField()
    detail = serializers.CharField()


class PlacedRowSerializer(serializers.Serializer[Any]):
    """What became of one row: one of the two."""

    order = PlacedOrderSerializer(allow_null=True)
    problem = RowProblemSerializer(allow_null=True)


class PlacedBulkSerializer(serializers.Serializer[Any]):
    """What became of each, in the order in which they were given."""

    orders = PlacedRowSerializer(many=True)


@extend_schema(tags=["orders"])
class BulkOrdersViewSet(viewsets.GenericViewSet[Order]):
    """Many orders at once."""

    queryset = Order.objects.none()
    serializer_class = NewBulk
    required_scopes = {"POST": "orders:write"}

    @extend_schema(
        summary=_("Оформить много заказов"),
        description=_(
            "До 500 заказов, ответ на каждый — на том же месте: order или problem с кодом. Отказ одному не мешает "
            "другим; неверный по форме запрос — 400, и не оформлен ни один. С Idempotency-Key повтор после обрыва "
            "не оформит ничего дважды. Страниц оплаты здесь не ждут: адрес появится в GET /orders/{id}/."
        ),
        request=NewBulk,
        responses=PlacedBulkSerializer,
        examples=[
            OpenApiExample("new_orders", value={"orders": [ROW]}, request_only=True),
            OpenApiExample("orders", value={"orders": [PLACED, REFUSED]}, response_only=True),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        given = NewBulk(data=request.data)
        given.is_valid(raise_exception=True)
        key: Any = request.auth
        asked = [_asked(request, place, row) for place, row in enumerate(given.validated_data["orders"])]
        placed = placing_many.place_each(
            asked,
            actor=actor_of(request),
            sold=key.listing(),
            channel_id=key.channel_id,
            channel_code=key.channel_code,
        )
        return Response(PlacedBulkSerializer({"orders": [_told(one) for one in placed]}).data)


def _asked(request: Request, place: int, row: dict[str, Any]) -> placing_many.Asked:
    key = request.headers.get("Idempotency-Key", "")
    name = f"{request.auth.pk}:{key}:{place}"
    return placing_many.Asked(
        person=row["customer"],
        wanted=Wanted(row["offer"], row["quantity"], row.get("expected_price"), row.get("answers") or {}),
        # Each is found again by its place, whoever died between two of them.
        request_key=hashlib.sha256(name.encode()).hexdigest() if key else "",
        scheduled_at=row.get("scheduled_at"),
        return_url=row["return_url"],
    )


def _told(made: Order | Refused) -> dict[str, Any]:
    if isinstance(made, Order):
        return {"order": made, "problem": None}
    return {"order": None, "problem": {"code": made.code, "detail": str(made.message)}}


def routes(router: SimpleRouter) -> None:
    """Adds this address to the API."""
    router.register("orders/bulk", BulkOrdersViewSet, basename="order-bulk")
