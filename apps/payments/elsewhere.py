"""What of a payment its customer was given otherwise than by a refund: whoever gives so tells it here.

Money of a payment goes back once. The apps above keep balances, this one does not know them: `teller` is how they
say what of a payment stands, or stood, on one. They tell it under the payment's lock (`Payment.locked`), and hold
the same lock when they give: so nothing is given both ways.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.payments.models import Payment

_tellers: list[Callable[["Payment"], Decimal]] = []


def teller(function: Callable[["Payment"], Decimal]) -> Callable[["Payment"], Decimal]:
    """Registers a function that tells how much of a payment (in its currency) was given by its own app."""
    if function not in _tellers:
        _tellers.append(function)
    return function


def given(payment: "Payment") -> Decimal:
    """How much of a payment was given to its customer otherwise, and is not to go back by a refund as well."""
    return sum((tell(payment) for tell in _tellers), Decimal("0.00"))
