"""What may be asked of a gateway: instruments, the smallest sum, money held first, methods saved without a payment."""

from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments.gateway import SBP_LEAST, Gateway, Instrument


def checked(connection: Connection, amount: Money, instrument: str, *, binds: bool, capture: bool) -> Money:
    """The amount to ask for: a binding takes nothing where it can, and what the instrument needs where not.

    Raises Refused `instrument_not_offered`, `no_two_stage`, `amount_too_small`.
    """
    gateway: Gateway = connection.reader()
    if instrument and instrument not in gateway.taken:
        raise Refused("instrument_not_offered", _("Здесь так заплатить нельзя, выберите другой способ"))
    if not capture and not (gateway.holds if not instrument else gateway.holds & {instrument}):
        raise Refused("no_two_stage", _("Этим способом деньги нельзя сначала удержать"))
    if binds and gateway.binds(instrument or Instrument.BANK_CARD):
        return Money(Decimal("0.00"), amount.currency)
    least = least_of(instrument)
    if amount.amount >= least:
        return amount
    if binds:
        return Money(least, amount.currency)
    raise Refused("amount_too_small", _("Этим способом платят не меньше %s") % Money(least, amount.currency))


def least_of(instrument: str) -> Decimal:
    """Roubles: the smallest sum that is paid so."""
    return SBP_LEAST if instrument == Instrument.SBP else Decimal("0.00")


def why_not(connection: Connection, amount: Money, instrument: str, *, two_stage: bool) -> str:
    """Why a gateway cannot make a payment like this; empty where it can. A binding of nothing has no amount."""
    try:
        gateway: Gateway = connection.reader()
    except (LookupError, ConnectorError) as error:
        return str(error)
    if instrument and instrument not in gateway.taken:
        return str(_("там так не платят"))
    if two_stage and not (gateway.holds & {instrument} if instrument else gateway.holds):
        return str(_("там деньги нельзя сначала удержать"))
    if not amount.amount and not gateway.binds(instrument or Instrument.BANK_CARD):
        return str(_("там способ не сохраняется без платежа"))
    return ""
