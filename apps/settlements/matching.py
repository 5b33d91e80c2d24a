"""Which invoices a line of a statement pays: by the numbers in its purpose, never by a guess.

Money is taken by itself only where nothing is doubtful: the number is there, the invoice is open, of this legal
entity and paid by bank transfer, and who pays is whom it was issued to. Everything else waits for a person.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts import companies
from apps.billing import invoices, money_in, outside
from apps.billing.models import Collection, Invoice, InvoiceState
from apps.billing.paperwork import MoneySource
from apps.core import clock, search, work
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import in_partner
from apps.policies import numbering
from apps.settlements import payouts
from apps.settlements.models import Allocation, BankLine, LineState

KIND = "settlements.BankLine"
# People type the letter in Cyrillic, and spaces or dashes of any length between the parts.
_LETTER = numbering.LETTERS["invoice"]
_DASH = r"\s*[-‐-—]\s*"
_NUMBER = re.compile(rf"(?<!\w)[IiІі1lL]?\s*(\d{{2}}){_DASH}(\d+){_DASH}(\d+){_DASH}(\d{{6,}})(?!\d)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An invoice that a line may pay. `doubt` says why it is not taken by itself; empty where it is."""

    partner_id: int
    partner: str
    invoice_id: UUID
    number: str
    left: Money
    customer: str
    doubt: str


def numbers(purpose: str) -> list[str]:
    """Numbers of our invoices in a purpose, as we write them, each once."""
    return list(dict.fromkeys(f"{_LETTER}{'-'.join(parts)}" for parts in _NUMBER.findall(purpose)))


def candidates(line: BankLine) -> list[Candidate]:
    """The invoices that the purpose of a line names, with what speaks against each."""
    return [one for number in numbers(line.purpose) if (one := find(line, number))]


def find(line: BankLine, number: str) -> Candidate | None:
    """The invoice of a number, as this line could pay it; None where there is none of this legal entity."""
    for key in search.find(number).filter(kind=invoices.KIND):
        with in_partner(key.partner_id) as partner:
            invoice = Invoice.objects.filter(
                pk=key.object_id, number=number, legal_entity_id=line.statement.legal_entity_id
            ).first()
            if invoice is not None:
                return Candidate(
                    partner_id=partner.pk,
                    partner=partner.name,
                    invoice_id=invoice.pk,
                    number=invoice.number,
                    left=money_in.left(invoice),
                    customer=str(invoice.customer),
                    doubt=_doubt(line, invoice),
                )
    return None


def _doubt(line: BankLine, invoice: Invoice) -> str:
    if invoice.collection != Collection.INVOICE:
        return str(_("Счёт %s оплачивают не переводом")) % invoice.number
    if invoice.state != InvoiceState.OPEN:
        return str(_("Счёт %s уже оплачен или аннулирован")) % invoice.number
    company = companies.of(invoice.customer_id)
    payer = line.counterparty.get("inn", "")
    if company is not None and payer and payer != company.inn:
        return str(_("Счёт %s выставлен другому: платит ИНН %s")) % (invoice.number, payer)
    return ""


def settle(line_id: UUID, *, actor: str) -> BankLine:
    """Matches a line that waits; what is doubtful goes on waiting, with the reason. Called twice, it does it once."""
    with transaction.atomic():
        line = _locked(line_id)
        if line.state != LineState.UNIDENTIFIED:
            return line
        if not line.allocations.exists() and payouts.recognise(line, actor=actor):
            return line
        found = candidates(line)
        reason = _against(line, found)
        if not reason:
            reason = _take(line, found, actor)
        if reason:
            _wait(line, reason)
        return line


def assign(
    line_id: UUID, *, number: str, amount: Money | None = None, keep_rest: bool = False, actor: str
) -> BankLine:
    """A person says which invoice a line pays, wholly or with `amount` of it; `keep_rest` as in `outside.receive`.

    Raises Refused: `line_settled`, `unknown_invoice`, `bad_amount`, and those of `outside.receive`.
    """
    with transaction.atomic():
        line = _locked(line_id)
        _check_waiting(line)
        typed = numbers(number) or [number.strip()]
        invoice = find(line, typed[0])
        if invoice is None:
            raise Refused("unknown_invoice", _("У этого юридического лица нет счёта %s") % typed[0])
        left = line.left()
        wanted = amount or (left if keep_rest else min(left, invoice.left))
        if wanted.currency != line.currency or not 0 < wanted.amount <= left.amount:
            raise Refused(
                "bad_amount", _("Из этого поступления можно отнести не больше %s") % left, status=400
            )
        _receive(line, invoice, wanted, keep_rest=keep_rest, actor=actor)
        _finish(line, actor)
    return line


