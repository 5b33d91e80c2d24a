"""API: the inventory, what each customer has and had."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.routers import SimpleRouter

from apps.orders.models import Service, ServiceState

EXAMPLE = {
    "id": "01938e2b-0c22-7e10-9d55-7f8a9b0c1d2e",
    "name": "Антивирус Щит, Помесячно",
    "state": "active",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "external_id": "client-1042",
    "subscription": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6c01",
    "product": "SHIT",
    "tariff": "SHIT-M",
    "request_id": "01938e2b-0c22-7e10-9d55-800000000001",
    "key": "SHIT-1A2B-3C4D",
    "url": "",
    "instructions": "Введите ключ в приложении",
    "active_until": "2026-12-27",
    "created_at": "2026-11-27T09:15:00Z",
    "activated_at": "2026-11-27T09:15:02Z",
    "off_at": None,
}


class InventorySerializer(serializers.ModelSerializer[Service]):
    """A service in a customer's hands; `state` is TMF637's, `request_id` what its provider knows it by."""

    customer = serializers.UUIDField(source="customer_id")
    external_id = serializers.CharField(source="customer.external_id")
    subscription = serializers.UUIDField(source="subscription_id")
    product = serializers.CharField(source="product.code")
    tariff = serializers.CharField(source="tariff_version.tariff.code")

    class Meta:
        model = Service
        fields = tuple(EXAMPLE)
        read_only_fields = fields


class ServiceFilter(filters.FilterSet):
    """By whose it is, what it is, its state and days."""

    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    external_id = filters.CharFilter("customer__external_id", label=_("Номер клиента у партнёра"))
    subscription = filters.UUIDFilter("subscription_id", label=_("Подписка"))
    product = filters.CharFilter("product__code", label=_("Код продукта"))
    request_id = filters.UUIDFilter("request_id", label=_("Номер у поставщика"))
    state = filters.MultipleChoiceFilter(choices=ServiceState.choices)
    active_until = filters.DateFromToRangeFilter(
        "active_until", label=_("Действует до: active_until_after, active_until_before")
    )
    created = filters.IsoDateTimeFromToRangeFilter(
        "created_at", label=_("Заведена: created_after, created_before")
    )

    class Meta:
        model = Service
        fields: list[str] = []


_SHOWN: dict[str, Any] = {
    "examples": [OpenApiExample("service", summary=_("Услуга"), value=EXAMPLE, response_only=True)]
}


@extend_schema_view(
    list=extend_schema(summary=_("Услуги клиентов"), **_SHOWN),
    retrieve=extend_schema(summary=_("Услуга клиента"), **_SHOWN),
)
@extend_schema(tags=["services"])
class ServicesViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Service]):
    """What customers have and had, newest first."""

    queryset = Service.objects.none()
    serializer_class = InventorySerializer
    filterset_class = ServiceFilter
    required_scopes = {"GET": "orders:read"}

    def get_queryset(self) -> QuerySet[Service]:
        return Service.objects.select_related("customer", "product", "tariff_version__tariff")


def routes(router: SimpleRouter) -> None:
    """Adds these addresses to the API."""
    router.register("services", ServicesViewSet, basename="service")
