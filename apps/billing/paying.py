"""Who pays for a subscription and by when: frozen at its sale, from the offer and from who the customer is."""

from datetime import date, timedelta
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.accounts import companies
from apps.accounts.models import Customer
from apps.billing.models import Collection, Invoice, Subscription
from apps.catalog.models import Offer
from apps.core.errors import Refused
from apps.core.tenancy import current_partner

DAYS_TO_PAY, DAYS_AHEAD = 3, 14
GRACE = timedelta(days=10)
"""How long a bank transfer is waited for after its last day, the product staying."""
EXPIRING = (Collection.CHARGE.value, Collection.INVOICE.value, Collection.PARTNER_CHARGES.value)
"""Collections whose first invoice is off where nobody pays it."""
GRANTED = (Collection.PARTNER_REPORTS.value, Collection.PARTNER_PAYS.value)
"""Collections whose periods begin with their invoices: nobody waits for the money."""
EARLY = (Collection.INVOICE.value,)
"""Collections whose renewal invoices are issued ahead of the period."""


def collection(customer: Customer, offer: Offer, parent: Subscription | None = None) -> str:
    """How a new subscription's money comes: as the offer says, and by invoice where a company pays for itself.

    Raises Refused: `company_needed`, `no_payer`, `addon_not_paid`.
    """
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
