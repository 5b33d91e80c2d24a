"""A month of twelve subscriptions of every kind, computed by hand (docs/hand-computed-month.md) and lived through.

Every figure below is a literal of that computation. Documents, ledger, trial balance, statements and the sales report
are compared with it to the kopeck.
"""

import html
import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client

from apps.billing import changes, pauses, statements, subscriptions
from apps.billing.models import CreditNote, CustomerBalance, Invoice, Subscription, SubscriptionDiscount
from apps.catalog.models import ProviderTerms, Trade
from apps.connectors.models import Connection
from apps.core import audit, clock
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.ledger import trial_balance
from apps.ledger.chart import EVENTS
from apps.ledger.models import Transfer
from apps.partners.models import ContractTerms
from apps.payments import payments
from apps.payments.models import Payment, Refund
from apps.reports import partner_statement, sales
from tests.billing.test_lifecycle import another
from tests.billing.test_lifecycle_rests import addon_offer
from tests.orders.shop import Shop

FIRST, LAST, NEXT = date(2027, 3, 1), date(2027, 3, 31), date(2027, 4, 1)

# Of each invoice: total, VAT, taken from the balance, charged, the gateway's fee, the partner's share, the provider's
# cost (an agent's: what the principal gets), what became revenue by 31 March.
INVOICES = {
    1: ["122.00 22.00 0 122.00 4.27 20.00 40.00 100.00", "122.00 22.00 0 122.00 4.27 23.93 40.00 0"],
    2: ["110.00 10.00 0 110.00 3.85 20.00 40.00 100.00", "110.00 10.00 0 110.00 3.85 24.04 40.00 0"],
    3: ["300.00 0 0 300.00 10.50 60.00 210.00 73.77", "300.00 0 0 300.00 10.50 72.38 210.00 0"],
    4: [
        "61.00 11.00 0 61.00 2.13 10.00 20.00 50.00",
        "30.50 5.50 0 30.50 1.07 5.00 10.00 25.00",
        "30.50 5.50 0 30.50 1.07 5.98 10.00 25.00",
        "61.00 11.00 0 61.00 2.13 11.97 20.00 5.00",
    ],
    5: [
        "122.00 22.00 0 122.00 4.27 20.00 40.00 32.25",
        "165.29 29.81 82.65 82.64 2.89 27.10 54.19 135.48",
        "244.00 44.00 0 244.00 8.54 47.87 80.00 0",
    ],
    6: [
        "122.00 22.00 0 122.00 4.27 20.00 40.00 48.39",
        "122.00 22.00 62.97 59.03 2.07 24.48 40.00 19.35",
    ],
    7: ["149.00 26.87 0 149.00 5.21 24.43 30.00 81.97", "149.00 26.87 0 149.00 5.21 29.23 30.00 0"],
    8: ["122.00 22.00 0 122.00 4.27 20.00 40.00 32.25"],
    9: ["122.00 22.00 0 122.00 4.27 20.00 40.00 100.00", "183.00 33.00 0 183.00 6.40 35.90 60.00 0"],
    10: [
        "183.00 33.00 0 183.00 6.40 30.00 60.00 96.77",
        "43.29 7.81 43.29 0 0 8.87 14.19 35.48",
        "122.00 22.00 21.65 100.35 3.51 24.12 40.00 0",
    ],
    11: ["33.00 3.00 0 33.00 1.15 6.00 12.00 30.00"],
    12: ["0 0 0 1.00 0.03 0 0 0", "122.00 22.00 0 122.00 4.27 23.93 40.00 25.81"],
    # The add-on of 9.
    13: ["41.32 7.45 0 41.32 1.45 6.77 13.55 33.87"],
}
# Of each credit note: total, VAT, onto the balance, back to the card, taken back of the share, of the cost.
NOTES = {
    5: "82.65 14.90 82.65 0 13.55 27.10",
    6: "62.97 11.36 62.97 0 10.32 20.65",
    8: "82.65 14.90 0 82.65 13.55 27.10",
    10: "64.94 11.71 64.94 0 10.65 21.29",
}
# Opening, debit, credit, closing; debits are positive.
MARCH = {
    "advances": "0 188.91 210.56 -21.65",
    "agency": "0 300.00 300.00 0",
    "clearing": "0 1873.99 198.22 1675.77",
    "deferred": "0 1330.89 1530.73 -199.84",
    "fee": "0 65.57 0 65.57",
    "partner_payable": "0 56.10 364.53 -308.43",
    "partner_share": "0 364.53 56.10 308.43",
    "provider_cost": "0 563.93 96.14 467.79",
    "provider_payable": "0 96.14 773.93 -677.79",
    "receivable": "0 2405.11 2405.11 0",
    "revenue": "0 0 1050.39 -1050.39",
    "vat": "0 61.71 321.17 -259.46",
}
APRIL_1 = {
    "advances": "-21.65 21.65 0 0",
    "agency": "0 300.00 300.00 0",
    "clearing": "1675.77 1208.35 42.28 2841.84",
    "deferred": "-199.84 0 845.90 -1045.74",
    "fee": "65.57 42.28 0 107.85",
    "partner_payable": "-308.43 0 257.47 -565.90",
    "partner_share": "308.43 257.47 0 565.90",
    "provider_cost": "467.79 290.00 0 757.79",
    "provider_payable": "-677.79 0 500.00 -1177.79",
    "receivable": "0 1230.00 1230.00 0",
    "revenue": "-1050.39 0 0 -1050.39",
    "vat": "-259.46 0 174.10 -433.56",
}


