"""What must always hold of customers."""

from collections.abc import Iterator

from django.db.models import Q, QuerySet

from apps.accounts.models import Customer
from apps.core import audit, search
from apps.core.models import SearchKey
from apps.core.tenancy import current_partner


@audit.rule("accounts.erased-is-gone", of=(audit.some(Customer, erased_at__isnull=False),))
def erased_is_gone() -> Iterator[str]:
    """An erased customer has no contact, name, sign-in or search key left."""
    for customer in Customer.objects.exclude(erased_at=None).iterator():
        left = [
            name
            for name in ("phone", "email", "external_id", "name", "former_phone")
            if getattr(customer, name)
        ]
        if customer.sessions.exists():
            left.append("session")
        if customer.is_company:
            left.append("company")
        if _keys().filter(object_id=customer.pk).exists():
            left.append("search key")
        if left:
            yield f"Customer {customer.pk} is erased but has {', '.join(left)}"


@audit.rule("accounts.findable", of=(Customer,))
def findable() -> Iterator[str]:
    """Every contact of a customer finds them in the search box; nothing else does."""
    known: dict[object, set[bytes]] = {}
    for row in _keys().iterator():
        known.setdefault(row.object_id, set()).add(bytes(row.digest))
    customers = Customer.objects.filter(erased_at=None).filter(~Q(phone="", email="", external_id=""))
    for customer in customers.iterator():
        contacts = (customer.phone, customer.email, customer.external_id)
        if known.get(customer.pk, set()) != {search.digest(text) for text in contacts if text.strip()}:
            yield f"Customer {customer.pk} is not found by exactly their contacts"


def _keys() -> QuerySet[SearchKey]:
    return SearchKey.objects.filter(partner_id=current_partner().pk, kind="accounts.Customer")
