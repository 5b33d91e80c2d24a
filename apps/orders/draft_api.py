"""API: an order that is only written down is changed, placed or dropped by the partner's system."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.billing.api import actor_of
from apps.core.errors import Refused
from apps.journal.api import idempotent
from apps.orders import drafting
from apps.orders.models import Order, OrderState
from apps.orders.order_data import DraftChange, wanted
from apps.orders.placing import How, Wanted, open_payment_page
from apps.orders.rules import Declared

_HOW = ("return_url", "promo_code", "trial", "instrument")


def how_of(key: Any, data: dict[str, Any]) -> How:
    """By what was said of an order, how it is to be sold to whoever has this API key."""
    given = {name: data[name] for name in _HOW if name in data}
    return How(sold=key.listed(), declared=Declared(**data.get("declared", {})), **given)


class Drafts:
    """Of orders that are drafts; any other is answered 409 `not_a_draft`."""

    @extend_schema(
        summary=_("Изменить черновик"),
        description=_(
            "Меняется только то, что прислано; цены становятся сегодняшними. Уже оформленный: 409 not_a_draft."
        ),
        request=DraftChange,
        examples=[OpenApiExample("quantity", value={"quantity": 3}, request_only=True)],
    )
    def partial_update(self: Any, request: Request, pk: str = "") -> Response:
        given = DraftChange(data=request.data)
        given.is_valid(raise_exception=True)
        key: Any = request.auth
        data, order = given.validated_data, self.get_object()
        asked = {name: data[name] for name in _HOW if name in data}
        if "declared" in data:
            asked["declared"] = Declared(**data["declared"])
        if "scheduled_at" in data:
            asked["scheduled_at"] = data["scheduled_at"]
        drafting.change(
            order,
            items=_items(order, data),
            asked={**asked, "sold": key.listed()},
            consent=data.get("consent"),
            actor=actor_of(request),
        )
        return _answer(self, order)

    @extend_schema(
        summary=_("Удалить черновик"),
        description=_("Удалённого нет ни в списке, ни по номеру: 404. Уже оформленный: 409 not_a_draft."),
        responses={204: None},
    )
    def destroy(self: Any, request: Request, pk: str = "") -> Response:
        drafting.drop(self.get_object(), actor=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary=_("Оформить черновик"),
        description=_(
            "С этого момента это обычный заказ: счёт, резерв, событие orders.OrderPlaced и страница оплаты в "
            "payment.confirmation_url. Цена с тех пор изменилась: 409 price_changed, сначала измените черновик. "
            "Со scheduled_at заказ принимается сейчас, а счёт и оплата будут в его день; дата прошла: 400 bad_date."
        ),
        request=None,
    )
    @action(detail=True, methods=["post"], pagination_class=None, filterset_class=None)
    @idempotent
    def confirm(self: Any, request: Request, pk: str = "") -> Response:
        order = drafting.place(self.get_object(), actor=actor_of(request), to_page=True)
        open_payment_page(order)
        return _answer(self, order)


def _items(order: Order, data: dict[str, Any]) -> list[Wanted] | None:
    """Of a draft with this changed; None where its items stay as they are."""
    if "items" in data:
        return [wanted(one) for one in data["items"]]
    if order.state != OrderState.DRAFT or not data.keys() & {"offer", "quantity", "answers"}:
        return None
    kept = list(order.items.all())
    if "offer" not in data and len(kept) != 1:
        raise Refused("too_many_items", _("В черновике не одна позиция: пришлите items"), status=400)
    said: dict[str, Any] = {}
    if "offer" not in data or data["offer"] == kept[0].offer_id:
        said = {"offer": kept[0].offer_id, "quantity": kept[0].quantity, "answers": kept[0].answers}
    return [wanted({**said, **data})]


def _answer(view: Any, order: Order) -> Response:
    with transaction.atomic():
        found = view.get_queryset().get(pk=order.pk)
        return Response(view.get_serializer(found).data)
