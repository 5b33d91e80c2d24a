"""The ledger takes what is right, in the document's transaction, and lets nothing go."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.ledger import ledger
from apps.ledger.models import Transfer

NOON = datetime(2026, 3, 1, 9, tzinfo=UTC)


def posting(name="line-1", amount="299.00", **changed):
    sides = {"debit": ledger.Account.RECEIVABLE, "credit": ledger.Account.DEFERRED}
    return ledger.Posting(name=name, amount=Decimal(amount), **{**sides, **changed})


def post(document_id, *postings):
    with transaction.atomic():
        ledger.post("invoice", document_id, postings, occurred_at=NOON, business_date=date(2026, 3, 1))


def test_document_is_posted_with_its_dimensions_and_zeros_are_left_out(partner):
    document, customer = uuid4(), uuid4()
    vat = posting("line-1-vat", "0", credit=ledger.Account.VAT)
    post(document, posting(customer_id=customer, kind=ledger.Sale.NEW, vat_rate=Decimal(22)), vat)
    [transfer] = Transfer.objects.filter(partner=partner)
    assert (transfer.document_id, transfer.customer_id, transfer.kind) == (document, customer, "new")
    assert (transfer.amount, transfer.vat_rate, transfer.is_sandbox) == (Decimal(299), Decimal(22), False)
    assert transfer.recorded_at != transfer.occurred_at == NOON


def test_a_sandbox_partners_money_is_marked(sandbox_partner):
    post(uuid4(), posting())
    assert Transfer.objects.get(partner=sandbox_partner).is_sandbox


def test_what_is_wrong_is_not_posted(partner):
    document = uuid4()
    post(document, posting())
    with pytest.raises(IntegrityError, match="ledger_transfer_once"):
        post(document, posting())
    with pytest.raises(IntegrityError, match="ledger_transfer_amount"):
        post(uuid4(), posting(amount="-1"))
    with pytest.raises(IntegrityError, match="ledger_transfer_sides"):
        post(uuid4(), posting(debit=ledger.Account.DEFERRED))
    with pytest.raises(ValueError, match="pocket"):
        post(uuid4(), posting(debit="pocket"))
    with pytest.raises(RuntimeError, match="one transaction"):
        ledger.post("invoice", uuid4(), [posting()], occurred_at=NOON, business_date=date(2026, 3, 1))
    assert Transfer.objects.filter(partner=partner).count() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_transfer SET amount = 1",
        "UPDATE ledger_transfer SET amount = 1 WHERE false",
        "DELETE FROM ledger_transfer",
        "TRUNCATE ledger_transfer",
        "SET LOCAL session_replication_role = replica; DELETE FROM ledger_transfer",
    ],
)
def test_the_database_refuses_to_change_the_ledger(partner, statement):
    post(uuid4(), posting())
    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
        connection.cursor().execute(statement)
    assert Transfer.objects.filter(partner=partner).count() == 1
