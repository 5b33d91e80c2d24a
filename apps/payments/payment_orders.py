"""Payment orders as a file that any bank's client takes in: 1CClientBankExchange 1.03, in cp1251. Pure.

Source: 1С, «Стандарт обмена с системами "Клиент банка"», https://v8.1c.ru/edi/edi_stnd/100/101.htm
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

PURPOSE_LENGTH = 210
"""Characters that a bank takes for the purpose of a payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Whose account is debited."""

    name: str
    inn: str
    kpp: str
    account: str
    bank: str
    bik: str
    bank_account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One payment order; `to` is {name, inn, bik, account, bank, bank_account}."""

    number: int
    day: date
    amount: Decimal
    to: Mapping[str, str]
    purpose: str


def file(payer: Payer, orders: Iterable[Order], *, made_at: datetime) -> bytes:
    """The file. What the bank's alphabet has no sign for becomes «?», line breaks become spaces."""
    found = sorted(orders, key=lambda one: one.number)
    days = [one.day for one in found]
    rows = [
        ("ВерсияФормата", "1.03"),
        ("Кодировка", "Windows"),
        ("Отправитель", "ARMOR"),
        ("Получатель", ""),
        ("ДатаСоздания", f"{made_at:%d.%m.%Y}"),
        ("ВремяСоздания", f"{made_at:%H:%M:%S}"),
        ("ДатаНачала", f"{min(days):%d.%m.%Y}"),
        ("ДатаКонца", f"{max(days):%d.%m.%Y}"),
        ("РасчСчет", payer.account),
        ("Документ", "Платежное поручение"),
    ]
    lines = ["1CClientBankExchange", *map(_line, rows)]
    for one in found:
        lines += map(_line, _order(payer, one))
        lines.append("КонецДокумента")
    return ("\r\n".join([*lines, "КонецФайла"]) + "\r\n").encode("cp1251", errors="replace")


def _order(payer: Payer, one: Order) -> list[tuple[str, str]]:
    to = one.to
    return [
        ("СекцияДокумент", "Платежное поручение"),
        ("Номер", str(one.number)),
        ("Дата", f"{one.day:%d.%m.%Y}"),
        ("Сумма", f"{one.amount:.2f}"),
        ("ПлательщикСчет", payer.account),
        ("Плательщик", f"ИНН {payer.inn} {payer.name}"),
        ("ПлательщикИНН", payer.inn),
        ("ПлательщикКПП", payer.kpp),
        ("Плательщик1", payer.name),
        ("ПлательщикРасчСчет", payer.account),
        ("ПлательщикБанк1", payer.bank),
        ("ПлательщикБИК", payer.bik),
        ("ПлательщикКорсчет", payer.bank_account),
        ("ПолучательСчет", to["account"]),
        ("Получатель", f"ИНН {to['inn']} {to['name']}" if to["inn"] else to["name"]),
        ("ПолучательИНН", to["inn"]),
        ("Получатель1", to["name"]),
        ("ПолучательРасчСчет", to["account"]),
        ("ПолучательБанк1", to["bank"]),
        ("ПолучательБИК", to["bik"]),
        ("ПолучательКорсчет", to["bank_account"]),
        ("ВидОплаты", "01"),
        ("Очередность", "5"),
        ("НазначениеПлатежа", one.purpose[:PURPOSE_LENGTH]),
    ]


def _line(row: tuple[str, str]) -> str:
    name, value = row
    return f"{name}={' '.join(value.split())}"
