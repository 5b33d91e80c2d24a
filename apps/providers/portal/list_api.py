"""API of the provider: which of its services were live on a day, sent and looked at."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.providers.portal import listing
from apps.providers.portal.api import NewestFirst, OfProvider
from apps.providers.portal.models import ServiceList

EXAMPLE = {
    "id": 7,
    "day": "2026-11-27",
    "is_test": False,
    "name": "services.csv",
    "rows": 1204,
    "errors": [[17, "The number of the service or request is not readable"]],
    "loaded_at": "2026-11-28T03:15:00Z",
}


class SentList(serializers.Serializer[Any]):
    """All services that were live on a day: a row each."""

    day = serializers.DateField()
    file = serializers.FileField(help_text=_("CSV или XLSX: услуга, стоимость (если есть)"))
    is_test = serializers.BooleanField(default=False, help_text=_("Услуги песочницы"))


class ListSerializer(serializers.ModelSerializer[ServiceList]):
    """What was taken of a list; `errors` are [row, why]."""

    errors = serializers.ListField(child=serializers.ListField(), read_only=True)  # type: ignore[assignment]

    class Meta:
        model = ServiceList
        fields = tuple(EXAMPLE)
        read_only_fields = fields


class NewestList(NewestFirst):
    """Pages by cursor, the one that was sent last first."""

    ordering = ("-loaded_at", "-id")


_SHOWN: dict[str, Any] = {
    "examples": [OpenApiExample("list", summary=_("Список"), value=EXAMPLE, response_only=True)]
}


@extend_schema_view(list=extend_schema(summary=_("Списки услуг"), **_SHOWN))
@extend_schema(tags=["services"])
class ServiceListsViewSet(mixins.ListModelMixin, OfProvider, viewsets.GenericViewSet[ServiceList]):
    """Lists of live services that this provider has sent: of a day the newest counts."""

    queryset = ServiceList.objects.none()
    serializer_class = ListSerializer
    pagination_class = NewestList
    parser_classes = (MultiPartParser, JSONParser)
    filterset_fields = ("day", "is_test")

    def get_queryset(self) -> QuerySet[ServiceList]:
        key: Any = self.request.auth
        if key is None:
            return ServiceList.objects.none()
        return ServiceList.objects.filter(provider=key.provider)

    @extend_schema(
        summary=_("Прислать список услуг за день"),
        description=_(
            "Новый список за тот же день заменяет прежний: с ним сверяют то, за что заплатили клиенты."
        ),
        request={"multipart/form-data": SentList},
        responses={201: ListSerializer},
        **_SHOWN,
    )
    def create(self, request: Request) -> Response:
        given = SentList(data=request.data)
        given.is_valid(raise_exception=True)
        sent, key = given.validated_data, request.auth
        made = listing.load(
            provider=key.provider,  # type: ignore[union-attr]
            day=sent["day"],
            name=sent["file"].name,
            content=sent["file"].read(),
            actor=self.actor,
            is_test=sent["is_test"],
        )
        return Response(ListSerializer(made).data, status=status.HTTP_201_CREATED)
