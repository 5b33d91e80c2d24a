"""API: what a product has to know before it is given out, and what a plan waits to hear."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.billing.api import actor_of
from apps.core.errors import Refused
from apps.journal.api import idempotent
from apps.orders import asking, inquiries, tasks
from apps.orders.models import Fulfilment, FulfilmentAction, FulfilmentState, Service

QUESTION = {
    "code": "iin",
    "name": "Номер полиса",
    "kind": "string",
    "choices": [],
    "is_required": True,
    "help": "16 цифр с карточки",
}
WAITING = {
    "id": "01938e2b-0c22-7e10-9d55-7f8a9b0c1d2e",
    "name": "Телемедицина, Семейный",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "external_id": "client-1042",
    "order": "01938e2a-7b0f-7a90-bb21-0c4d5e6f7a81",
    "questions": [QUESTION],
}

HEARD = {"text": "Клиент подписал договор"}


class QuestionSerializer(serializers.Serializer[Any]):
    """One thing that the product has to know."""

    code = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    choices = serializers.ListField(child=serializers.CharField())
    is_required = serializers.BooleanField()
    help = serializers.CharField()


class WaitingSerializer(serializers.ModelSerializer[Service]):
    """A service that is not given out until its customer's answers are known."""

    customer = serializers.UUIDField(source="customer_id")
    external_id = serializers.CharField(source="customer.external_id")
    order = serializers.SerializerMethodField()
    questions = serializers.SerializerMethodField()

    class Meta:
        model = Service
        fields = tuple(WAITING)
        read_only_fields = fields

    def get_order(self, row: Service) -> UUID | None:
        """The order that it was bought with."""
        made = (one for one in row.fulfilments.all() if one.action == FulfilmentAction.PROVISION)
        return next((one.order_id for one in made if one.order_id), None)

    @extend_schema_field(QuestionSerializer(many=True))
    def get_questions(self, row: Service) -> Any:
        """What is to be answered."""
        return QuestionSerializer(asking.questions(row), many=True).data


class AnswersData(serializers.Serializer[Any]):
    """Values by the codes of the questions."""

    answers = serializers.DictField(help_text=_('Код вопроса и значение: {"iin": "7800123456789012"}'))


class HeardData(serializers.Serializer[Any]):
    """What there is to be said about it."""

    text = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=2000, help_text=_("Комментарий сотрудникам")
    )


_SHOWN: dict[str, Any] = {
    "examples": [OpenApiExample("waiting", summary=_("Нужны данные"), value=WAITING, response_only=True)]
}


@extend_schema_view(
    list=extend_schema(summary=_("Что ждёт данных от клиентов"), **_SHOWN),
    retrieve=extend_schema(summary=_("Что ждёт данных от клиента"), **_SHOWN),
)
@extend_schema(tags=["orders"])
class QuestionsViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Service]):
    """Services that wait for answers; told, each goes on by itself."""

    queryset = Service.objects.none()
    serializer_class = WaitingSerializer
    required_scopes = {"GET": "orders:read", "POST": "orders:write"}

    def get_queryset(self) -> QuerySet[Service]:
        waiting = Fulfilment.objects.filter(state=FulfilmentState.INFORMATION_REQUIRED)
        rows = Service.objects.filter(
            Q(pk__in=waiting.values("service")) | Q(pk__in=inquiries.services_asked())
        )
        return rows.select_related("customer").prefetch_related("fulfilments")

    @extend_schema(
        summary=_("Ответить за клиента"),
        description=_(
            "Заказ продолжится сам. Ошибки ответов — в answers, по кодам. Вопрос с кодом provider.question.… задал "
            "поставщик: ответ уйдёт ему. 409 not_inquiring: поставщик об этом уже не спрашивает."
        ),
        request=AnswersData,
        responses={204: None},
        examples=[
            OpenApiExample("answers", value={"answers": {"iin": "7800123456789012"}}, request_only=True)
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def answer(self, request: Request, pk: str) -> Response:
        given = AnswersData(data=request.data)
        given.is_valid(raise_exception=True)
        told = given.validated_data["answers"]
        # An answer that comes too late is told so.
        is_late = any(inquiries.is_question(code) for code in told)
        service = get_object_or_404(Service.objects if is_late else self.get_queryset(), pk=pk)
        asking.tell(service, told, actor=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(tags=["orders"])
class FulfilmentsViewSet(viewsets.GenericViewSet[Fulfilment]):
    """Steps that wait for somebody outside."""

    queryset = Fulfilment.objects.none()
    required_scopes = {"POST": "orders:write"}

    def get_queryset(self) -> QuerySet[Fulfilment]:
        return Fulfilment.objects.all()

    @extend_schema(
        summary=_("Сообщить, чего ждёт исполнение"),
        description=_(
            "Шаг плана «Дождаться ответа снаружи» сделан, исполнение идёт дальше. Ничего не ждёт: 409."
        ),
        request=HeardData,
        responses={204: None},
        examples=[OpenApiExample("heard", value=HEARD, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def heard(self, request: Request, pk: str) -> Response:
        given = HeardData(data=request.data)
        given.is_valid(raise_exception=True)
        row = get_object_or_404(self.get_queryset(), pk=pk)
        if not tasks.heard(row.pk, told=given.validated_data["text"], actor=actor_of(request)):
            raise Refused("nothing_awaited", _("Это исполнение ничего снаружи не ждёт"))
        return Response(status=status.HTTP_204_NO_CONTENT)


def routes(router: SimpleRouter) -> None:
    """Adds these addresses to the API."""
    router.register("questions", QuestionsViewSet, basename="question")
    router.register("fulfilments", FulfilmentsViewSet, basename="fulfilment")
