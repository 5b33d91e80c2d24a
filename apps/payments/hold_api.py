"""API: payments, and money that is held: taken or let go by the partner's system."""

from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.core.money import Money
from apps.journal.api import idempotent
from apps.payments import payments
from apps.payments.models import Payment, PaymentState

PAYMENT = {
    "id": "01938e2a-7b12-7aa0-8d21-3a5f7c9e1b04",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "state": "authorized",
    "amount": "149.00",
    "currency": "RUB",
    "instrument": "bank_card",
    "is_two_stage": True,
    "second_stage": "",
    "capture_amount": None,
    "decline_reason": "",
    "created_at": "2026-11-27T09:15:00Z",
    "settled_at": None,
}


class GatewayPaymentSerializer(serializers.ModelSerializer[Payment]):
    """A payment; `authorized` is money that is held, `second_stage` what was decided about it."""

    customer = serializers.UUIDField(source="customer_id")

    class Meta:
        model = Payment
        fields = tuple(PAYMENT)
        read_only_fields = fields


class CaptureSerializer(serializers.Serializer[Any]):
    """How much of what is held is taken; the rest is let go."""

    amount = serializers.DecimalField(
        14, 2, required=False, min_value=Decimal("0.01"), help_text=_("Без неё — всё удержанное")
    )


class PaymentFilter(filters.FilterSet):
    """By customer and state."""

    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    state = filters.ChoiceFilter(choices=PaymentState.choices, label=_("Состояние"))

    class Meta:
        model = Payment
        fields: list[str] = []


def _example(value: Any, **options: Any) -> OpenApiExample:
    return OpenApiExample("payment", summary=_("Платёж"), value=value, **options)


@extend_schema_view(
    list=extend_schema(summary=_("Платежи"), examples=[_example(PAYMENT, response_only=True)]),
    retrieve=extend_schema(summary=_("Платёж"), examples=[_example(PAYMENT, response_only=True)]),
)
@extend_schema(tags=["payments"])
class PaymentsViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Payment]):
    """The partner's payments through gateways."""

    queryset = Payment.objects.none()
    serializer_class = GatewayPaymentSerializer
    filterset_class = PaymentFilter
    required_scopes = {"GET": "invoices:read", "POST": "orders:write"}

    def get_queryset(self) -> QuerySet[Payment]:
        return Payment.objects.all()

    @extend_schema(
        summary=_("Списать удержанное"),
        description=_(
            "Решается один раз; то же самое ещё раз ничего не меняет. Пока шлюз не ответил, state остаётся "
            "authorized, а second_stage — capture."
        ),
        request=CaptureSerializer,
        responses=GatewayPaymentSerializer,
        examples=[_example({**PAYMENT, "state": "succeeded", "second_stage": "capture"}, response_only=True)],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def capture(self, request: Request, pk: str) -> Response:
        payment = self.get_object()
        given = CaptureSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        amount = given.validated_data.get("amount")
        money = None if amount is None else Money(amount, payment.currency)
        payments.capture(payment.pk, money, actor=_actor(request))
        return self._settled(payment)

    @extend_schema(
        summary=_("Отпустить удержанное"),
        description=_("Деньги снова доступны клиенту; подписка, начатая на удержании, завершается."),
        request=None,
        responses=GatewayPaymentSerializer,
        examples=[_example({**PAYMENT, "state": "failed", "second_stage": "release"}, response_only=True)],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def void(self, request: Request, pk: str) -> Response:
        payment = self.get_object()
        payments.release(payment.pk, actor=_actor(request))
        return self._settled(payment)

    def _settled(self, payment: Payment) -> Response:
        """What the gateway says at once; where it says nothing yet, it is asked until it does."""
        return Response(self.get_serializer(payments.settle(payment.pk)).data)


def _actor(request: Request) -> str:
    key: Any = request.auth
    return f"api:{key.channel_code}" if key else ""


def routes(router: SimpleRouter) -> None:
    """Adds the addresses of payments to the API."""
    router.register("payments", PaymentsViewSet, basename="payment")
