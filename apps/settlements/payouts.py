"""What a gateway pays out: its transfer on the bank statement, the days that it is for, and what differs.

A transfer is known by its payer (and words of the purpose, where these are set) and given the days that its purpose
names, or a run of days not paid out yet that comes to exactly its sum; never others by a guess. One that fits nothing
waits for a person, without days. Locks in this order: line, the gateway's terms.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors.models import Connection
from apps.core import clock, work
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.ledger import ledger
from apps.ledger.ledger import Account, Posting
from apps.ledger.models import Transfer
from apps.settlements.comparing import today_of
from apps.settlements.models import (
    OF_PAYOUT,
    BankLine,
    Difference,
    DifferenceKind,
    GatewayDay,
    GatewayPayout,
    GatewayTerms,
    LineState,
    RegisterLine,
)

KIND, DAY, LINE = "settlements.GatewayPayout", "settlements.GatewayDay", "settlements.BankLine"
DOCUMENT = "gateway_payout"
FARTHEST = timedelta(days=45)
"""How old a day may be that a transfer is taken to be for."""
LONGEST = 15
"""Days that one transfer pays out at most: holidays with their weekends."""
ZERO = Decimal("0.00")
_DAY = re.compile(r"(?<!\d)(\d{2})\.(\d{2})\.(\d{4}|\d{2})(?!\d)")
_FOR = re.compile(r"(?<!\w)за(?:\s+[^\W\d]+){0,3}\s*$", re.IGNORECASE)
_RANGE = re.compile(r"^\s*(?:г\.?)?\s*(?:-|–|—|по)\s*$")


def terms_of(connection: Connection) -> GatewayTerms:
    """How a gateway settles, as far as anybody has said."""
    return GatewayTerms.objects.get_or_create(connection=connection)[0]


def lock(connection: Connection) -> GatewayTerms:
    """The gateway's terms, locked to the end of the transaction: nobody else changes its days or payouts."""
    terms_of(connection)
    return GatewayTerms.objects.select_for_update().select_related(None).get(connection=connection)


# -- the transfer on the statement -------------------------------------------------------------------


def recognise(line: BankLine, *, actor: str) -> bool:
    """Whether a locked line that waits is a gateway's transfer; then it is one from now on."""
    found = _payer_of(line)
    if found is None:
        return False
    terms = lock(found.connection)
    payout = _make(line, terms, actor)
    _choose(terms, payout, actor)
    return True


def _payer_of(line: BankLine) -> GatewayTerms | None:
    """Whose transfer it is; None where of nobody, or of several that are not told apart."""
    inn, account = line.counterparty.get("inn", ""), line.counterparty.get("account", "")
    if not line.is_credit or not inn:
        return None
    known = GatewayTerms.objects.filter(
        payer_inn=inn,
        payer_account__in=("", account),
        connection__partner=None,
        connection__legal_entity=line.statement.legal_entity_id,
    ).select_related("connection__legal_entity")
    found = [one for one in known if one.purpose_words.lower() in line.purpose.lower()]
    if len(named := [one for one in found if one.purpose_words]) == 1:
        found = named
    return found[0] if len(found) == 1 else None


def _make(line: BankLine, terms: GatewayTerms, actor: str) -> GatewayPayout:
    payout, _is_new = GatewayPayout.objects.update_or_create(
        line=line,
        defaults={
            "connection_id": terms.connection_id,
            "amount": line.amount,
            "currency": line.currency,
            "actor": actor[:150],
            "made_at": clock.now(),
            "undone_by": "",
            "undone_at": None,
        },
    )
    line.state, line.reason = LineState.PAYOUT, ""
    line.settled_by, line.settled_at = actor[:150], clock.now()
    line.save(update_fields=["state", "reason", "settled_by", "settled_at"])
    work.close_for(None, LINE, line.pk)
    journal.record("gateway-payout.recognised", KIND, payout.pk, actor=actor, data={"line": str(line.pk)})
    return payout


