"""What a gateway's payout writes to the ledger of each partner: the money in the bank, and a fee that was not known."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from apps.core import clock
from apps.core.tenancy import in_partner
from apps.ledger import ledger
from apps.ledger.ledger import Account, Posting
from apps.ledger.models import Transfer
from apps.settlements.models import GatewayPayout, RegisterLine

DOCUMENT = "gateway_payout"
ZERO = Decimal("0.00")


def shares(payout: GatewayPayout) -> dict[int, tuple[Decimal, Decimal]]:
    """By partner: what of a payout is theirs, and what of its fee was not posted with the payments.

    What comes over or under what was expected stands with whoever has most of it: the bank account is to the kopeck.
    """
    bank: dict[int, Decimal] = defaultdict(lambda: ZERO)
    fees: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for line in RegisterLine.objects.filter(day__payout=payout):
        if line.partner_id is None:
            continue
        bank[line.partner_id] += line.net
        fees[line.partner_id] += ZERO if line.fee is None else line.fee - line.own_fee
    if bank:
        most = max(sorted(bank), key=lambda partner_id: bank[partner_id])
        bank[most] += payout.amount - sum(bank.values(), ZERO)
    return {partner_id: (bank[partner_id], fees[partner_id]) for partner_id in bank}


def post(payout: GatewayPayout) -> None:
    """Brings the ledger to what a payout is now; what was posted before is posted back where it no longer holds."""
    wanted = shares(payout) if payout.undone_at is None else {}
    rows = Transfer.objects.filter(document_kind=DOCUMENT, document_id=payout.pk)
    posted = set(rows.values_list("partner_id", flat=True))
    for partner_id in sorted(posted | set(wanted)):
        bank, fee = wanted.get(partner_id, (ZERO, ZERO))
        mine = list(rows.filter(partner_id=partner_id))
        number = len(mine) + 1
        made = [
            *_moved(payout, mine, Account.BANK, bank, "payout", "payout-undone", number),
            *_moved(payout, mine, Account.FEE, fee, "fee", "fee-undone", number),
        ]
        if made:
            with in_partner(partner_id):
                day = payout.line.booked_date
                ledger.post(DOCUMENT, payout.pk, made, occurred_at=clock.now(), business_date=day)


def _moved(
    payout: GatewayPayout,
    mine: Sequence[Transfer],
    account: str,
    wanted: Decimal,
    name: str,
    back: str,
    number: int,
) -> list[Posting]:
    stands = sum(
        (
            one.amount if one.debit == account else -one.amount
            for one in mine
            if account in (one.debit, one.credit)
        ),
        ZERO,
    )
    if wanted == stands:
        return []
    sides = (account, Account.CLEARING) if wanted > stands else (Account.CLEARING, account)
    return [
        Posting(
            name=f"{name if wanted > stands else back}-{number}",
            debit=sides[0],
            credit=sides[1],
            amount=abs(wanted - stands),
            currency=payout.currency,
            seller_id=payout.connection.legal_entity_id,
            connection_id=payout.connection_id,
        )
    ]
