"""What must hold of what reports say."""

from collections.abc import Iterator
from datetime import date

from apps.core import audit
from apps.core.tenancy import current_partner
from apps.ledger import trial_balance
from apps.ledger.models import Account
from apps.reports import partner_statement

SINCE, UNTIL = date(1, 1, 1), date(9999, 12, 31)


@audit.rule("reports.partner-statement")
def partner_account() -> Iterator[str]:
    """A partner's statement explains every transfer of its account, and ends with what the ledger holds."""
    partner = current_partner()
    question = trial_balance.Question(
        since=SINCE, until=UNTIL, partner_id=partner.pk, sandbox=partner.is_sandbox
    )
    held = {
        books.currency: -row.closing
        for books in trial_balance.answer(question)
        for row in books.rows
        if row.account == Account.PARTNER_PAYABLE
    }
    for one in partner_statement.of(partner, since=SINCE, until=UNTIL):
        if one.other:
            yield f"{one.other} {one.currency} of the partner's account is of no kind that its statement knows"
        elif one.closing != held.get(one.currency, 0):
            yield f"The statement ends with {one.closing}, the ledger with {held.get(one.currency, 0)}"
