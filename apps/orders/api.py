"""API: orders are placed and read by the partner's systems."""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from apps.accounts import companies, customers
from apps.accounts.models import Customer
from apps.billing import paying
from apps.billing.api import actor_of
from apps.billing.models import Subscription
from apps.core.errors import Refused
from apps.core.money import Money
from apps.journal.api import idempotent
from apps.orders import cancelling, drafting, placing_at_once, placing_many
from apps.orders.draft_api import Drafts, how_of
from apps.orders.models import Order, OrderItem, OrderState, Service
from apps.orders.order_data import ORDER, NewOrder, wanted
from apps.orders.placing import LIMIT, open_payment_page, place_order
from apps.orders.rules import Declared
from apps.payments.models import Payment
from apps.policies import numbering

ITEM = {
    "id": "01938e2a-7b0f-7a90-bb21-0c4d5e6f7a90",
    "action": "add",
    "state": "pending",
    "offer": 17,
    "tariff": "CLOUD-100",
    "name": "Облако, 100 ГБ",
    "quantity": 1,
    "price": "99.00",
    "total": "99.00",
    "subscription": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6c01",
}
ANSWER = {
    "id": "01938e2a-7b0f-7a90-bb21-0c4d5e6f7a81",
    "number": numbering.example("order"),
    "kind": "new",
    "state": "pending",
    "customer": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
    "offer": 17,
    "tariff": "CLOUD-100",
    "name": "Облако, 100 ГБ",
    "quantity": 1,
    "price": "99.00",
    "total": "99.00",
    "currency": "RUB",
    "channel": "api",
    "subscription": "01938e2a-7b10-7c55-8f0e-5a2f1f0b6c01",
    "invoice": "01938e2a-7b11-7d01-9c33-6b1d7a0e2f42",
    "payment": {
        "id": "01938e2a-7b12-7f00-8a44-11aa22bb33cc",
        "state": "pending",
        "amount": "99.00",
        "currency": "RUB",
        "instrument": "bank_card",
        "confirmation_url": "https://yoomoney.ru/checkout/payments/v2/contract?orderId=2c85…",
        "decline_reason": "",
    },
    "items": [ITEM],
    "services": [],
    "created_at": "2026-11-27T09:15:00Z",
    "scheduled_at": None,
    "cancels": None,
}
WHY = {"reason": "Клиент передумал"}
SERVICE = {
    "id": "01938e2b-0c22-7e10-9d55-7f8a9b0c1d2e",
    "name": "Антивирус Щит, Помесячно",
    "state": "active",
    "key": "SHIT-1A2B-3C4D",
    "url": "",
    "instructions": "Введите ключ в приложении",
    "active_until": "2026-12-27",
}


class Reason(serializers.Serializer[Any]):
    """Why, in words."""

    reason = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")


class InstrumentsOf(serializers.Serializer[Any]):
    """What is to be bought."""

    offer = serializers.IntegerField(min_value=1, help_text=_("Номер предложения"))
    quantity = serializers.IntegerField(default=1, min_value=1, max_value=LIMIT)
    trial = serializers.BooleanField(default=True, help_text=_("false: без пробного периода"))


class InstrumentsSerializer(serializers.Serializer[Any]):
    """How the customer may pay."""

    instruments = serializers.ListField(child=serializers.CharField())


class PaymentSerializer(serializers.ModelSerializer[Payment]):
    """The payment of an order, and the page where the customer confirms it."""

    class Meta:
        model = Payment
        fields = (
            "id",
            "state",
            "amount",
            "currency",
            "instrument",
            "confirmation_url",
            "decline_reason",
        )
        read_only_fields = fields


class ServiceSerializer(serializers.ModelSerializer[Service]):
    """What the customer has received."""

    class Meta:
        model = Service
        fields = tuple(SERVICE)
        read_only_fields = fields


class ItemSerializer(serializers.ModelSerializer[OrderItem]):
    """One product of an order."""

    offer = serializers.IntegerField(source="offer_id")
    tariff = serializers.CharField(source="tariff_version.tariff.code")
    subscription = serializers.UUIDField(source="subscription_id", allow_null=True)

    class Meta:
        model = OrderItem
        fields = tuple(ITEM)
        read_only_fields = fields


class OrderSerializer(serializers.ModelSerializer[Order]):
    """An order with its payment and what it has brought; what is of one product is that of its first item."""

    customer = serializers.UUIDField(source="customer_id")
    offer = serializers.IntegerField(source="item.offer_id")
    tariff = serializers.CharField(source="item.tariff_version.tariff.code")
    name = serializers.CharField(source="item.name")
    quantity = serializers.IntegerField(source="item.quantity")
    price = serializers.DecimalField(14, 2, source="item.price")
    channel = serializers.CharField(source="channel_code")
    subscription = serializers.UUIDField(source="item.subscription_id", allow_null=True)
    invoice = serializers.UUIDField(source="invoice_id", allow_null=True)
    payment = PaymentSerializer(allow_null=True)
    cancels = serializers.UUIDField(source="cancels_id", allow_null=True)
    items = ItemSerializer(many=True)
    services = serializers.SerializerMethodField()

    @extend_schema_field(ServiceSerializer(many=True))
    def get_services(self, order: Order) -> Any:
        """Of all its items."""
        begun = [one.subscription for one in order.items.all() if one.subscription]
        mine = [service for subscription in begun for service in subscription.services.all()]
        return [_SERVICE.to_representation(one) for one in mine]

    class Meta:
        model = Order
        fields = tuple(ANSWER)
        read_only_fields = fields


