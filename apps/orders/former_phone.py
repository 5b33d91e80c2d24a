"""A customer's number went to somebody else: what was made for that number, or sent to it, stands with staff.

The services stay the former owner's, who is asked by another way what to do: a number that was connected has to be
connected anew, and a key that went by SMS may be read again on an old device. Settled when the customer has a number
again, or by staff who have looked.
"""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts import contacts
from apps.accounts.models import Customer
from apps.core import work
from apps.core.errors import Refused
from apps.notifications.models import Message
from apps.orders.models import ENDED_STATES, ItemAction, OrderItem, Service
from apps.policies.models import Channel

KIND = "accounts.Customer"


def follow(customer_id: UUID) -> None:
    """Puts the customer before staff, or takes them off, as things stand now. Safe to repeat."""
    customer = Customer.objects.select_for_update(no_key=True).get(pk=customer_id)
    found = affected(customer)
    if found:
        names = ", ".join(f"{service.name} ({why})" for service, why in found)
        work.open(KIND, customer.pk, _("Номер теперь чужой, проверьте услуги: {names}").format(names=names))
    else:
        work.close(KIND, customer.pk)


def affected(customer: Customer) -> list[tuple[Service, str]]:
    """Services that run and were made for a number that is the customer's no more, or sent to it; and which of that."""
    phone = customer.former_phone
    if not phone or customer.phone or customer.erased_at:
        return []
    mine = list(customer.services.exclude(state__in=ENDED_STATES).prefetch_related("fulfilments"))
    items = OrderItem.objects.filter(
        subscription__in={one.subscription_id for one in mine}, action=ItemAction.ADD
    )
    asked = {one.subscription_id: one.answers for one in items}
    sent = Message.objects.filter(customer_ref=customer.pk, type="key_delivered", channel=Channel.SMS)
    keys = [one.key for one in sent.only("key", "to") if one.to == phone]
    found = []
    for service in mine:
        if _names(phone, {**asked.get(service.subscription_id, {}), **service.answers}):
            found.append((service, str(_("оформлена на номер"))))
        elif any(str(one.pk) in key for one in service.fulfilments.all() for key in keys):
            found.append((service, str(_("ключ ушёл по СМС"))))
    return found


def looked(customer: Customer, *, note: str, actor: str) -> None:
    """Staff have looked at them. Raises Refused: `no_reason`, `nothing_affected`."""
    if not note.strip():
        raise Refused("no_reason", _("Напишите, что решили"), status=400)
    with transaction.atomic():
        customer = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if not affected(customer):
            raise Refused("nothing_affected", _("На прежнем номере ничего не осталось"))
        work.close(KIND, customer.pk)
        journal.record(
            "customer.former-phone-looked", KIND, customer.pk, actor=actor, data={"reason": note[:200]}
        )


def _names(phone: str, answers: dict[str, Any]) -> bool:
    """Whether one of these answers is the number, however it is spelt."""
    for one in answers.values():
        try:
            if contacts.phone(str(one)) == phone:
                return True
        except Refused:
            continue
    return False
