"""Numbers of documents: without gaps per kind, legal entity, partner and year."""

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter

from django.db import connection, transaction

from apps.core import gather

LETTERS = {
    "invoice": "I",
    "order": "O",
    "refund": "R",
    "credit_note": "C",
    "settlement": "S",
    "act": "A",
    "receipt": "K",
    "refund_receipt": "V",
}
"""Latin, so that a number is typed the same way everywhere; a kind without one takes its first letter."""

DOCUMENTS = {
    "invoice": "billing.Invoice",
    "order": "orders.Order",
    "credit_note": "billing.CreditNote",
    "act": "billing.Document",
    "receipt": "billing.Document",
    "refund_receipt": "billing.Document",
}
"""Where the numbers of a kind stand, in `number`: the auditor looks there for gaps."""

# One statement makes the row where there is none, locks it till the transaction ends, and counts: a rollback
# gives the numbers back, and whoever waits for the lock goes on from what was committed.
_ALLOT = """
INSERT INTO policies_numbersequence AS sequence (kind, legal_entity_id, partner_id, year, last)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (partner_id, kind, legal_entity_id, year)
DO UPDATE SET last = sequence.last + excluded.last
RETURNING last
"""


def example(kind: str) -> str:
    """A number for documentation, of partner 0, which there never is: it is equal to nobody's real one."""
    return f"{LETTERS[kind]}26-1-0-000001"


def allot(kind: str, *, legal_entity_id: int | None, partner_id: int, year: int, count: int = 1) -> list[str]:
    """The next `count` numbers, in order: `I26-1-12-000001` is kind, year, entity, partner, number.

    The last statement before commit, for a whole batch: other documents of the same sequence wait till then.
    Raises RuntimeError outside a transaction.
    """
    _must_be_used()
    if count < 1:
        return []
    return _allotted(kind, legal_entity_id, partner_id, year, count)


def give(
    kind: str, *, legal_entity_id: int | None, partner_id: int, year: int, to: Callable[[str], None]
) -> None:
    """Allots one number and hands it over: at once, or where a batch inserts its rows (`gather`) right before those.

    So others wait for a batch's numbers only while it writes what carries them. The document is inserted in the stage
    `gather.Stage.NUMBERED`. Raises RuntimeError outside a transaction.
    """
    row = (kind, legal_entity_id or 0, partner_id, year, to)
    if gather.is_inserting():
        gather.at_end(_give, [row], gather.Stage.NUMBERS)
    else:
        _give([row])


def _give(wanted: Sequence[tuple[str, int, int, int, Callable[[str], None]]]) -> None:
    # In the order of the kinds, as one order by itself takes them: invoice, order.
    for key, same in groupby(sorted(wanted, key=itemgetter(slice(4))), key=itemgetter(slice(4))):
        kind, legal_entity_id, partner_id, year = key
        takers = [one[4] for one in same]
        numbers = allot(
            kind,
            legal_entity_id=legal_entity_id or None,
            partner_id=partner_id,
            year=year,
            count=len(takers),
        )
        for take, number in zip(takers, numbers, strict=True):
            take(number)


def _allotted(kind: str, legal_entity_id: int | None, partner_id: int, year: int, count: int) -> list[str]:
    last = _counted(kind, legal_entity_id, partner_id, year, count)
    prefix = f"{LETTERS.get(kind, kind[0].upper())}{year % 100:02d}-{legal_entity_id or 0}-{partner_id}"
    return [f"{prefix}-{number:06d}" for number in range(last - count + 1, last + 1)]


def allot_to_all(kind: str, *, legal_entity_id: int | None, year: int, above: int = 0) -> int:
    """The next number that one legal entity counts over all its partners, greater than `above`.

    As `allot`: others who number for this entity wait until commit. Raises RuntimeError outside a transaction.
    """
    _must_be_used()
    number = _counted(kind, legal_entity_id, None, year, 1)
    return number if number > above else _counted(kind, legal_entity_id, None, year, above + 1 - number)


def _must_be_used() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A number is allotted in the transaction that uses it, or there will be gaps")


def _counted(kind: str, legal_entity_id: int | None, partner_id: int | None, year: int, count: int) -> int:
    """Counts so many more, and gives the last of them."""
    with connection.cursor() as cursor:
        cursor.execute(_ALLOT, [kind, legal_entity_id, partner_id, year, count])
        return int(cursor.fetchone()[0])
