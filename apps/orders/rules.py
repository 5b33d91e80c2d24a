"""By which rules a product is sold: what the customer is, declares, has already and answers. Checked at order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Customer
from apps.billing.models import RUNNING, Subscription, SubscriptionState
from apps.catalog import parameters, regions
from apps.catalog.models import Offer, Product, Relation, Tariff
from apps.core import bulk, gather
from apps.core.errors import Refused

_OWNED = "orders.owned"
_HAS = (*RUNNING, SubscriptionState.PENDING)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the customer said of themselves at checkout: nobody checks it, and it is kept with the order."""

    age: int | None = None
    region: str = ""

    def kept(self) -> dict[str, Any]:
        """What stands in the order."""
        return {name: value for name, value in (("age", self.age), ("region", self.region)) if value}


def check(customer: Customer, offer: Offer, declared: Declared) -> None:
    """Raises Refused where this customer may not have it: `too_young`, `not_in_region`, `companies_only`,
    `once_per_person`, `needs_other`, `excluded`.

    The customer is locked by the caller: of two orders at once the second sees the first.
    """
    _check_who(customer, offer.tariff.product, declared)
    _check_others(customer, offer.tariff)


def answers(offer: Offer, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked at order, answered and checked. Raises Refused `bad_answers` with a reason by code."""
    try:
        return parameters.answers(offer.questions(), given)
    except parameters.BadAnswers as wrong:
        names = {one.code: str(one.name) for one in offer.questions()}
        told = "; ".join(f"{names.get(code, code)}: {reason}" for code, reason in wrong.reasons.items())
        raise Refused("bad_answers", told, status=400, answers=wrong.reasons) from None


def _check_who(customer: Customer, product: Product, declared: Declared) -> None:
    if product.min_age and (declared.age is None or declared.age < product.min_age):
        raise Refused("too_young", _("Продаётся только с %d лет") % product.min_age)
    if product.regions and declared.region not in product.regions:
        names = ", ".join(regions.NAMES.get(code, code) for code in product.regions)
        raise Refused("not_in_region", _("Продаётся только в регионах: %s") % names)
    if product.companies_only and not customer.is_company:
        raise Refused("companies_only", _("Продаётся только организациям"))


def _check_others(customer: Customer, tariff: Tariff) -> None:
    """Against what the customer has or is buying."""
    mine = _owned(customer)
    if tariff.product.once_per_person and any(one.product_id == tariff.product_id for one in mine):
        raise Refused("once_per_person", _("Этот продукт у вас уже есть: его продают один раз"))
    owned = {one.tariff_id for one in mine}
    running = {one.tariff_id for one in mine if one.state != SubscriptionState.PENDING}
    related = gather.once(
        ("orders.related", tariff.pk), lambda: list(tariff.relations.select_related("other__product"))
    )
    needed = [one.other for one in related if one.kind == Relation.REQUIRES]
    if (needed and not running & {one.pk for one in needed}) or (tariff.is_addon and not running):
        names = ", ".join(f"«{one}»" for one in needed) or _("любая подписка")
        raise Refused("needs_other", _("Сначала нужна действующая подписка: %s") % names)
    barred = {one.other_id: one.other for one in related if one.kind == Relation.EXCLUDES}
    # It excludes what excludes it.
    if owned:
        excluding = Tariff.objects.filter(relations__other=tariff, relations__kind=Relation.EXCLUDES)
        barred |= {other.pk: other for other in excluding.filter(pk__in=owned)}
    if both := owned & barred.keys():
        raise Refused("excluded", _("Не подключается вместе с «%s»") % barred[min(both)])


class _Owned(NamedTuple):
    """What a customer has or is buying."""

    product_id: int
    tariff_id: int
    state: str


def read_owned(customers: Sequence[Customer]) -> None:
    """Within a batch (`gather`): reads at once what all of these locked customers have, for `check` of each."""
    known: dict[UUID, list[_Owned]] = gather.once(_OWNED, dict)
    known.update(_owned_by(customers))


def _owned(customer: Customer) -> list[_Owned]:
    known: dict[UUID, list[_Owned]] = gather.once(_OWNED, dict)
    return known[customer.pk] if customer.pk in known else _owned_by([customer])[customer.pk]


def _owned_by(customers: Sequence[Customer]) -> dict[UUID, list[_Owned]]:
    found: dict[UUID, list[_Owned]] = {one.pk: [] for one in customers}
    old = [one.pk for one in customers if not gather.is_unwritten(one)]
    if old:
        rows = Subscription.objects.filter(customer__in=bulk.these("uuid", old), state__in=_HAS)
        columns = ("customer_id", "product_id", "tariff_version__tariff_id", "state")
        for key, product_id, tariff_id, state in rows.values_list(*columns):
            found[key].append(_Owned(product_id, tariff_id, state))
    return found
