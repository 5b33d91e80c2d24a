"""API: a base moves in. Files with their doubts, shadow months, batches that are moved and given back."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, pagination, parsers, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.billing.moving import batches, doubts, loading, reading, shadow
from apps.billing.moving.doubts import Doubt
from apps.billing.moving.models import (
    BaseBatch,
    BaseImport,
    BaseRow,
    BaseRowState,
    ShadowRun,
)
from apps.connectors.models import Connection
from apps.core.errors import Refused
from apps.journal.api import idempotent

IMPORT = {
    "id": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6d01",
    "name": "base.csv",
    "state": "looked",
    "connection": 12,
    "rows": 10000,
    "good": 9987,
    "errors": 13,
    "warnings": 40,
    "notes": 112,
    "loaded": None,
    "created_at": "2026-11-27T09:15:00Z",
    "loaded_at": None,
}
LOADED = {"new": 9987, "changed": 0, "same": 0, "moved": 0, "left": 13}
DOUBT = {
    "line": 17,
    "severity": "error",
    "code": "unknown_tariff",
    "external_id": "A-1042",
    "text": "Такого тарифа у нас нет: CLOUD-OLD",
}
ROW = {
    "external_id": "A-1043",
    "parent_external_id": "",
    "state": "moved",
    "offer": 17,
    "price": "99.00",
    "currency": "RUB",
    "quantity": 1,
    "next_charge_date": "2026-12-14",
    "batch": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6d03",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "subscription": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6c01",
}
RUN = {
    "id": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6d02",
    "name": "charges-november.csv",
    "start_date": "2026-11-01",
    "end_date": "2026-12-01",
    "compared": 9987,
    "equal": 9951,
    "explained": 36,
    "unexplained": 0,
    "ours": "988713.00",
    "theirs": "988416.00",
    "created_at": "2026-12-01T09:15:00Z",
}
DIFFERENCE = {
    "external_id": "A-1044",
    "kind": "declined",
    "text": "Там банк отказал",
    "is_explained": True,
    "ours": {"date": "2026-11-14", "amount": "99.00"},
    "theirs": None,
    "hint": "",
}
BATCH = {
    "id": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6d03",
    "state": "done",
    "size": 500,
    "moved": 499,
    "left": [{"external_id": "A-1045", "reason": "данные клиента стёрты"}],
    "created_at": "2026-12-01T10:00:00Z",
    "done_at": "2026-12-01T10:00:02Z",
    "undone_at": None,
}


class Pages(pagination.PageNumberPagination):
    """By number: what was found once does not move."""

    page_size = 200
    page_size_query_param = "limit"
    max_page_size = 1000


class ImportSerializer(serializers.ModelSerializer[BaseImport]):
    """A file that was looked at, or loaded."""

    connection = serializers.IntegerField(source="connection_id", allow_null=True)
    good = serializers.IntegerField(source="report.good", default=0, help_text=_("Строк без ошибок"))
    errors = serializers.IntegerField(source="report.error", default=0)  # type: ignore[assignment]
    warnings = serializers.IntegerField(source="report.warning", default=0)
    notes = serializers.IntegerField(source="report.note", default=0)
    loaded = serializers.SerializerMethodField(
        help_text=_("После загрузки: новых, изменённых, прежних, уже перенесённых, оставленных из-за ошибок")
    )

    class Meta:
        model = BaseImport
        fields = tuple(IMPORT)
        read_only_fields = fields

    def get_loaded(self, row: BaseImport) -> dict[str, int] | None:
        return row.loaded or None


class NewImport(serializers.Serializer[Any]):
    """A file, and the gateway that its saved methods are known at."""

    file = serializers.FileField(help_text=_("CSV или XLSX, до 30 МБ"))
    connection = serializers.IntegerField(
        required=False, allow_null=True, help_text=_("Шлюз сохранённых способов оплаты, из gateways")
    )


class DoubtSerializer(serializers.Serializer[Any]):
    """One thing that is odd about a line."""

    line = serializers.IntegerField()
    severity = serializers.CharField(help_text="error, warning, note")
    code = serializers.CharField()
    external_id = serializers.CharField()
    text = serializers.CharField()


class GatewaySerializer(serializers.Serializer[Any]):
    """Where saved methods may be known."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class RowSerializer(serializers.ModelSerializer[BaseRow]):
    """A subscription of the old system, and what became of it here."""

    offer = serializers.IntegerField(source="offer_id")
    batch = serializers.UUIDField(source="batch_id", allow_null=True)
    customer = serializers.UUIDField(source="customer_id", allow_null=True)
    subscription = serializers.UUIDField(source="subscription_id", allow_null=True)

    class Meta:
        model = BaseRow
        fields = tuple(ROW)
        read_only_fields = fields


