"""Where the card is closed money goes by a payment order: to checked details, once, made when the statement says so."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import in_partner, in_public
from apps.ledger.models import Transfer
from apps.partners.models import LegalEntity
from apps.payments import bank_details, bank_payouts, payments, refund_calls
from apps.payments.bank_payout_models import BankPayout
from apps.payments.models import Payment, Refund
from apps.settlements import exchange_1c, statements
from apps.settlements.models import BankLine
from tests import recycled
from tests.conftest import make_partner
from tests.payments.conftest import Till, look, thread

URLS = {"urlconf": "armor.urls_partner"}
BIK = "044525225"


def account_at(bik: str, start: str = "40817810") -> str:
    """An account whose check digit fits the bank."""
    for digit in range(10):
        account = f"{start}{digit}00000012345"
        if bank_details.fits(account, bik):
            return account
    raise AssertionError("No digit fits")


TO = {
    "name": "Сидорова Анна Петровна",
    "inn": "",
    "bik": BIK,
    "account": account_at(BIK),
    "bank": "ПАО Сбербанк",
    "bank_account": "30101810400000000225",
}


@pytest.fixture
def payer(till: Till) -> LegalEntity:
    """The till's seller, with an account of its own to pay from."""
    with in_public():
        entity = LegalEntity.objects.get(pk=till.connection.legal_entity_id)
        entity.account, entity.bik, entity.bank = f"4070281{till.partner.pk:013d}"[:20], BIK, "ПАО Сбербанк"
        entity.bank_account = TO["bank_account"]
        entity.save()
    return entity


def by_bank(payment: Payment, amount: str | None = None) -> BankPayout:
    wanted = Money(Decimal(amount)) if amount else None
    made = payments.refund(payment=payment, amount=wanted, reason="карта закрыта", actor="ivan", route="bank")
    return BankPayout.objects.get(refund=made)


def exported(payment: Payment, amount: str | None = None) -> tuple[BankPayout, bytes]:
    payout = by_bank(payment, amount)
    bank_payouts.set_details(payout.pk, TO, actor="ivan")
    content = bank_payouts.export([payout.pk], actor="ivan")
    payout.refresh_from_db()
    return payout, content


def statement(payer: LegalEntity, orders: bytes, **changed: str) -> bytes:
    """The bank's statement that shows the orders as carried out, as a bank writes it."""
    day = f"{clock.today():%d.%m.%Y}"
    body = orders.decode("cp1251").split("СекцияДокумент=", 1)[1].removesuffix("КонецФайла\r\n")
    body = body.replace("КонецДокумента", f"ДатаСписано={day}\r\nКонецДокумента")
    for name, value in changed.items():
        line = next(one for one in body.split("\r\n") if one.startswith(f"{name}="))
        body = body.replace(line, f"{name}={value}")
    head = ["1CClientBankExchange", "ВерсияФормата=1.03", "Кодировка=Windows"]
    head += [f"ДатаНачала={day}", f"ДатаКонца={day}", f"РасчСчет={payer.account}"]
    return ("\r\n".join(head) + f"\r\nСекцияДокумент={body}КонецФайла\r\n").encode("cp1251")