def sums(text: str) -> list[D]:
    return [D(one) for one in text.split()]


@pytest.fixture
def month(shop: Shop) -> Iterator[dict[int, Subscription]]:
    """1 March to 1 April 2027: twelve subscriptions through the platform's own gateway, fee 3.5 %."""
    with in_public():
        gateway = Connection.objects.get(kind="payment", partner=shop.partner)
        others = Connection.objects.filter(kind="payment", partner=None, is_test=True, is_enabled=True)
        off = list(others.values_list("pk", flat=True))
        others.update(is_enabled=False)
        Connection.objects.filter(pk=gateway.pk).update(partner=None)
    try:
        _agree(shop)
        yield _live(shop)
    finally:
        with in_public():
            Connection.objects.filter(pk=gateway.pk).update(is_enabled=False)
            Connection.objects.filter(pk__in=off).update(is_enabled=True)


def _agree(shop: Shop) -> None:
    """20 % of net; from 16 March 25 % of net less the fee. The provider: 40 % of net, unless agreed otherwise."""
    old = {"number": "Д-1", "valid_from": date(2020, 1, 1), "share_percent": D(20)}
    ContractTerms.objects.create(partner=shop.partner, **old)
    new = {"number": "Д-2", "valid_from": date(2027, 3, 16), "share_percent": D(25), "share_base": "fee"}
    ContractTerms.objects.create(partner=shop.partner, **new)
    ProviderTerms.objects.create(
        provider=shop.provider, number="П-1", valid_from=date(2020, 1, 1), percent=D(40)
    )


def _live(shop: Shop) -> dict[int, Subscription]:
    shop.until(FIRST, hour=10)
    plain = shop.offer(price="122.00")
    insurance = shop.offer(price="300.00", vat_code="none")
    keys = shop.offer(price="149.00", delivery="key", keys=5)
    own = {"number": "П-2", "valid_from": date(2020, 1, 1)}
    ProviderTerms.objects.create(
        provider=shop.provider,
        product=insurance.tariff.product,
        trade=Trade.AGENCY,
        percent=D(30),
        base="gross",
        **own,
    )
    ProviderTerms.objects.create(
        provider=keys.tariff.product.provider, tariff=keys.tariff, fixed=D("30.00"), clawback=False, **own
    )
    dearer = another(shop, plain, "244.00")
    found = {
        1: shop.buy(plain),
        2: shop.buy(shop.offer(price="110.00", vat_code="reduced")),
        3: shop.buy(insurance),
        4: shop.buy(shop.offer(price="61.00", period_count=10, period_unit="day")),
        5: shop.buy(plain),
        6: shop.buy(plain),
        7: shop.buy(keys),
        8: shop.buy(plain),
        9: shop.buy(plain),
        10: shop.buy(shop.offer(price="61.00"), quantity=3),
        11: shop.buy(shop.offer(price="33.00", vat_code="reduced")),
    }
    SubscriptionDiscount.objects.create(
        subscription=found[4],
        name="Два периода за полцены",
        percent=D(50),
        start_date=date(2027, 3, 11),
        end_date=date(2027, 3, 31),
        created_at=clock.now(),
    )
    shop.until(date(2027, 3, 10), hour=12)
    found[12] = shop.buy(shop.offer(price="122.00", trial_days=14))
    shop.hurry()
    shop.until(date(2027, 3, 11))
    changes.change(subscription=found[5], offer=dearer, when=changes.NOW, actor="test")
    subscriptions.cancel(found[8], at_period_end=False, actor="test")
    addon = addon_offer(shop, price="61.00")
    found[13] = shop.buy(addon, parent=found[9], customer=found[9].customer)
    shop.hurry()
    shop.until(date(2027, 3, 15), hour=12)
    subscriptions.cancel(found[11], actor="test")
    shop.until(date(2027, 3, 16), hour=12)
    pauses.pause(subscription=found[6], until=date(2027, 3, 26), actor="test")
    shop.until(date(2027, 3, 20), hour=12)
    bought = Payment.objects.get(subscription_id=found[7].pk)
    payments.refund(payment=bought, amount=Money(D("49.00")), reason="не всё подошло", actor="test")
    shop.hurry()
    shop.until(date(2027, 3, 21))
    changes.change(subscription=found[10], quantity=2, when=changes.NOW, actor="test")
    shop.until(LAST)
    shop.until(NEXT)
    return found


