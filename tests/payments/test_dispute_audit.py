"""Each rule of agreed refunds, payouts by bank details and disputes finds the corruption that it is there for."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Model, QuerySet

from apps.core import audit, clock
from apps.core.models import WorkItem
from apps.journal.models import Entry
from apps.ledger.models import Transfer
from apps.payments import bank_payouts, disputes, evidence, refund_calls, refunds
from apps.payments.bank_payout_models import BankPayout
from apps.payments.dispute_models import Dispute, DisputeFile
from apps.payments.models import Refund
from tests.payments.conftest import Till
from tests.payments.test_bank_payouts import TO, by_bank
from tests.payments.test_disputes import opened
from tests.payments.test_limits import give, person
from tests.planted import found


@dataclass
class Cases:
    """Healthy rows to be corrupted, each of a payment of its own."""

    approved: Refund
    requested: Refund
    payout: BankPayout
    lost: Dispute
    waiting: Dispute


def change(row: Model, **columns: Any) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(**columns)


def agreement(cases: Cases) -> QuerySet[Entry]:
    return Entry.objects.filter(action="payments.refund-approved", object_id=str(cases.approved.payment_id))


def posted(dispute: Dispute, posting: str) -> QuerySet[Transfer]:
    return Transfer.objects.filter(document_id=dispute.pk, posting=posting)


def unwatched(row: Model) -> None:
    WorkItem.objects.filter(object_id=row.pk).delete()


def given_as_well(cases: Cases) -> None:
    """The bank has taken the money, and then it went to the customer too."""
    Refund.objects.create(
        payment=cases.waiting.payment, amount=1, reason="-", state="succeeded", created_at=clock.now()
    )


CORRUPTIONS: list[tuple[str, Callable[[Cases], Any]]] = [
    ("payments.refund-as-approved", lambda cases: change(cases.approved, decided_by="")),
    ("payments.refund-as-approved", lambda cases: change(cases.approved, amount=Decimal("151.00"))),
    ("payments.refund-as-approved", lambda cases: agreement(cases).delete()),
    ("payments.refund-as-approved", lambda cases: agreement(cases).update(actor="somebody")),
    ("payments.refund-as-approved", lambda cases: change(cases.requested, state="created")),
    ("payments.refund-as-approved", lambda cases: unwatched(cases.requested)),
    ("payments.payout-as-refund", lambda cases: BankPayout.objects.all().delete()),
    ("payments.payout-as-refund", lambda cases: change(cases.payout, amount=Decimal("41.00"))),
    ("payments.payout-as-refund", lambda cases: change(cases.payout, state="paid", paid_at=clock.now())),
    ("payments.payout-as-refund", lambda cases: change(cases.payout, state="cancelled")),
    ("payments.payout-as-refund", lambda cases: change(cases.payout.refund, state="succeeded")),
    ("payments.dispute-posted", lambda cases: posted(cases.waiting, "taken").update(amount=1)),
    ("payments.dispute-posted", lambda cases: posted(cases.waiting, "taken").update(credit="bank")),
    ("payments.dispute-posted", lambda cases: posted(cases.lost, "lost").update(debit="revenue")),
    ("payments.dispute-posted", lambda cases: posted(cases.lost, "lost").update(posting="returned")),
    ("payments.dispute-posted", lambda cases: change(cases.waiting, is_taken=False)),
    ("payments.dispute-posted", lambda cases: change(cases.lost, state="won")),
    ("payments.disputed-not-refunded", given_as_well),
    ("payments.dispute-is-watched", lambda cases: unwatched(cases.waiting)),
    ("payments.dispute-is-watched", lambda cases: DisputeFile.objects.update(content=b"%PDF-other")),
]


def happened(till: Till, limits: Callable[..., None]) -> Cases:
    """A refund that two agreed to, one that waits, a payout to a bank, a dispute that is lost and an open one."""
    limits("finance", one="100")
    asker, second = person(till.partner, "finance"), person(till.partner, "admin")
    approved, requested = (give(till.paid(), "150", asker) for _ in range(2))
    refunds.approve(approved.pk, actor=second)
    approved = refund_calls.send(approved.pk)
    payout = by_bank(till.paid(), "40.00")
    bank_payouts.set_details(payout.pk, TO, actor="ivan")
    lost, waiting = opened(till.paid()), opened(till.paid())
    disputes.decide(lost.pk, "lost", actor="finance")
    evidence.make(waiting.pk, actor="finance")
    return Cases(approved, requested, payout, lost, waiting)


def healthy(till: Till) -> None:
    assert [str(one) for one in audit.of_partners([till.partner])] == []


def test_each_rule_finds_its_corruption(till: Till, limits: Callable[..., None]) -> None:
    cases = happened(till, limits)
    healthy(till)
    for number, (rule, corrupt) in enumerate(CORRUPTIONS):
        assert found(rule, lambda corrupt=corrupt: corrupt(cases)), f"{rule} did not find {number}"
    healthy(till)