class NewRun(serializers.Serializer[Any]):
    """What the old system charged in [start, end)."""

    file = serializers.FileField(help_text=_("CSV или XLSX, до 30 МБ"))
    start = serializers.DateField()
    end = serializers.DateField(help_text=_("Первый день после периода"))


class RunSerializer(serializers.ModelSerializer[ShadowRun]):
    """How many charges were the same, and how many differ."""

    class Meta:
        model = ShadowRun
        fields = tuple(RUN)
        read_only_fields = fields


class ChargedSerializer(serializers.Serializer[Any]):
    """A charge on a day."""

    date = serializers.DateField(source="day")
    amount = serializers.DecimalField(14, 2)


class DifferenceSerializer(serializers.Serializer[Any]):
    """What differs of one charge: null is a side that has none."""

    external_id = serializers.CharField()
    kind = serializers.CharField()
    text = serializers.SerializerMethodField()
    is_explained = serializers.BooleanField()
    ours = ChargedSerializer(allow_null=True)
    theirs = ChargedSerializer(allow_null=True)
    hint = serializers.CharField()

    def get_text(self, one: shadow.Difference) -> str:
        return str(shadow.CLASSES[one.kind][1])


class NewBatches(serializers.Serializer[Any]):
    """How many are moved next, how many at once."""

    count = serializers.IntegerField(min_value=1)
    size = serializers.IntegerField(min_value=1, max_value=2000, default=batches.SIZE)


class LeftSerializer(serializers.Serializer[Any]):
    """A row that stayed where it was."""

    external_id = serializers.CharField()
    reason = serializers.CharField()


class BatchSerializer(serializers.ModelSerializer[BaseBatch]):
    """Rows that are moved in one transaction."""

    left = serializers.SerializerMethodField()

    class Meta:
        model = BaseBatch
        fields = tuple(BATCH)
        read_only_fields = fields

    def get_left(self, row: BaseBatch) -> list[dict[str, str]]:
        return [{"external_id": key, "reason": reason} for key, reason in row.left]


class PlannedSerializer(serializers.Serializer[Any]):
    """Batches that are moved in the background."""

    batches = BatchSerializer(many=True)


SEVERITY = OpenApiParameter("severity", OpenApiTypes.STR, enum=list(doubts.SEVERITIES))
CODE = OpenApiParameter("code", OpenApiTypes.STR, description=_("Код вопроса"))
OF_KIND = OpenApiParameter("kind", OpenApiTypes.STR, enum=list(shadow.CLASSES))
EXPLAINED = OpenApiParameter("explained", OpenApiTypes.BOOL, description=_("false: только необъяснённые"))
_import = OpenApiExample("import", summary=_("Файл базы"), value=IMPORT, response_only=True)
_run = OpenApiExample("run", summary=_("Теневой месяц"), value=RUN, response_only=True)
_batch = OpenApiExample("batch", summary=_("Пачка"), value=BATCH, response_only=True)


