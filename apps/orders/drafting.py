"""Orders that staff put together for a customer: kept as a draft, changed, then placed and paid by a link."""

from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.orders import history, letters, placing, quoting, scheduling
from apps.orders.models import Order, OrderItem, OrderState
from apps.orders.placing import How, Wanted
from apps.orders.rules import Declared


def save(
    *,
    customer: Customer,
    items: Sequence[Wanted],
    actor: str,
    draft: Order | None = None,
    promo_code: str = "",
    declared: Declared | None = None,
) -> Order:
    """A new draft, or another content of `draft`, at today's prices. Nothing is billed, reserved or told.

    It is called off after `scheduling.DRAFT_DAYS`, counted from the last change. Raises Refused as `place_order`, and
    `not_a_draft`.
    """
    if not 1 <= len(items) <= quoting.MOST:
        raise Refused("too_many_items", _("Позиций в заказе: от 1 до %d") % quoting.MOST, status=400)
    how = How(declared=declared or Declared(), promo_code=promo_code.strip(), by_link=True)
    with transaction.atomic():
        order = _locked(draft) if draft else _new(customer, actor)
        quoted = [
            quoting.quote(
                order, one, position=number, sold=None, customer=order.customer, declared=how.declared
            )
            for number, one in enumerate(items, start=1)
        ]
        placing.keep(order, [one.item for one in quoted], how)
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


def total(draft: Order) -> Money:
    """What it would cost if it were placed now, promo code and trial reckoned: placed, and taken back.

    Raises Refused as `place`.
    """
    with transaction.atomic():
        order = _sold(draft, actor="")
        found = order.money
        transaction.set_rollback(True)
    return found


def place(draft: Order, *, actor: str) -> Order:
    """Sells a draft: the customer gets a link to pay by; what costs nothing is begun at once.

    Raises Refused as `place_order`, `not_a_draft`, `price_changed` where a price is another than in the draft, and
    `no_contact` where there is nobody to send the link to.
    """
    with transaction.atomic():
        order = _sold(draft, actor=actor)
        due.cancel(scheduling.EXPIRE, order.pk)
        if order.invoice is not None:
            order.invoice.refresh_from_db()
        waits = order.invoice is not None and letters.is_to_be_paid(order.invoice)
        if waits and letters.order_to_pay(order) is None:
            raise Refused("no_contact", _("Ссылку некуда отправить: у клиента нет ни почты, ни телефона"))
        journal.record(
            "order.draft-placed", placing.KIND, order.pk, actor=actor, data={"number": order.number}
        )
    return order


def _sold(draft: Order, *, actor: str) -> Order:
    order = _locked(draft)
    order.actor, order.created_at = actor or order.actor, clock.now()
    scheduling.sell(order)
    return order


def _locked(draft: Order) -> Order:
    order = scheduling.locked(draft.pk)
    if order.state != OrderState.DRAFT:
        raise Refused("not_a_draft", _("Это уже не черновик"))
    return order


def _new(customer: Customer, actor: str) -> Order:
    return Order(
        customer=customer,
        legal_entity_id=current_partner().legal_entity_id,
        total=Decimal(0),
        state=OrderState.DRAFT,
        actor=actor,
        created_at=clock.now(),
    )
