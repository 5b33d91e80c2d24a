"""Who sells and who buys, as a document says it: frozen on the day of issue, where the buyer is a company."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apps.accounts.models import Company
from apps.billing.models import Collection
from apps.partners.models import LegalEntity

Parties = dict[str, dict[str, str]]
_SELLER = ("name", "inn", "kpp", "address", "bank", "bik", "account", "bank_account", "signer")
_BUYER = ("name", "inn", "kpp", "address")


def of(customer_id: UUID, legal_entity_id: int, collection: str) -> Parties | None:
    """Requisites of both; None where the money comes another way than by invoice."""
    return of_many([(customer_id, legal_entity_id)]).get(customer_id) if _wanted(collection) else None


def of_many(pairs: Iterable[tuple[UUID, int]]) -> dict[UUID, Parties]:
    """`of` for many companies at once: (customer, legal entity) each."""
    pairs = list(pairs)
    if not pairs:
        return {}
    companies = Company.objects.in_bulk([customer for customer, _entity in pairs])
    entities = LegalEntity.objects.in_bulk({entity for _customer, entity in pairs})
    return {
        customer: {"seller": seller(entities[entity]), "buyer": _named(companies[customer], _BUYER)}
        for customer, entity in pairs
        if customer in companies
    }


def seller(entity: LegalEntity) -> dict[str, str]:
    """The requisites of a legal entity of ours."""
    return _named(entity, _SELLER)


def _wanted(collection: str) -> bool:
    return collection == Collection.INVOICE


def _named(row: Any, names: Iterable[str]) -> dict[str, str]:
    return {name: getattr(row, name) for name in names}
