"""A statement pays the invoices that it names, once, and what is doubtful waits for a person."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.billing.models import CustomerBalance, Invoice
from apps.billing.paperwork import OutsidePayment
from apps.core import audit, clock
from apps.core.errors import Refused
from apps.core.models import Due, WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import LegalEntity
from apps.settlements import handlers, matching, statements
from apps.settlements.models import Allocation, BankLine, BankStatement, LineState
from tests.accounts.at_once import at_once
from tests.billing.test_by_bank import company, order_of
from tests.orders.shop import Shop
from tests.planted import execute, found
from tests.settlements.statement_file import Came, written

D = Decimal
CORRUPTIONS: list[tuple[str, str]] = [
    (
        "settlements.line-adds-up",
        "UPDATE settlements_bankline SET amount = amount + 1 WHERE state = 'matched'",
    ),
    (
        "settlements.line-adds-up",
        "UPDATE settlements_bankline SET state = 'unidentified' WHERE state = 'matched'",
    ),
    ("settlements.allocation-is-received", "UPDATE billing_outsidepayment SET amount = amount + 1"),
    ("settlements.allocation-is-received", "DELETE FROM settlements_allocation"),
    ("settlements.allocation-is-received", "DELETE FROM billing_outsidepayment"),
]


@pytest.fixture
def account(shop: Shop, operator: LegalEntity, request: pytest.FixtureRequest) -> Iterator[str]:
    """An account of the operator's, of this test alone; what was loaded goes before its partner does."""
    number = f"407028104{abs(hash(request.node.nodeid)) % 10**11:011d}"
    LegalEntity.objects.filter(pk=operator.pk).update(account=number)
    yield number
    with in_public():
        mine = BankLine.objects.filter(statement__account=number)
        keys = list(mine.values_list("pk", flat=True))
        WorkItem.objects.filter(kind=matching.KIND, object_id__in=keys).delete()
        Allocation.objects.filter(line__in=keys).delete()
        mine.delete()
        BankStatement.objects.filter(account=number).delete()


@pytest.fixture
def invoice(shop: Shop) -> Invoice:
    """Of 1,220 roubles, of a company, to be paid by bank transfer."""
    made = order_of(shop, company(shop)).invoice
    assert made is not None
    return made


def paid(invoice: Invoice, amount: str = "1220.00", **more: Any) -> Came:
    more.setdefault("purpose", f"Оплата по счету № {invoice.number} от 01.11.2026. В т.ч. НДС 22%")
    return Came(amount, more.pop("purpose"), **more)


def load(account: str, *documents: Came, **more: Any) -> statements.Loaded:
    content = written(*documents, start=clock.today(), account=account, **more)
    with in_public():
        return statements.load(content, name="kl_to_1c.txt", actor="finance")


def line_of(account: str, number: str = "17") -> BankLine:
    return BankLine.objects.get(statement__account=account, number=number)


def waits(line: BankLine) -> bool:
    return WorkItem.objects.filter(kind=matching.KIND, object_id=line.pk, partner_id=None).exists()


def code(act: Any) -> str:
    with pytest.raises(Refused) as refused, in_public():
        act()
    return refused.value.code


def clean(shop: Shop) -> list[str]:
    return [str(one) for one in audit.run([shop.partner.pk])]


def test_an_invoice_is_paid_by_the_statement_that_names_it(
    shop: Shop, account: str, invoice: Invoice
) -> None:
    loaded = load(account, paid(invoice), Came("-15.00", "Комиссия за ведение счёта", number="5"))
    assert (loaded.matched, loaded.unidentified, loaded.spent, loaded.known) == (1, 0, 1, 0)
    shop.deliver()
    invoice.refresh_from_db()
    receipt = OutsidePayment.objects.get()
    assert (invoice.state, receipt.total, receipt.reference) == ("paid", Money(D("1220.00")), "17")
    taken = Allocation.objects.get(outside_payment_id=receipt.pk)
    assert (taken.line.state, taken.partner_id, taken.invoice_id) == ("matched", shop.partner.pk, invoice.pk)
    assert not waits(taken.line)
    assert clean(shop) == []