def set_aside(line_id: UUID, *, reason: str, actor: str) -> BankLine:
    """What is left of a line pays no invoice of ours: a person says why. Raises Refused `line_settled`, `no_reason`."""
    if not reason.strip():
        raise Refused("no_reason", _("Напишите, что это за деньги"), status=400)
    with transaction.atomic():
        line = _locked(line_id)
        _check_waiting(line)
        line.state, line.reason = LineState.SET_ASIDE, reason.strip()[:200]
        _settled(line, actor)
    return line


def put_back(line_id: UUID, *, actor: str) -> BankLine:
    """A line that was set aside waits again. Raises Refused `line_settled` for any other."""
    with transaction.atomic():
        line = _locked(line_id)
        if line.state != LineState.SET_ASIDE:
            raise Refused("line_settled", _("Это поступление не отложено"))
        line.state, line.settled_by, line.settled_at = LineState.UNIDENTIFIED, "", None
        _wait(line, str(_("Возвращено в очередь")))
        journal.record("bank-line.put-back", KIND, line.pk, actor=actor, data={})
    return line


def _locked(line_id: UUID) -> BankLine:
    # Always before what belongs to a partner: nobody locks a line while holding an invoice.
    return (
        BankLine.objects.select_for_update(of=("self",), no_key=True)
        .select_related("statement")
        .get(pk=line_id)
    )


def _check_waiting(line: BankLine) -> None:
    if line.state != LineState.UNIDENTIFIED:
        raise Refused("line_settled", _("С этой строкой уже решено: %s") % line.get_state_display())


def _against(line: BankLine, found: Sequence[Candidate]) -> str:
    """Why the line is not taken by itself; empty where nothing speaks against it."""
    named = numbers(line.purpose)
    if not named:
        return str(_("В назначении нет номера счёта"))
    if missing := [one for one in named if one not in {candidate.number for candidate in found}]:
        return str(_("Счёт не найден: %s")) % ", ".join(missing)
    if doubts := [candidate.doubt for candidate in found if candidate.doubt]:
        return "; ".join(doubts)
    if len(found) > 1 and sum(one.left.amount for one in found) != line.left().amount:
        return str(_("Счетов несколько, и сумма не равна их сумме"))
    return ""


def _take(line: BankLine, found: Sequence[Candidate], actor: str) -> str:
    """Pays the invoices that the line names; why not, if one of them refuses."""
    try:
        with transaction.atomic():
            for one in found:
                amount = one.left if len(found) > 1 else line.left()
                _receive(line, one, amount, keep_rest=True, actor=actor)
    except Refused as refusal:
        return str(refusal.message)
    _finish(line, actor)
    return ""


def _receive(line: BankLine, invoice: Candidate, amount: Money, *, keep_rest: bool, actor: str) -> None:
    with in_partner(invoice.partner_id):
        made = outside.receive(
            invoice_id=invoice.invoice_id,
            source=MoneySource.BANK,
            amount=amount,
            paid_date=line.booked_date,
            reference=line.number or str(line.pk)[:8],
            key=f"bank:{line.pk}:{invoice.invoice_id}",
            actor=actor,
            accept_part=True,
            keep_rest=keep_rest,
        )
    Allocation.objects.create(
        line=line,
        partner_id=invoice.partner_id,
        invoice_id=invoice.invoice_id,
        invoice_number=invoice.number,
        outside_payment_id=made.pk,
        amount=amount.amount,
        actor=actor[:150],
        made_at=clock.now(),
    )


def _finish(line: BankLine, actor: str) -> None:
    left = line.left()
    if left.amount:
        _wait(line, str(_("Осталось отнести %s")) % left)
        return
    line.state, line.reason = LineState.MATCHED, ""
    _settled(line, actor)


def _settled(line: BankLine, actor: str) -> None:
    line.settled_by, line.settled_at = actor[:150], clock.now()
    line.save(update_fields=["state", "reason", "settled_by", "settled_at"])
    work.close_for(None, KIND, line.pk)
    data = {"state": line.state, "reason": line.reason}
    journal.record("bank-line.settled", KIND, line.pk, actor=actor, data=data)


def _wait(line: BankLine, reason: str) -> None:
    line.reason = reason[:200]
    line.save(update_fields=["state", "reason", "settled_by", "settled_at"])
    work.open_for(None, KIND, line.pk, line.reason)
