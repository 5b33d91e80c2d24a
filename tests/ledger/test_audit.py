"""Each rule of the ledger finds a corruption planted for it, and nothing else does."""

from contextlib import contextmanager
from datetime import date
from uuid import uuid4

import pytest
from django.db import connection, transaction

from apps.core import audit
from apps.core.tenancy import in_public
from apps.ledger import audits
from apps.ledger.models import Transfer
from tests.ledger.test_ledger import NOON, posting

RULES = {
    "ledger.transfer-whole": audits.transfer_whole,
    "ledger.dimension-exists": audits.dimension_exists,
    "ledger.sandbox-apart": audits.sandbox_apart,
    "ledger.append-only": audits.append_only,
}


def row(partner, **changed):
    plain = posting()
    return Transfer(
        **{
            "partner": partner,
            "document_kind": "invoice",
            "document_id": uuid4(),
            "posting": plain.name,
            "debit": plain.debit,
            "credit": plain.credit,
            "amount": plain.amount,
            "occurred_at": NOON,
            "recorded_at": NOON,
            "business_date": date(2026, 3, 1),
            **changed,
        }
    )


@contextmanager
def corrupted(*statements, transfer=None):
    """Inside, the ledger is broken; outside, it never was: append-only rows could not be taken back."""
    with in_public(), transaction.atomic():
        for statement in statements:
            connection.cursor().execute(statement)
        if transfer is not None:
            transfer.save()
        yield
        transaction.set_rollback(True)


def found():
    return {name: list(rule()) for name, rule in RULES.items()}


def test_rules_are_registered_and_silent_over_a_good_ledger(partner):
    assert set(RULES) <= set(audit.RULES)
    with corrupted(transfer=row(partner)):
        assert not any(found().values())


CORRUPTIONS = [
    (
        "ledger.transfer-whole",
        {"amount": -5},
        ["ALTER TABLE ledger_transfer DROP CONSTRAINT ledger_transfer_amount"],
    ),
    ("ledger.transfer-whole", {"debit": "pocket"}, []),
    ("ledger.dimension-exists", {"seller_id": 999_999_999}, []),
    ("ledger.dimension-exists", {"connection_id": 999_999_999}, []),
    ("ledger.sandbox-apart", {"is_sandbox": True}, []),
    ("ledger.append-only", {}, ["ALTER TABLE ledger_transfer DISABLE TRIGGER ledger_transfer_refuses"]),
    ("ledger.append-only", {}, ["DROP TRIGGER ledger_transfer_refuses ON ledger_transfer"]),
]


@pytest.mark.parametrize(("rule", "changed", "statements"), CORRUPTIONS)
def test_planted_corruption_is_found(partner, rule, changed, statements):
    with corrupted(*statements, transfer=row(partner, **changed)):
        assert {name for name, lines in found().items() if lines} == {rule}