def test_the_same_movement_comes_once_however_often_it_is_told(
    shop: Shop, account: str, invoice: Invoice
) -> None:
    load(account, paid(invoice, "200.00"))
    again = load(account, paid(invoice, "200.00"))
    assert (again.known, again.matched) == (1, 0)
    # The next day's statement goes back to yesterday, and has two payments that are alike to the letter.
    two = paid(invoice, "10.00", number="18")
    overlap = load(account, paid(invoice, "200.00", purpose=f"Счет {invoice.number}"), two, two)
    assert (overlap.known, overlap.matched, overlap.unidentified) == (1, 1, 1)
    assert load(account, two, two).known == 2
    assert sum(one.total.amount for one in OutsidePayment.objects.all()) == D("210.00")
    # Of the two the second says the same number on the same day: a person has a look at it.
    assert (
        "уже внесён" in BankLine.objects.get(statement__account=account, state=LineState.UNIDENTIFIED).reason
    )
    assert clean(shop) == []


def test_parts_and_more_than_is_owed(shop: Shop, account: str, invoice: Invoice) -> None:
    load(account, paid(invoice, "1000.00", number="1"), paid(invoice, "300.00", number="2"))
    shop.deliver()
    invoice.refresh_from_db()
    assert invoice.state == "paid"
    assert CustomerBalance.objects.get(customer=invoice.customer_id).amount == D("80.00")
    assert clean(shop) == []


def test_one_payment_for_several_invoices(shop: Shop, account: str, invoice: Invoice) -> None:
    other = order_of(shop, invoice.customer, price="610.00").invoice
    assert other is not None
    both = f"Оплата по счетам {invoice.number}, {other.number}"
    assert load(account, Came("1830.00", both, number="1")).matched == 1
    assert [one.state for one in Invoice.objects.all()] == ["paid", "paid"]
    assert [one.amount for one in line_of(account, "1").allocations.all()] == [D("1220.00"), D("610.00")]
    assert clean(shop) == []


@pytest.mark.parametrize(
    ("amount", "purpose", "more", "reason"),
    [
        ("1220.00", "Оплата услуг", {}, "нет номера счёта"),
        ("1220.00", "Счёт I26-1-999999-000001", {}, "не найден"),
        ("1220.00", None, {"inn": "7736050003"}, "выставлен другому"),
    ],
)
def test_what_is_doubtful_waits_for_a_person(
    shop: Shop, account: str, invoice: Invoice, amount: str, purpose: str, more: Any, reason: str
) -> None:
    one = paid(invoice, amount, **more) if purpose is None else Came(amount, purpose, **more)
    assert load(account, one).unidentified == 1
    line = line_of(account)
    assert reason in line.reason
    assert waits(line)
    assert not OutsidePayment.objects.exists()
    assert clean(shop) == []

    with in_public():
        matching.assign(line.pk, number=invoice.number.lower(), actor="finance")
    invoice.refresh_from_db()
    line.refresh_from_db()
    assert (invoice.state, line.state, line.settled_by) == ("paid", "matched", "finance")
    assert not waits(line)
    assert code(lambda: matching.assign(line.pk, number=invoice.number, actor="finance")) == "line_settled"
    assert clean(shop) == []


def test_a_sum_that_is_not_that_of_its_invoices_waits_and_is_given_out_by_hand(
    shop: Shop, account: str, invoice: Invoice
) -> None:
    other = order_of(shop, invoice.customer, price="610.00").invoice
    assert other is not None
    load(account, Came("1500.00", f"За {invoice.number} и {other.number}", number="1"))
    line = line_of(account, "1")
    assert "не равна" in line.reason

    def assign(number: str, amount: str | None = None, **more: Any) -> BankLine:
        given = Money(D(amount)) if amount else None
        with in_public():
            return matching.assign(line.pk, number=number, amount=given, actor="finance", **more)

    assert code(lambda: assign("I26-7-7-000007")) == "unknown_invoice"
    assert code(lambda: assign(invoice.number, "1500.01")) == "bad_amount"
    assert code(lambda: assign(invoice.number, "1500.00")) == "too_much"
    assert assign(invoice.number).left() == Money(D("280.00"))
    assert line_of(account, "1").reason.startswith("Осталось отнести")
    assign(other.number)
    assert [one.state for one in Invoice.objects.order_by("total")] == ["open", "paid"]
    assert line_of(account, "1").state == LineState.MATCHED
    assert clean(shop) == []


def test_what_pays_no_invoice_is_set_aside_and_may_come_back(shop: Shop, account: str) -> None:
    load(account, Came("50000.00", "Заём учредителя по договору № 3"))
    line = line_of(account)
    assert code(lambda: matching.set_aside(line.pk, reason=" ", actor="finance")) == "no_reason"
    with in_public():
        matching.set_aside(line.pk, reason="Заём учредителя", actor="finance")
    assert not waits(line)
    assert line_of(account).state == LineState.SET_ASIDE
    with in_public():
        matching.put_back(line.pk, actor="finance")
    assert waits(line)
    assert code(lambda: matching.put_back(line.pk, actor="finance")) == "line_settled"
    assert clean(shop) == []


