"""Who pays for a subscription and by when: frozen at its sale, from the offer and from who the customer is."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.accounts import companies
from apps.accounts.models import Customer
from apps.billing import partner_service
from apps.billing.models import Collection, Invoice, Subscription
from apps.catalog.models import Offer
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.payments import routing

PARTNER = "partner"
"""What a customer chooses who wants the partner to charge them, as with a phone bill."""
NOT_SO = _("Здесь так заплатить нельзя, выберите другой способ")
DAYS_TO_PAY, DAYS_AHEAD = 3, 14
GRACE = timedelta(days=10)
"""How long a bank transfer is waited for after its last day, the product staying."""
EXPIRING = (Collection.CHARGE.value, Collection.INVOICE.value, Collection.PARTNER_CHARGES.value)
"""Collections whose first invoice is off where nobody pays it."""
GRANTED = (Collection.PARTNER_REPORTS.value, Collection.PARTNER_PAYS.value)
"""Collections whose periods begin with their invoices: nobody waits for the money."""
EARLY = (Collection.INVOICE.value,)
"""Collections whose renewal invoices are issued ahead of the period."""


def instruments(offer: Offer, money: Money, *, binds: bool = False, is_addon: bool = False) -> list[str]:
    """How a customer may choose to pay for an offer now, the usual way first; empty where nobody asks them.

    `bank_card` and `sbp` at the gateways that its payment may come to, `partner` where the partner's own service
    is set to be offered. `binds`: nothing is paid now, a method is saved.
    """
    if offer.payer == Collection.PARTNER_CHARGES:
        return [PARTNER]
    if offer.payer != Collection.CHARGE:
        return []
    version_id = offer.tariff.current_id
    holds = offer.hold_first and not binds and not is_addon
    sold: dict[str, Any] = {
        "product_id": offer.tariff.product_id,
        "tariff_version_id": version_id,
        "offer_id": offer.pk,
    }
    found = _at_gateways(money, sold, binds=binds, holds=holds)
    # An add-on is paid as its subscription is.
    if not is_addon and partner_service.at_checkout():
        found.append(PARTNER)
    return found


def instruments_of(invoice: Invoice) -> list[str]:
    """How an unpaid invoice may be paid at the gateways; empty where no gateway takes its money."""
    if invoice.collection != Collection.CHARGE:
        return []
    line = invoice.lines.all()[0]
    sold: dict[str, Any] = {
        "product_id": line.product_id,
        "tariff_version_id": line.tariff_version_id,
        "subscription_id": invoice.subscription_id,
    }
    return _at_gateways(invoice.due_money, sold, holds=invoice.is_held_first)


def instruments_to_save(subscription: Subscription) -> list[str]:
    """What may be saved for a subscription's charges."""
    if subscription.collection != Collection.CHARGE:
        return []
    money = Money(Decimal("1.00"), subscription.currency)
    sold: dict[str, Any] = {
        "product_id": subscription.product_id,
        "tariff_version_id": subscription.tariff_version_id,
        "offer_id": subscription.offer_id,
    }
    return _at_gateways(money, sold, binds=True)


def _at_gateways(
    money: Money, sold: Mapping[str, Any], *, binds: bool = False, holds: bool = False
) -> list[str]:
    asked = routing.Asked(partner=current_partner(), money=money, two_stage=holds, **sold)
    return routing.instruments(asked, binds=binds)


@routing.offer_teller
def offer_of(subscription_id: UUID) -> int | None:
    """By which offer a subscription is sold."""
    return Subscription.objects.filter(pk=subscription_id).values_list("offer_id", flat=True).first()


def collection(
    customer: Customer, offer: Offer, parent: Subscription | None = None, instrument: str = ""
) -> str:
    """How a new subscription's money comes: as the offer says, and by invoice where a company pays for itself.

    With the `instrument` "partner" the partner charges, where it offers that. Raises Refused: `company_needed`,
    `no_payer`, `addon_not_paid`, `instrument_not_offered`.
    """
    made = _collection(customer, offer, parent)
    if (
        instrument == PARTNER
        and made == Collection.CHARGE
        and parent is None
        and partner_service.at_checkout()
    ):
        return Collection.PARTNER_CHARGES
    if instrument and (instrument == PARTNER) != (made == Collection.PARTNER_CHARGES):
        raise Refused("instrument_not_offered", NOT_SO)
    if instrument and made not in {Collection.CHARGE, Collection.PARTNER_CHARGES}:
        raise Refused("instrument_not_offered", NOT_SO)
    return made


def _collection(customer: Customer, offer: Offer, parent: Subscription | None) -> str:
    if parent is not None:
        if parent.collection == Collection.PARTNER_PAYS:
            raise Refused("addon_not_paid", _("За дополнения к этой подписке партнёр не платит"))
        return str(parent.collection)
    payer = str(offer.payer)
    if payer == Collection.CHARGE and customer.is_company:
        return Collection.INVOICE
    if payer == Collection.INVOICE and not customer.is_company:
        raise Refused("company_needed", _("Продаётся по счёту: нужны реквизиты организации"))
    if payer == Collection.PARTNER_PAYS and current_partner().payer_id is None:
        raise Refused("no_payer", _("Не указано, какая организация платит за клиентов партнёра"))
    return payer


def days_ahead(subscription: Subscription) -> int:
    """How many days before a period its invoice is issued: by the company's terms, half of a short period at most."""
    if subscription.collection not in EARLY:
        return 0
    company = companies.of(subscription.customer_id)
    wanted = company.days_ahead if company else DAYS_AHEAD
    start, end = subscription.current_period_start, subscription.current_period_end
    if start is None or end is None:
        return 0
    return min(wanted, (end - start).days // 2)


def days_to_pay(subscription: Subscription) -> int:
    """Within how many days its invoices are to be paid."""
    return days_of(subscription.customer_id) if subscription.collection == Collection.INVOICE else DAYS_TO_PAY


def days_of(customer_id: UUID) -> int:
    """Within how many days a company pays."""
    company = companies.of(customer_id)
    return company.pay_days if company else DAYS_TO_PAY


def last_day(invoice: Invoice) -> date:
    """The last day on which the money of an invoice is awaited: bank transfers come late."""
    return invoice.due_date + GRACE if invoice.collection == Collection.INVOICE else invoice.due_date