def settle_waiting(connection: Connection, *, actor: str) -> None:
    """Gives transfers that came before their days were compared these days."""
    waiting = GatewayPayout.objects.filter(connection=connection, undone_at=None, days=None)
    if not waiting.exists():
        return
    with transaction.atomic():
        terms = lock(connection)
        for payout in waiting.select_related("line").order_by("line__booked_date", "pk"):
            _choose(terms, payout, actor)


def _choose(terms: GatewayTerms, payout: GatewayPayout, actor: str) -> None:
    """Days for a payout without any: those that it names, or that come to it."""
    booked = payout.line.booked_date
    free = list(
        GatewayDay.objects.filter(
            connection_id=terms.connection_id,
            payout=None,
            state=GatewayDay.State.OPEN,
            day__lte=booked,
            day__gte=booked - FARTHEST,
        ).order_by("day")
    )
    named = days_named(payout.line.purpose, booked)
    said = [one for one in free if named and named.first <= one.day <= named.last]
    is_exact = sum((one.net.amount for one in said), ZERO) == payout.amount
    if named and named.is_sure:
        # Others that come to the same sum are not meant. Those not compared yet are waited for.
        days = said if is_exact or len(said) == named.length else []
    else:
        days = said if said and is_exact else _run(free, payout.amount)
    if days:
        _give(terms, payout, days, actor)
    else:
        work.open_for(None, KIND, payout.pk, str(_("Выплата шлюза: не ясно, за какие дни")))


@dataclass(frozen=True, slots=True)
class Named:
    """The days that a purpose names; `is_sure` where it says that it is for them, not only that a paper is of them."""

    first: date
    last: date
    is_sure: bool

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1


def days_named(purpose: str, booked: date) -> Named | None:
    """From which day to which a purpose says that it is: «за 05.11.2026», «с 05.11.2026 по 07.11.2026»."""
    found: list[tuple[date, re.Match[str]]] = []
    for match in _DAY.finditer(purpose):
        day, month, year = (int(part) for part in match.groups())
        try:
            one = date(year if year > 99 else 2000 + year, month, day)
        except ValueError:
            continue
        # A contract's own date is older than anything that is paid out.
        if booked - FARTHEST <= one <= booked:
            found.append((one, match))
    if not found:
        return None
    (first, where) = found[0]
    is_sure = bool(_FOR.search(purpose[: where.start()]))
    if len(found) > 1 and _RANGE.match(purpose[where.end() : found[1][1].start()]) and found[1][0] >= first:
        return Named(first, found[1][0], is_sure)
    return Named(first, first, is_sure) if len(found) == 1 else None


def _run(free: Sequence[GatewayDay], amount: Decimal) -> list[GatewayDay]:
    """The oldest run of days one after another that comes to exactly an amount."""
    for start in range(len(free)):
        total = ZERO
        for end in range(start, min(start + LONGEST, len(free))):
            total += free[end].net.amount
            if total == amount:
                return list(free[start : end + 1])
    return []


# -- what a person decides ---------------------------------------------------------------------------


def assign(line_id: UUID, *, connection_id: int, first: date, last: date, actor: str) -> GatewayPayout:
    """A person says whose transfer a line is and for which days, whatever its sum.

    Raises Refused: `line_settled`, `not_ours` for a gateway of another legal entity or of a partner, `bad_days`,
    `day_closed`, `day_paid` where another transfer has paid one of them out.
    """
    with transaction.atomic():
        rows = BankLine.objects.select_for_update(of=("self",), no_key=True)
        line = rows.select_related("statement").get(pk=line_id)
        connection = Connection.objects.select_related("legal_entity").get(pk=connection_id)
        if connection.partner_id or connection.legal_entity_id != line.statement.legal_entity_id:
            raise Refused("not_ours", _("Этот шлюз перечисляет деньги не на этот счёт"), status=400)
        taken = line.state == LineState.UNIDENTIFIED and line.allocations.exists()
        if taken or line.state not in (LineState.UNIDENTIFIED, LineState.PAYOUT):
            raise Refused("line_settled", _("С этой строкой уже решено: %s") % line.get_state_display())
        known = GatewayPayout.objects.filter(line=line, undone_at=None).first()
        if known is not None and known.connection_id != connection.pk:
            raise Refused("line_settled", _("Эта выплата отнесена на другой шлюз: сначала снимите её"))
        terms = lock(connection)
        freed = _free(known) if known is not None else []
        payout = _make(line, terms, actor)
        days = _days(connection, payout, first, last)
        _give(terms, payout, days, actor)
        for one in freed:
            if one not in days:
                refresh(terms, one)
    return payout


