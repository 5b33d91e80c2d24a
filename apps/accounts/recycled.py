"""Phone numbers that are given to others: the next owner gets a cabinet of their own, services stay with the former.

A phone opens a customer's cabinet while they have proven it within `settings.PHONE_PROOF_MONTHS`, or until a telecom
partner says that the number was given to somebody else. Whoever proves a number last has it.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction

from apps import journal
from apps.accounts.models import Customer, CustomerSession
from apps.core import clock, events, search

KIND = "accounts.Customer"
MONTH = timedelta(days=30)


def is_stale(customer: Customer) -> bool:
    """Whether nobody has proven the customer's phone for so long that it may be somebody else's."""
    proved_at = customer.phone_proved_at or customer.created_at
    return clock.wall() - proved_at > MONTH * settings.PHONE_PROOF_MONTHS


def proved(customer: Customer) -> None:
    """The customer has just shown that the phone is theirs."""
    customer.phone_proved_at = clock.wall()
    Customer.objects.filter(pk=customer.pk).update(phone_proved_at=customer.phone_proved_at)


def release(phone: str, *, actor: str, reason: str) -> Customer | None:
    """Takes a phone from the customer who has it, in the caller's transaction: services, e-mail and name stay theirs,
    signed-in browsers do not. Gives that customer; None where nobody has it."""
    former = Customer.objects.select_for_update().filter(phone=phone).first() if phone else None
    if former is None:
        return None
    former.phone, former.phone_proved_at, former.former_phone = "", None, phone
    former.save(update_fields=["phone", "phone_proved_at", "former_phone"])
    CustomerSession.objects.filter(customer=former).delete()
    search.forget(KIND, former.pk)
    search.index(KIND, former.pk, [value for value in (former.email, former.external_id) if value])
    events.publish("accounts.PhoneReleased", former.pk)
    journal.record("customer.phone-released", KIND, former.pk, actor=actor, data={"reason": reason})
    return former


def reassigned(phone: str, *, actor: str) -> Customer | None:
    """A telecom partner, or staff, say that the number is somebody else's now."""
    with transaction.atomic():
        return release(phone, actor=actor, reason="reassigned")