def test_the_month_as_it_was_computed_by_hand(
    month: dict[int, Subscription], shop: Shop, staff_client: Callable[..., Client]
) -> None:
    assert list(audit.run([shop.partner.pk])) == []
    _documents(month)
    _books(shop)
    _accounts_of_customers(month)
    _account_of_the_partner(shop)
    _report(shop)
    _pages(shop, month, staff_client)
    _chart_says_what_is_posted(shop)


def _documents(month: dict[int, Subscription]) -> None:
    for number, subscription in month.items():
        made = Invoice.objects.filter(subscription=subscription).exclude(number="").order_by("pk")
        assert [_of_invoice(one) for one in made] == [sums(text) for text in INVOICES[number]], number
        notes = CreditNote.objects.filter(invoice__subscription=subscription)
        wanted = [sums(NOTES[number])] if number in NOTES else []
        assert [_of_note(one) for one in notes] == wanted, number
    # The rest of 10's balance went into its invoice of 1 April.
    assert set(CustomerBalance.objects.values_list("amount", flat=True)) == {D("0.00")}
    # 7: 49.00 of 149.00 went back, at the VAT of its invoice; the provider keeps what the key cost.
    refund = Refund.objects.get(payment__subscription_id=month[7].pk)
    back = Transfer.objects.filter(document_id=refund.pk, credit="receivable")
    assert sorted(back.values_list("debit", "amount")) == [("deferred", D("40.16")), ("vat", D("8.84"))]
    share = Transfer.objects.get(document_id=refund.pk, credit="partner_share")
    assert share.amount == D("8.03")
    assert not Transfer.objects.filter(document_id=refund.pk, credit="provider_cost").exists()


def _of_invoice(invoice: Invoice) -> list[D]:
    rows = Transfer.objects.filter(document_id=invoice.pk)
    link = invoice.payments.filter(failed=False).first()

    def posted(*sides: tuple[str, str]) -> D:
        return sum((row.amount for row in rows if (row.debit, row.credit) in sides), D(0))

    return [
        invoice.total,
        invoice.vat,
        invoice.credit_applied,
        link.payment.amount if link else D(0),
        link.payment.fee if link else D(0),
        posted(("partner_share", "partner_payable")),
        posted(("provider_cost", "provider_payable"), ("agency", "provider_payable")),
        posted(("deferred", "revenue")),
    ]


def _of_note(note: CreditNote) -> list[D]:
    rows = Transfer.objects.filter(document_id=note.pk)
    share = sum((row.amount for row in rows if row.credit == "partner_share"), D(0))
    cost = sum((row.amount for row in rows if row.credit == "provider_cost"), D(0))
    return [note.total, note.vat, note.to_balance, note.to_refund, share, cost]


def _books(shop: Shop) -> None:
    for since, until, wanted in ((FIRST, LAST, MARCH), (NEXT, NEXT, APRIL_1)):
        question = trial_balance.Question(since=since, until=until, partner_id=shop.partner.pk, sandbox=True)
        [books] = trial_balance.answer(question)
        found = {row.account: [row.opening, row.debit, row.credit, row.closing] for row in books.rows}
        assert found == {name: sums(text) for name, text in wanted.items()}
        assert books.is_balanced
        total = D("7306.88") if until == LAST else D("3349.75")
        assert books.totals[2:4] == (total, total)


