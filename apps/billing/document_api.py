"""API: credit notes, acts and receipts; what a partner answers to charge requests and reports as collected."""

import json
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, renderers, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.billing import answers, partner_reports, pdf
from apps.billing.mailing_api import SendAction
from apps.billing.models import CreditNote, CreditNoteLine, CreditReason
from apps.billing.paperwork import (
    ChargeRequest,
    CollectionReport,
    CollectionRow,
    Document,
    DocumentKind,
    RequestState,
)
from apps.core.money import Money
from apps.journal.api import idempotent
from apps.policies import numbering

NOTE = {
    "id": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f50",
    "number": numbering.example("credit_note"),
    "invoice": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "reason": "correction",
    "total": "49.00",
    "vat": "8.84",
    "currency": "RUB",
    "to_debt": "0.00",
    "to_balance": "49.00",
    "to_refund": "0.00",
    "business_date": "2026-11-28",
    "lines": [{"description": "Облако, 100 ГБ", "amount": "49.00", "vat_rate": "22.00", "vat": "8.84"}],
}
DOCUMENT = {
    "id": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f60",
    "kind": "act",
    "number": numbering.example("act"),
    "invoice": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "business_date": "2026-11-30",
    "period_start": "2026-11-01",
    "period_end": "2026-12-01",
    "total": "99.00",
    "vat": "17.85",
    "currency": "RUB",
    "lines": [
        {
            "description": "Облако, 100 ГБ",
            "quantity": 1,
            "period_start": "2026-11-01",
            "period_end": "2026-12-01",
            "amount": "99.00",
            "vat_rate": "22.00",
            "vat": "17.85",
        }
    ],
}
REQUEST = {
    "id": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f70",
    "invoice": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
    "invoice_number": numbering.example("invoice"),
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "external_id": "client-1042",
    "phone": "+79161234567",
    "amount": "99.00",
    "currency": "RUB",
    "state": "waiting",
    "reference": "",
    "reason": "",
    "created_at": "2026-11-27T09:15:00Z",
    "answered_at": None,
}
REPORT = {
    "id": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f80",
    "name": "Ноябрь 2026",
    "created_at": "2026-12-01T09:15:00Z",
    "rows": [
        {
            "position": 1,
            "number": numbering.example("invoice"),
            "amount": "99.00",
            "paid_date": "2026-11-27",
            "expected": "99.00",
            "state": "matched",
        }
    ],
}


class PdfRenderer(renderers.BaseRenderer):
    """Hands the bytes on; an error is still a problem document."""

    media_type, format, charset, render_style = "application/pdf", "pdf", None, "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        return data if isinstance(data, bytes) else json.dumps(data, default=str, ensure_ascii=False).encode()


def pdf_answer(printed: pdf.Printed) -> HttpResponse:
    """The document as a file that the browser shows."""
    answer = HttpResponse(pdf.render(printed), content_type="application/pdf")
    answer["Content-Disposition"] = f'inline; filename="{pdf.file_name(printed)}"'
    answer["Cache-Control"] = "private, no-store"
    return answer


class NoteLineSerializer(serializers.ModelSerializer[CreditNoteLine]):
    """What of one line was taken off, at its own rate of VAT."""

    description = serializers.CharField(source="invoice_line.description")
    vat_rate = serializers.DecimalField(5, 2, source="invoice_line.vat_rate", allow_null=True)

    class Meta:
        model = CreditNoteLine
        fields = ("description", "amount", "vat_rate", "vat")
        read_only_fields = fields


class NoteSerializer(serializers.ModelSerializer[CreditNote]):
    """A credit note: where its money went stands in to_debt, to_balance and to_refund."""

    invoice = serializers.UUIDField(source="invoice_id")
    customer = serializers.UUIDField(source="customer_id")
    lines = NoteLineSerializer(many=True)

    class Meta:
        model = CreditNote
        fields = tuple(NOTE)
        read_only_fields = fields


class DocumentLineSerializer(serializers.Serializer[Any]):
    """A line as it was frozen."""

    description = serializers.CharField()
    quantity = serializers.IntegerField()
    period_start = serializers.CharField()
    period_end = serializers.CharField()
    amount = serializers.CharField()
    vat_rate = serializers.CharField(allow_null=True)
    vat = serializers.CharField()


class DocumentSerializer(serializers.ModelSerializer[Document]):
    """An act, or a receipt of a payment or refund."""

    invoice = serializers.UUIDField(source="invoice_id")
    customer = serializers.UUIDField(source="customer_id")
    lines = DocumentLineSerializer(many=True)

    class Meta:
        model = Document
        fields = tuple(DOCUMENT)
        read_only_fields = fields


