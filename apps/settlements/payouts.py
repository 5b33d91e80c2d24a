"""What a gateway pays out: its transfer on the bank statement, the days that it is for, and what differs.

A transfer is known by its payer (and words of the purpose, where these are set) and given the days that its purpose
names, or a run of days not paid out yet that comes to exactly its sum; never others by a guess. One that fits nothing
waits for a person, without days (`payout_days`, `differences`). Locks in this order: line, the gateway's terms.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.connectors.models import Connection
from apps.core import clock, work
from apps.core.errors import Refused
from apps.settlements import payout_postings
from apps.settlements.differences import refresh
from apps.settlements.gateway_terms import lock, terms_of
from apps.settlements.models import BankLine, GatewayDay, GatewayPayout, GatewayTerms, LineState
from apps.settlements.payout_days import FARTHEST, days_named, run_of

KIND, LINE = "settlements.GatewayPayout", "settlements.BankLine"
ZERO = Decimal("0.00")


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
        days = said if said and is_exact else run_of(free, payout.amount)
    if days:
        _give(terms, payout, days, actor)
    else:
        work.open_for(None, KIND, payout.pk, str(_("Выплата шлюза: не ясно, за какие дни")))


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
        payout_postings.post(payout)
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
