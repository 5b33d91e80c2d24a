"""API: what is done with a subscription in mid-period, and its history."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Customer
from apps.billing import changes, history, pauses, seats, subscriptions, transfers
from apps.billing.arrangements import Seat
from apps.billing.models import Subscription
from apps.catalog.models import Offer
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.journal.api import idempotent

PREVIEW = {
    "start_date": "2026-12-07",
    "charged": "299.33",
    "credited": "99.33",
    "from_balance": "0.00",
    "due": "200.00",
    "currency": "RUB",
    "lines": [
        {
            "description": "Облако, 500 ГБ",
            "quantity": 1,
            "period_start": "2026-12-07",
            "period_end": "2026-12-27",
            "discount": "0.00",
            "amount": "299.33",
        }
    ],
}
CHANGED = {"state": "waiting", "start_date": "2026-12-07", "invoice": None, "payment_url": ""}
SEAT = {
    "position": 1,
    "name": "Анна Петрова",
    "email": "anna@example.ru",
    "phone": "",
    "assigned_at": "2026-12-07T09:15:00Z",
}
HOLDER = {"name": "Анна Петрова", "email": "anna@example.ru"}
MOMENT = {
    "at": "2026-12-07T09:15:00Z",
    "kind": "payment",
    "title": "Платёж: Оплачен, •• 4477",
    "details": [
        "За что: Облако, 500 ГБ, с 07.12.2026 по 26.12.2026, 20 из 30 дней по 449 ₽ / 1 месяц: 299,33 ₽"
    ],
    "amount": "200.00",
    "currency": "RUB",
    "object_kind": "payments.Payment",
    "object_id": "01938e2a-7b12-7e11-8d55-0a9c3f5b7d21",
    "actor": "",
}


class ChangeSerializer(serializers.Serializer[Any]):
    """What is to change."""

    offer = serializers.IntegerField(required=False, help_text=_("Другой тариф того же продукта"))
    quantity = serializers.IntegerField(required=False, min_value=1, max_value=changes.LIMIT)
    when = serializers.ChoiceField(
        [changes.NOW, changes.PERIOD_END],
        required=False,
        help_text=_("Без него: дороже — сейчас, дешевле — когда кончится оплаченное"),
    )
    return_url = serializers.URLField(
        required=False, help_text=_("Оплатить на странице шлюза, а не сохранённым способом")
    )
    instrument = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=20,
        help_text=_("Вместе с return_url: чем платит клиент, bank_card или sbp"),
    )


class ChangePreviewLineSerializer(serializers.Serializer[Any]):
    """A line of the invoice to come."""

    description = serializers.CharField()
    quantity = serializers.IntegerField()
    period_start = serializers.DateField()
    period_end = serializers.DateField()
    discount = serializers.DecimalField(14, 2)
    amount = serializers.DecimalField(14, 2)


class ChangePreviewSerializer(serializers.Serializer[Any]):
    """What the change costs, to the kopeck."""

    start_date = serializers.DateField()
    charged = serializers.DecimalField(14, 2, help_text=_("Новый счёт"))
    credited = serializers.DecimalField(14, 2, help_text=_("Зачтётся за неиспользованные дни"))
    from_balance = serializers.DecimalField(14, 2, help_text=_("Из него: с баланса клиента"))
    due = serializers.DecimalField(14, 2, help_text=_("К оплате сейчас"))
    currency = serializers.CharField()
    lines = ChangePreviewLineSerializer(many=True)


class ChangedSerializer(serializers.Serializer[Any]):
    """What became of the request."""

    state = serializers.ChoiceField(["applied", "planned", "waiting"], help_text=_("waiting: ждёт оплаты"))
    start_date = serializers.DateField()
    invoice = serializers.UUIDField(allow_null=True)
    payment_url = serializers.CharField(allow_blank=True)


class PauseSerializer(serializers.Serializer[Any]):
    """Until when."""

    until = serializers.DateField(required=False, help_text=_("Первый день после паузы; без него 180 дней"))


class EndDateSerializer(serializers.Serializer[Any]):
    """The last day, or after how many periods."""

    end_date = serializers.DateField(
        required=False, allow_null=True, help_text=_("Первый день без услуги; null: без срока")
    )
    periods = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=subscriptions.MOST_PERIODS,
        help_text=_("Вместо дня: через сколько периодов, считая от оплаченного; пауза не считается"),
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two."""
        if len(attrs) != 1:
            raise serializers.ValidationError(_("Передайте что-то одно: end_date или periods"))
        return attrs