class NoteFilter(filters.FilterSet):
    """By invoice, customer, reason and date."""

    invoice = filters.UUIDFilter("invoice_id", label=_("Счёт"))
    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    reason = filters.MultipleChoiceFilter(choices=CreditReason.choices)
    date = filters.DateFromToRangeFilter("business_date", label=_("Дата: date_after, date_before"))

    class Meta:
        model = CreditNote
        fields = ["number"]


class DocumentFilter(filters.FilterSet):
    """By invoice, customer, kind and date."""

    invoice = filters.UUIDFilter("invoice_id", label=_("Счёт"))
    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    kind = filters.MultipleChoiceFilter(choices=DocumentKind.choices)
    date = filters.DateFromToRangeFilter("business_date", label=_("Дата: date_after, date_before"))

    class Meta:
        model = Document
        fields = ["number"]


class Printed(SendAction, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """Issued documents, as JSON and as PDF."""

    required_scopes = {"GET": "invoices:read", "POST": "orders:write"}

    @extend_schema(summary=_("Документ в PDF"), responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], renderer_classes=[PdfRenderer, renderers.JSONRenderer])
    def pdf(self, request: Request, pk: str) -> HttpResponse:
        return pdf_answer(self.get_object())


_note = OpenApiExample("note", summary=_("Корректировка"), value=NOTE, response_only=True)
_document = OpenApiExample("document", summary=_("Акт"), value=DOCUMENT, response_only=True)
_request = OpenApiExample("charge", summary=_("Запрос на списание"), value=REQUEST, response_only=True)
_report = OpenApiExample("report", summary=_("Отчёт"), value=REPORT, response_only=True)


@extend_schema_view(
    list=extend_schema(summary=_("Корректировки счетов"), examples=[_note]),
    retrieve=extend_schema(summary=_("Корректировка счёта"), examples=[_note]),
)
@extend_schema(tags=["documents"])
class CreditNotesViewSet(Printed):
    """Credit notes of the partner's customers."""

    queryset = CreditNote.objects.none()
    serializer_class = NoteSerializer
    filterset_class = NoteFilter

    def get_queryset(self) -> QuerySet[CreditNote]:
        return CreditNote.objects.select_related("invoice").prefetch_related("lines__invoice_line")


@extend_schema_view(
    list=extend_schema(summary=_("Акты и квитанции"), examples=[_document]),
    retrieve=extend_schema(summary=_("Акт или квитанция"), examples=[_document]),
)
@extend_schema(tags=["documents"])
class DocumentsViewSet(Printed):
    """Acts and receipts of the partner's customers."""

    queryset = Document.objects.none()
    serializer_class = DocumentSerializer
    filterset_class = DocumentFilter

    def get_queryset(self) -> QuerySet[Document]:
        return Document.objects.select_related("invoice")


class ChargeRequestSerializer(serializers.ModelSerializer[ChargeRequest]):
    """Whom to charge, for what and how much."""

    invoice = serializers.UUIDField(source="invoice_id")
    invoice_number = serializers.CharField(source="invoice.number")
    customer = serializers.UUIDField(source="invoice.customer_id")
    external_id = serializers.CharField(source="invoice.customer.external_id")
    phone = serializers.CharField(source="invoice.customer.phone")

    class Meta:
        model = ChargeRequest
        fields = tuple(REQUEST)
        read_only_fields = fields


class ChargedSerializer(serializers.Serializer[Any]):
    """The partner has charged its client."""

    amount = serializers.DecimalField(14, 2)
    paid_date = serializers.DateField()
    reference = serializers.CharField(max_length=60, help_text=_("Номер списания у партнёра"))


class RefusedSerializer(serializers.Serializer[Any]):
    """The partner could not."""

    reason = serializers.CharField(max_length=60, help_text=_("Почему не списано"))


class ChargeRequestFilter(filters.FilterSet):
    """By state."""

    state = filters.MultipleChoiceFilter(choices=RequestState.choices)

    class Meta:
        model = ChargeRequest
        fields: list[str] = []


