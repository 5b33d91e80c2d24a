"""Reading a bank's file: every encoding, every mistake named, and nothing that does not add up."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.settlements import exchange_1c
from apps.settlements.exchange_1c import BadStatement
from tests.settlements.statement_file import ACCOUNT, Came, written

DAY = date(2026, 11, 2)
PAID = Came("1220.00", "Оплата по счёту I26-1-12-000001 от 01.11.2026, в т. ч. НДС 22 % 220,00")


def problem(content: bytes) -> str:
    with pytest.raises(BadStatement) as caught:
        exchange_1c.read(content)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "utf-8", "utf-8-sig"])
def test_every_encoding_says_the_same(encoding: str) -> None:
    [statement] = exchange_1c.read(
        written(PAID, Came("-300.00", "Комиссия банка"), start=DAY, encoding=encoding)
    )
    assert (statement.account, statement.start_date, statement.closing) == (ACCOUNT, DAY, Decimal("1920.00"))
    came, went = statement.documents
    assert (came.is_credit, came.amount, came.number, came.booked_date) == (
        True,
        Decimal("1220.00"),
        "17",
        DAY,
    )
    assert came.purpose == PAID.purpose
    assert (came.other.name, came.other.inn, came.other.bik) == ("ООО Ромашка", "7707083893", "044525225")
    assert (went.is_credit, went.amount) == (False, Decimal("300.00"))


def test_old_files_without_balances_and_with_a_purpose_in_pieces() -> None:
    text = written(PAID, start=DAY).decode("cp1251")
    start, end = text.index("СекцияРасчСчет"), text.index("СекцияДокумент")
    text = text[:start] + text[end:]
    text = text.replace(
        f"НазначениеПлатежа={PAID.purpose}", "НазначениеПлатежа1=Оплата\r\nНазначениеПлатежа2=счёта"
    )
    text = "\r\n".join(
        line for line in text.splitlines() if not line.startswith(("ПлательщикИНН", "Плательщик1"))
    )
    [statement] = exchange_1c.read(text.encode("cp1251"))
    [document] = statement.documents
    assert (statement.opening, statement.closing, document.purpose) == (None, None, "Оплата счёта")
    assert (document.other.inn, document.other.name) == ("7707083893", "ООО Ромашка")


def test_a_transfer_between_two_accounts_of_one_file_is_on_both() -> None:
    other = "40702810500000099999"
    one = written(Came("-500.00", "Перевод собственных средств", account=other), start=DAY).decode("cp1251")
    # The other account's balances come in the same file, as banks put them.
    balances = one[one.index("СекцияРасчСчет") : one.index("СекцияДокумент")]
    balances = balances.replace(ACCOUNT, other).replace("ВсегоСписано=500.00", "ВсегоСписано=0.00")
    balances = balances.replace("ВсегоПоступило=0.00", "ВсегоПоступило=500.00").replace(
        "=500.00\r\nКонец", "=1500.00\r\nКонец"
    )
    both = one.replace(
        "СекцияДокумент",
        balances.replace("КонечныйОстаток=500.00", "КонечныйОстаток=1500.00") + "СекцияДокумент",
        1,
    )
    ours, theirs = exchange_1c.read(both.encode("cp1251"))
    assert [(one.account, one.is_credit) for one in (*ours.documents, *theirs.documents)] == [
        (ACCOUNT, False),
        (other, True),
    ]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda text: "дата;сумма\n01.11.2026;5", "1CClientBankExchange"),
        (lambda text: "", "1CClientBankExchange"),
        (lambda text: text.replace("КонецФайла", ""), "обрывается"),
        (lambda text: text[: text.index("КонецДокумента")], "обрывается"),
        (lambda text: text.replace("Сумма=1220.00", "Сумма=1220.001"), "не сумма"),
        (lambda text: text.replace("Сумма=1220.00", "Сумма=0.00"), "больше нуля"),
        (lambda text: text.replace("Сумма=1220.00", "Сумма=1221.00"), "поступило"),
        (lambda text: text.replace("КонечныйОстаток=2220.00", "КонечныйОстаток=2220.01"), "остаток"),
        (lambda text: text.replace("Дата=02.11.2026", "Дата=31.02.2026"), "не дата"),
        (lambda text: text.replace(f"ПолучательСчет={ACCOUNT}", "ПолучательСчет=1"), "не этого счёта"),
        (lambda text: text.replace("КонецРасчСчет", ""), "не закончен"),
        (lambda text: text.replace("СекцияРасчСчет", "Секция"), "не начинался"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_its_place(broken, told) -> None:
    said = problem(broken(written(PAID, start=DAY).decode("cp1251")).encode("cp1251"))
    assert told in said


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_no_bytes_break_it(content: bytes) -> None:
    whole = written(PAID, start=DAY)
    for at in (0, len(whole) // 2, len(whole)):
        try:
            exchange_1c.read(whole[:at] + content + whole[at:])
        except BadStatement:
            continue


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.decimals("0.01", "999999999.99", places=2),
            st.booleans(),
            st.text(st.characters(codec="cp1251", exclude_categories=("Cc", "Zl", "Zp")), max_size=210),
        ),
        max_size=8,
    )
)
def test_what_was_written_is_read(rows) -> None:
    documents = [
        Came(str(amount if came else -amount), purpose, number=str(number))
        for number, (amount, came, purpose) in enumerate(rows, 1)
    ]
    [statement] = exchange_1c.read(written(*documents, start=DAY))
    assert [(one.amount, one.is_credit, one.purpose) for one in statement.documents] == [
        (amount, came, purpose.strip()) for amount, came, purpose in rows
    ]
