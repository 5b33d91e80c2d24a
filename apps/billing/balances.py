"""A customer's balance: credits that the next invoices use up. Each change is also in the ledger."""

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from django.db.models import F

from apps.billing.models import CustomerBalance
from apps.core import bulk
from apps.core.money import Money


def of(customer_id: UUID) -> Money:
    """What stands on a customer's balance."""
    found = CustomerBalance.objects.filter(customer_id=customer_id).first()
    return Money(found.amount, found.currency) if found else Money(Decimal("0.00"), "RUB")


def lock(customer_id: UUID, currency: str) -> Decimal:
    """What is on the balance, which nobody else changes until the transaction ends; it is opened where need be."""
    CustomerBalance.objects.get_or_create(customer_id=customer_id, defaults={"currency": currency})
    rows = CustomerBalance.objects.select_for_update(no_key=True).filter(customer_id=customer_id)
    found = rows.filter(currency=currency).values_list("amount", flat=True).first()
    return found if found is not None else Decimal("0.00")


def add(customer_id: UUID, amount: Money) -> None:
    """More is owed to the customer, in the caller's transaction."""
    CustomerBalance.objects.get_or_create(customer_id=customer_id, defaults={"currency": amount.currency})
    CustomerBalance.objects.filter(customer_id=customer_id).update(amount=F("amount") + amount.amount)


def take(customer_id: UUID, most: Money) -> Decimal:
    """Uses up to `most` of the balance; how much it was. The row stays locked until the transaction ends."""
    balance = (
        CustomerBalance.objects.select_for_update(no_key=True)
        .filter(customer_id=customer_id, currency=most.currency)
        .first()
    )
    if balance is None or not balance.amount:
        return Decimal("0.00")
    taken = min(balance.amount, most.amount)
    balance.amount -= taken
    balance.save(update_fields=["amount"])
    return taken


def positive(customer_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the customers who have something on their balance."""
    rows = CustomerBalance.objects.filter(customer_id__in=bulk.these("uuid", customer_ids), amount__gt=0)
    return set(rows.values_list("customer_id", flat=True))
