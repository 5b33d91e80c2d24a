"""API: what is done about an unpaid invoice, by which policy, and the link at which its customer pays."""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.billing import pay_links
from apps.billing.dunning_models import Dunning
from apps.billing.models import Invoice, InvoiceState, Subscription
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.policies.dunning import DeclineClass
from apps.policies.dunning_models import DunningVersion, version_for

LINK = {"url": "https://shop.example.ru/p/aQGTji_…/", "last_date": "2026-12-30"}
DUNNING = {
    "state": "running",
    "invoice": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
    "decline_class": "funds",
    "reason": "insufficient_funds",
    "amount": "99.00",
    "currency": "RUB",
    "started_date": "2026-11-27",
    "next_date": "2026-11-28",
    "next_action": "retry",
    "retries": 0,
    "suspended_at": None,
    "closed_at": None,
    "recovered_by": "",
    "pay_url": LINK["url"],
    "policy": {
        "name": "Обычная",
        "version": 1,
        "steps": [
            {"day": 0, "action": "remind", "message": "renewal_failed"},
            {"day": 1, "action": "retry", "message": "renewal_failed"},
            {"day": 5, "action": "end", "message": "renewal_failed"},
        ],
    },
}


class StepSerializer(serializers.Serializer[Any]):
    """One step; day 0 is that of the first failure."""

    day = serializers.IntegerField()
    action = serializers.CharField(help_text="retry, remind, suspend, end")
    message = serializers.CharField(allow_blank=True)


class PolicySerializer(serializers.Serializer[Any]):
    """The edition of the policy, and its steps after the last decline."""

    name = serializers.CharField()
    version = serializers.IntegerField()
    steps = StepSerializer(many=True)


class DunningSerializer(serializers.Serializer[Any]):
    """What is done about an unpaid renewal; `none` where nothing is, with the policy that would hold."""

    state = serializers.CharField(help_text="none, running, recovered, lost, stopped")
    invoice = serializers.UUIDField(allow_null=True)
    decline_class = serializers.CharField(
        allow_blank=True, help_text="funds, technical, unknown, card, fraud, revoked"
    )
    reason = serializers.CharField(allow_blank=True, help_text=_("Причина словом шлюза"))
    amount = serializers.DecimalField(14, 2, allow_null=True)
    currency = serializers.CharField()
    started_date = serializers.DateField(allow_null=True)
    next_date = serializers.DateField(allow_null=True)
    next_action = serializers.CharField(allow_blank=True)
    retries = serializers.IntegerField()
    suspended_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    recovered_by = serializers.CharField(allow_blank=True, help_text="retry, customer, balance")
    pay_url = serializers.CharField(allow_blank=True, help_text=_("Оплатить или сменить карту без входа"))
    policy = PolicySerializer()


class PayLinkSerializer(serializers.Serializer[Any]):
    """A signed link and its last day."""

    url = serializers.CharField()
    last_date = serializers.DateField()


def _example(value: Any) -> list[OpenApiExample]:
    return [OpenApiExample("example", summary=_("Пример"), value=value, response_only=True)]


class SubscriptionDunning:
    """The action of the subscriptions' view."""

    get_object: Any

    @extend_schema(
        operation_id="subscriptions_dunning",
        summary=_("Неоплата подписки: что сделано и что дальше"),
        description=_(
            "Последняя неоплата; state none, если их не было: тогда policy та, что начнёт действовать."
        ),
        responses=DunningSerializer,
        examples=_example(DUNNING),
    )
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def dunning(self, request: Request, pk: str) -> Response:
        subscription: Subscription = self.get_object()
        found = Dunning.objects.select_related("version__policy", "invoice").filter(subscription=subscription)
        return Response(DunningSerializer(_shown(found.order_by("-pk").first(), subscription)).data)


class InvoiceDunning:
    """The actions of the invoices' view."""

    get_object: Any

    @extend_schema(
        operation_id="invoices_dunning",
        summary=_("Неоплата счёта: что сделано и что дальше"),
        responses=DunningSerializer,
        examples=_example(DUNNING),
    )
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def dunning(self, request: Request, pk: str) -> Response:
        invoice: Invoice = self.get_object()
        if invoice.subscription is None:
            raise Refused("subscription_not_found", _("Это счёт без подписки"), status=404)
        found = Dunning.objects.select_related("version__policy", "invoice").filter(invoice=invoice).first()
        return Response(DunningSerializer(_shown(found, invoice.subscription)).data)

    @extend_schema(
        operation_id="invoices_pay_link",
        summary=_("Ссылка, по которой клиент оплатит счёт без входа"),
        description=_("Подписана, действует 30 дней, открывается только у этого партнёра."),
        responses=PayLinkSerializer,
        examples=_example(LINK),
    )
    @action(detail=True, methods=["get"], url_path="pay-link", filterset_class=None, pagination_class=None)
    def pay_link(self, request: Request, pk: str) -> Response:
        invoice: Invoice = self.get_object()
        if invoice.state != InvoiceState.OPEN:
            raise Refused("invoice_closed", _("Этот счёт уже оплачен или аннулирован"))
        last_date = clock.today() + timedelta(days=pay_links.DAYS)
        return Response(PayLinkSerializer({"url": pay_links.to_pay(invoice), "last_date": last_date}).data)


def _shown(row: Dunning | None, subscription: Subscription) -> dict[str, Any]:
    if row is None:
        version = version_for(current_partner().pk, subscription.tariff_version.tariff_id)
        nothing = dict.fromkeys(DunningSerializer().fields)
        texts = dict.fromkeys(("decline_class", "reason", "next_action", "recovered_by", "pay_url"), "")
        known = {"state": "none", "retries": 0, "currency": subscription.currency}
        return nothing | texts | known | {"policy": _policy(version, DeclineClass.FUNDS)}
    is_running = row.state == Dunning.State.RUNNING
    names = [str(name) for name in DunningSerializer().fields]
    shown = {name: getattr(row, name) for name in names if hasattr(row, name)}
    return shown | {
        "invoice": row.invoice_id,
        "pay_url": pay_links.to_pay(row.invoice) if is_running else "",
        "policy": _policy(row.version, row.decline_class),
    }


def _policy(version: DunningVersion, decline_class: str) -> dict[str, Any]:
    return {"name": version.policy.name, "version": version.number, "steps": version.steps(decline_class)}