def test_an_invoice_issued_after_the_money_came_is_found_when_asked_again(
    shop: Shop, account: str, invoice: Invoice
) -> None:
    number = invoice.number
    nxt = f"{number[:-6]}{int(number[-6:]) + 1:06d}"
    load(account, Came("1220.00", f"Аванс, счёт {nxt}"))
    line = line_of(account)
    assert "не найден" in line.reason
    later = order_of(shop, invoice.customer).invoice
    assert later is not None
    assert later.number == nxt
    with in_public():
        assert matching.settle(line.pk, actor="finance").state == LineState.MATCHED
    assert clean(shop) == []


def test_files_that_are_no_statement_or_of_an_unknown_account_change_nothing(
    shop: Shop, account: str
) -> None:
    assert code(lambda: statements.load(b"\x00\x01", name="x", actor="finance")) == "bad_file"
    strange = written(start=clock.today(), account="40702810000000000001")
    assert code(lambda: statements.load(strange, name="x", actor="finance")) == "unknown_account"
    assert not BankStatement.objects.filter(account=account).exists()


def test_two_load_the_same_file_at_once(shop: Shop, account: str, invoice: Invoice) -> None:
    def act() -> Any:
        return load(account, paid(invoice), Came("77.00", "Без номера", number="9"))

    at_once(shop.partner, [act, act, act])
    assert BankLine.objects.filter(statement__account=account).count() == 2
    assert OutsidePayment.objects.get().total == Money(D("1220.00"))
    assert clean(shop) == []


def test_what_a_death_left_unmatched_is_matched_by_due_work(
    shop: Shop, account: str, invoice: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(statements, "match", killed)
        with pytest.raises(KeyboardInterrupt):
            load(account, paid(invoice), Came("77.00", "Без номера", number="9"))
    statement = BankStatement.objects.get(account=account)
    assert set(statement.bank_lines.values_list("state", "reason")) == {("unidentified", "")}
    with in_public():
        [planned] = Due.objects.filter(kind=statements.MATCH, object_id=statement.pk)
        handlers.match(planned.object_id)
        handlers.match(planned.object_id)
    invoice.refresh_from_db()
    assert (invoice.state, line_of(account).state, line_of(account, "9").reason) == (
        "paid",
        "matched",
        "В назначении нет номера счёта",
    )
    assert not Due.objects.filter(kind=statements.MATCH, object_id=statement.pk).exists()
    assert clean(shop) == []


def killed(*_args: Any) -> None:
    raise KeyboardInterrupt


def test_planted_corruptions_are_found(shop: Shop, account: str, invoice: Invoice) -> None:
    load(account, paid(invoice))
    assert clean(shop) == []
    assert [pair for pair in CORRUPTIONS if not found(pair[0], lambda pair=pair: execute(pair[1]))] == []


def test_finance_loads_and_gives_money_its_invoice_in_the_console(
    shop: Shop, account: str, invoice: Invoice, staff: Any
) -> None:
    client = staff(None, "finance")
    with in_public():
        stranger = Came("1220.00", f"Оплата услуг, {invoice.number}", number="41", inn="7736050003")
        content = written(stranger, start=clock.today(), account=account)
        page = client.post(
            "/admin/settlements/bankstatement/add/",
            {"file": SimpleUploadedFile("kl_to_1c.txt", content)},
            follow=True,
        )
        assert "не опознано: 1" in page.content.decode()
        line = line_of(account, "41")
        base = f"/admin/settlements/bankline/{line.pk}"
        shown = client.get(f"{base}/change/").content.decode()
        assert "выставлен другому" in shown
        assert "осталось оплатить" in shown
        assert "Ромашка" in shown
        done = client.post(f"{base}/assign/", {"number": invoice.number}, follow=True).content.decode()
        assert "Отнесено на счёт" in done
        assert invoice.number in done
        bad = client.post(
            "/admin/settlements/bankstatement/add/", {"file": SimpleUploadedFile("x.txt", b"no")}
        ).content.decode()
        assert "1CClientBankExchange" in bad
        assert staff(None, "support").get("/admin/settlements/bankline/").status_code == 403
    with in_partner(shop.partner):
        invoice.refresh_from_db()
        assert invoice.state == "paid"
