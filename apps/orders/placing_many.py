"""Many orders placed in one batch: checked one by one, written together, and numbered right before they are."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts import customers
from apps.billing.models import Collection
from apps.core import bulk, clock, faults, gather
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders import placing, rules
from apps.orders.models import Order
from apps.orders.placing import How, Wanted
from apps.orders.quoting import Quoted, Sold

log = logging.getLogger(__name__)
CHUNK = 200
"""So many at most are placed in one transaction."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One order of many: for whom (as `customers.find_or_register` takes them) and what."""

    person: Mapping[str, str]
    wanted: Wanted
    request_key: str
    scheduled_at: datetime | None = None
    return_url: str = ""


def place_each(
    asked: Sequence[Asked],
    *,
    actor: str = "",
    sold: Sold | None = None,
    channel_id: UUID | None = None,
    channel_code: str = "",
) -> list[Order | Refused]:
    """Places what can be placed: by place, the order or why there is none. Outside any transaction.

    Together where that goes, one alone in the same way; else each by itself. What was placed under its `request_key`
    before is given again.
    """
    common: dict[str, Any] = {
        "actor": actor,
        "sold": sold,
        "channel_id": channel_id,
        "channel_code": channel_code,
    }
    done: dict[int, Order | Refused] = {}

    def together(numbers: Sequence[int]) -> None:
        done.update(zip(numbers, place([asked[one] for one in numbers], **common), strict=True))

    def alone(number: int) -> None:
        try:
            done[number] = _alone(asked[number], common)
        except Refused as refusal:
            done[number] = refusal

    named = {one.request_key for one in asked if one.request_key}
    known: set[str] = set()
    # One alone finds it when it is placed.
    if named and len(asked) > 1:
        rows = Order.objects.filter(request_key__in=bulk.these("text", named))
        known = set(rows.values_list("request_key", flat=True))
    fresh = [number for number, one in enumerate(asked) if one.request_key not in known]
    if len(asked) == 1 and _is_done(lambda: together([0])):
        return [done[0]]
    for start in range(0, len(fresh), CHUNK):
        gather.halved(fresh[start : start + CHUNK], together, alone)
    for number in range(len(asked)):
        if number not in done:
            alone(number)
    return [done[number] for number in range(len(asked))]


def _is_done(together: Callable[[], object]) -> bool:
    """Whether one could be placed as many are, which costs half of what it does by itself."""
    try:
        with transaction.atomic(), gather.gathering(inserts=True):
            together()
    except Exception as error:
        log.info("One is placed by itself: %r", error)
        return False
    return True


def _alone(one: Asked, common: Mapping[str, Any]) -> Order:
    # A refused order registers nobody.
    with transaction.atomic():
        customer, _is_new = customers.find_or_register(**one.person, verified=True)
        return placing.place_order(
            customer=customer,
            offer=one.wanted.offer,
            quantity=one.wanted.quantity,
            expected_price=one.wanted.expected_price,
            answers=one.wanted.answers,
            return_url=one.return_url,
            request_key=one.request_key,
            scheduled_at=one.scheduled_at,
            **common,
        )


def place(
    asked: Sequence[Asked],
    *,
    actor: str = "",
    sold: Sold | None = None,
    channel_id: UUID | None = None,
    channel_code: str = "",
) -> list[Order]:
    """Places all of them, in the caller's transaction and batch (`gather.halved`), or raises and none is placed.

    Each as `placing.place_order` would, in the order given. Only what the partner collects for, without a trial, and
    what is for later; the rest raises gather.Apart and is placed by itself, as is who has to be looked at by themselves
    (`customers.find_or_register_many`). Raises Refused as `place_order`.
    """
    people = customers.find_or_register_many([one.person for one in asked])
    rules.read_owned(people)
    orders = [
        Order(
            customer=customer,
            legal_entity_id=current_partner().legal_entity_id,
            channel_id=channel_id,
            channel_code=channel_code,
            request_key=one.request_key,
            actor=actor,
            created_at=clock.now(),
            scheduled_at=one.scheduled_at,
        )
        for one, customer in zip(asked, people, strict=True)
    ]
    now = {
        order.pk: _prepared(order, one.wanted, How(sold=sold))
        for order, one in zip(orders, asked, strict=True)
        if order.scheduled_at is None
    }
    # In one order: whoever sells a version first locks it.
    placing.mark_sold([one for quoted in now.values() for one in quoted])
    for order, one in zip(orders, asked, strict=True):
        if order.pk in now:
            placing.sell(order, now[order.pk], How(sold=sold), None)
            order.placed = [one.item for one in now[order.pk]]
        else:
            placing.accept(order, [one.wanted], How(sold=sold, return_url=one.return_url))
        faults.at("orders.placed-among-many")
    return orders


def _prepared(order: Order, wanted: Wanted, how: How) -> list[Quoted]:
    quoted, _parent = placing.prepare(order, [wanted], how)
    for one in quoted:
        begun = one.item.subscription
        if begun is None or begun.collection != Collection.PARTNER_REPORTS or begun.trial_days:
            raise gather.Apart("It is paid, or tried, by itself")
    return quoted


def have_at_hand(order: Order) -> bool:
    """Of an order placed among others just now, all that is told of an order need not be read; False of any other.

    It has no payment, and has brought nothing yet.
    """
    if not order.placed:
        return False
    for item in order.placed:
        item.tariff_version.tariff = item.offer.tariff
        if item.subscription is not None:
            gather.at_hand(item.subscription, "services", [])
    gather.at_hand(order, "items", order.placed)
    if order.invoice is not None:
        gather.at_hand(order.invoice, "payments", [])
    return True
