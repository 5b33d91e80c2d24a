"""Loading a bank's file: each movement once, matched with the invoices that it pays, the rest into the queue."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.partners.models import LegalEntity
from apps.settlements import exchange_1c, matching, refund_orders
from apps.settlements.exchange_1c import BadStatement, Document, Statement
from apps.settlements.models import BankLine, BankStatement, LineState

KIND, MATCH = "settlements.BankStatement", "settlements.match"
SOON = timedelta(minutes=1)
LARGEST = 20 * 1024 * 1024
"""Bytes of a file: about 20,000 movements."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a file: rows that it brought, and how many of its movements were known already."""

    statements: list[BankStatement]
    matched: int
    unidentified: int
    payouts: int
    spent: int
    known: int


def load(content: bytes, *, name: str, actor: str) -> Loaded:
    """Takes a file in the format 1CClientBankExchange: what it tells anew is kept and matched, the rest is known.

    The whole file is kept or nothing of it; then each line is matched by itself, so that one which fits nothing
    holds up none. Raises Refused `bad_file` with the reason, `unknown_account`.
    """
    told = _read(content)
    entities = _entities(told)
    made: list[BankStatement] = []
    lines: list[BankLine] = []
    with transaction.atomic():
        for one in told:
            statement = BankStatement.objects.create(
                legal_entity=entities[one.account],
                account=one.account,
                start_date=one.start_date,
                end_date=one.end_date,
                opening=one.opening,
                received=one.received,
                spent=one.spent,
                closing=one.closing,
                name=name[:200],
                actor=actor[:150],
                loaded_at=clock.now(),
            )
            made.append(statement)
            lines += _keep(statement, one)
            # Should we die before the lines are matched, this matches them.
            due.schedule(MATCH, statement.pk, clock.wall() + SOON, wall=True)
        counts = {"new": len(lines), "told": sum(len(one.documents) for one in told)}
        for statement in made:
            journal.record("bank-statement.loaded", KIND, statement.pk, actor=actor, data=counts)
    states = sum((match(one.pk) for one in made), Counter())
    return Loaded(
        statements=made,
        matched=states[LineState.MATCHED],
        unidentified=states[LineState.UNIDENTIFIED],
        payouts=states[LineState.PAYOUT],
        spent=sum(not line.is_credit for line in lines),
        known=counts["told"] - len(lines),
    )


def match(statement_id: UUID) -> Counter[str]:
    """Matches what of a statement was not tried yet: how many lines came to be in which state."""
    statement = BankStatement.objects.get(pk=statement_id)
    untried = statement.bank_lines.filter(state=LineState.UNIDENTIFIED, reason="").order_by("pk")
    states = Counter(
        matching.settle(pk, actor=statement.actor).state for pk in untried.values_list("pk", flat=True)
    )
    refund_orders.match(statement)
    due.cancel(MATCH, statement_id)
    return states


def _read(content: bytes) -> list[Statement]:
    if len(content) > LARGEST:
        raise Refused("bad_file", _("Файл больше %d МБ") % (LARGEST // 2**20), status=400)
    try:
        return exchange_1c.read(content)
    except BadStatement as error:
        raise Refused("bad_file", str(error), status=400) from error


def _entities(told: Iterable[Statement]) -> dict[str, LegalEntity]:
    accounts = {one.account for one in told}
    found = {one.account: one for one in LegalEntity.objects.filter(account__in=accounts)}
    if missing := sorted(accounts - set(found)):
        raise Refused(
            "unknown_account",
            _("Счёт %s не записан ни у одного юридического лица: укажите его в реквизитах")
            % ", ".join(missing),
            status=400,
        )
    return found


def _keep(statement: BankStatement, told: Statement) -> list[BankLine]:
    """The lines that were not there before. Who else loads the same at once waits, and then finds them there."""
    seen: Counter[str] = Counter()
    rows = []
    for document in told.documents:
        words = _words(document)
        seen[words] += 1
        rows.append(_line(statement, document, hashlib.sha256(f"{words}|{seen[words]}".encode()).hexdigest()))
    BankLine.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)
    ours = set(BankLine.objects.filter(statement=statement).values_list("pk", flat=True))
    return [row for row in rows if row.pk in ours]


def _words(document: Document) -> str:
    """What tells a movement from others. Its purpose is not in it: banks write that a little differently each time."""
    return "|".join(
        str(part)
        for part in (
            document.account,
            document.is_credit,
            document.number,
            document.document_date,
            document.booked_date,
            document.amount,
            document.other.account,
            document.other.inn,
        )
    )


def _line(statement: BankStatement, document: Document, fingerprint: str) -> BankLine:
    return BankLine(
        id=uuid7(),
        statement=statement,
        fingerprint=fingerprint,
        is_credit=document.is_credit,
        kind=document.kind[:60],
        number=document.number[:60],
        document_date=document.document_date,
        booked_date=document.booked_date,
        amount=document.amount,
        counterparty=asdict(document.other),
        purpose=document.purpose,
        state=LineState.UNIDENTIFIED if document.is_credit else LineState.SPENT,
    )
