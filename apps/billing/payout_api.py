"""API: what stands on a customer's balance, and sending it back by the payments that it came with."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Customer
from apps.billing import payouts
from apps.core.money import Money
from apps.journal.api import idempotent

BALANCE = {
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "amount": "149.00",
    "currency": "RUB",
    "refundable": "100.00",
}
PAYOUT = {
    "id": "01938e2a-7c41-7e10-9d55-1a2b3c4d5e6f",
    "payment": "01938e2a-7b12-7aa0-8d21-3a5f7c9e1b04",
    "outside_payment": None,
    "amount": "100.00",
    "currency": "RUB",
    "reason": "По просьбе клиента",
    "created_at": "2026-11-27T10:00:00Z",
}
ASKED = {"key": "refund-417", "amount": "100.00", "reason": PAYOUT["reason"]}


class BalanceSerializer(serializers.Serializer[Any]):
    """What the next invoices use up, and how much of it can go back as it came."""

    customer = serializers.UUIDField()
    amount = serializers.DecimalField(14, 2)
    currency = serializers.CharField()
    refundable = serializers.DecimalField(14, 2, help_text=_("Можно вернуть тем же путём, каким пришло"))


class PayoutRequest(serializers.Serializer[Any]):
    """How much, and why."""

    key = serializers.CharField(max_length=60, help_text=_("Повтор с тем же key вернёт те же возвраты"))
    amount = serializers.DecimalField(
        14, 2, required=False, min_value=Decimal("0.01"), help_text=_("Без неё — всё, что можно вернуть")
    )
    reason = serializers.CharField(max_length=200)


class PayoutSerializer(serializers.Serializer[Any]):
    """A part that goes back by one payment; `id` is its refund's as well."""

    id = serializers.UUIDField()
    payment = serializers.UUIDField(source="payment_id", default=None, help_text=_("Каким платежом"))
    outside_payment = serializers.UUIDField(
        source="outside_id", default=None, help_text=_("Или каким поступлением мимо шлюза")
    )
    amount = serializers.DecimalField(14, 2)
    currency = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


CUSTOMER = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH, description=_("Клиент"))


@extend_schema(tags=["balances"], parameters=[CUSTOMER])
class BalancesViewSet(viewsets.ViewSet):
    """Balances of the partner's customers."""

    required_scopes = {"GET": "invoices:read", "POST": "subscriptions:write"}

    @extend_schema(
        summary=_("Баланс клиента"),
        responses=BalanceSerializer,
        examples=[OpenApiExample("balance", summary=_("Баланс"), value=BALANCE, response_only=True)],
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        customer = get_object_or_404(Customer.objects.all(), pk=pk)
        seen = payouts.look(customer.pk)
        return Response(
            BalanceSerializer(
                {
                    "customer": customer.pk,
                    "amount": seen.on_balance.amount,
                    "currency": seen.on_balance.currency,
                    "refundable": seen.possible.amount,
                }
            ).data
        )

    @extend_schema(
        summary=_("Вернуть деньги с баланса"),
        description=_(
            "Деньги уходят теми платежами, которыми пришли, сначала последним. С баланса они снимаются сразу; "
            "что банк не вернул, снова окажется на балансе."
        ),
        request=PayoutRequest,
        responses={201: PayoutSerializer(many=True)},
        examples=[
            OpenApiExample("pay_out", summary=_("Возврат"), value=ASKED, request_only=True),
            OpenApiExample(
                "payout", summary=_("Возвраты"), value=PAYOUT, response_only=True, status_codes=["201"]
            ),
        ],
    )
    @action(detail=True, methods=["post"], url_path="pay-out")
    @idempotent
    def pay_out(self, request: Request, pk: str) -> Response:
        customer = get_object_or_404(Customer.objects.all(), pk=pk)
        given = PayoutRequest(data=request.data)
        given.is_valid(raise_exception=True)
        asked, auth = given.validated_data, request.auth
        amount = asked.get("amount")
        made = payouts.pay_out(
            customer_id=customer.pk,
            amount=None if amount is None else Money(amount, payouts.look(customer.pk).on_balance.currency),
            reason=asked["reason"],
            actor=f"api:{auth.channel_code}" if auth else "",  # type: ignore[union-attr]
            key=f"api:{asked['key']}",
        )
        return Response(PayoutSerializer(made, many=True).data, status.HTTP_201_CREATED)
