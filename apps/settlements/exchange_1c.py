"""Bank statements in the format 1CClientBankExchange (versions 1.01 to 1.03): text into values. Pure.

A file is lines of `Name=value`: a head, sections of balances (`СекцияРасчСчет … КонецРасчСчет`), sections of
documents (`СекцияДокумент=kind … КонецДокумента`) and `КонецФайла`. One file may tell of several accounts.
Source: 1С, «Стандарт обмена с системами "Клиент банка"», https://v8.1c.ru/edi/edi_stnd/100/101.htm
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation

from django.utils.translation import gettext_lazy as _

MAGIC = "1CClientBankExchange"
_ENCODINGS = {"windows": "cp1251", "dos": "cp866", "utf-8": "utf-8", "utf8": "utf-8"}
_AMOUNT = re.compile(r"-?\d{1,12}([.,]\d{1,2})?")


class BadStatement(Exception):
    """The file is no statement, or cannot be trusted; its text says where and why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who pays or is paid, as the bank wrote it."""

    name: str = ""
    inn: str = ""
    kpp: str = ""
    account: str = ""
    bank: str = ""
    bik: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One movement on an account. `amount` is positive; `is_credit` where it came to the account."""

    account: str
    kind: str
    number: str
    document_date: date
    booked_date: date
    is_credit: bool
    amount: Decimal
    other: Party
    purpose: str


@dataclass(slots=True, kw_only=True)
class Statement:
    """What a file tells of one account; a sum is None where the file does not tell it."""

    account: str
    start_date: date
    end_date: date
    opening: Decimal | None = None
    received: Decimal | None = None
    spent: Decimal | None = None
    closing: Decimal | None = None
    documents: list[Document] = field(default_factory=list)


@dataclass(slots=True)
class _Section:
    name: str
    line: int
    values: dict[str, str] = field(default_factory=dict)


def read(content: bytes) -> list[Statement]:
    """The statements of a file, by account. Raises BadStatement: nothing is taken of a file that does not add up."""
    head, sections = _sections(_text(content))
    statements: dict[str, Statement] = {}
    for one in sections:
        if one.name == "СекцияРасчСчет":
            _balance(statements, one)
    documents = [one for one in sections if one.name == "СекцияДокумент"]
    for account in head.get("РасчСчет", "").split("\n"):
        if account and account not in statements:
            where = _Section("", 1, head)
            start, end = _day(where, "ДатаНачала"), _day(where, "ДатаКонца")
            statements[account] = Statement(account=account, start_date=start, end_date=end)
    if not statements:
        raise BadStatement(_("В файле нет расчётного счёта"))
    for one in documents:
        for found in _movements(one, statements):
            statements[found.account].documents.append(found)
    for statement in statements.values():
        _check(statement)
    return list(statements.values())


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1251"):
        try:
            start = content[:2000].decode(encoding, errors="ignore" if encoding == "cp1251" else "strict")
        except UnicodeDecodeError:
            # May be a letter cut in two at the end, or no UTF-8 at all: the declared one decides.
            continue
        break
    if MAGIC not in start[:200]:
        raise BadStatement(_("Это не выписка: файл начинается не со строки 1CClientBankExchange"))
    declared = re.search(r"^Кодировка=(.*)$", start, re.M)
    if declared is None:
        # The word itself is written in the encoding that it names.
        start = content[:2000].decode("cp866", errors="ignore")
        declared = re.search(r"^Кодировка=(.*)$", start, re.M)
    named = declared[1].strip().lower() if declared else "windows"
    encoding = "utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else _ENCODINGS.get(named, "cp1251")
    for one in dict.fromkeys((encoding, "utf-8", "cp1251")):
        try:
            return content.decode(one)
        except UnicodeDecodeError:
            continue
    raise BadStatement(_("Кодировка файла не та, что в нём названа: %s") % named)


def _sections(text: str) -> tuple[dict[str, str], list[_Section]]:
    head: dict[str, str] = {}
    found: list[_Section] = []
    current: _Section | None = None
    ended = False
    for number, line in enumerate(text.splitlines(), 1):
        name, mark, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if name in {"СекцияРасчСчет", "СекцияДокумент"}:
            if current is not None:
                raise BadStatement(_("Строка %d: предыдущий раздел не закончен") % number)
            current = _Section(name, number, {"": value})
        elif name in {"КонецРасчСчет", "КонецДокумента"}:
            if current is None:
                raise BadStatement(_("Строка %d: конец раздела, который не начинался") % number)
            found.append(current)
            current = None
        elif name == "КонецФайла":
            ended = True
            break
        elif mark and current is not None:
            current.values[name] = value
        elif mark and name == "РасчСчет" and name in head:
            head[name] += f"\n{value}"
        elif mark:
            head.setdefault(name, value)
    if current is not None or not ended:
        raise BadStatement(_("Файл обрывается: в нём нет строки КонецФайла"))
    return head, found