# Made once: DRF makes the fields of each anew, which takes several times as long as to read or tell an order by them.
_SERVICE, _TOLD, _NEW = ServiceSerializer(), OrderSerializer(), NewOrder()


def _read(given: Any) -> dict[str, Any]:
    """What is asked for. Raises serializers.ValidationError."""
    try:
        found: dict[str, Any] = _NEW.run_validation(given)
    except serializers.ValidationError:
        wrong = NewOrder(data=given)
        wrong.is_valid(raise_exception=True)
        found = wrong.validated_data
    return found


def _answer(order: Order) -> Response:
    return Response(_TOLD.to_representation(order), status=status.HTTP_201_CREATED)


class OrderFilter(filters.FilterSet):
    """By number, customer, state, channel and moment."""

    customer = filters.UUIDFilter("customer_id", label=_("Клиент"))
    external_id = filters.CharFilter("customer__external_id", label=_("Номер клиента у партнёра"))
    state = filters.MultipleChoiceFilter(choices=OrderState.choices)
    channel = filters.CharFilter("channel_code", label=_("Канал"))
    created = filters.IsoDateTimeFromToRangeFilter(
        "created_at", label=_("Создан: created_after, created_before")
    )

    class Meta:
        model = Order
        fields = ["number"]


@extend_schema_view(
    list=extend_schema(
        summary=_("Заказы"),
        examples=[OpenApiExample("order", summary=_("Заказ"), value=ANSWER, response_only=True)],
    ),
    retrieve=extend_schema(
        summary=_("Заказ"),
        examples=[
            OpenApiExample(
                "completed",
                summary=_("Исполненный заказ"),
                value={**ANSWER, "state": "completed", "services": [SERVICE]},
                response_only=True,
            )
        ],
    ),
)
@extend_schema(tags=["orders"])
class OrdersViewSet(Drafts, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Order]):
    """Orders of the partner, from every channel."""

    queryset = Order.objects.none()
    serializer_class = OrderSerializer
    filterset_class = OrderFilter
    required_scopes = {"GET": "orders:read", **dict.fromkeys(("POST", "PATCH", "DELETE"), "orders:write")}

    def get_queryset(self) -> QuerySet[Order]:
        return Order.objects.select_related("invoice").prefetch_related(
            "invoice__payments__payment", "items__tariff_version__tariff", "items__subscription__services"
        )

    @extend_schema(
        summary=_("Оформить заказ"),
        description=_(
            "Клиент находится или регистрируется. В ответе — страница оплаты: payment.confirmation_url. "
            "Если шлюз не ответил сразу, адрес пуст и появится в GET /orders/{id}/. С draft заказ только записан: его "
            "меняют, оформляют (confirm) или удаляют; через 30 дней без изменений он снимается сам."
        ),
        request=NewOrder,
        responses={201: OrderSerializer},
        examples=[
            OpenApiExample("new_order", summary=_("Новый заказ"), value=ORDER, request_only=True),
            OpenApiExample("draft", summary=_("Черновик"), value={**ORDER, "draft": True}, request_only=True),
            OpenApiExample(
                "order", summary=_("Заказ"), value=ANSWER, response_only=True, status_codes=["201"]
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        data = _read(request.data)
        key: Any = request.auth
        if _is_plain(data) and placing_at_once.may_wait(data["offer"]):
            return _answer(self._at_once(request, data))
        # A refused order registers nobody.
        with transaction.atomic():
            company = data["customer"].pop("company", None)
            customer, _is_new = customers.find_or_register(**data["customer"], verified=True)
            if company:
                companies.set_company(customer, actor=actor_of(request), **company)
            if data["draft"]:
                return self._draft(request, customer, data)
            order = place_order(
                customer=customer,
                offer=data.get("offer"),
                items=[wanted(one) for one in data.get("items", [])],
                sold=key.listing(),
                quantity=data["quantity"],
                channel_id=key.channel_id,
                channel_code=key.channel_code,
                expected_price=data.get("expected_price"),
                return_url=data["return_url"],
                actor=actor_of(request),
                request_key=_request_key(request),
                declared=Declared(**data.get("declared", {})),
                answers=data.get("answers"),
                parent=_parent(data.get("subscription")),
                promo_code=data.get("promo_code", ""),
                trial=data["trial"],
                instrument=data["instrument"],
                scheduled_at=data.get("scheduled_at"),
                consent=data.get("consent"),
            )
        open_payment_page(order)
        order = self.get_queryset().get(pk=order.pk)
        placing_at_once.learn(order)
        return _answer(order)

    def _at_once(self, request: Request, data: dict[str, Any]) -> Order:
        """Placed with what else comes with this key at the same moment."""
        asked = placing_many.Asked(
            person=data["customer"],
            wanted=wanted(data),
            request_key=_request_key(request),
            return_url=data["return_url"],
        )
        order = placing_at_once.place(
            request.auth.pk, asked, partial(self._placed, request.auth, actor_of(request))
        )
        if order.payment() is not None:
            # It is sold in another way by now.
            open_payment_page(order)
            order = self.get_queryset().get(pk=order.pk)
        placing_at_once.learn(order)
        return order

    def _placed(self, key: Any, actor: str, asked: Sequence[placing_many.Asked]) -> list[Order | Refused]:
        placed = placing_many.place_each(
            asked,
            actor=actor,
            sold=key.listing(),
            channel_id=key.channel_id,
            channel_code=key.channel_code,
        )
        others = [one.pk for one in placed if isinstance(one, Order) and not placing_many.have_at_hand(one)]
        told = self.get_queryset().in_bulk(others) if others else {}
        return [told.get(one.pk, one) if isinstance(one, Order) else one for one in placed]

    def _draft(self, request: Request, customer: Customer, data: dict[str, Any]) -> Response:
        key: Any = request.auth
        made = drafting.save(
            customer=customer,
            items=[wanted(one) for one in data.get("items") or [data]],
            how=how_of(key, data),
            scheduled_at=data.get("scheduled_at"),
            channel_id=key.channel_id,
            channel_code=key.channel_code,
            consent=data.get("consent"),
            actor=actor_of(request),
        )
        return _answer(self.get_queryset().get(pk=made.pk))

    @extend_schema(
        summary=_("Отменить заказ"),
        description=_(
            "В ответе — заказ вида cancel: completed, если отменено сразу; in_progress, если заказ уже в работе у "
            "сотрудника и решает он. Неоплаченное снимается, за невыданное деньги возвращаются полностью. "
            "Исполненный заказ не отменяют: 409 order_delivered. Отмена подписки — тоже заказ вида cancel: пока он "
            "pending, этим же вызовом подписка пойдёт дальше."
        ),
        request=Reason,
        responses=OrderSerializer,
        examples=[
            OpenApiExample("reason", value=WHY, request_only=True),
            OpenApiExample(
                "cancelled",
                value={**ANSWER, "kind": "cancel", "state": "completed", "cancels": ANSWER["id"]},
                response_only=True,
            ),
        ],
    )
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    @idempotent
    def cancel(self, request: Request, pk: str = "") -> Response:
        given = Reason(data=request.data)
        given.is_valid(raise_exception=True)
        order = self.get_object()
        asked = cancelling.cancel(order, reason=given.validated_data["reason"], actor=actor_of(request))
        return Response(OrderSerializer(self.get_queryset().get(pk=asked.pk)).data)

    @extend_schema(
        summary=_("Чем можно оплатить"),
        description=_(
            "Способы, из которых клиент выбирает, обычный первым: bank_card, sbp, partner (спишет партнёр). "
            "Один или ни одного: выбирать нечего. Любой из них — instrument заказа."
        ),
        parameters=[InstrumentsOf],
        responses=InstrumentsSerializer,
        examples=[OpenApiExample("instruments", value={"instruments": ["bank_card", "sbp"]})],
    )
    @action(detail=False, pagination_class=None, filterset_class=None)
    def instruments(self, request: Request) -> Response:
        given = InstrumentsOf(data=request.query_params)
        given.is_valid(raise_exception=True)
        key: Any = request.auth
        offer = get_object_or_404(key.offers(), pk=given.validated_data["offer"])
        version = offer.current_version()
        is_trial = version.trial_days and given.validated_data["trial"]
        money = Money(offer.unit_price * given.validated_data["quantity"], version.currency)
        free = is_trial and not version.trial_needs_method
        found = [] if free else paying.instruments(offer, money, binds=bool(is_trial))
        return Response(InstrumentsSerializer({"instruments": found}).data)


def _parent(key: UUID | None) -> Subscription | None:
    """The subscription that an add-on is for; whose it is, is checked when it is ordered."""
    if key is None:
        return None
    found = Subscription.objects.filter(pk=key).first()
    if found is None:
        raise Refused("subscription_not_found", _("Такой подписки у клиента нет"), status=404)
    return found


def _is_plain(data: dict[str, Any]) -> bool:
    """Whether no more is asked for than a product for somebody, now."""
    more = (
        "items",
        "subscription",
        "declared",
        "consent",
        "promo_code",
        "instrument",
        "scheduled_at",
        "draft",
    )
    return not (
        any(data.get(name) for name in more) or "company" in data["customer"] or data["trial"] is not None
    )


def _request_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    return hashlib.sha256(f"{request.auth.pk}:{key}".encode()).hexdigest() if key else ""


def routes(router: SimpleRouter) -> None:
    """Adds this app's addresses to the API."""
    router.register("orders", OrdersViewSet, basename="order")