@extend_schema_view(
    list=extend_schema(summary=_("Запросы на списание"), examples=[_request]),
    retrieve=extend_schema(summary=_("Запрос на списание"), examples=[_request]),
)
@extend_schema(tags=["charge-requests"])
class ChargeRequestsViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ChargeRequest]
):
    """What the partner is to charge its clients: read the waiting ones, answer each once."""

    queryset = ChargeRequest.objects.none()
    serializer_class = ChargeRequestSerializer
    filterset_class = ChargeRequestFilter
    required_scopes = {"GET": "invoices:read", "POST": "orders:write"}

    def get_queryset(self) -> QuerySet[ChargeRequest]:
        return ChargeRequest.objects.select_related("invoice__customer")

    @extend_schema(
        summary=_("Списано"),
        description=_("Счёт становится оплаченным. Тот же ответ ещё раз ничего не меняет."),
        request=ChargedSerializer,
        responses=ChargeRequestSerializer,
        examples=[
            OpenApiExample(
                "charged",
                summary=_("Списано"),
                value={"amount": "99.00", "paid_date": "2026-11-27", "reference": "MTS-77881"},
                request_only=True,
            ),
            OpenApiExample(
                "charge", summary=_("Запрос"), value={**REQUEST, "state": "charged"}, response_only=True
            ),
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def charged(self, request: Request, pk: str) -> Response:
        row = self.get_object()
        given = ChargedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        answers.charged(
            row.pk,
            amount=Money(data["amount"], row.currency),
            paid_date=data["paid_date"],
            reference=data["reference"],
            actor=_actor(request),
        )
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary=_("Отказано"),
        description=_("Первая покупка отменяется; продление спросим ещё раз на следующий день."),
        request=RefusedSerializer,
        responses=ChargeRequestSerializer,
        examples=[
            OpenApiExample(
                "refused", summary=_("Отказано"), value={"reason": "insufficient_funds"}, request_only=True
            ),
            OpenApiExample(
                "charge", summary=_("Запрос"), value={**REQUEST, "state": "refused"}, response_only=True
            ),
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def refused(self, request: Request, pk: str) -> Response:
        row = self.get_object()
        given = RefusedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        answers.refused(row.pk, reason=given.validated_data["reason"], actor=_actor(request))
        return Response(self.get_serializer(self.get_object()).data)


class GivenRow(serializers.Serializer[Any]):
    """One row of a report."""

    number = serializers.CharField(max_length=60, help_text=_("Номер счёта"))
    amount = serializers.DecimalField(14, 2)
    paid_date = serializers.DateField()


class NewReport(serializers.Serializer[Any]):
    """What the partner has collected."""

    name = serializers.CharField(max_length=100)
    key = serializers.CharField(max_length=60, help_text=_("Повтор с тем же key вернёт тот же отчёт"))
    rows = GivenRow(many=True, allow_empty=False)


class ReportRowSerializer(serializers.ModelSerializer[CollectionRow]):
    """A row, what stands on the invoice, and how they agree."""

    class Meta:
        model = CollectionRow
        fields = ("position", "number", "amount", "paid_date", "expected", "state")
        read_only_fields = fields


class ReportSerializer(serializers.ModelSerializer[CollectionReport]):
    """A report with its rows."""

    rows = ReportRowSerializer(many=True)

    class Meta:
        model = CollectionReport
        fields = tuple(REPORT)
        read_only_fields = fields


@extend_schema_view(
    list=extend_schema(summary=_("Отчёты о сборах"), examples=[_report]),
    retrieve=extend_schema(summary=_("Отчёт о сборах"), examples=[_report]),
)
@extend_schema(tags=["collection-reports"])
class CollectionReportsViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[CollectionReport]
):
    """What the partner has collected from its clients, matched with our invoices."""

    queryset = CollectionReport.objects.none()
    serializer_class = ReportSerializer
    required_scopes = {"GET": "invoices:read", "POST": "orders:write"}

    def get_queryset(self) -> QuerySet[CollectionReport]:
        return CollectionReport.objects.prefetch_related("rows")

    @extend_schema(
        summary=_("Отчитаться о собранном"),
        description=_(
            "Строки, совпавшие со счётом до копейки, оплачивают его; остальные остаются расхождениями."
        ),
        request=NewReport,
        responses={201: ReportSerializer},
        examples=[
            OpenApiExample(
                "new_report",
                summary=_("Отчёт"),
                value={
                    "name": REPORT["name"],
                    "key": "2026-11",
                    "rows": [
                        {"number": numbering.example("invoice"), "amount": "99.00", "paid_date": "2026-11-27"}
                    ],
                },
                request_only=True,
            ),
            OpenApiExample(
                "report", summary=_("Отчёт"), value=REPORT, response_only=True, status_codes=["201"]
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        given = NewReport(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        made = partner_reports.load(
            [partner_reports.Given(row["number"], row["amount"], row["paid_date"]) for row in data["rows"]],
            name=data["name"],
            source="api",
            key=f"api:{data['key']}",
            actor=_actor(request),
        )
        return Response(
            self.get_serializer(self.get_queryset().get(pk=made.pk)).data, status.HTTP_201_CREATED
        )


def _actor(request: Request) -> str:
    key: Any = request.auth
    return f"api:{key.channel_code}" if key else ""


def routes(router: SimpleRouter) -> None:
    """Adds the addresses of documents to the API."""
    router.register("credit-notes", CreditNotesViewSet, basename="credit-note")
    router.register("documents", DocumentsViewSet, basename="document")
    router.register("charge-requests", ChargeRequestsViewSet, basename="charge-request")
    router.register("collection-reports", CollectionReportsViewSet, basename="collection-report")