def _days(connection: Connection, payout: GatewayPayout, first: date, last: date) -> list[GatewayDay]:
    found = list(
        GatewayDay.objects.filter(connection=connection, day__gte=first, day__lte=last).order_by("day")
    )
    if not found:
        raise Refused("bad_days", _("За эти дни сверки ещё не было: сверьте их сначала"), status=400)
    for one in found:
        if one.state == GatewayDay.State.CLOSED:
            raise Refused("day_closed", _("День %s закрыт") % f"{one.day:%d.%m.%Y}")
        if one.payout_id not in (None, payout.pk):
            raise Refused("day_paid", _("За %s выплата уже пришла") % f"{one.day:%d.%m.%Y}")
    return found


def undo(payout_id: UUID, *, actor: str) -> BankLine:
    """A transfer is none of this gateway's, or of other days: its line waits again.

    Raises Refused: `day_closed`, `payout_undone`.
    """
    with transaction.atomic():
        line_id = GatewayPayout.objects.values_list("line_id", flat=True).get(pk=payout_id)
        line = BankLine.objects.select_for_update(of=("self",), no_key=True).get(pk=line_id)
        payout = GatewayPayout.objects.select_related("connection", "line").get(pk=payout_id)
        lock(payout.connection)
        payout.refresh_from_db(fields=["undone_at"])
        if payout.undone_at is not None:
            raise Refused("payout_undone", _("Эта выплата уже снята"))
        days = _free(payout)
        payout.expected, payout.undone_by, payout.undone_at = ZERO, actor[:150], clock.now()
        payout.save(update_fields=["expected", "undone_by", "undone_at"])
        _post(payout)
        line.state, line.reason = LineState.UNIDENTIFIED, str(_("Выплата шлюза снята: решите заново"))
        line.settled_by, line.settled_at = "", None
        line.save(update_fields=["state", "reason", "settled_by", "settled_at"])
        work.close_for(None, KIND, payout.pk)
        work.open_for(None, LINE, line.pk, line.reason)
        terms = terms_of(payout.connection)
        for one in days:
            refresh(terms, one)
        journal.record("gateway-payout.undone", KIND, payout.pk, actor=actor, data={"line": str(line.pk)})
    return line


def _free(payout: GatewayPayout) -> list[GatewayDay]:
    """Takes a payout's days from it. Raises Refused `day_closed`."""
    days = list(payout.days.order_by("day"))
    for one in days:
        if one.state == GatewayDay.State.CLOSED:
            raise Refused("day_closed", _("День %s закрыт") % f"{one.day:%d.%m.%Y}")
        one.payout = None
        one.save(update_fields=["payout"])
    return days


def _give(terms: GatewayTerms, payout: GatewayPayout, days: Sequence[GatewayDay], actor: str) -> None:
    for one in days:
        one.payout = payout
        one.save(update_fields=["payout"])
    work.close_for(None, KIND, payout.pk)
    data = {"days": [str(one.day) for one in days]}
    journal.record("gateway-payout.assigned", KIND, payout.pk, actor=actor, data=data)
    for one in days:
        refresh(terms, one)


# -- what differs ------------------------------------------------------------------------------------