class TransferSerializer(serializers.Serializer[Any]):
    """To whom."""

    customer = serializers.UUIDField()


class SeatSerializer(serializers.ModelSerializer[Seat]):
    """A place in somebody's hands."""

    class Meta:
        model = Seat
        fields = tuple(SEAT)
        read_only_fields = ("assigned_at",)
        extra_kwargs = {"position": {"required": False, "help_text": _("Без него: первое свободное")}}


class ReleaseSerializer(serializers.Serializer[Any]):
    """Which place."""

    position = serializers.IntegerField(min_value=1)


class MomentSerializer(serializers.Serializer[Any]):
    """One thing that happened, in words that can be read aloud."""

    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(["terms", "invoice", "payment", "refund", "credit", "message", "deed"])
    title = serializers.CharField()
    details = serializers.ListField(child=serializers.CharField())
    amount = serializers.DecimalField(14, 2, source="amount.amount", allow_null=True, default=None)
    currency = serializers.CharField(source="amount.currency", allow_null=True, default=None)
    object_kind = serializers.CharField()
    object_id = serializers.UUIDField(allow_null=True)
    actor = serializers.CharField()


def _example(value: Any, *, asked: bool = False) -> list[OpenApiExample]:
    return [
        OpenApiExample(
            "example", summary=_("Пример"), value=value, request_only=asked, response_only=not asked
        )
    ]