def _balance(statements: dict[str, Statement], one: _Section) -> None:
    """A section of balances; the days of one account may come in several."""
    account = one.values.get("РасчСчет", "")
    if not account:
        raise BadStatement(_("Строка %d: у остатков нет расчётного счёта") % one.line)
    start = _day(one, "ДатаНачала")
    end = _day(one, "ДатаКонца") if one.values.get("ДатаКонца") else start
    opening, closing = _sum(one, "НачальныйОстаток"), _sum(one, "КонечныйОстаток")
    received, spent = _sum(one, "ВсегоПоступило"), _sum(one, "ВсегоСписано")
    known = statements.get(account)
    if known is None:
        statements[account] = Statement(
            account=account,
            start_date=start,
            end_date=end,
            opening=opening,
            received=received,
            spent=spent,
            closing=closing,
        )
        return
    if (
        known.closing is not None
        and opening is not None
        and start > known.end_date
        and known.closing != opening
    ):
        raise BadStatement(
            _("Строка %d: остаток на начало не равен остатку на конец предыдущих дней") % one.line
        )
    known.start_date, known.end_date = min(known.start_date, start), max(known.end_date, end)
    known.received, known.spent = _plus(known.received, received), _plus(known.spent, spent)
    known.closing = closing


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _movements(one: _Section, statements: Iterable[str]) -> Iterator[Document]:
    """A document on each of the statement's accounts that it touches: a transfer between two is one of each."""
    values = one.values
    payer, payee = _party(values, "Плательщик"), _party(values, "Получатель")
    day = _day(one, "Дата")
    amount = _sum(one, "Сумма")
    if amount is None or amount <= 0:
        raise BadStatement(_("Строка %d: у документа нет суммы больше нуля") % one.line)
    touched = False
    for own, other, is_credit, booked in (
        (payee, payer, True, "ДатаПоступило"),
        (payer, payee, False, "ДатаСписано"),
    ):
        if own.account not in statements:
            continue
        # A file of several payers' accounts tells of both sides; without the booking's day it is the document's.
        touched = True
        yield Document(
            account=own.account,
            kind=values[""],
            number=values.get("Номер", "").strip(),
            document_date=day,
            booked_date=_day(one, booked) if values.get(booked) else day,
            is_credit=is_credit,
            amount=amount,
            other=other,
            purpose=_purpose(values),
        )
    if not touched:
        raise BadStatement(
            _("Строка %(line)d: документ № %(number)s не этого счёта")
            % {"line": one.line, "number": values.get("Номер", "")}
        )


def _party(values: dict[str, str], who: str) -> Party:
    name = values.get(f"{who}1") or values.get(who, "")
    # «ИНН 7707083893 ООО Ромашка» is how the older versions write it.
    told = re.match(r"ИНН\s+(\d{10}|\d{12})\s+(.*)", name)
    return Party(
        name=told[2] if told else name,
        inn=values.get(f"{who}ИНН") or (told[1] if told else ""),
        kpp=values.get(f"{who}КПП", ""),
        account=values.get(f"{who}Счет") or values.get(f"{who}РасчСчет", ""),
        bank=values.get(f"{who}Банк1", ""),
        bik=values.get(f"{who}БИК", ""),
    )


def _purpose(values: dict[str, str]) -> str:
    if whole := values.get("НазначениеПлатежа"):
        return whole
    return " ".join(text for part in range(1, 7) if (text := values.get(f"НазначениеПлатежа{part}")))


def _day(one: _Section, name: str) -> date:
    try:
        day, month, year = one.values.get(name, "").split(".")
        return date(int(year), int(month), int(day))
    except ValueError:
        told = {"line": one.line, "name": name, "value": one.values.get(name, "")}
        raise BadStatement(
            _("Раздел со строки %(line)d: %(name)s — не дата вида 31.12.2026: «%(value)s»") % told
        ) from None


def _sum(one: _Section, name: str) -> Decimal | None:
    text = one.values.get(name, "").replace(" ", "").replace("\N{NO-BREAK SPACE}", "")
    if not text:
        return None
    try:
        if not _AMOUNT.fullmatch(text):
            raise InvalidOperation
        return Decimal(text.replace(",", ".")).quantize(Decimal("0.01"))
    except InvalidOperation:
        told = {"line": one.line, "name": name, "value": one.values[name]}
        raise BadStatement(_("Раздел со строки %(line)d: %(name)s — не сумма: «%(value)s»") % told) from None


def _check(statement: Statement) -> None:
    """Whether documents add up to what the bank says of the account."""
    came = sum((one.amount for one in statement.documents if one.is_credit), Decimal("0.00"))
    went = sum((one.amount for one in statement.documents if not one.is_credit), Decimal("0.00"))
    for told, added, what in (
        (statement.received, came, _("поступило")),
        (statement.spent, went, _("списано")),
    ):
        if told is not None and told != added:
            raise BadStatement(
                _("Счёт %(account)s: %(what)s по выписке %(told)s, а по документам %(added)s")
                % {"account": statement.account, "what": what, "told": told, "added": added}
            )
    if None not in (statement.opening, statement.received, statement.spent, statement.closing):
        expected = statement.opening + statement.received - statement.spent  # type: ignore[operator]
        if expected != statement.closing:
            raise BadStatement(
                _("Счёт %(account)s: остаток на конец %(told)s, а выходит %(added)s")
                % {"account": statement.account, "told": statement.closing, "added": expected}
            )
