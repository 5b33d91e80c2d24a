"""Orders that are put together for a customer, by staff or by API: kept as a draft, changed, then placed and paid."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.catalog.models.offers import Payer
from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.orders import history, letters, placing, quoting, scheduling
from apps.orders.models import History, Order, OrderItem, OrderState
from apps.orders.placing import How, Wanted

BY_LINK = How(by_link=True)
"""The customer is on the phone: they are sent a link to pay by."""


def save(
    *,
    customer: Customer,
    items: Sequence[Wanted],
    actor: str,
    draft: Order | None = None,
    how: How = BY_LINK,
    scheduled_at: datetime | None = None,
    channel_id: UUID | None = None,
    channel_code: str = "",
    consent: Mapping[str, Any] | None = None,
) -> Order:
    """A new draft, or another content of `draft`, at today's prices. Nothing is billed, reserved or told.

    With `scheduled_at` it is placed for that moment. It is called off after `scheduling.DRAFT_DAYS`, counted from the
    last change. Raises Refused as `place_order`, and `not_a_draft`.
    """
    with transaction.atomic():
        order = _locked(draft) if draft else _new(customer, actor, channel_id, channel_code)
        if not 1 <= len(items) <= quoting.MOST:
            raise Refused("too_many_items", _("Позиций в заказе: от 1 до %d") % quoting.MOST, status=400)
        order.scheduled_at = placing.to_come(scheduled_at) if scheduled_at else None
        quoted = [
            quoting.quote(
                order, one, position=number, sold=how.sold, customer=order.customer, declared=how.declared
            )
            for number, one in enumerate(items, start=1)
        ]
        placing.keep(order, [one.item for one in quoted], how)
        if consent is not None:
            order.consent = dict(consent)
        is_new = order._state.adding
        order.save(force_insert=is_new)
        order.items.all().delete()
        for one in quoted:
            one.item.state = OrderState.DRAFT
        OrderItem.objects.bulk_create([one.item for one in quoted])
        if is_new:
            history.record(order, "", OrderState.DRAFT, actor=actor)
        due.schedule(scheduling.EXPIRE, order.pk, clock.now() + scheduling.DRAFT_DAYS)
        journal.record("order.drafted", placing.KIND, order.pk, actor=actor, data={"total": str(order.total)})
    return order


def change(
    draft: Order,
    *,
    items: Sequence[Wanted] | None = None,
    asked: Mapping[str, Any],
    consent: Mapping[str, Any] | None = None,
    actor: str,
) -> Order:
    """`save` of a draft in which only these items, and these of `How` (and `scheduled_at`), are others."""
    kept = list(draft.items.all())
    others = dict(asked)
    at = others.pop("scheduled_at", draft.scheduled_at)
    how = replace(scheduling.how_of(draft, kept), **others)
    same = [Wanted(one.offer_id, one.quantity, answers=one.answers) for one in kept]
    return save(
        customer=draft.customer,
        items=items or same,
        actor=actor,
        draft=draft,
        how=how,
        scheduled_at=at,
        consent=consent,
    )


def drop(draft: Order, *, actor: str) -> None:
    """Nobody wants it any more: it is in no list, and the journal alone knows what it was. Nobody was told of it, so
    nobody is told that it is gone. Raises Refused `not_a_draft`.
    """
    with transaction.atomic():
        order = _locked(draft)
        items = [f"{one.name} × {one.quantity}" for one in order.items.all()]
        was = {"customer": str(order.customer_id), "items": items, "total": str(order.total)}
        journal.record("order.draft-deleted", placing.KIND, order.pk, actor=actor, data=was)
        due.cancel(scheduling.EXPIRE, order.pk)
        History.objects.filter(object_id=order.pk).delete()
        order.items.all().delete()
        order.delete()


def total(draft: Order) -> Money:
    """What it would cost if it were sold now, promo code and trial reckoned: sold, and taken back.

    Raises Refused as `place`.
    """
    with transaction.atomic():
        order = _opened(draft, actor="")
        if order.scheduled_at is not None:
            placing.to_come(order.scheduled_at)
        scheduling.sell(order)
        found = order.money
        transaction.set_rollback(True)
    return found


def place(draft: Order, *, actor: str, to_page: bool = False) -> Order:
    """Sells a draft: the customer gets a link to pay by; what costs nothing is begun at once.

    With `to_page` they are at a page that they come back to after paying, where the draft says which: the payment
    begins, and no link is sent. One for a later day is accepted now, sold then, and the link is sent then.

    Raises Refused as `place_order`, `not_a_draft`, `price_changed` where a price is another than in the draft, and
    `no_contact` where there is nobody to send the link to.
    """
    with transaction.atomic():
        order = _opened(draft, actor=actor, to_page=to_page)
        if order.scheduled_at is None:
            scheduling.sell(order)
        else:
            scheduling.accept(order)
        due.cancel(scheduling.EXPIRE, order.pk)
        if order.invoice is not None:
            order.invoice.refresh_from_db()
        if order.asked.get("by_link") and not _has_link_sent(order):
            raise Refused("no_contact", _("Ссылку некуда отправить: у клиента нет ни почты, ни телефона"))
        journal.record(
            "order.draft-placed", placing.KIND, order.pk, actor=actor, data={"number": order.number}
        )
    return order


def _has_link_sent(order: Order) -> bool:
    """False where there is nobody to send it to, now or on its day."""
    if order.invoice is not None:
        return not letters.is_to_be_paid(order.invoice) or letters.order_to_pay(order) is not None
    if order.customer.email or order.customer.phone or not order.total:
        return True
    return not any(one.offer.payer == Payer.CHARGE for one in order.items.select_related("offer"))


def _opened(draft: Order, *, actor: str, to_page: bool = False) -> Order:
    """A locked draft, about to be placed."""
    order = _locked(draft)
    has_page = to_page and bool(order.asked.get("return_url"))
    order.asked = {**order.asked, "by_link": not has_page}
    order.actor, order.created_at = actor or order.actor, clock.now()
    return order


def _locked(draft: Order) -> Order:
    order = scheduling.locked(draft.pk)
    if order.state != OrderState.DRAFT:
        raise Refused("not_a_draft", _("Это уже не черновик"))
    return order


def _new(customer: Customer, actor: str, channel_id: UUID | None, channel_code: str) -> Order:
    return Order(
        channel_id=channel_id,
        channel_code=channel_code,
        customer=customer,
        legal_entity_id=current_partner().legal_entity_id,
        total=Decimal(0),
        state=OrderState.DRAFT,
        actor=actor,
        created_at=clock.now(),
    )
