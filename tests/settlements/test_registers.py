"""A day's register of each gateway: by its API, or as the file of its cabinet; files are read whatever their dress."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core import clock
from apps.core.money import Money
from apps.partners.models import Partner
from apps.payments import payments, refund_calls, refunds, registers
from apps.payments.gateway import EntryKind
from apps.payments.registers import ROBOKASSA, TBANK, BadRegister
from apps.sandbox.control import Control
from tests.payments.conftest import Till, look, staff, till_for
from tests.payments.gateways import GATEWAYS, GatewayKind
from tests.settlements.files import downloaded

__all__ = ["staff", "till_for"]
D = Decimal
MOSCOW = ZoneInfo("Europe/Moscow")
HEAD = "Дата и время операции;Идентификатор платежа;Номер заказа;Тип операции;Сумма операции;Комиссия"


@pytest.mark.parametrize("kind", GATEWAYS, ids=lambda one: one.name)
def test_each_gateway_tells_its_payments_and_refunds(
    kind: GatewayKind, request: Any, partner: Partner, till_for: Callable[..., Till]
) -> None:
    control: Control = request.getfixturevalue(kind.name)
    till = till_for(partner, kind=kind, control=control)
    first = till.paid(card=kind.good)
    renewal = payments.settle(payments.send(till.charge(first.method).pk).pk)  # type: ignore[arg-type]
    till.pending()
    till.paid(card=kind.poor)
    made = refunds.refund(payment=renewal, amount=Money(D("99.50")), reason="часть", actor="t")
    refund_calls.send(made.pk)
    assert look(made).state == "succeeded"
    now = clock.wall()
    if till.connection.connector_class.register_is_file:
        content = downloaded(till.connection, now.date() - timedelta(days=1), now.date() + timedelta(days=1))
        found = registers.read(content, till.connection.connector_class.register_dialect)
    else:
        found = till.connection.open().register(now - timedelta(minutes=10), now + timedelta(minutes=10))
    told = sorted((one.kind, one.amount.amount) for one in found)
    assert told == [("payment", D("399.00")), ("payment", D("399.00")), ("refund", D("99.50"))]
    assert all(one.fee for one in found if one.kind == EntryKind.PAYMENT)
    assert {one.reference or one.payment_gateway_id for one in found if one.kind == EntryKind.PAYMENT} <= {
        str(one) for row in (first, renewal) for one in (row.reference_id, row.gateway_id)
    }
    assert all(one.at and abs(one.at - now) < timedelta(minutes=10) for one in found)


def table(*rows: str, head: str = HEAD) -> bytes:
    return "\r\n".join([head, *rows]).encode()


LINE = "05.11.2026 12:30:00;3000000001;17;Оплата;1 234,50;34,44"


def test_encodings_delimiters_decimals_and_totals_are_read() -> None:
    plain = registers.read(table(LINE), TBANK)
    [one] = plain
    assert (one.kind, one.gateway_id, one.reference) == ("payment", "3000000001", "17")
    assert (one.amount, one.fee) == (Money(D("1234.50")), D("34.44"))
    assert one.at == datetime(2026, 11, 5, 12, 30, tzinfo=MOSCOW)
    assert registers.read(table(LINE).decode().encode("cp1251"), TBANK) == plain
    assert registers.read(b"\xef\xbb\xbf" + table(LINE), TBANK) == plain
    commas = '05.11.2026 12:30:00,3000000001,17,Оплата,"1 234,50",34.44'
    assert registers.read(table(commas, head=HEAD.replace(";", ",")), TBANK) == plain
    titled = ("Реестр операций\r\n\r\n" + table(LINE, ";;;Итого;1 234,50;34,44", "").decode()).encode()
    assert registers.read(titled, TBANK) == plain


def test_a_refund_is_known_by_its_kind_or_by_its_sign() -> None:
    refund = "05.11.2026;3000000001;17;Возврат;-100,00;0,00"
    [one] = registers.read(table(refund), TBANK)
    assert (one.kind, one.gateway_id, one.payment_gateway_id) == ("refund", "", "3000000001")
    assert one.amount == Money(D("100.00"))
    head = "Дата;PaymentId;Сумма"
    [signed] = registers.read(table("05.11.2026;3000000001;-100,00", head=head), TBANK)
    assert signed.kind == "refund"


def test_xlsx_is_read_and_what_did_not_come_to_an_end_is_left_out() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Операции магазина"])
    sheet.append(["InvId", "Дата и время", "Операция", "Сумма", "Комиссия", "Статус"])
    sheet.append([17, datetime(2026, 11, 5, 12, 30), "Оплата", 399.0, 15.56, "Исполнен"])
    sheet.append([18, datetime(2026, 11, 5, 12, 31), "Оплата", 399.0, 15.56, "Отменён"])
    content = BytesIO()
    book.save(content)
    [one] = registers.read(content.getvalue(), ROBOKASSA)
    assert (one.gateway_id, one.amount.amount, one.fee) == ("17", D("399.00"), D("15.56"))


def test_columns_are_what_the_terms_say() -> None:
    head = "Когда;Чей;Сколько;Удержано"
    columns = registers.columns_of("at = Когда\n\ngateway_id=чей\namount = Сколько\nfee = Удержано")
    [one] = registers.read(table("05.11.2026;77;10,00;0,30", head=head), TBANK, columns=columns)
    assert (one.gateway_id, one.amount.amount, one.fee) == ("77", D("10.00"), D("0.30"))
    for wrong in ("sum = Сколько", "amount"):
        with pytest.raises(BadRegister, match="поля"):
            registers.columns_of(wrong)
    with pytest.raises(BadRegister, match="«Нету», названной"):
        registers.read(table(LINE), TBANK, columns={"fee": "Нету"})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("05.11.2026;1;2;Оплата;сто;1", "Строка 2, колонка «Сумма операции»: не сумма: «сто»"),
        ("05.11.2026;1;2;Оплата;10,005;1", "колонка «Сумма операции»: не целые копейки"),
        ("05.11.2026;1;2;Оплата;0;1", "колонка «Сумма операции»: сумма ноль"),
        ("05.13.2026;1;2;Оплата;10;1", "Строка 2, колонка «Дата и время операции»: не дата"),
        ("05.11.2026;;;Оплата;10;1", "нет номера платежа"),
        ("05.11.2026;1;2;Оплата;10;н/д", "колонка «Комиссия»: не сумма"),
        ("05.11.2026;1;2;Оплата;١٠;1", "не сумма"),
    ],
)
def test_what_cannot_be_read_says_where(row: str, said: str) -> None:
    with pytest.raises(BadRegister, match=r".*") as error:
        registers.read(table(row), TBANK)
    assert said in str(error.value)


def test_other_files_are_no_registers() -> None:
    for content, said in [
        (b"", "нет заголовка"),
        (b"PK\x03\x04nothing", "XLSX не читается"),
        (b"\x00\x01\x02", "не CSV"),
        ("Дата;Имя;Город\n1;2;3".encode(), "Нет колонки «Идентификатор платежа», «Сумма операции»"),
    ]:
        with pytest.raises(BadRegister, match=said):
            registers.read(content, TBANK)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400), tail=st.text(max_size=200))
def test_no_bytes_break_it(content: bytes, tail: str) -> None:
    for given_bytes in (content, table(tail), b"PK" + content):
        try:
            found = registers.read(given_bytes, TBANK)
        except BadRegister:
            continue
        assert all(one.amount.amount > 0 for one in found)


def test_a_shop_downloads_its_own_register_only(
    partner: Partner, till_for: Callable[..., Till], tbank: Control
) -> None:
    today = date.today()
    address = f"{tbank.base_url}/cabinet/foreign/registry.csv?from={today}&to={today}"
    assert httpx.get(address, auth=("foreign", "guess"), trust_env=False, verify=False).status_code == 401
