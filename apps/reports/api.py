"""API: the partner's own account with the platform, and what of its unpaid renewals came after all."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.billing.statement_api import SPAN
from apps.core import spans
from apps.core.tenancy import current_partner
from apps.reports import partner_statement, recovery

EXAMPLE = {
    "since": "2026-11-01",
    "until": "2026-11-30",
    "currency": "RUB",
    "opening": "0.00",
    "share": "16.23",
    "clawback": "0.00",
    "collected": "0.00",
    "returned": "0.00",
    "received": "0.00",
    "paid_out": "0.00",
    "other": "0.00",
    "closing": "16.23",
    "products": [
        {
            "product": 17,
            "name": "Облако",
            "sold": "99.00",
            "vat": "17.85",
            "credited": "0.00",
            "paid": "99.00",
            "refunded": "0.00",
            "share": "16.23",
            "clawback": "0.00",
        }
    ],
}


def _money(text: Any) -> serializers.DecimalField:
    return serializers.DecimalField(14, 2, help_text=text)


class ProductSerializer(serializers.Serializer[Any]):
    """What was sold of one product."""

    product = serializers.IntegerField(allow_null=True)
    name = serializers.CharField()
    sold = _money(partner_statement.MEASURES["sold"])
    vat = _money(partner_statement.MEASURES["vat"])
    credited = _money(partner_statement.MEASURES["credited"])
    paid = _money(partner_statement.MEASURES["paid"])
    refunded = _money(partner_statement.MEASURES["refunded"])
    share = _money(partner_statement.MEASURES["share"])
    clawback = _money(partner_statement.MEASURES["clawback"])


class PartnerStatementSerializer(serializers.Serializer[Any]):
    """The account in one currency; opening and closing are positive where the partner is owed."""

    since = serializers.DateField()
    until = serializers.DateField()
    currency = serializers.CharField()
    opening = _money(_("Причиталось партнёру на начало"))
    share = _money(partner_statement.MOVES["share"][0])
    clawback = _money(partner_statement.MOVES["clawback"][0])
    collected = _money(partner_statement.MOVES["collected"][0])
    returned = _money(partner_statement.MOVES["returned"][0])
    received = _money(partner_statement.MOVES["received"][0])
    paid_out = _money(partner_statement.MOVES["paid_out"][0])
    other = _money(_("Прочее"))
    closing = _money(_("Причитается партнёру на конец"))
    products = ProductSerializer(many=True)


class PartnerStatementView(APIView):
    """Sales, VAT, refunds, share and what is due, for a period."""

    required_scopes = {"GET": "invoices:read"}

    @extend_schema(
        tags=["statements"],
        parameters=SPAN,
        summary=_("Взаиморасчёты партнёра с платформой"),
        description=_("Продажи, НДС, возвраты, вознаграждение, удержания и сколько причитается."),
        responses=PartnerStatementSerializer(many=True),
        examples=[OpenApiExample("statement", summary=_("Взаиморасчёты"), value=EXAMPLE, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        since, until = spans.asked(request.GET)
        found = partner_statement.of(current_partner(), since=since, until=until)
        data = [partner_statement.as_data(one) for one in found]
        return Response(PartnerStatementSerializer(data, many=True).data)


RECOVERY = {
    "month": "2026-11-01",
    "policy": "Обычная",
    "decline": "Не хватает денег или превышен лимит",
    "currency": "RUB",
    "count": 12,
    "failed": "1788.00",
    "recovered": "1192.00",
    "lost": "447.00",
    "running": "149.00",
    "stopped": "0.00",
    "rate": "72.7",
}


class RecoverySerializer(serializers.Serializer[Any]):
    """One line: by month of the first failure, policy and decline."""

    month = serializers.DateField(help_text=_("Первый день месяца"))
    policy = serializers.CharField()
    decline = serializers.CharField()
    currency = serializers.CharField()
    count = serializers.IntegerField()
    failed = _money(recovery.MEASURES["failed"])
    recovered = _money(recovery.MEASURES["recovered"])
    lost = _money(recovery.MEASURES["lost"])
    running = _money(recovery.MEASURES["running"])
    stopped = _money(recovery.MEASURES["stopped"])
    rate = serializers.DecimalField(5, 1, help_text=recovery.MEASURES["rate"])


class RecoveryView(APIView):
    """Failed, recovered and lost, for a period."""

    required_scopes = {"GET": "invoices:read"}

    @extend_schema(
        tags=["statements"],
        parameters=SPAN,
        summary=_("Неоплаты: сколько не списалось, вернулось и потеряно"),
        description=_("По месяцам, политикам и причинам отказа; дни since и until: первого отказа."),
        responses=RecoverySerializer(many=True),
        examples=[OpenApiExample("recovery", summary=_("Неоплаты"), value=RECOVERY, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        since, until = spans.asked(request.GET)
        partner = current_partner()
        by = ("month", "policy", "decline")
        found = recovery.answer(
            recovery.Question(
                since=since, until=until, by=by, partner_id=partner.pk, sandbox=partner.is_sandbox
            )
        )
        data = [
            {
                **dict(zip(by, row.names, strict=True)),
                **dict(zip(recovery.MEASURES, row.values(), strict=True)),
                "currency": row.currency,
            }
            for row in found
        ]
        return Response(RecoverySerializer(data, many=True).data)
