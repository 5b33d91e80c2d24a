"""Closed books: corrections go to the first open day, and the database itself refuses what would change old days."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.billing import credits, invoices
from apps.billing.models import CreditNote, CreditReason, Invoice
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.ledger.models import Transfer
from apps.partners import books
from apps.partners.models import LegalEntity, Partner
from tests.billing.test_by_bank import bank, clean, company, order_of
from tests.orders.shop import Shop
from tests.planted import execute, taken_back

CORRUPTIONS = ("ledger.closed-books", "billing.documents-in-open-books")


@pytest.fixture
def entity(shop: Shop) -> LegalEntity:
    """A company of the shop's own: closing its books touches nobody else's."""
    with in_public():
        made = LegalEntity.objects.create(name="ООО «Книги»", inn="7707083893", is_operator=False)
        Partner.objects.filter(pk=shop.partner.pk).update(legal_entity=made)
    shop.partner.refresh_from_db()
    return made


def closed(entity: LegalEntity, until: date) -> None:
    """Past the check that the day is over: a sandbox has a clock of its own."""
    LegalEntity.objects.filter(pk=entity.pk).update(closed_until=until, closed_at=clock.wall())


def test_what_comes_late_is_posted_to_the_first_open_day(shop: Shop, entity: LegalEntity) -> None:
    sold = clock.today()
    order = order_of(shop, company(shop))
    shop.until(sold + timedelta(days=3))
    closed(entity, clock.today() + timedelta(days=1))
    first_open = clock.today() + timedelta(days=2)

    made = bank(order.invoice, "1220.00", paid_date=sold)
    assert (made.paid_date, made.business_date) == (sold, first_open)
    assert {row.business_date for row in Transfer.objects.filter(document_id=made.pk)} == {first_open}
    shop.deliver()
    with transaction.atomic():
        note = credits.issue(
            invoice=order.invoice,
            parts=[credits.Part(order.invoice.lines.get().pk, Decimal("122.00"))],
            reason=CreditReason.CORRECTION,
            key="late",
        )
    assert (note.business_date, note.vat) == (first_open, Decimal("22.00"))
    # A sale of a closed day too: its invoice, and all that is posted of it.
    late = order_of(shop, company(shop)).invoice
    assert late.business_date == first_open
    assert {row.business_date for row in Transfer.objects.filter(document_id=late.pk)} == {first_open}
    assert clean(shop) == []


def test_the_database_refuses_what_is_of_a_closed_day(shop: Shop, entity: LegalEntity) -> None:
    """By raw SQL, whatever the code does."""
    order = order_of(shop, company(shop))
    waiting = invoices.draft(subscription=order.item.subscription, purpose="change")
    day = clock.today()
    columns = ", ".join(field.column for field in Transfer._meta.concrete_fields if field.name != "id")
    chosen = columns.replace("document_id", "gen_random_uuid()")
    posting = f"INSERT INTO ledger_transfer ({columns}) SELECT {chosen} FROM ledger_transfer LIMIT 1"
    of_mine = posting.replace("LIMIT 1", f"WHERE seller_id = {entity.pk} LIMIT 1")
    issued = (
        f"UPDATE billing_invoice SET state = 'open', number = 'X-1', business_date = '{day}'"
        f" WHERE id = '{waiting.pk}'"
    )
    note = _insert(
        CreditNote,
        id=str(uuid7()),
        number="C-1",
        invoice_id=str(order.invoice.pk),
        customer_id=str(order.customer_id),
        legal_entity_id=entity.pk,
        reason="correction",
        total="1.00",
        vat="0.00",
        currency="RUB",
        to_debt="1.00",
        to_balance="0.00",
        to_refund="0.00",
        business_date=str(day),
        issued_at=str(clock.now()),
        actor="",
        key="raw",
    )
    for statement in (of_mine, issued, note):
        _tried(statement)
    closed(entity, day)
    for statement in (of_mine, issued, note):
        with pytest.raises(DatabaseError, match="are closed until"):
            _tried(statement)
    # Its state may still move: the document stands as it was issued.
    with transaction.atomic():
        invoices.void(invoices.locked(order.invoice.pk))


def _insert(model: Any, **values: Any) -> str:
    names, given = ", ".join(values), ", ".join(f"'{value}'" for value in values.values())
    return f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({given})"


def _tried(statement: str) -> None:
    with transaction.atomic():
        execute(statement)
        execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)


def _closed_while_posting(entity: LegalEntity, partner: Partner, until: date) -> bool:
    """Whether the books could close while a posting to their last day was not committed."""
    posted, go_on = Event(), Event()

    def post() -> None:
        with closing(connection), transaction.atomic():
            execute(_posting(entity, partner, until))
            posted.set()
            assert go_on.wait(20)

    def close() -> None:
        with closing(connection):
            books.close(entity, until=until, actor="finance")

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(post)
        assert posted.wait(20)
        done = pool.submit(close)
        try:
            done.result(timeout=0.5)
            return True
        except TimeoutError:
            return False
        finally:
            go_on.set()
            slow.result(timeout=20)
            done.result(timeout=20)


def test_closing_waits_for_who_is_posting(entity_of_nobody: LegalEntity, partner: Partner) -> None:
    until = date(2020, 1, 31)
    assert not _closed_while_posting(entity_of_nobody, partner, until)
    with pytest.raises(DatabaseError, match="are closed until"):
        _tried(_posting(entity_of_nobody, partner, until))
    # What had begun before is there, and is no corruption: the auditor agrees.
    assert not list(audit.RULES["ledger.closed-books"].check())
    with in_public():
        assert Entry.objects.filter(action="books.closed", object_id=str(entity_of_nobody.pk)).exists()


def test_without_the_lock_books_close_over_a_posting(
    entity_of_nobody: LegalEntity, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "_LOCK", 1)
    assert _closed_while_posting(entity_of_nobody, partner, date(2020, 1, 31))


@pytest.fixture
def entity_of_nobody() -> LegalEntity:
    with in_public():
        return LegalEntity.objects.create(name="ООО «Ничьи»", inn="7707083893")


def _posting(entity: LegalEntity, partner: Partner, day: date) -> str:
    return _insert(
        Transfer,
        partner_id=partner.pk,
        document_kind="test",
        document_id=str(uuid7()),
        posting="one",
        debit="bank",
        credit="advances",
        amount="1.00",
        currency="RUB",
        occurred_at=str(clock.wall()),
        business_date=str(day),
        recorded_at=str(clock.wall()),
        is_sandbox="false",
        owner="operator",
        kind="",
        seller_id=entity.pk,
    )


def test_books_close_forward_and_open_with_a_reason(entity_of_nobody: LegalEntity) -> None:
    def refused(act: Any) -> str:
        with pytest.raises(Refused) as refusal:
            act()
        return refusal.value.code

    made, today = entity_of_nobody, clock.wall().date()
    assert refused(lambda: books.close(made, until=today + timedelta(days=1), actor="f")) == "not_over"
    made = books.close(made, until=date(2026, 1, 31), actor="f")
    assert refused(lambda: books.close(made, until=date(2026, 1, 31), actor="f")) == "closed_already"
    assert books.open_day(made.pk, date(2025, 5, 5)) == date(2026, 2, 1)
    assert books.open_day(made.pk, date(2026, 2, 2)) == date(2026, 2, 2)
    assert refused(lambda: books.reopen(made, until=None, reason=" ", actor="f")) == "no_reason"
    assert refused(lambda: books.reopen(made, until=date(2026, 3, 1), reason="x", actor="f")) == "not_closed"
    made = books.reopen(made, until=None, reason="ошибка в акте", actor="f")
    assert books.open_day(made.pk, date(2025, 5, 5)) == date(2025, 5, 5)


def test_the_auditor_finds_what_got_past_the_triggers(shop: Shop, entity: LegalEntity) -> None:
    order_of(shop, company(shop))
    closed(entity, clock.today() - timedelta(days=30))
    for rule in CORRUPTIONS:
        assert not list(audit.RULES[rule].check())
    old = clock.today() - timedelta(days=31)
    with taken_back():
        execute(f"UPDATE ledger_transfer SET business_date = '{old}' WHERE seller_id = {entity.pk}")
        # It had been recorded before the books were closed, as its moment says: so far all is well.
        assert not list(audit.RULES["ledger.closed-books"].check())
        execute(
            f"UPDATE ledger_transfer SET recorded_at = now() + interval '1 hour' WHERE seller_id = {entity.pk}"
        )
        assert list(audit.RULES["ledger.closed-books"].check())
    with taken_back():
        LegalEntity.objects.filter(pk=entity.pk).update(closed_at=clock.wall() - timedelta(hours=1))
        Invoice.objects.update(business_date=old)
        assert list(audit.RULES["billing.documents-in-open-books"].check())


def test_finance_closes_in_the_console_and_only_an_administrator_opens(
    entity_of_nobody: LegalEntity, staff_client: Any
) -> None:
    page = f"/admin/partners/legalentity/{entity_of_nobody.pk}"
    support, finance, admin = (staff_client(role=role) for role in ("support", "finance", "admin"))
    assert support.post(f"{page}/close-books/", {"until": "31.01.2026"}).status_code == 403
    assert finance.get(f"{page}/close-books/").status_code == 200
    assert finance.post(f"{page}/close-books/", {"until": "31.01.2026"}).status_code == 302
    entity_of_nobody.refresh_from_db()
    assert entity_of_nobody.closed_until == date(2026, 1, 31)
    assert finance.post(f"{page}/reopen-books/", {"reason": "ой"}).status_code == 403
    assert admin.post(f"{page}/reopen-books/", {"reason": "ошибка"}).status_code == 302
    entity_of_nobody.refresh_from_db()
    assert entity_of_nobody.closed_until is None
