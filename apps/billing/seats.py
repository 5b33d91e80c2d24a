"""Seats: as many places as a subscription has pieces, each in somebody's hands or free."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import subscriptions
from apps.billing.arrangements import Seat
from apps.billing.models import RUNNING, Subscription
from apps.core import clock, events
from apps.core.errors import Refused


def held(subscription: Subscription) -> list[Seat]:
    """The seats that somebody has, by position."""
    return list(Seat.objects.filter(subscription=subscription, released_at=None).order_by("position"))


def assign(
    *,
    subscription: Subscription,
    name: str = "",
    email: str = "",
    phone: str = "",
    position: int | None = None,
    actor: str = "",
) -> Seat:
    """Gives a free seat (the first, or the one at `position`, from 1) to a holder.

    Raises Refused: `subscription_not_live`, `bad_holder`, `bad_position`, `seat_taken`, `no_seat_free`.
    """
    with transaction.atomic():
        subscription = _locked(subscription)
        return _assign(subscription, name=name, email=email, phone=phone, position=position, actor=actor)


def release(*, subscription: Subscription, position: int, actor: str = "") -> Seat:
    """The seat is free again; who had it stays in its history. Raises Refused `seat_free`."""
    with transaction.atomic():
        return _release(_locked(subscription), position, actor=actor)


def replace(
    *,
    subscription: Subscription,
    position: int,
    name: str = "",
    email: str = "",
    phone: str = "",
    actor: str = "",
) -> Seat:
    """The seat passes from one holder to another in one step. Raises Refused as `release` and `assign` do."""
    with transaction.atomic():
        subscription = _locked(subscription)
        _release(subscription, position, actor=actor)
        return _assign(subscription, name=name, email=email, phone=phone, position=position, actor=actor)


def forget(customer_id: UUID) -> None:
    """Who held the seats of an erased customer is known no more."""
    for seat in Seat.objects.select_for_update(no_key=True).filter(subscription__customer=customer_id):
        seat.name = seat.email = seat.phone = ""
        seat.save(update_fields=["name", "email", "phone"])


def _locked(subscription: Subscription) -> Subscription:
    found = subscriptions.locked(subscription.pk)
    if found.state not in RUNNING:
        raise Refused("subscription_not_live", _("Эта подписка уже не действует"))
    return found


def _assign(
    subscription: Subscription, *, name: str, email: str, phone: str, position: int | None, actor: str
) -> Seat:
    if not (name or email or phone):
        raise Refused("bad_holder", _("Назовите, чьё это место: имя, e-mail или телефон"), status=400)
    taken = {seat.position for seat in held(subscription)}
    free = [one for one in range(1, subscription.quantity + 1) if one not in taken]
    if position is not None and not 1 <= position <= subscription.quantity:
        raise Refused("bad_position", _("Такого места в подписке нет"), status=404)
    if position in taken:
        raise Refused("seat_taken", _("Это место занято"))
    if not free:
        raise Refused("no_seat_free", _("Все места заняты"))
    seat = Seat.objects.create(
        subscription=subscription,
        position=position or free[0],
        name=name,
        email=email,
        phone=phone,
        assigned_at=clock.now(),
        actor=actor[:150],
    )
    _tell(subscription, "assigned", seat, actor)
    return seat


def _release(subscription: Subscription, position: int, *, actor: str) -> Seat:
    seat = Seat.objects.filter(subscription=subscription, position=position, released_at=None).first()
    if seat is None:
        raise Refused("seat_free", _("Это место и так свободно"))
    seat.released_at = clock.now()
    seat.save(update_fields=["released_at"])
    _tell(subscription, "released", seat, actor)
    return seat


def _tell(subscription: Subscription, what: str, seat: Seat, actor: str) -> None:
    """Nothing personal stands in the journal or in an event: the seat's row has it, encrypted."""
    data = {"position": seat.position, "seat": str(seat.pk)}
    journal.record(f"seat.{what}", subscriptions.KIND, subscription.pk, actor=actor, data=data)
    events.publish("billing.SeatsChanged", subscription.pk)
