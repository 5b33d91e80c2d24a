"""API of the provider: what is asked of it, and its decisions; keys and usage that it sends."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps import journal
from apps.core.errors import Refused
from apps.providers import keys
from apps.providers.models import KeyPool
from apps.providers.portal import requests, usage
from apps.providers.portal.access import IsProvider, ProviderKeyAuthentication
from apps.providers.portal.models import ProviderRequest

EXAMPLE = {
    "id": "01938e2b-0c22-7e10-9d55-800000000001",
    "kind": "provision",
    "state": "pending",
    "request_id": "01938e2b-0c22-7e10-9d55-800000000001",
    "sku": "POLIS-1",
    "customer_ref": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "period_end": "2026-12-27",
    "parameters": {"size": "100"},
    "is_test": False,
    "question": "",
    "answer": "",
    "reason": "",
    "created_at": "2026-11-27T09:15:00Z",
    "settled_at": None,
}


class RequestSerializer(serializers.ModelSerializer[ProviderRequest]):
    """What is wanted. `parameters` are there while it is open; what was given is not told again."""

    parameters = serializers.DictField(read_only=True)

    class Meta:
        model = ProviderRequest
        fields = tuple(EXAMPLE)
        read_only_fields = fields


class Approval(serializers.Serializer[Any]):
    """What the customer gets: of a new service at least one."""

    key = serializers.CharField(required=False, allow_blank=True, max_length=500)
    url = serializers.URLField(required=False, allow_blank=True, max_length=500)
    instructions = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class Refusal(serializers.Serializer[Any]):
    """Why it will not be done."""

    reason = serializers.CharField(max_length=500)


class Inquiry(serializers.Serializer[Any]):
    """What has to be known first."""

    question = serializers.CharField(max_length=2000)


class NewestFirst(CursorPagination):
    """Pages by cursor."""

    ordering = ("-created_at", "-id")
    page_size_query_param = "limit"
    max_page_size = 200


_SHOWN: dict[str, Any] = {
    "examples": [OpenApiExample("request", summary=_("Запрос"), value=EXAMPLE, response_only=True)]
}


class OfProvider(APIView):
    """Who may come, and as whom."""

    authentication_classes = (ProviderKeyAuthentication,)
    permission_classes = (IsProvider,)

    @property
    def actor(self) -> str:
        """Who did it, for the journal."""
        key: Any = self.request.auth
        return f"provider:{key.prefix}"


@extend_schema_view(
    list=extend_schema(summary=_("Запросы"), **_SHOWN), retrieve=extend_schema(summary=_("Запрос"), **_SHOWN)
)
@extend_schema(tags=["requests"])
class RequestsViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, OfProvider, viewsets.GenericViewSet[ProviderRequest]
):
    """What the platform asks of this provider, newest first."""

    queryset = ProviderRequest.objects.none()
    serializer_class = RequestSerializer
    pagination_class = NewestFirst
    filterset_fields = ("state", "kind", "request_id", "is_test")
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[ProviderRequest]:
        key: Any = self.request.auth
        if key is None:
            return ProviderRequest.objects.none()
        return ProviderRequest.objects.filter(provider=key.provider)

    @extend_schema(
        summary=_("Исполнен"),
        description=_("Решение окончательно: второй раз — 409 request_settled."),
        request=Approval,
        responses=RequestSerializer,
    )
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: UUID) -> Response:
        given = Approval(data=request.data)
        given.is_valid(raise_exception=True)
        return self._answer(requests.approve(self._one(pk), **given.validated_data, actor=self.actor))

    @extend_schema(summary=_("Отказано"), request=Refusal, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def fail(self, request: Request, pk: UUID) -> Response:
        given = Refusal(data=request.data)
        given.is_valid(raise_exception=True)
        return self._answer(requests.fail(self._one(pk), given.validated_data["reason"], actor=self.actor))

    @extend_schema(
        summary=_("Нужно узнать"),
        description=_("Вопрос придёт сотрудникам платформы; ответ будет в answer, и запрос снова pending."),
        request=Inquiry,
        responses=RequestSerializer,
    )
    @action(detail=True, methods=["post"])
    def inquire(self, request: Request, pk: UUID) -> Response:
        given = Inquiry(data=request.data)
        given.is_valid(raise_exception=True)
        return self._answer(
            requests.inquire(self._one(pk), given.validated_data["question"], actor=self.actor)
        )

    def _one(self, pk: UUID) -> ProviderRequest:
        key: Any = self.request.auth
        return requests.of(key.provider, pk)

    def _answer(self, row: ProviderRequest) -> Response:
        return Response(RequestSerializer(row).data)


class KeysSerializer(serializers.Serializer[Any]):
    """Keys for a pool of this provider."""

    sku = serializers.CharField(max_length=60, help_text=_("Код тарифа: пул заводит платформа"))
    is_test = serializers.BooleanField(default=False, help_text=_("Ключи для песочницы"))
    keys = serializers.ListField(child=serializers.CharField(max_length=500), min_length=1, max_length=20_000)


class LoadedSerializer(serializers.Serializer[Any]):
    """How many are new, and what was left out: the number in the list and why."""

    added = serializers.IntegerField()
    rejected = serializers.ListField(child=serializers.DictField())


class KeysView(OfProvider):
    """Keys are loaded."""

    @extend_schema(
        tags=["keys"], summary=_("Загрузить ключи"), request=KeysSerializer, responses=LoadedSerializer
    )
    def post(self, request: Request) -> Response:
        given = KeysSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data, key = given.validated_data, request.auth
        pool = KeyPool.objects.filter(
            provider=key.provider,  # type: ignore[union-attr]
            sku=data["sku"],
            is_test=data["is_test"],
        ).first()
        if pool is None:
            raise Refused("pool_not_found", _("Такого пула ключей у вас нет"), status=404)
        lines = [value.replace("\n", " ").strip() for value in data["keys"]]
        loaded = keys.load(
            pool=pool, content="\n".join(f'"{line.replace(chr(34), chr(34) * 2)}"' for line in lines)
        )
        counts = {"added": loaded.added, "rejected": len(loaded.rejected)}
        journal.record("keys.loaded", "providers.KeyPool", pool.pk, actor=self.actor, data=counts)
        rejected = [{"row": one.row, "key": one.key, "reason": one.reason} for one in loaded.rejected]
        told = {"added": loaded.added, "rejected": rejected}
        return Response(LoadedSerializer(told).data, status=status.HTTP_201_CREATED)


class UsageSerializer(serializers.Serializer[Any]):
    """A file of usage."""

    file = serializers.FileField(help_text=_("CSV или XLSX: услуга, месяц, количество, единица"))


class UsageLoaded(serializers.Serializer[Any]):
    """What was taken of the file; `errors` are [row, why]."""

    id = serializers.IntegerField()
    rows = serializers.IntegerField()
    errors = serializers.ListField(child=serializers.ListField())  # type: ignore[assignment]


class UsageView(OfProvider):
    """Usage is loaded."""

    parser_classes = (MultiPartParser, JSONParser)

    @extend_schema(
        tags=["usage"],
        summary=_("Загрузить потребление"),
        description=_("Тот же файл ещё раз ничего не добавит."),
        request={"multipart/form-data": UsageSerializer},
        responses=UsageLoaded,
    )
    def post(self, request: Request) -> Response:
        given = UsageSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        sent, key = given.validated_data["file"], request.auth
        file = usage.load(
            provider=key.provider,  # type: ignore[union-attr]
            name=sent.name,
            content=sent.read(),
            actor=self.actor,
        )
        return Response(UsageLoaded(file).data, status=status.HTTP_201_CREATED)
