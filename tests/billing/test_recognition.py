"""Revenue by day: each month has what its days have earned, whatever goes back, however late or often it is run."""

from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.billing import credits, invoices, recognition, subscriptions
from apps.billing.models import CreditReason, InvoiceLine, Subscription
from apps.billing.recognition import Gone, Span
from apps.catalog.models import ProviderTerms, Trade
from apps.core import audit, clock
from apps.core.models import Due
from apps.core.money import Money
from apps.ledger.models import Transfer
from apps.partners.models import LegalEntity
from apps.payments import payments
from apps.payments.models import Payment
from tests.billing.test_renewals import balance
from tests.orders.shop import Shop
from tests.planted import execute, found

START = date(2027, 1, 11)
CORRUPTIONS = ("billing.earned-by-day",)


@pytest.fixture
def year(shop: Shop) -> Subscription:
    """1220.00 with 220.00 of VAT for the 365 days from 11 January 2027."""
    shop.until(START, hour=10)
    return shop.buy(shop.offer(price="1220.00", period_unit="year"))


def line_of(subscription: Subscription) -> InvoiceLine:
    return subscription.lines.select_related("invoice").earliest("period_start")


def by_month(shop: Shop) -> list[tuple[date, D]]:
    """What became revenue, and on which day of the books; what was taken back is negative."""
    rows = Transfer.objects.filter(partner_id=shop.partner.pk).order_by("id")
    taken = rows.filter(debit="revenue", credit="deferred") | rows.filter(debit="deferred", credit="revenue")
    return [(row.business_date, row.amount if row.credit == "revenue" else -row.amount) for row in taken]


def clean(shop: Shop) -> None:
    assert [str(violation) for violation in audit.run([shop.partner.pk])] == []


def recognise(subscription: Subscription) -> None:
    with transaction.atomic():
        invoices.recognise(line_of(subscription).invoice_id)


def back(shop: Shop, subscription: Subscription, amount: str) -> None:
    paid = Payment.objects.get(subscription_id=subscription.pk)
    payments.refund(payment=paid, amount=Money(D(amount)), reason="-", actor="")
    shop.hurry()


def test_each_month_has_its_days_and_the_end_has_the_rest(shop: Shop, year: Subscription) -> None:
    shop.until(date(2027, 4, 1))
    # 21, 49 and 80 of 365 days of 1000.00: 57.534…, 134.246…, 219.178….
    wanted = [
        (date(2027, 1, 31), D("57.53")),
        (date(2027, 2, 28), D("76.72")),
        (date(2027, 3, 31), D("84.93")),
    ]
    assert by_month(shop) == wanted
    clean(shop)
    for _again in range(2):
        recognise(year)
    assert by_month(shop) == wanted
    shop.until(date(2028, 1, 11))
    rows = [row for row in by_month(shop) if row[0] <= date(2028, 1, 10)]
    assert len(rows) == 13
    assert rows[-1][0] == date(2028, 1, 10)
    assert sum(amount for _day, amount in rows) == D("1000.00")
    clean(shop)


def test_late_it_comes_to_the_same_and_closed_months_stay_as_they_were(
    shop: Shop, year: Subscription
) -> None:
    mine = Due.objects.filter(kind=invoices.RECOGNISE, object_id=line_of(year).invoice_id)
    kept = mine.get()
    mine.delete()
    shop.until(date(2027, 3, 5))
    assert by_month(shop) == []
    kept.pk = None
    kept.save(force_insert=True)
    mine_books = LegalEntity.objects.filter(pk=shop.partner.legal_entity_id)
    mine_books.update(closed_until=date(2027, 1, 31))
    try:
        shop.until(date(2027, 3, 6))
    finally:
        mine_books.update(closed_until=None)
    # January is closed: what it has earned falls on the first open day.
    assert by_month(shop) == [(date(2027, 2, 1), D("57.53")), (date(2027, 2, 28), D("76.72"))]
    clean(shop)


def test_half_of_it_given_back_takes_half_of_what_was_earned(shop: Shop, year: Subscription) -> None:
    shop.until(date(2027, 4, 15))
    back(shop, year, "610.00")
    # 219.18 was recognised; of 500.00 that are left, 80 of 365 days are 109.59.
    assert by_month(shop)[-1] == (date(2027, 4, 15), D("-109.59"))
    clean(shop)
    shop.until(date(2027, 5, 1))
    # 110 of 365 days of 500.00 are 150.68.
    assert by_month(shop)[-1] == (date(2027, 4, 30), D("41.09"))
    assert -balance(shop, "revenue") == D("150.68")
    clean(shop)
    back(shop, year, "610.00")
    assert (balance(shop, "revenue"), balance(shop, "deferred")) == (D(0), D(0))
    clean(shop)


