"""Who earns what of a line that is paid: the partner's share, the provider's cost, a principal's money.

By the terms frozen into the line (`terms`), all of it a function of the line, its part of the gateway's fee, and of
how much of the line counts: so what was earned less what is taken back is always what is left, to the last kopeck.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from apps.billing.models import InvoiceLine
from apps.catalog.models import Trade
from apps.core.money import rounded, vat_inside
from apps.ledger.ledger import Account
from apps.partners.models import EarnedOn, ShareBase

ZERO = Decimal("0.00")
PAYMENT, SERVICE = EarnedOn.PAYMENT.value, EarnedOn.SERVICE.value


@dataclass(frozen=True, slots=True)
class Move:
    """So much goes from the credit account to the debit account."""

    name: str
    debit: str
    credit: str
    amount: Decimal


def is_agency(line: InvoiceLine) -> bool:
    """Whether the money of a line is a principal's, and only the commission ours."""
    return bool(line.terms.get("trade") == Trade.AGENCY)


def income(line: InvoiceLine) -> str:
    """The account of what the customer owes for a line, VAT aside, until it is earned."""
    return Account.AGENCY if is_agency(line) else Account.DEFERRED


def tax(line: InvoiceLine) -> str:
    """The account of the VAT of a line: an agent's customer pays the principal's VAT."""
    return Account.AGENCY if is_agency(line) else Account.VAT


def share(line: InvoiceLine, fee: Decimal = ZERO) -> Decimal:
    """The partner's part of a whole line, in its currency; `fee` is the line's part of the gateway's."""
    return _agreed(line, "share", fee)


def cost(line: InvoiceLine, fee: Decimal = ZERO) -> Decimal:
    """What the provider is owed for a whole line in resale."""
    return ZERO if is_agency(line) else _agreed(line, "cost", fee)


def commission(line: InvoiceLine, fee: Decimal = ZERO) -> Decimal:
    """What an agent keeps of a whole line, VAT included: never more than it brings."""
    return min(_agreed(line, "cost", fee), line.amount) if is_agency(line) else ZERO


def own_income(line: InvoiceLine, fee: Decimal, of: Decimal) -> Decimal:
    """What of an agent's line becomes revenue where `of` of it counts: the commission without VAT."""
    return sum((one.amount for one in _agency(line, fee, of) if one.name == "commission"), ZERO)


def window_ends(line: InvoiceLine, paid_on: date | None) -> date | None:
    """The last day on which a refund takes the partner's share of a line back; None where there is no last one."""
    days = line.terms.get("share_days")
    return None if days is None or paid_on is None else paid_on + timedelta(days=int(days))


def earned(line: InvoiceLine, fee: Decimal, of: Decimal, at: str, *, late: Decimal = ZERO) -> list[Move]:
    """What `of` of a line brings to others at a moment: when it is paid, or when the service was given.

    `late` went back of it after the window in which a refund takes the partner's share back: the share is of it too.
    """
    ways = (_earned(line, fee, counts, at) for counts in (of, line.amount, of + late))
    return [_counting(line, at, *moves) for moves in zip(*ways, strict=True)]


def _counting(line: InvoiceLine, at: str, usual: Move, whole: Move, shared: Move) -> Move:
    if at != PAYMENT and line.terms.get(f"{usual.name}_kept"):
        return whole
    return shared if usual.name == "share" else usual


def taken_back(
    line: InvoiceLine,
    fee: Decimal,
    was: Decimal,
    becomes: Decimal,
    *,
    moments: Sequence[str],
    is_late: bool = False,
) -> list[Move]:
    """The mirror of `earned` for what is credited of a line from a running total `was` to `becomes`.

    Of `moments` that have come; what is kept on a refund is left out, and a share whose window is over (`is_late`).
    """
    found = []
    for at in moments:
        before = earned(line, fee, line.amount - was, at)
        after = earned(line, fee, line.amount - becomes, at)
        for one, other in zip(before, after, strict=True):
            stays = line.terms.get(f"{one.name}_kept") or (is_late and one.name == "share")
            if not stays:
                found.append(Move(one.name, one.credit, one.debit, one.amount - other.amount))
    return found


def part(whole: Decimal, line: InvoiceLine, of: Decimal) -> Decimal:
    """So much of a whole as `of` is of the line's amount: all of it for a line that costs nothing."""
    if of == line.amount:
        return whole
    return whole - rounded(whole * (line.amount - of) / line.amount)


def _earned(line: InvoiceLine, fee: Decimal, of: Decimal, at: str) -> Iterator[Move]:
    if line.terms.get("share_on", PAYMENT) == at:
        amount = part(share(line, fee), line, of)
        yield Move("share", Account.PARTNER_SHARE, Account.PARTNER_PAYABLE, amount)
    if is_agency(line):
        if at == PAYMENT:
            yield from _agency(line, fee, of)
    elif line.terms.get("cost_on", PAYMENT) == at:
        amount = part(cost(line, fee), line, of)
        yield Move("cost", Account.PROVIDER_COST, Account.PROVIDER_PAYABLE, amount)


def _agency(line: InvoiceLine, fee: Decimal, of: Decimal) -> Iterator[Move]:
    """The three parts of an agent's line add up to it, whatever part of it counts."""
    whole = commission(line, fee)
    rate = Decimal(line.terms.get("commission_vat_rate") or 0) or None
    kept = part(whole, line, of)
    # By what is gone of the commission: were the VAT rounded by the line's own part, the commission might grow by a
    # kopeck where more is taken back.
    vat = vat_inside(whole, rate) - vat_inside(whole - kept, rate)
    yield Move("principal", Account.AGENCY, Account.PROVIDER_PAYABLE, of - kept)
    yield Move("commission", Account.AGENCY, Account.DEFERRED, kept - vat)
    yield Move("commission_vat", Account.AGENCY, Account.VAT, vat)


def _agreed(line: InvoiceLine, name: str, fee: Decimal) -> Decimal:
    terms, base = line.terms, line.terms.get(f"{name}_base")
    of = line.amount if base == ShareBase.GROSS else line.amount - line.vat
    if base == ShareBase.FEE:
        of = max(of - fee, ZERO)
    percent = Decimal(terms.get(f"{name}_percent") or 0)
    return rounded(of * percent / 100) + Decimal(terms.get(f"{name}_fixed") or 0)
