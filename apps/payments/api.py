"""API: saved payment methods of the partner's customers, and taking one back for a customer who asks for it."""

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

from apps.journal.api import idempotent
from apps.payments import hold_api, methods, refund_api
from apps.payments.models import PaymentMethod, RefusalHow

METHOD = {
    "id": "01938e2a-6e10-7a51-8b0e-4f0d2c1b5a77",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "title": "•• 4477",
    "is_active": True,
    "created_at": "2026-11-27T09:15:00Z",
    "refused_at": None,
    "refused_how": "",
}


class PaymentMethodSerializer(serializers.ModelSerializer[PaymentMethod]):
    """A saved card or account; its number is never told."""

    customer = serializers.UUIDField(source="customer_id")

    class Meta:
        model = PaymentMethod
        fields = tuple(METHOD)
        read_only_fields = fields


class PaymentMethodFilter(filters.FilterSet):
    """By customer."""

    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    is_active = filters.BooleanFilter(label=_("Действует"))

    class Meta:
        model = PaymentMethod
        fields: list[str] = []


class RefuseSerializer(serializers.Serializer[Any]):
    """Evidence: where the customer was when they asked for it."""

    ip = serializers.IPAddressField(
        required=False, allow_null=True, default=None, help_text=_("Адрес, с которого клиент отказался")
    )
    user_agent = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)


def _example(value: Any, *, asked: bool = False) -> OpenApiExample:
    return OpenApiExample(
        "example", summary=_("Пример"), value=value, request_only=asked, response_only=not asked
    )


@extend_schema_view(
    list=extend_schema(summary=_("Сохранённые способы оплаты"), examples=[_example(METHOD)]),
    retrieve=extend_schema(summary=_("Сохранённый способ оплаты"), examples=[_example(METHOD)]),
)
@extend_schema(tags=["payment-methods"])
class PaymentMethodsViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[PaymentMethod]
):
    """Saved methods of the partner's customers."""

    queryset = PaymentMethod.objects.none()
    serializer_class = PaymentMethodSerializer
    filterset_class = PaymentMethodFilter
    required_scopes = {"GET": "subscriptions:read", "POST": "subscriptions:write"}

    def get_queryset(self) -> QuerySet[PaymentMethod]:
        return PaymentMethod.objects.defer("token")

    @extend_schema(
        summary=_("Отказаться от списаний этим способом"),
        description=_(
            "Сразу и навсегда: больше ничего не спишется, начатое вернётся. Повторный вызов безопасен."
        ),
        request=RefuseSerializer,
        responses=PaymentMethodSerializer,
        examples=[
            _example({"ip": "203.0.113.9"}, asked=True),
            _example(
                {**METHOD, "is_active": False, "refused_at": "2026-11-27T10:00:00Z", "refused_how": "api"}
            ),
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def refuse(self, request: Request, pk: str) -> Response:
        # Whose it is comes first: another's is not there, whatever was sent.
        method = self.get_object()
        given = RefuseSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        key: Any = request.auth
        method = methods.refuse_method(
            method,
            actor=f"api:{key.channel_code}" if key else "",
            how=RefusalHow.API,
            ip=given.validated_data["ip"],
            agent=given.validated_data["user_agent"],
        )
        return Response(self.get_serializer(method).data)


def routes(router: SimpleRouter) -> None:
    """Adds this app's addresses to the API."""
    refund_api.routes(router)
    hold_api.routes(router)
    router.register("payment-methods", PaymentMethodsViewSet, basename="paymentmethod")
