"""What is agreed with partner and provider on the day of a sale, frozen into each line of an invoice."""

from datetime import date
from decimal import Decimal
from typing import Any

from apps.billing.models import Collection
from apps.catalog.models import Product, ProviderTerms, Trade
from apps.connectors.models import Connection
from apps.core.money import rounded
from apps.core.tenancy import current_partner
from apps.ledger.ledger import Owner
from apps.partners.models import ContractTerms, EarnedOn
from apps.payments.models import PaymentMethod
from apps.policies import vat

FIXED = ("share_fixed", "cost_fixed")
"""Sums of one piece for one whole period, until `of_line` makes them those of a line."""


def of_sale(
    *,
    product_id: int,
    tariff_version_id: int,
    day: date,
    method: PaymentMethod | None = None,
    collection: str = Collection.CHARGE,
) -> dict[str, Any]:
    """Whose money, whose share, whose cost: what a line of a sale on `day` is frozen with (see `of_line`).

    The money is whose the connection is that it comes by: a saved `method` stays with the one it was saved at. What
    comes past our gateway is the partner's where it collects, or where its own company sells.
    What is nought, or as usual, is left out.
    """
    partner = current_partner()
    cost = ProviderTerms.objects.in_force(product_id=product_id, tariff_version_id=tariff_version_id, day=day)
    provider = cost and cost.provider_id
    if cost is None:
        provider = Product.objects.values_list("provider_id", flat=True).get(pk=product_id)
    return {
        "owner": _owner(method, collection),
        "provider_id": provider,
        **_share(partner.terms_on(day)),
        **(_cost(cost, day) if cost else {}),
    }


def _owner(method: PaymentMethod | None, collection: str) -> str:
    partner = current_partner()
    if collection in {Collection.PARTNER_REPORTS, Collection.PARTNER_CHARGES}:
        return Owner.PARTNER
    if collection != Collection.CHARGE:
        return Owner.OPERATOR if partner.legal_entity.is_operator else Owner.PARTNER
    if method is None:
        owner = Connection.objects.for_partner(partner, "payment").partner_id
    else:
        # Only whose it is: its settings would have to be deciphered.
        owner = Connection.objects.values_list("partner_id", flat=True).get(pk=method.connection_id)
    return Owner.PARTNER if owner else Owner.OPERATOR


def of_line(terms: dict[str, Any], *, gross: Decimal, price: Decimal, quantity: int) -> dict[str, Any]:
    """The same terms for one line: fixed sums in the proportion of its `gross` to the `price` of one whole piece.

    `gross` is before discounts: they are not at the cost of whoever is paid by the piece.
    """
    fixed = {name: Decimal(terms[name]) for name in FIXED if name in terms}
    if not fixed:
        return terms
    pieces = gross / price if price else Decimal(quantity)
    return terms | {name: str(rounded(amount * pieces)) for name, amount in fixed.items()}


def _share(contract: ContractTerms | None) -> dict[str, Any]:
    if contract is None:
        return {"contract": "", "share_percent": "0", "share_base": ""}
    found: dict[str, Any] = {
        "contract": contract.number,
        "share_percent": str(contract.share_percent),
        "share_base": contract.share_base,
    }
    if contract.clawback and contract.clawback_days is not None:
        found["share_days"] = contract.clawback_days
    return found | _options("share", contract.share_fixed, contract.earned_on, contract.clawback)


def _cost(cost: ProviderTerms, day: date) -> dict[str, Any]:
    found = {
        "cost_contract": cost.number,
        "cost_percent": str(cost.percent),
        "cost_base": cost.base,
    } | _options("cost", cost.fixed, cost.earned_on, cost.clawback)
    if cost.trade == Trade.AGENCY:
        rate = vat.percent(cost.vat_code, day)
        found |= {"trade": Trade.AGENCY.value, "commission_vat_rate": None if rate is None else str(rate)}
    return found


def _options(name: str, fixed: Decimal, earned_on: str, clawback: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if fixed:
        found[f"{name}_fixed"] = str(fixed)
    if earned_on != EarnedOn.PAYMENT:
        found[f"{name}_on"] = earned_on
    if not clawback:
        found[f"{name}_kept"] = True
    return found