class LifecycleActions(viewsets.GenericViewSet[Subscription]):
    """Actions of one subscription."""

    @extend_schema(
        summary=_("Сколько будет стоить смена тарифа или количества"),
        request=ChangeSerializer,
        responses=ChangePreviewSerializer,
        examples=[*_example({"offer": 18}, asked=True), *_example(PREVIEW)],
    )
    @action(detail=True, methods=["post"], url_path="preview-change")
    def preview_change(self, request: Request, pk: str) -> Response:
        given = self._change_of(request)
        given.pop("return_url", None)
        given.pop("instrument", None)
        return Response(
            ChangePreviewSerializer(shown(changes.preview(subscription=self.get_object(), **given))).data
        )

    @extend_schema(
        summary=_("Сменить тариф или количество"),
        description=_("Дороже: вступает в силу после оплаты разницы. Дешевле: когда кончится оплаченное."),
        request=ChangeSerializer,
        responses=ChangedSerializer,
        examples=[*_example({"offer": 18, "when": "now"}, asked=True), *_example(CHANGED)],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def change(self, request: Request, pk: str) -> Response:
        given = self._change_of(request)
        made = changes.change(subscription=self.get_object(), actor=_actor(request), **given)
        numbered = made.invoice if made.invoice is not None and made.invoice.number else None
        url = made.payment.confirmation_url if made.payment else ""
        answer = {"state": made.state, "start_date": made.start_date, "payment_url": url}
        return Response(ChangedSerializer({**answer, "invoice": numbered.pk if numbered else None}).data)

    @extend_schema(summary=_("Отменить запланированную смену"), request=None)
    @action(detail=True, methods=["post"], url_path="undo-change")
    @idempotent
    def undo_change(self, request: Request, pk: str) -> Response:
        changes.undo(subscription=self.get_object(), actor=_actor(request))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary=_("Поставить на паузу"),
        description=_("Неиспользованные дни зачтутся на баланс. Снять с паузы: resume."),
        request=PauseSerializer,
        examples=_example({"until": "2027-02-01"}, asked=True),
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def pause(self, request: Request, pk: str) -> Response:
        given = _checked(PauseSerializer, request)
        pauses.pause(subscription=self.get_object(), actor=_actor(request), **given)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary=_("Назначить последний день или число периодов"),
        request=EndDateSerializer,
        examples=_example({"periods": 12}, asked=True),
    )
    @action(detail=True, methods=["post"], url_path="end-date")
    @idempotent
    def end_date(self, request: Request, pk: str) -> Response:
        given, who = _checked(EndDateSerializer, request), _actor(request)
        if "periods" in given:
            subscriptions.set_periods(self.get_object(), count=given["periods"], actor=who)
        else:
            subscriptions.set_end_date(self.get_object(), day=given["end_date"], actor=who)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary=_("Передать другому клиенту"),
        description=_("Способ оплаты не переходит: новый клиент сохраняет свой."),
        request=TransferSerializer,
        examples=_example({"customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11"}, asked=True),
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def transfer(self, request: Request, pk: str) -> Response:
        to = Customer.objects.filter(pk=_checked(TransferSerializer, request)["customer"]).first()
        if to is None:
            raise Refused("customer_not_found", _("Такого клиента нет"), status=404)
        transfers.transfer(subscription=self.get_object(), to=to, actor=_actor(request))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        methods=["get"],
        summary=_("Занятые места"),
        responses=SeatSerializer(many=True),
        examples=_example(SEAT),
    )
    @extend_schema(
        methods=["post"],
        summary=_("Назначить место"),
        request=SeatSerializer,
        responses=SeatSerializer,
        examples=[
            *_example(HOLDER, asked=True),
            *_example(SEAT),
        ],
    )
    @action(detail=True, methods=["get", "post"], pagination_class=None, filterset_class=None)
    @idempotent
    def seats(self, request: Request, pk: str) -> Response:
        subscription = self.get_object()
        if request.method == "GET":
            return Response(SeatSerializer(seats.held(subscription), many=True).data)
        given = _checked(SeatSerializer, request)
        made = seats.assign(subscription=subscription, actor=_actor(request), **given)
        return Response(SeatSerializer(made).data)

    @extend_schema(
        summary=_("Освободить место"),
        request=ReleaseSerializer,
        examples=_example({"position": 1}, asked=True),
    )
    @action(detail=True, methods=["post"], url_path="release-seat")
    @idempotent
    def release_seat(self, request: Request, pk: str) -> Response:
        position = _checked(ReleaseSerializer, request)["position"]
        seats.release(subscription=self.get_object(), position=position, actor=_actor(request))
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary=_("История подписки: за что списали"),
        description=_("Условия, счета со строками, платежи, возвраты, сообщения и действия, новые первыми."),
        responses=MomentSerializer(many=True),
        examples=_example(MOMENT),
    )
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def history(self, request: Request, pk: str) -> Response:
        return Response(MomentSerializer(history.of(self.get_object()), many=True).data)

    def _change_of(self, request: Request) -> dict[str, Any]:
        given = _checked(ChangeSerializer, request)
        if "offer" in given:
            offer = Offer.objects.filter(pk=given["offer"], partner=current_partner()).first()
            if offer is None:
                raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
            given["offer"] = offer
        return given


def shown(view: changes.Preview) -> dict[str, Any]:
    """A preview as the API and the console show it."""
    return {
        "start_date": view.start_date,
        "charged": view.charged,
        "credited": view.credited,
        "from_balance": max(view.covered - view.credited, changes.ZERO),
        "due": view.due.amount,
        "currency": view.currency,
        "lines": [
            {
                "description": row.name,
                "quantity": row.quantity,
                "period_start": charge.start,
                "period_end": charge.end,
                "discount": charge.discount,
                "amount": charge.amount,
            }
            for charge, row in view.priced
        ],
    }


def _checked(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    given = kind(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _actor(request: Request) -> str:
    key: Any = request.auth
    return f"api:{key.channel_code}" if key else ""
