"""How a dunning ends: with its invoice, whoever pays or voids it, and once."""

from apps.billing.dunning_models import Dunning
from apps.billing.models import Invoice, InvoicePayment
from apps.core import clock, due
from apps.policies.dunning_models import DunningResult, ResultState

STEP = "billing.dunning"
"""Due work, of a subscription: the next step."""


def invoice_paid(invoice: Invoice) -> None:
    """The money of a locked invoice came: what was chased is recovered."""
    for dunning in Dunning.objects.filter(invoice=invoice, state=ResultState.RUNNING):
        link = InvoicePayment.objects.filter(invoice=invoice, failed=False).select_related("payment").first()
        dunning.recovered_by = (
            "balance" if link is None else "retry" if link.payment.is_charge else "customer"
        )
        close(dunning, ResultState.RECOVERED)


def invoice_voided(invoice: Invoice) -> None:
    """A locked invoice is owed no more: nothing is chased."""
    for dunning in Dunning.objects.filter(invoice=invoice, state=ResultState.RUNNING):
        close(dunning, ResultState.STOPPED)


def close(dunning: Dunning, state: str) -> None:
    """A running dunning of a locked subscription is over; so is what was planned for it."""
    dunning.state, dunning.closed_at = state, clock.now()
    dunning.next_date, dunning.next_action = None, ""
    dunning.save()
    DunningResult.objects.filter(pk=dunning.pk).update(state=state, closed_date=clock.today())
    due.cancel(STEP, dunning.subscription_id)