def _accounts_of_customers(month: dict[int, Subscription]) -> None:
    [paused] = statements.of(month[6].customer, since=FIRST, until=LAST)
    shown = [(one.date.day, one.debit, one.credit, one.balance) for one in paused.entries]
    assert shown == [
        (1, D("122.00"), D(0), D("122.00")),
        (1, D(0), D("122.00"), D("0.00")),
        (16, D(0), D("62.97"), D("-62.97")),
        (26, D("122.00"), D(0), D("59.03")),
        (26, D(0), D("59.03"), D("0.00")),
    ]
    [seats] = statements.of(month[10].customer, since=FIRST, until=LAST)
    assert (seats.debit, seats.credit) == (D("226.29"), D("247.94"))
    assert (seats.closing, seats.on_balance) == (D("-21.65"), D("21.65"))
    [later] = statements.of(month[10].customer, since=NEXT, until=NEXT)
    assert (later.opening, later.debit, later.credit) == (D("-21.65"), D("122.00"), D("100.35"))
    assert (later.closing, later.on_balance) == (D("0.00"), D("0.00"))
    [gone] = statements.of(month[8].customer, since=FIRST, until=LAST)
    assert (gone.debit, gone.credit, gone.closing) == (D("204.65"), D("204.65"), D("0.00"))


def _account_of_the_partner(shop: Shop) -> None:
    [one] = partner_statement.of(shop.partner, since=FIRST, until=LAST)
    assert (one.opening, one.closing) == (D("0.00"), D("308.43"))
    assert (one.moves["share"], one.moves["clawback"], one.other) == (D("364.53"), D("56.10"), D(0))
    assert one.totals == sums("2061.90 304.94 342.21 1873.99 132.65 364.53 56.10")
    [next_] = partner_statement.of(shop.partner, since=NEXT, until=NEXT)
    assert (next_.opening, next_.moves["share"], next_.closing) == (D("308.43"), D("257.47"), D("565.90"))


def _report(shop: Shop) -> None:
    question = sales.Question(
        since=FIRST, until=LAST, by=("month",), partner_id=shop.partner.pk, own_sandbox=True
    )
    [row] = sales.answer(question)
    assert (row.taken, row.refunded, row.net) == (D("1873.99"), D("132.65"), D("1741.34"))


def _pages(shop: Shop, month: dict[int, Subscription], staff_client: Callable[..., Client]) -> None:
    span = {"since": "2027-03-01", "until": "2027-03-31"}
    operator = staff_client(None, role="finance")
    page = operator.get("/admin/reports/trialbalance/", {**span, "partner": shop.partner.pk})
    assert "7\N{NO-BREAK SPACE}306,88" in page.content.decode()
    # A sum leads to its transfers: 18 invoice lines, 4 notes, a refund and a commission have VAT.
    found = re.search(r'href="(/admin/ledger/transfer/[^"]*account=vat[^"]*)"', page.content.decode())
    assert found
    listed = operator.get(html.unescape(found[1])).context["cl"]
    assert listed.result_count == 24
    page = operator.get("/admin/reports/partnerstatement/", {**span, "partner": shop.partner.pk})
    assert "308,43" in page.content.decode()
    partner = staff_client(shop.partner, role="finance", of=shop.partner)
    page = partner.get("/admin/reports/partnerstatement/", span)
    assert "308,43" in page.content.decode()
    customer = month[6].customer_id
    page = partner.get(f"/admin/billing/customeraccount/{customer}/change/", span)
    assert "62,97" in page.content.decode()
    for form, start in (("xlsx", b"PK"), ("pdf", b"%PDF")):
        for client, path, more in (
            (operator, "/admin/reports/trialbalance/", {"partner": shop.partner.pk}),
            (operator, "/admin/reports/partnerstatement/", {"partner": shop.partner.pk}),
            (partner, f"/admin/billing/customeraccount/{customer}/change/", {}),
        ):
            answer = client.get(path, {**span, **more, "format": form})
            assert answer.content.startswith(start), (path, form)


def _chart_says_what_is_posted(shop: Shop) -> None:
    """The documented postings are all that the month has. Other tests post made-up ones for their own partners."""
    said = {(rule.document, rule.name, rule.debit, rule.credit) for one in EVENTS for rule in one.rules}
    mine = Transfer.objects.filter(partner_id=shop.partner.pk)
    rows: Any = mine.values_list("document_kind", "posting", "debit", "credit").distinct()
    posted = {(kind, re.sub(r"(-\d+)+$", "", name), debit, credit) for kind, name, debit, credit in rows}
    assert posted
    assert posted <= said