class Moving(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """A right of its own: whoever moves a base brings contacts, saved cards and prices of its own."""

    required_scopes = {"GET": "base:move", "POST": "base:move"}
    parser_classes = [parsers.MultiPartParser, parsers.JSONParser]


@extend_schema_view(
    list=extend_schema(summary=_("Файлы базы"), examples=[_import]),
    retrieve=extend_schema(summary=_("Файл базы"), examples=[_import]),
)
@extend_schema(tags=["base"])
class BaseImportsViewSet(Moving):
    """A file is looked at, which writes nothing; then its good rows are loaded, and wait."""

    queryset = BaseImport.objects.none()
    serializer_class = ImportSerializer

    def get_queryset(self) -> QuerySet[BaseImport]:
        return BaseImport.objects.defer("content")

    @extend_schema(
        summary=_("Проверить файл базы"),
        description=_("Ничего не загружает: отвечает, что в нём не так. Файл ждёт load сутки."),
        request={"multipart/form-data": NewImport},
        responses={201: ImportSerializer},
        examples=[
            OpenApiExample(
                "import", summary=_("Файл базы"), value=IMPORT, response_only=True, status_codes=["201"]
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        given = _given(NewImport, request)
        file, connection = given["file"], _gateway(given.get("connection"))
        made = _read(
            lambda: loading.keep(
                name=file.name, content=_content(file), connection=connection, actor=_actor(request)
            )
        )
        return Response(self.get_serializer(made).data, status.HTTP_201_CREATED)

    @extend_schema(
        summary=_("Загрузить строки без ошибок"),
        description=_("Строки ждут переноса, ничего не списывается. Та же строка ещё раз ничего не меняет."),
        request=None,
        responses=ImportSerializer,
        examples=[
            OpenApiExample(
                "loaded",
                summary=_("Загружен"),
                value={**IMPORT, "state": "loaded", "loaded": LOADED},
                response_only=True,
            )
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def load(self, request: Request, pk: str) -> Response:
        made = self.get_object()
        _read(lambda: loading.load_kept(made, actor=_actor(request)))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary=_("Вопросы к файлу"),
        parameters=[SEVERITY, CODE],
        responses=DoubtSerializer(many=True),
        examples=[OpenApiExample("doubt", summary=_("Вопрос"), value=DOUBT, response_only=True)],
    )
    @action(detail=True, methods=["get"], pagination_class=Pages, filter_backends=[])
    def doubts(self, request: Request, pk: str) -> Response:
        kept = self.get_object().report.get("doubts", [])
        wanted = {name: request.GET[name] for name in ("severity", "code") if request.GET.get(name)}
        found = [
            one
            for one in (Doubt(*row) for row in kept)
            if all(getattr(one, name) == value for name, value in wanted.items())
        ]
        return self.get_paginated_response(DoubtSerializer(self.paginate_queryset(found), many=True).data)

    @extend_schema(
        summary=_("Шлюзы, у которых могут быть сохранённые способы оплаты"),
        responses=GatewaySerializer(many=True),
        examples=[
            OpenApiExample(
                "gateway", summary=_("Шлюз"), value={"id": 12, "name": "ЮKassa"}, response_only=True
            )
        ],
    )
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[])
    def gateways(self, request: Request) -> Response:
        return Response(GatewaySerializer(loading.gateways(), many=True).data)


class RowFilter(filters.FilterSet):
    """By the old system's id, state and batch."""

    external_id = filters.CharFilter()
    state = filters.MultipleChoiceFilter(choices=BaseRowState.choices)
    batch = filters.UUIDFilter("batch_id", label=_("Пачка"))

    class Meta:
        model = BaseRow
        fields: list[str] = []


_row = OpenApiExample("row", summary=_("Подписка прежней системы"), value=ROW, response_only=True)


@extend_schema_view(list=extend_schema(summary=_("Подписки прежней системы"), examples=[_row]))
@extend_schema(tags=["base"])
class BaseRowsViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[BaseRow]):
    """What waits and what is moved: ids of the old system beside ours."""

    queryset = BaseRow.objects.none()
    serializer_class = RowSerializer
    filterset_class = RowFilter
    required_scopes = {"GET": "base:move"}

    def get_queryset(self) -> QuerySet[BaseRow]:
        return BaseRow.objects.defer("person", "secrets")


@extend_schema_view(
    list=extend_schema(summary=_("Теневые месяцы"), examples=[_run]),
    retrieve=extend_schema(summary=_("Теневой месяц"), examples=[_run]),
)
@extend_schema(tags=["base"])
class ShadowRunsViewSet(Moving):
    """What we would have charged beside what the old system did. Nothing is charged."""

    queryset = ShadowRun.objects.none()
    serializer_class = RunSerializer

    def get_queryset(self) -> QuerySet[ShadowRun]:
        return ShadowRun.objects.all()

    @extend_schema(
        summary=_("Сверить списания прежней системы"),
        request={"multipart/form-data": NewRun},
        responses={201: RunSerializer},
        examples=[
            OpenApiExample(
                "run", summary=_("Теневой месяц"), value=RUN, response_only=True, status_codes=["201"]
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        given = _given(NewRun, request)
        file = given["file"]
        made = _read(
            lambda: shadow.run(
                name=file.name,
                old=reading.old_charges(reading.dataset(file.name, _content(file))),
                start=given["start"],
                end=given["end"],
                actor=_actor(request),
            )
        )
        return Response(self.get_serializer(made).data, status.HTTP_201_CREATED)

    @extend_schema(
        summary=_("Расхождения"),
        parameters=[OF_KIND, EXPLAINED],
        responses=DifferenceSerializer(many=True),
        examples=[
            OpenApiExample("difference", summary=_("Расхождение"), value=DIFFERENCE, response_only=True)
        ],
    )
    @action(detail=True, methods=["get"], pagination_class=Pages, filter_backends=[])
    def differences(self, request: Request, pk: str) -> Response:
        kind, explained = request.GET.get("kind", ""), request.GET.get("explained", "")
        found = [
            one
            for one in shadow.read_back(self.get_object())
            if kind in {"", one.kind} and explained in {"", str(one.is_explained).lower()}
        ]
        shown = DifferenceSerializer(self.paginate_queryset(found), many=True)
        return self.get_paginated_response(shown.data)


@extend_schema_view(
    list=extend_schema(summary=_("Пачки переноса"), examples=[_batch]),
    retrieve=extend_schema(summary=_("Пачка переноса"), examples=[_batch]),
)
@extend_schema(tags=["base"])
class BaseBatchesViewSet(Moving):
    """Batches: planned, moved in the background, given back while nothing is billed."""

    queryset = BaseBatch.objects.none()
    serializer_class = BatchSerializer

    def get_queryset(self) -> QuerySet[BaseBatch]:
        return BaseBatch.objects.all()

    @extend_schema(
        summary=_("Перенести следующие подписки"),
        description=_(
            "Пачки переносятся в фоне, каждая целиком: смотрите state. Раньше ничего не списывается."
        ),
        request=NewBatches,
        responses={201: PlannedSerializer},
        examples=[
            OpenApiExample(
                "next", summary=_("Первая тысяча"), value={"count": 1000, "size": 500}, request_only=True
            ),
            OpenApiExample(
                "planned",
                summary=_("В очереди"),
                value={"batches": [{**BATCH, "state": "planned", "moved": 0, "left": [], "done_at": None}]},
                response_only=True,
                status_codes=["201"],
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        given = _given(NewBatches, request)
        made = batches.plan(**given, actor=_actor(request))
        return Response(PlannedSerializer({"batches": made}).data, status.HTTP_201_CREATED)

    @extend_schema(
        summary=_("Вернуть пачку"),
        description=_("Её подписки снова ждут переноса. Если что-то уже выставлено или изменено: 409."),
        request=None,
        responses=BatchSerializer,
        examples=[
            OpenApiExample(
                "undone", summary=_("Пачка"), value={**BATCH, "state": "undone"}, response_only=True
            )
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def undo(self, request: Request, pk: str) -> Response:
        made = batches.undo(self.get_object().pk, actor=_actor(request))
        return Response(self.get_serializer(made).data)


def _given(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    given = serializer(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _gateway(key: int | None) -> Connection | None:
    if key is None:
        return None
    for one in loading.gateways():
        if one.pk == key:
            return one
    raise Refused("unknown_gateway", _("Такого шлюза у вас нет: список в base-imports/gateways/"), 400)


def _content(file: Any) -> bytes:
    if file.size > loading.MOST_BYTES:
        raise Refused("bad_file", _("Файл больше 30 МБ: разделите его"), 400)
    found: bytes = file.read()
    return found


def _read(act: Callable[[], Any]) -> Any:
    """A file that is no table, or no base, is the caller's mistake."""
    try:
        return act()
    except ValueError as error:
        raise Refused("bad_file", str(error), 400) from error


def _actor(request: Request) -> str:
    key: Any = request.auth
    return f"api:{key.channel_code}" if key else ""


def routes(router: SimpleRouter) -> None:
    """Adds this part's addresses to the API."""
    router.register("base-imports", BaseImportsViewSet, basename="base-import")
    router.register("base-rows", BaseRowsViewSet, basename="base-row")
    router.register("shadow-runs", ShadowRunsViewSet, basename="shadow-run")
    router.register("base-batches", BaseBatchesViewSet, basename="base-batch")
