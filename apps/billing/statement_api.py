"""API: a customer's account for a period, as data and as files."""

import json
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import renderers, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Customer
from apps.billing import statements
from apps.core import papers, sheets, spans
from apps.policies import numbering

STATEMENT = {
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "since": "2026-11-01",
    "until": "2026-11-30",
    "currency": "RUB",
    "opening": "0.00",
    "debit": "99.00",
    "credit": "99.00",
    "closing": "0.00",
    "on_balance": "0.00",
    "entries": [
        {
            "date": "2026-11-27",
            "title": f"Счёт {numbering.example('invoice')}",
            "kind": "billing.Invoice",
            "id": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
            "debit": "99.00",
            "credit": "0.00",
            "balance": "99.00",
        },
        {
            "date": "2026-11-27",
            "title": f"Оплата: {numbering.example('invoice')}",
            "kind": "payments.Payment",
            "id": "01938e2a-7b12-7aa0-8d21-3a5f7c9e1b04",
            "debit": "0.00",
            "credit": "99.00",
            "balance": "0.00",
        },
    ],
}
SPAN = [
    OpenApiParameter("since", OpenApiTypes.DATE, description=_("Первый день; без него — с начала месяца")),
    OpenApiParameter("until", OpenApiTypes.DATE, description=_("Последний день; без него — сегодня")),
]


class EntrySerializer(serializers.Serializer[Any]):
    """One document on one day; `balance` is what the customer owes after it, negative where we owe."""

    date = serializers.DateField()
    title = serializers.CharField()
    kind = serializers.CharField()
    id = serializers.UUIDField()
    debit = serializers.DecimalField(14, 2)
    credit = serializers.DecimalField(14, 2)
    balance = serializers.DecimalField(14, 2)


class StatementSerializer(serializers.Serializer[Any]):
    """The account in one currency."""

    customer = serializers.UUIDField()
    since = serializers.DateField()
    until = serializers.DateField()
    currency = serializers.CharField()
    opening = serializers.DecimalField(14, 2)
    debit = serializers.DecimalField(14, 2)
    credit = serializers.DecimalField(14, 2)
    closing = serializers.DecimalField(14, 2, help_text=_("Долг клиента; меньше нуля — долг перед ним"))
    on_balance = serializers.DecimalField(14, 2, help_text=_("Зачтётся в следующие счета"))
    entries = EntrySerializer(many=True)


class FileRenderer(renderers.BaseRenderer):
    """The file is an answer of its own; an error is still a problem document."""

    media_type, format, charset, render_style = sheets.XLSX, "xlsx", None, "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        return json.dumps(data, default=str, ensure_ascii=False).encode()


CUSTOMER = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description=_("Клиент"))


@extend_schema(tags=["statements"], parameters=[CUSTOMER, *SPAN])
class StatementsViewSet(viewsets.ViewSet):
    """Accounts of the partner's customers."""

    required_scopes = {"GET": "invoices:read"}

    @extend_schema(
        summary=_("Взаиморасчёты с клиентом"),
        description=_("Документы и платежи за период с нарастающим итогом, по каждой валюте."),
        responses=StatementSerializer(many=True),
        examples=[
            OpenApiExample("statement", summary=_("Взаиморасчёты"), value=STATEMENT, response_only=True)
        ],
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        found = self._of(request, pk)
        return Response(StatementSerializer([statements.as_data(one) for one in found], many=True).data)

    @extend_schema(
        summary=_("Взаиморасчёты с клиентом в XLSX"), responses={(200, sheets.XLSX): OpenApiTypes.BINARY}
    )
    @action(detail=True, methods=["get"], renderer_classes=[FileRenderer, renderers.JSONRenderer])
    def xlsx(self, request: Request, pk: str) -> HttpResponse:
        return as_file(self._of(request, pk), "xlsx")

    @extend_schema(
        summary=_("Взаиморасчёты с клиентом в PDF"), responses={(200, sheets.PDF): OpenApiTypes.BINARY}
    )
    @action(detail=True, methods=["get"], renderer_classes=[FileRenderer, renderers.JSONRenderer])
    def pdf(self, request: Request, pk: str) -> HttpResponse:
        return as_file(self._of(request, pk), "pdf")

    def _of(self, request: Request, pk: str) -> list[statements.Statement]:
        since, until = spans.asked(request.GET)
        return statements.of(get_object_or_404(Customer.objects.all(), pk=pk), since=since, until=until)


def as_file(found: list[statements.Statement], ending: str) -> HttpResponse:
    """An account as `xlsx` or `pdf`."""
    made = [statements.sheet(one) for one in found]
    name = f"statement-{found[0].since:%Y-%m-%d}-{found[0].until:%Y-%m-%d}.{ending}"
    if ending == "pdf":
        return sheets.file(papers.pdf(made), name, sheets.PDF)
    return sheets.file(sheets.xlsx(made), name)