def agreed(till: Till) -> None:
    """The auditor finds nothing."""
    assert [str(one) for one in audit.of_partners([till.partner])] == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"account": TO["account"][:-1] + "6"}, "account"),
        ({"bik": "044525974"}, "account"),
        ({"bik": "44525225"}, "bik"),
        ({"name": " "}, "name"),
        ({"inn": "770708389"}, "inn"),
        ({"inn": "7707083894"}, "inn"),
        ({"bank_account": "40817810400000000225"}, "bank_account"),
    ],
)
def test_details_with_a_slip_are_refused_by_their_check_digits(changed: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        bank_details.checked({**TO, **changed})
    assert list(wrong.value.message_dict) == [field]
    assert bank_details.checked(
        {**TO, "inn": "7707083893", "account": f" {TO['account'][:5]} {TO['account'][5:]}"}
    )
    assert bank_details.fits("03100643000000017300", "024501901") is bank_details.fits(
        "03100643000000017300", "024501901"
    )


def test_from_a_closed_card_to_the_line_of_the_statement(
    till: Till, payer: LegalEntity, deliver: Callable[[], int]
) -> None:
    payment = till.paid()
    till.gateway.fault("pending", match={"operation": "create_refund", "shop": till.shop})
    made = refund_calls.send(payments.refund(payment=payment, reason="не подошло", actor="").pk)
    till.gateway.settle(made.gateway_id, "rejected_by_payee")
    made = look(made)
    assert (made.state, made.route, made.decline_reason) == ("pending", "bank", "rejected_by_payee")
    assert "реквизиты" in till.work(made)
    assert payment.refundable() == 0
    payout = made.payout
    agreed(till)
    bank_payouts.set_details(payout.pk, TO, actor="ivan")
    assert "Выгрузите" in till.work(made)
    orders = bank_payouts.export([payout.pk], actor="ivan")
    assert bank_payouts.export([payout.pk], actor="ivan") == orders, "taken again, it is the same file"
    assert till.work(made) == ""
    agreed(till)
    [told] = exchange_1c.read(statement(payer, orders))
    [line] = told.documents
    assert (line.amount, line.is_credit, line.other.account) == (Decimal("399.00"), False, TO["account"])
    with in_public():
        for _twice in range(2):
            statements.load(statement(payer, orders), name="kl_to_1c.txt", actor="bank")
    made.refresh_from_db()
    payout.refresh_from_db()
    payment.refresh_from_db()
    assert (made.state, payout.state, payment.state) == ("succeeded", "paid", "refunded")
    assert (
        payout.bank_line
        == BankLine.objects.get(number=str(payout.number), statement__account=payer.account).pk
    )
    moved = Transfer.objects.filter(partner=till.partner, document_kind="refund")
    assert list(moved.values_list("debit", "credit", "amount")) == [("receivable", "bank", Decimal("399.00"))]
    agreed(till)


@pytest.mark.parametrize(
    "changed", [{"Номер": "999"}, {"Сумма": "398.99"}, {"ПолучательСчет": "40817810000000000001"}]
)
def test_another_line_pays_nothing(till: Till, payer: LegalEntity, changed: dict[str, str]) -> None:
    payout, orders = exported(till.paid())
    if "ПолучательСчет" in changed:
        changed = {**changed, "ПолучательРасчСчет": changed["ПолучательСчет"]}
    with in_public():
        statements.load(statement(payer, orders, **changed), name="-", actor="bank")
    payout.refresh_from_db()
    assert payout.state == "exported"


def test_without_a_statement_a_second_person_says_so_and_once(till: Till, payer: LegalEntity) -> None:
    payout, _orders = exported(till.paid(), "100.00")
    with pytest.raises(Refused, match="own_payout"):
        bank_payouts.paid(payout.pk, actor="ivan")
    for worker in [thread(till, lambda: bank_payouts.paid(payout.pk, actor="olga")) for _ in range(3)]:
        worker.join()
    assert Refund.objects.get().state == "succeeded"
    assert Transfer.objects.filter(partner=till.partner, document_kind="refund").count() == 1
    agreed(till)


def test_returned_by_the_bank_it_gets_other_details_and_cancelled_it_frees_the_money(
    till: Till, payer: LegalEntity
) -> None:
    payment = till.paid()
    payout, orders = exported(payment, "100.00")
    for act in (
        lambda: bank_payouts.cancel(payout.pk, actor="olga", reason="-"),
        lambda: bank_payouts.set_details(payout.pk, TO, actor="olga"),
    ):
        with pytest.raises(Refused, match="payout_left"):
            act()
    bank_payouts.returned(payout.pk, actor="olga", reason="счёт закрыт")
    with in_public():
        # The old order is nobody's any more.
        statements.load(statement(payer, orders), name="-", actor="bank")
    payout.refresh_from_db()
    assert (payout.state, payout.bank_line) == ("waiting", None)
    bank_payouts.set_details(payout.pk, TO, actor="ivan")
    assert payment.refundable() == Decimal("299.00")
    bank_payouts.cancel(payout.pk, actor="olga", reason="клиент передумал")
    assert payment.refundable() == Decimal("399.00")
    assert Refund.objects.get().decline_reason == "payout_cancelled"
    agreed(till)


@pytest.mark.parametrize("point", bank_payouts.FAULT_POINTS)
def test_a_crash_pays_and_numbers_nothing_twice(till: Till, payer: LegalEntity, point: str) -> None:
    before, _orders = exported(till.paid())
    payout = by_bank(till.paid())
    bank_payouts.set_details(payout.pk, TO, actor="ivan")

    def go() -> None:
        bank_payouts.export([payout.pk], actor="ivan")
        bank_payouts.paid(payout.pk, actor="olga")

    with pytest.raises(faults.Crash), faults.crash_at(point):
        go()
    go()
    payout.refresh_from_db()
    assert before.number is not None
    assert (payout.state, payout.number) == ("paid", before.number + 1)
    agreed(till)


def test_numbers_of_one_account_are_of_all_partners_together(
    till: Till, payer: LegalEntity, till_for: Callable[..., Till]
) -> None:
    first, _orders = exported(till.paid())
    with in_public():
        other = make_partner()
    with in_partner(other):
        theirs, _orders = exported(till_for(other).paid())
    last, _orders = exported(till.paid())
    assert first.number is not None
    assert [theirs.number, last.number] == [first.number + 1, first.number + 2]
    # What a partner had numbered by itself before does not come again.
    BankPayout.objects.filter(pk=last.pk).update(number=last.number + 10)
    after, _orders = exported(till.paid())
    assert after.number == last.number + 11
    recycled.give_back(other)


def test_the_customer_gives_details_by_a_link_once(
    till: Till, payer: LegalEntity, client_for: Callable[..., Client]
) -> None:
    payout = by_bank(till.paid())
    old = bank_payouts.make_link(payout.pk, actor="ivan")
    url = bank_payouts.make_link(payout.pk, actor="ivan")
    client = client_for(till.partner)

    def path(link: str) -> str:
        return "/" + link.split("/", 3)[3]

    assert client.get(path(old)).status_code == 404, "a new link ends the old one"
    assert client.get("/payout/unknown/").status_code == 404
    shown = client.get(path(url)).content.decode()
    assert "399" in shown
    wrong = client.post(path(url), {**TO, "account": "40817810000000000000"}).content.decode()
    assert "не подходит к этому БИК" in wrong
    assert "Спасибо" in client.post(path(url), TO, follow=True).content.decode()
    payout.refresh_from_db()
    assert (payout.state, payout.details["account"], payout.details_by) == (
        "ready",
        TO["account"],
        "customer",
    )
    assert client.get(path(url)).status_code == 404, "once"
    late = by_bank(till.paid())
    url = bank_payouts.make_link(late.pk, actor="ivan")
    BankPayout.objects.filter(pk=late.pk).update(link_until=clock.now() - timedelta(seconds=1))
    assert client.get(path(url)).status_code == 404
    agreed(till)


def test_the_accountants_pages(till: Till, payer: LegalEntity, staff_client: Callable[..., Client]) -> None:
    payout = by_bank(till.paid())

    def at(name: str, *args: Any) -> str:
        return reverse(f"admin:payments_bankpayout_{name}", args=args, **URLS)

    support, finance, other = (
        staff_client(till.partner, role=role, of=till.partner) for role in ("support", "finance", "admin")
    )
    assert support.get(at("changelist")).status_code == 403
    assert (
        "не подходит" in finance.post(at("details", payout.pk), {**TO, "bik": "044525974"}).content.decode()
    )
    assert finance.post(at("details", payout.pk), TO).status_code == 302
    chosen = {"action": "export", "_selected_action": [str(payout.pk)]}
    file = finance.post(at("changelist"), chosen)
    assert file.content.startswith(b"1CClientBankExchange\r\n")
    assert finance.post(at("paid", payout.pk), follow=True).content.decode().count("другой сотрудник")
    assert other.post(at("paid", payout.pk)).status_code == 302
    payout.refresh_from_db()
    assert payout.state == "paid"
    shown = finance.get(at("change", payout.pk)).content.decode()
    assert "отмечено вручную" in shown