def refresh(terms: GatewayTerms, row: GatewayDay) -> None:
    """What a payout must come to, and what differs in it, after one of its days has changed. Under the lock."""
    payout = row.payout
    if payout is None:
        rewrite(row, OF_PAYOUT, _absent(terms, row))
        return
    days = list(payout.days.order_by("day"))
    payout.expected = sum((one.net.amount for one in days), ZERO)
    payout.save(update_fields=["expected"])
    still_open = [one for one in days if one.state == GatewayDay.State.OPEN]
    for one in still_open:
        told = [_short(payout)] if one == still_open[-1] and payout.difference.amount else []
        rewrite(one, OF_PAYOUT, told)
    _post(payout)


def _absent(terms: GatewayTerms, row: GatewayDay) -> list[Difference]:
    if row.payout_id is not None or not _is_expected(terms, row) or row.net.amount <= 0:
        return []
    connection = Connection.objects.select_related("legal_entity").get(pk=row.connection_id)
    if today_of(connection) <= row.day + timedelta(days=terms.payout_within_days):
        return []
    return [
        Difference(
            kind=DifferenceKind.PAYOUT_ABSENT, entry="payout", gateway_id=str(row.day), ours=row.net.amount
        )
    ]


def _short(payout: GatewayPayout) -> Difference:
    return Difference(
        kind=DifferenceKind.PAYOUT_AMOUNT,
        entry="payout",
        gateway_id=payout.line.number or str(payout.pk),
        ours=payout.expected,
        theirs=payout.amount,
    )


def _is_expected(terms: GatewayTerms, row: GatewayDay) -> bool:
    return bool(terms.payer_inn) and row.connection.partner_id is None


def is_awaited(row: GatewayDay) -> bool:
    """Whether money of a day is still to come, and nobody has said why it does not."""
    if row.payout_id is not None or not row.net.amount or not _is_expected(terms_of(row.connection), row):
        return False
    said = row.differences.filter(kind=DifferenceKind.PAYOUT_ABSENT).exclude(explained_at=None)
    return not said.exists()


def overdue(connection: Connection) -> None:
    """Says of which days no money has come in time."""
    with transaction.atomic():
        terms = lock(connection)
        for row in _unpaid(connection, terms):
            refresh(terms, row)
            tell(row)


def _unpaid(connection: Connection, terms: GatewayTerms) -> "QuerySet[GatewayDay]":
    before = today_of(connection) - timedelta(days=terms.payout_within_days)
    rows = GatewayDay.objects.filter(
        connection=connection, state=GatewayDay.State.OPEN, payout=None, day__lt=before
    )
    return rows.exclude(differences__kind=DifferenceKind.PAYOUT_ABSENT).select_related("connection")


def rewrite(row: GatewayDay, kinds: Iterable[str], found: Sequence[Difference]) -> None:
    """Replaces a day's differences of some kinds; what is the same as before keeps its explanation."""
    old = row.differences.filter(kind__in=list(kinds))
    explained = {_same(one): one for one in old.exclude(explained_at=None)}
    old.delete()
    for one in found:
        one.day = row
        if known := explained.get(_same(one)):
            one.note, one.explained_by, one.explained_at = (
                known.note,
                known.explained_by,
                known.explained_at,
            )
    Difference.objects.bulk_create(found)
    tell(row)


def _same(one: Difference) -> tuple[object, ...]:
    return one.kind, one.entry, one.gateway_id, one.ours, one.theirs


def tell(row: GatewayDay) -> None:
    """Staff look at a day while something of it is not explained."""
    left = row.differences.filter(explained_at=None).count()
    if left:
        work.open_for(None, DAY, row.pk, str(_("Не сошлось со шлюзом: %d") % left))
    else:
        work.close_for(None, DAY, row.pk)


# -- the ledger --------------------------------------------------------------------------------------


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


def _post(payout: GatewayPayout) -> None:
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
