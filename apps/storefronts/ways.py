"""The ways to pay that a page offers, and what the customer agrees to with each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.billing import partner_service, paying
from apps.billing.models import Collection, Invoice, Subscription
from apps.catalog.models import Offer
from apps.catalog.models.offers import Payer
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.payments.gateway import Instrument

FIELD = "pay_with"
"""Name of the choice in a form."""
BY_PARTNER = {Payer.PARTNER_CHARGES, Payer.PARTNER_REPORTS}
"""Offers whose money the partner takes from its clients, with no card of ours."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to pay: `code` is the instrument that an order is placed with; empty: nobody has to choose."""

    code: str
    title: str
    hint: str


def of_offer(offer: Offer, due: Money, *, by_invoice: bool = False, is_addon: bool = False) -> list[Way]:
    """The ways of a sale, the usual one first; more than one where the buyer chooses."""
    if by_invoice:
        return []
    binds = not due.amount
    money = Money(due.amount + 1, due.currency) if binds else due
    return _ways(paying.instruments(offer, money, binds=binds, is_addon=is_addon))


def of_invoice(invoice: Invoice) -> list[Way]:
    """The ways of an unpaid invoice."""
    return _ways(paying.instruments_of(invoice))


def to_save(subscription: Subscription) -> list[Way]:
    """What may be saved for the charges of a subscription."""
    return _ways(paying.instruments_to_save(subscription)) if _is_charged(subscription) else []


def _is_charged(subscription: Subscription) -> bool:
    return bool(subscription.collection == Collection.CHARGE)


def _ways(codes: Sequence[str]) -> list[Way]:
    return [_way(code) for code in codes]


def _way(code: str) -> Way:
    if code == Instrument.SBP:
        return Way(code, _("СБП"), _("Подтвердите в приложении своего банка, по QR-коду или кнопкой."))
    if code == paying.PARTNER:
        partner = current_partner().name
        title = partner_service.at_checkout() or _("Через %(partner)s") % {"partner": partner}
        return Way(code, title, _("Спишет %(partner)s, вводить ничего не нужно.") % {"partner": partner})
    return Way(code, _("Банковская карта"), _("Введёте её на защищённой странице банка: мы её не видим."))


def chosen(given: Any, ways: Sequence[Way]) -> str:
    """The instrument that a posted form asks for; empty where it asks for none. Raises Refused."""
    code = str(given.get(FIELD, ""))
    if code and code not in {one.code for one in ways}:
        raise Refused("instrument_not_offered", str(paying.NOT_SO))
    return code


def must_ask(given: Any, ways: Sequence[Way]) -> bool:
    """Whether a press of a button came without a choice where there is one."""
    return len(ways) > 1 and not given.get(FIELD)


def consent(way: str, price: str, date: str = "") -> str:
    """What the buyer agrees to who pays so: `price` is «149 ₽ каждый месяц», `date` the first charge of a trial."""
    terms = {"price": price, "date": date, "partner": current_partner().name}
    if way == paying.PARTNER:
        terms["title"] = partner_service.at_checkout()
        return _by_partner(terms) % terms
    if way == Instrument.SBP:
        text = (
            _(
                "Согласен на автоматическое списание с %(date)s: %(price)s, через СБП со счёта, который привяжу "
                "в приложении банка, пока не отменю подписку."
            )
            if date
            else _(
                "Согласен на автоматическое списание %(price)s через СБП со счёта, который привяжу в приложении "
                "банка, пока не отменю подписку."
            )
        )
        return text % terms
    text = (
        _(
            "Согласен на автоматическое списание с %(date)s: %(price)s, с сохранённой карты, "
            "пока не отменю подписку."
        )
        if date
        else _("Согласен на автоматическое списание %(price)s с сохранённой карты, пока не отменю подписку.")
    )
    return text % terms


def _by_partner(terms: dict[str, str]) -> str:
    if terms["title"]:
        if terms["date"]:
            return _(
                "Согласен, что с %(date)s %(partner)s будет списывать %(price)s способом «%(title)s», "
                "пока не отменю подписку."
            )
        return _(
            "Согласен, что %(partner)s будет списывать %(price)s способом «%(title)s», пока не отменю подписку."
        )
    if terms["date"]:
        return _("Согласен, что с %(date)s %(partner)s будет списывать %(price)s, пока не отменю подписку.")
    return _("Согласен, что %(partner)s будет списывать %(price)s, пока не отменю подписку.")
