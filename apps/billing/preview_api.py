"""API: what the next invoice of a subscription will say, and what a change of it would cost today."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.billing.preview import Change, preview
from apps.catalog.models import Offer

PREVIEW = {
    "date": "2026-12-27",
    "currency": "RUB",
    "lines": [
        {
            "subscription": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6c01",
            "description": "Облако, 100 ГБ",
            "quantity": 1,
            "period_start": "2026-12-27",
            "period_end": "2027-01-27",
            "discount": "0.00",
            "amount": "99.00",
            "vat_rate": "22.00",
            "vat": "17.85",
        }
    ],
    "credits": [],
    "total": "99.00",
    "balance_used": "9.00",
    "due": "90.00",
}


class AskedSerializer(serializers.Serializer[Any]):
    """Of which day, or of which change."""

    as_of = serializers.DateField(required=False, help_text=_("Каким был бы счёт в этот день"))
    offer = serializers.PrimaryKeyRelatedField(
        queryset=Offer.objects.all(), required=False, help_text=_("Другое предложение того же продукта")
    )
    quantity = serializers.IntegerField(required=False, min_value=1, help_text=_("Другое количество"))
    when = serializers.ChoiceField(
        ["now", "period_end"], required=False, help_text=_("Когда сменить условия: now, period_end")
    )


class InvoicePreviewLineSerializer(serializers.Serializer[Any]):
    """A line as it will stand on the invoice; the period's last day is not included."""

    subscription = serializers.UUIDField(source="subscription.pk")
    description = serializers.CharField(source="name")
    quantity = serializers.IntegerField()
    period_start = serializers.DateField(source="start")
    period_end = serializers.DateField(source="end")
    discount = serializers.DecimalField(14, 2)
    amount = serializers.DecimalField(14, 2)
    vat_rate = serializers.DecimalField(5, 2, allow_null=True)
    vat = serializers.DecimalField(14, 2)


class PreviewCreditSerializer(serializers.Serializer[Any]):
    """Given back for days that are paid and will not be used."""

    period_start = serializers.DateField(source="start")
    period_end = serializers.DateField(source="end")
    amount = serializers.DecimalField(14, 2)


class InvoicePreviewSerializer(serializers.Serializer[Any]):
    """An invoice that is not issued yet; `due` is what will be charged."""

    date = serializers.DateField(allow_null=True, help_text=_("Пусто: больше ничего не выставится"))
    currency = serializers.CharField()
    lines = InvoicePreviewLineSerializer(many=True)
    credits = PreviewCreditSerializer(many=True)
    total = serializers.DecimalField(14, 2)
    balance_used = serializers.DecimalField(14, 2)
    due = serializers.DecimalField(14, 2, source="due.amount")


class PreviewAction:
    """The action of the subscriptions' view."""

    get_object: Any

    @extend_schema(
        operation_id="subscriptions_preview",
        summary=_("Следующий счёт подписки"),
        description=_(
            "Что будет выставлено и списано, до копейки. С offer или quantity: во что обойдётся смена."
        ),
        parameters=[
            OpenApiParameter("as_of", str, description=_("Каким был бы счёт в этот день")),
            OpenApiParameter("offer", int, description=_("Другое предложение того же продукта")),
            OpenApiParameter("quantity", int, description=_("Другое количество")),
            OpenApiParameter("when", str, enum=["now", "period_end"], description=_("Когда сменить условия")),
        ],
        responses=InvoicePreviewSerializer,
        examples=[OpenApiExample("preview", summary=_("Следующий счёт"), value=PREVIEW, response_only=True)],
    )
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def preview(self, request: Request, pk: str) -> Response:
        asked = AskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        change = None
        if "offer" in given or "quantity" in given:
            change = Change(given.get("offer"), given.get("quantity"), given.get("when", ""))
        return Response(InvoicePreviewSerializer(preview(self.get_object(), given.get("as_of"), change)).data)
