"""What was spent, held against the payment orders that refunds were exported as: the very order is paid by its line."""

from apps.core import search
from apps.core.tenancy import in_partner
from apps.payments import bank_payouts
from apps.payments.bank_payouts import key_of
from apps.settlements.models import BankLine, BankStatement, LineState


def match(statement: BankStatement) -> int:
    """How many payouts the lines of a statement have paid. Number, sum and both accounts must be the order's own."""
    spent = statement.bank_lines.filter(state=LineState.SPENT, reason="").order_by("pk")
    return sum(_pay(line, statement) for line in spent)


def _pay(line: BankLine, statement: BankStatement) -> bool:
    account = line.counterparty.get("account", "")
    key = key_of(statement.account, line.number, line.amount, account)
    found = list(search.find(key).filter(kind=bank_payouts.KIND)[:2])
    # Of two that look alike nobody knows which: a person says so.
    if len(found) != 1 or not account:
        return False
    with in_partner(found[0].partner_id):
        payout = bank_payouts.paid(found[0].object_id, actor=statement.actor, bank_line=line.pk)
    # After it: should we die between, the same line finds the payout paid already.
    BankLine.objects.filter(pk=line.pk).update(reason=f"Возврат клиенту: {payout.money}"[:200])
    return payout.bank_line == line.pk
