"""API: disputes about the partner's payments, and refunds: asked for, and how far they have come."""

from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.core import clock
from apps.core.money import Money
from apps.journal.api import idempotent
from apps.payments import refunds
from apps.payments.dispute_models import Dispute, DisputeKind, DisputeState
from apps.payments.models import Payment, Refund, RefundState
from apps.policies import refunding

PAYMENT, CUSTOMER = "01938e2a-7b12-7aa0-8d21-3a5f7c9e1b04", "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11"
REFUND = {
    "id": "01938e2a-7c41-7e10-9d55-1a2b3c4d5e6f",
    "payment": PAYMENT,
    "customer": CUSTOMER,
    "amount": "149.00",
    "currency": "RUB",
    "state": "created",
    "route": "gateway",
    "reason": "Не подошло",
    "reason_code": "refused",
    "due_date": "2026-12-07",
    "created_at": "2026-11-27T10:00:00Z",
    "settled_at": None,
}
ASKED = {
    "payment": PAYMENT,
    "amount": "149.00",
    "reason": "Не подошло",
    "reason_code": "refused",
    "demanded_on": "2026-11-27",
}
DISPUTE = {
    "id": "01938e2a-8d52-7f21-8e66-2b3c4d5e6f70",
    "payment": PAYMENT,
    "customer": CUSTOMER,
    "kind": "chargeback",
    "state": "needs_response",
    "amount": "149.00",
    "currency": "RUB",
    "reason_code": "10.4",
    "reason": "Держатель карты не узнаёт операцию",
    "respond_by": "2026-12-04T20:59:59Z",
    "is_taken": True,
    "opened_at": "2026-11-27T10:00:00Z",
    "answered_at": None,
    "decided_at": None,
}


class RefundSerializer(serializers.ModelSerializer[Refund]):
    """Money that goes back; `requested` waits for a member of staff."""

    payment = serializers.UUIDField(source="payment_id")
    customer = serializers.UUIDField(source="payment.customer_id")

    class Meta:
        model = Refund
        fields = tuple(REFUND)
        read_only_fields = fields


class DisputeSerializer(serializers.ModelSerializer[Dispute]):
    """A chargeback or a claim, as staff see it."""

    payment = serializers.UUIDField(source="payment_id")
    customer = serializers.UUIDField(source="payment.customer_id")

    class Meta:
        model = Dispute
        fields = tuple(DISPUTE)
        read_only_fields = fields


class NewRefund(serializers.Serializer[Any]):
    """Of which payment, how much, and why."""

    payment = serializers.UUIDField()
    amount = serializers.DecimalField(
        14, 2, required=False, min_value=Decimal("0.01"), help_text=_("Без неё — всё, что можно вернуть")
    )
    reason = serializers.CharField(max_length=200)
    reason_code = serializers.CharField(
        max_length=40, required=False, default="", allow_blank=True, help_text=_("Код причины из списка")
    )
    demanded_on = serializers.DateField(
        required=False, allow_null=True, default=None, help_text=_("Когда клиент потребовал возврат")
    )

    def validate_reason_code(self, code: str) -> str:
        known = [one.code for one in refunding.reasons()]
        if code and code not in known:
            raise serializers.ValidationError(_("Такой причины нет; есть: %s") % ", ".join(known))
        return code

    def validate_demanded_on(self, day: Any) -> Any:
        if day and day > clock.today():
            raise serializers.ValidationError(_("Этот день ещё не наступил"))
        return day


class RefundFilter(filters.FilterSet):
    """By payment, customer and state."""

    payment = filters.UUIDFilter("payment_id", label=_("Платёж"))
    customer = filters.UUIDFilter("payment__customer_id", label=_("Клиент"))
    state = filters.ChoiceFilter(choices=RefundState.choices, label=_("Состояние"))

    class Meta:
        model = Refund
        fields: list[str] = []


class DisputeFilter(filters.FilterSet):
    """By payment, customer, kind and state."""

    payment = filters.UUIDFilter("payment_id", label=_("Платёж"))
    customer = filters.UUIDFilter("payment__customer_id", label=_("Клиент"))
    kind = filters.ChoiceFilter(choices=DisputeKind.choices, label=_("Вид"))
    state = filters.ChoiceFilter(choices=DisputeState.choices, label=_("Состояние"))

    class Meta:
        model = Dispute
        fields: list[str] = []


def _example(value: Any, **options: Any) -> OpenApiExample:
    return OpenApiExample("example", summary=_("Пример"), value=value, **options)


@extend_schema_view(
    list=extend_schema(summary=_("Возвраты"), examples=[_example(REFUND, response_only=True)]),
    retrieve=extend_schema(summary=_("Возврат"), examples=[_example(REFUND, response_only=True)]),
)
@extend_schema(tags=["refunds"])
class RefundsViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Refund]):
    """Refunds of the partner's payments."""

    queryset = Refund.objects.none()
    serializer_class = RefundSerializer
    filterset_class = RefundFilter
    required_scopes = {"GET": "invoices:read", "POST": "subscriptions:write"}

    def get_queryset(self) -> QuerySet[Refund]:
        return Refund.objects.select_related("payment")

    @extend_schema(
        summary=_("Вернуть деньги"),
        description=_(
            "Выше лимита ключей возврат в состоянии requested: деньги отложены, решает сотрудник. "
            "Повторяйте с тем же Idempotency-Key: второго возврата не будет."
        ),
        request=NewRefund,
        responses={201: RefundSerializer},
        examples=[
            _example(ASKED, request_only=True),
            _example(REFUND, response_only=True, status_codes=["201"]),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        given = NewRefund(data=request.data)
        given.is_valid(raise_exception=True)
        asked: dict[str, Any] = dict(given.validated_data)
        payment = get_object_or_404(Payment.objects.all(), pk=asked.pop("payment"))
        amount, key = asked.pop("amount", None), request.auth
        made = refunds.refund(
            payment=payment,
            amount=None if amount is None else Money(amount, payment.currency),
            actor=f"api:{key.channel_code}" if key else "",  # type: ignore[union-attr]
            **asked,
        )
        return Response(self.get_serializer(made).data, status.HTTP_201_CREATED)


@extend_schema_view(
    list=extend_schema(summary=_("Споры и претензии"), examples=[_example(DISPUTE, response_only=True)]),
    retrieve=extend_schema(summary=_("Спор или претензия"), examples=[_example(DISPUTE, response_only=True)]),
)
@extend_schema(tags=["disputes"])
class DisputesViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Dispute]):
    """Chargebacks and claims about the partner's payments."""

    queryset = Dispute.objects.none()
    serializer_class = DisputeSerializer
    filterset_class = DisputeFilter
    required_scopes = {"GET": "invoices:read"}

    def get_queryset(self) -> QuerySet[Dispute]:
        return Dispute.objects.select_related("payment")


def routes(router: SimpleRouter) -> None:
    """Adds the addresses of refunds and disputes to the API."""
    router.register("refunds", RefundsViewSet, basename="refund")
    router.register("disputes", DisputesViewSet, basename="dispute")
