"""API: subscriptions (read, cancel, take up again) and invoices (read, PDF)."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, renderers, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.billing import pauses, retention, subscriptions
from apps.billing.document_api import PdfRenderer, pdf_answer
from apps.billing.document_api import routes as document_routes
from apps.billing.dunning_api import InvoiceDunning, SubscriptionDunning
from apps.billing.lifecycle_api import LifecycleActions
from apps.billing.mailing_api import SendAction
from apps.billing.mass.api import routes as mass_routes
from apps.billing.models import Invoice, InvoiceLine, InvoiceState, Subscription, SubscriptionState
from apps.billing.moving.api import routes as moving_routes
from apps.billing.payout_api import BalancesViewSet
from apps.billing.preview_api import PreviewAction
from apps.billing.promotions_api import PromotionActions
from apps.billing.promotions_api import routes as promotion_routes
from apps.billing.statement_api import StatementsViewSet
from apps.journal.api import idempotent
from apps.policies import numbering

SUBSCRIPTION = {
    "id": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6c01",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "offer": 17,
    "tariff": "CLOUD-100",
    "name": "Облако, 100 ГБ",
    "state": "active",
    "quantity": 1,
    "price": "99.00",
    "currency": "RUB",
    "period": {"count": 1, "unit": "month"},
    "current_period_start": "2026-11-27",
    "current_period_end": "2026-12-27",
    "cancel_at_period_end": False,
    "ends_on": "2026-12-27",
    "channel": "api",
    "created_at": "2026-11-27T09:15:00Z",
    "ended_at": None,
    "end_reason": "",
}
INVOICE = {
    "id": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
    "number": numbering.example("invoice"),
    "customer": SUBSCRIPTION["customer"],
    "subscription": SUBSCRIPTION["id"],
    "order": "01938e2a-7b0f-7a90-bb21-0c4d5e6f7a81",
    "purpose": "new",
    "state": "paid",
    "total": "99.00",
    "vat": "17.85",
    "currency": "RUB",
    "business_date": "2026-11-27",
    "due_date": "2026-11-30",
    "paid_at": "2026-11-27T09:16:12Z",
    "lines": [
        {
            "description": "Облако, 100 ГБ",
            "quantity": 1,
            "period_start": "2026-11-27",
            "period_end": "2026-12-27",
            "amount": "99.00",
            "vat_rate": "22.00",
            "vat": "17.85",
        }
    ],
}


class SubscriptionPeriodSerializer(serializers.Serializer[Any]):
    """A billing period."""

    count = serializers.IntegerField(source="period_count")
    unit = serializers.CharField(source="period_unit", help_text="day, week, month, year")


class SubscriptionSerializer(serializers.ModelSerializer[Subscription]):
    """A subscription with the terms it was bought on."""

    customer = serializers.UUIDField(source="customer_id")
    offer = serializers.IntegerField(source="offer_id")
    tariff = serializers.CharField(source="tariff_version.tariff.code")
    period = SubscriptionPeriodSerializer(source="*")
    ends_on = serializers.DateField(
        allow_null=True, help_text=_("Первый день без услуги, если больше не платить")
    )
    channel = serializers.CharField(source="channel_code")

    class Meta:
        model = Subscription
        fields = tuple(SUBSCRIPTION)
        read_only_fields = fields


class SubscriptionFilter(filters.FilterSet):
    """By customer and state."""

    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    state = filters.MultipleChoiceFilter(choices=SubscriptionState.choices)

    class Meta:
        model = Subscription
        fields: list[str] = []


class CancelSerializer(serializers.Serializer[Any]):
    """How to cancel."""

    reason = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=60,
        help_text=_(
            "Почему: код причины (dear, unused, lacks, broken, other_product, other) или слова клиента"
        ),
    )

    at_period_end = serializers.BooleanField(
        default=True,
        help_text=_(
            "true: услуга действует до конца оплаченного; false: отключается сразу, за неиспользованное возврат"
        ),
    )


@extend_schema_view(
    list=extend_schema(
        summary=_("Подписки"),
        examples=[
            OpenApiExample("subscription", summary=_("Подписка"), value=SUBSCRIPTION, response_only=True)
        ],
    ),
    retrieve=extend_schema(
        summary=_("Подписка"),
        examples=[
            OpenApiExample("subscription", summary=_("Подписка"), value=SUBSCRIPTION, response_only=True)
        ],
    ),
)
@extend_schema(tags=["subscriptions"])
class SubscriptionsViewSet(
    PreviewAction,
    SubscriptionDunning,
    PromotionActions,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    LifecycleActions,
):
    """Subscriptions of the partner's customers."""

    queryset = Subscription.objects.none()
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilter
    required_scopes = {"GET": "subscriptions:read", "POST": "subscriptions:write"}

    def get_queryset(self) -> QuerySet[Subscription]:
        return Subscription.objects.select_related("tariff_version__tariff")

    @extend_schema(
        summary=_("Отменить подписку"),
        description=_("Больше ничего не списывается. Повторный вызов ничего не меняет."),
        request=CancelSerializer,
        responses=SubscriptionSerializer,
        examples=[
            OpenApiExample(
                "at_period_end",
                summary=_("В конце периода"),
                value={"at_period_end": True},
                request_only=True,
            ),
            OpenApiExample(
                "subscription",
                summary=_("Подписка"),
                value={**SUBSCRIPTION, "cancel_at_period_end": True},
                response_only=True,
            ),
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request: Request, pk: str) -> Response:
        given = CancelSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        retention.leave(
            self.get_object(),
            at_period_end=given.validated_data["at_period_end"],
            reason=given.validated_data["reason"],
            actor=actor_of(request),
        )
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary=_("Возобновить отменённую подписку или снять с паузы"),
        description=_(
            "Отменённую: пока не кончился оплаченный период. С паузы: периоды считаются с сегодня."
        ),
        request=None,
        responses=SubscriptionSerializer,
        examples=[
            OpenApiExample("subscription", summary=_("Подписка"), value=SUBSCRIPTION, response_only=True)
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def resume(self, request: Request, pk: str) -> Response:
        subscription = self.get_object()
        if subscription.state == SubscriptionState.PAUSED:
            pauses.resume(subscription=subscription, actor=actor_of(request))
        else:
            subscriptions.uncancel(subscription, actor=actor_of(request))
        return Response(self.get_serializer(self.get_object()).data)


class InvoiceLineSerializer(serializers.ModelSerializer[InvoiceLine]):
    """A line: what, for which days, how much; the period's last day is not included."""

    class Meta:
        model = InvoiceLine
        fields = ("description", "quantity", "period_start", "period_end", "amount", "vat_rate", "vat")
        read_only_fields = fields


class InvoiceSerializer(serializers.ModelSerializer[Invoice]):
    """An invoice with its lines."""

    customer = serializers.UUIDField(source="customer_id")
    subscription = serializers.UUIDField(source="subscription_id", allow_null=True)
    order = serializers.UUIDField(source="order_id", allow_null=True)
    lines = InvoiceLineSerializer(many=True)

    class Meta:
        model = Invoice
        fields = tuple(INVOICE)
        read_only_fields = fields


class InvoiceFilter(filters.FilterSet):
    """By customer, subscription, state, number and day."""

    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    subscription = filters.UUIDFilter("subscription_id", label=_("Подписка"))
    state = filters.MultipleChoiceFilter(choices=InvoiceState.choices)
    date = filters.DateFromToRangeFilter("business_date", label=_("Дата: date_after, date_before"))

    class Meta:
        model = Invoice
        fields = ["number", "purpose"]


@extend_schema_view(
    list=extend_schema(
        summary=_("Счета"),
        examples=[OpenApiExample("invoice", summary=_("Счёт"), value=INVOICE, response_only=True)],
    ),
    retrieve=extend_schema(
        summary=_("Счёт"),
        examples=[OpenApiExample("invoice", summary=_("Счёт"), value=INVOICE, response_only=True)],
    ),
)
@extend_schema(tags=["invoices"])
class InvoicesViewSet(
    SendAction,
    InvoiceDunning,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Invoice],
):
    """Invoices of the partner's customers; a draft is nobody's business."""

    queryset = Invoice.objects.none()
    serializer_class = InvoiceSerializer
    filterset_class = InvoiceFilter
    required_scopes = {"GET": "invoices:read", "POST": "orders:write"}

    def get_queryset(self) -> QuerySet[Invoice]:
        return Invoice.objects.exclude(state=InvoiceState.DRAFT).prefetch_related("lines")

    @extend_schema(summary=_("Счёт в PDF"), responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], renderer_classes=[PdfRenderer, renderers.JSONRenderer])
    def pdf(self, request: Request, pk: str) -> HttpResponse:
        invoice = self.get_object()
        return pdf_answer(invoice)


def actor_of(request: Request) -> str:
    """Whose key did it, for the journal."""
    key: Any = request.auth
    return f"api:{key.channel_code}" if key else ""


def routes(router: SimpleRouter) -> None:
    """Adds this app's addresses to the API."""
    router.register("subscriptions", SubscriptionsViewSet, basename="subscription")
    router.register("invoices", InvoicesViewSet, basename="invoice")
    promotion_routes(router)
    document_routes(router)
    router.register("statements", StatementsViewSet, basename="statement")
    router.register("balances", BalancesViewSet, basename="balance")
    mass_routes(router)
    moving_routes(router)