def test_days_that_were_not_served_take_nothing_of_those_that_were(shop: Shop, year: Subscription) -> None:
    shop.until(date(2027, 4, 15), hour=12)
    subscriptions.cancel(year, at_period_end=False, actor="test")
    shop.hurry()
    note = line_of(year).credits.get()
    assert (note.period_start, note.period_end) == (date(2027, 4, 15), date(2028, 1, 11))
    assert -balance(shop, "revenue") == D("219.18")
    clean(shop)
    shop.until(date(2027, 5, 1))
    # All 94 days are over: 1220 × 94/365 = 314.19 was theirs, 56.66 of it VAT.
    assert -balance(shop, "revenue") == D("1000.00") - (note.amount - note.vat)
    assert by_month(shop)[-1][0] == date(2027, 4, 30)
    assert balance(shop, "deferred") == D(0)
    clean(shop)


def test_an_agents_commission_is_earned_by_day_as_well(shop: Shop) -> None:
    ProviderTerms.objects.create(
        provider=shop.provider,
        number="П-1",
        valid_from=date(2020, 1, 1),
        trade=Trade.AGENCY,
        percent=D(10),
        base="gross",
    )
    shop.until(START, hour=10)
    year = shop.buy(shop.offer(price="1220.00", period_unit="year"))
    shop.until(date(2027, 4, 1))
    # The commission is 122.00, 22.00 of it VAT.
    assert by_month(shop) == [
        (date(2027, 1, 31), D("5.75")),
        (date(2027, 2, 28), D("7.67")),
        (date(2027, 3, 31), D("8.50")),
    ]
    back(shop, year, "610.00")
    assert -balance(shop, "revenue") == D("10.96")
    clean(shop)


def test_a_correction_of_a_month_that_was_not_run_yet_runs_it_first(shop: Shop, year: Subscription) -> None:
    Due.objects.filter(kind=invoices.RECOGNISE, object_id=line_of(year).invoice_id).update(
        due_at=clock.now() + timedelta(days=300)
    )
    shop.until(date(2027, 2, 10), hour=12)
    line = line_of(year)
    with transaction.atomic():
        part = credits.Part(line.pk, D("122.00"))
        credits.issue(invoice=line.invoice, parts=[part], reason=CreditReason.CORRECTION, key="k")
    assert by_month(shop) == [(date(2027, 1, 31), D("57.53")), (date(2027, 2, 10), D("-5.75"))]
    planned = Due.objects.get(kind=invoices.RECOGNISE, object_id=line.invoice_id)
    assert clock.local(planned.due_at).date() == date(2027, 3, 1)
    clean(shop)


def test_an_unpaid_invoice_earns_nothing_and_the_auditor_sees_what_is_wrong(
    shop: Shop, year: Subscription
) -> None:
    shop.order(shop.offer(price="1220.00", period_unit="year"))
    shop.until(date(2027, 3, 1))
    assert len(by_month(shop)) == 2
    mine = f"partner_id = {shop.partner.pk} AND posting LIKE 'month-202701-%'"
    for wrong in (
        f"UPDATE ledger_transfer SET amount = amount + 0.01 WHERE {mine}",
        f"DELETE FROM ledger_transfer WHERE {mine}",
        f"UPDATE ledger_transfer SET credit = 'vat' WHERE {mine}",
        f"UPDATE ledger_transfer SET kind = 'refund' WHERE {mine}",
    ):
        assert found("billing.earned-by-day", lambda sql=wrong: execute(sql)), wrong


days = st.dates(date(2024, 1, 1), date(2030, 1, 1))


@given(
    start=days,
    length=st.integers(1, 800),
    amount=st.decimals("0.01", "99999.99", places=2),
    goes=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100)), max_size=3),
)
def test_what_is_earned_never_shrinks_and_comes_to_the_whole(
    start: date, length: int, amount: D, goes: list[tuple[int, int, int]]
) -> None:
    span = Span(start, start + timedelta(days=length))
    gone, rest = [], amount
    for percent, begins, ends in goes:
        part = min((amount * percent / 300).quantize(D("0.01")), rest)
        since = start + timedelta(days=length * min(begins, ends) // 100)
        until = max(start + timedelta(days=length * max(begins, ends) // 100), since + timedelta(days=1))
        # Of its days, no more goes back than they cost.
        share = amount * (until - since).days / length / 3
        if part and (begins % 2 or part <= share):
            gone.append(Gone(part, None if begins % 2 else Span(since, min(until, span.end))))
            rest -= part
    own, so_far = (rest * D("0.8")).quantize(D("0.01")), D(0)
    for day in [*recognition.month_ends(span, span.end), span.end]:
        earned = recognition.earned(own, amount, span, gone, day)
        assert so_far <= earned <= own
        so_far = earned
    assert so_far == (own if rest > 0 else D(0))


def test_the_next_day_is_the_first_month_or_line_that_is_over() -> None:
    spans = [Span(date(2027, 1, 11), date(2027, 1, 20)), Span(date(2027, 1, 11), date(2027, 3, 11))]
    expected: list[Any] = [date(2027, 1, 20), date(2027, 2, 1), date(2027, 3, 1), date(2027, 3, 11), None]
    day: date | None = START
    for wanted in expected:
        assert day
        day = recognition.next_day(spans, day)
        assert day == wanted
    assert recognition.next_day([], START) is None
