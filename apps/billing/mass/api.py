"""API: mass actions. Asked for with a list, counted in the background, agreed to, watched row by row."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.billing.mass import actions
from apps.billing.mass.models import MassAction, MassKind, MassRow
from apps.billing.models import Subscription, SubscriptionState
from apps.journal.api import idempotent

ASKED = {
    "kind": "extend",
    "params": {"days": 7},
    "reason": "Сбой у поставщика 26 ноября",
    "filter": {"state": "active"},
}
ANSWER = {
    "id": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6c77",
    "kind": "extend",
    "params": {"days": 7},
    "reason": "Сбой у поставщика 26 ноября",
    "state": "ready",
    "size": 42,
    "counts": {"new": 0, "counted": 40, "done": 0, "refused": 2},
    "total": "1386.00",
    "currency": "RUB",
    "needs_second_person": False,
    "asked_by": "api:api",
    "confirmed_by": "",
    "created_at": "2026-11-27T09:15:00Z",
    "closed_at": None,
}


class ListSerializer(serializers.Serializer[Any]):
    """Which subscriptions: all that match."""

    state = serializers.ChoiceField(choices=SubscriptionState.choices, required=False)
    offer = serializers.IntegerField(required=False)
    channel = serializers.CharField(required=False)


class AskSerializer(serializers.Serializer[Any]):
    """What to do, with whom: `subscriptions` by id, or all of a `filter`."""

    kind = serializers.ChoiceField(choices=MassKind.choices)
    params = serializers.JSONField(
        help_text=_('{"days": 7}, {"percent": "50"} или {"offer": 17, "when": "period_end"}')
    )
    reason = serializers.CharField(max_length=200)
    subscriptions = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1000)
    filter = ListSerializer(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("subscriptions" in attrs) == ("filter" in attrs):
            raise serializers.ValidationError(_("Нужно одно из двух: subscriptions или filter"))
        if not isinstance(attrs["params"], dict):
            raise serializers.ValidationError({"params": _("Нужен объект")})
        return attrs


class MassActionSerializer(serializers.ModelSerializer[MassAction]):
    """How far it is, and what it comes to."""

    _last: tuple[MassAction, actions.Summary] | None = None
    counts = serializers.SerializerMethodField()
    total = serializers.SerializerMethodField()
    needs_second_person = serializers.SerializerMethodField()

    class Meta:
        model = MassAction
        fields = tuple(ANSWER)
        read_only_fields = fields

    def get_counts(self, row: MassAction) -> dict[str, int]:
        return self._known(row).counts

    def get_total(self, row: MassAction) -> str:
        return str(self._known(row).total)

    def get_needs_second_person(self, row: MassAction) -> bool:
        return actions.needs_second(self._known(row))

    def _known(self, row: MassAction) -> actions.Summary:
        """Of one row, once for its three fields."""
        if self._last is None or self._last[0] != row:
            self._last = row, actions.summary(row)
        return self._last[1]


class MassRowSerializer(serializers.ModelSerializer[MassRow]):
    """What became of one subscription."""

    subscription = serializers.UUIDField(source="subscription_id")

    class Meta:
        model = MassRow
        fields = ("subscription", "state", "amount", "result", "done_at")
        read_only_fields = fields


_EXAMPLE = OpenApiExample("mass-action", summary=_("Массовое действие"), value=ANSWER, response_only=True)


@extend_schema_view(
    list=extend_schema(summary=_("Массовые действия"), examples=[_EXAMPLE]),
    retrieve=extend_schema(summary=_("Массовое действие"), examples=[_EXAMPLE]),
)
@extend_schema(tags=["subscriptions"])
class MassActionsViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[MassAction]
):
    """One deed for many subscriptions of the partner's customers."""

    queryset = MassAction.objects.none()
    serializer_class = MassActionSerializer
    required_scopes = {"GET": "subscriptions:read", "POST": "subscriptions:write"}

    def get_queryset(self) -> QuerySet[MassAction]:
        return MassAction.objects.all()

    @extend_schema(
        summary=_("Начать массовое действие"),
        description=_(
            "Сумма и число считаются в фоне (state: counting → ready); до confirm ничего не делается."
        ),
        request=AskSerializer,
        responses={201: MassActionSerializer},
        examples=[
            OpenApiExample("ask", summary=_("Всем действующим"), value=ASKED, request_only=True),
            _EXAMPLE,
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        asked = AskSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        made = actions.create(
            kind=given["kind"],
            params=given["params"],
            subscription_ids=given["subscriptions"] if "subscriptions" in given else _found(given["filter"]),
            reason=given["reason"],
            actor=_actor(request),
        )
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary=_("Подтвердить массовое действие"),
        description=_("Выше лимита (needs_second_person) подтверждает другой сотрудник в консоли: 403."),
        request=None,
        responses=MassActionSerializer,
        examples=[_EXAMPLE],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def confirm(self, request: Request, pk: str) -> Response:
        made = actions.confirm(self.get_object().pk, actor=_actor(request))
        return Response(self.get_serializer(made).data)

    @extend_schema(
        summary=_("Остановить массовое действие"),
        description=_("Что сделано, остаётся."),
        request=None,
        responses=MassActionSerializer,
        examples=[_EXAMPLE],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def drop(self, request: Request, pk: str) -> Response:
        made = actions.drop(self.get_object().pk, actor=_actor(request))
        return Response(self.get_serializer(made).data)

    @extend_schema(summary=_("Что с каждой подпиской"), responses=MassRowSerializer(many=True))
    @action(detail=True, methods=["get"])
    def rows(self, request: Request, pk: str) -> Response:
        mine: Any = self.get_object().rows.all()
        found: Any = self.paginate_queryset(mine)
        return self.get_paginated_response(MassRowSerializer(found, many=True).data)


def _found(wanted: dict[str, Any]) -> Any:
    names = {"state": "state", "offer": "offer_id", "channel": "channel_code"}
    rows = Subscription.objects.filter(**{names[key]: value for key, value in wanted.items()})
    return rows.values_list("pk", flat=True)


def _actor(request: Request) -> str:
    key: Any = request.auth
    return f"api:{key.channel_code}" if key else ""


def routes(router: SimpleRouter) -> None:
    """Adds this part's addresses to the API."""
    router.register("mass-actions", MassActionsViewSet, basename="mass-action")
