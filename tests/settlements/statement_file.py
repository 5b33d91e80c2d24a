"""A bank's file in the format 1CClientBankExchange, written as a bank writes it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

ACCOUNT = "40702810400000012345"
PAYER_ACCOUNT = "40702810900000054321"


@dataclass(frozen=True)
class Came:
    """One document; negative where it left the account."""

    amount: str
    purpose: str
    number: str = "17"
    inn: str = "7707083893"
    name: str = "ООО Ромашка"
    day: date | None = None
    account: str = PAYER_ACCOUNT


def day_of(day: date) -> str:
    """As the format has it."""
    return f"{day:%d.%m.%Y}"


def written(
    *documents: Came,
    start: date,
    end: date | None = None,
    account: str = ACCOUNT,
    encoding: str = "cp1251",
    opening: str = "1000.00",
) -> bytes:
    """The file, its totals right."""
    end = end or start
    received = sum((Decimal(one.amount) for one in documents if Decimal(one.amount) > 0), Decimal("0.00"))
    spent = -sum((Decimal(one.amount) for one in documents if Decimal(one.amount) < 0), Decimal("0.00"))
    days = [f"ДатаНачала={day_of(start)}", f"ДатаКонца={day_of(end)}"]
    lines = [
        "1CClientBankExchange",
        "ВерсияФормата=1.03",
        f"Кодировка={ {'cp1251': 'Windows', 'cp866': 'DOS'}.get(encoding, 'UTF-8') }",
        "Отправитель=Банк-клиент",
        "Получатель=1С:Предприятие",
        f"ДатаСоздания={day_of(end)}",
        "ВремяСоздания=09:30:00",
        *days,
        f"РасчСчет={account}",
        "СекцияРасчСчет",
        *days,
        f"РасчСчет={account}",
        f"НачальныйОстаток={opening}",
        f"ВсегоПоступило={received}",
        f"ВсегоСписано={spent}",
        f"КонечныйОстаток={Decimal(opening) + received - spent}",
        "КонецРасчСчет",
        *(line for one in documents for line in _document(one, account, start)),
        "КонецФайла",
    ]
    return "\r\n".join([*lines, ""]).encode(encoding)


def _document(one: Came, account: str, start: date) -> list[str]:
    day = day_of(one.day or start)
    came = Decimal(one.amount) > 0
    theirs, ours = ("Плательщик", "Получатель") if came else ("Получатель", "Плательщик")
    return [
        "СекцияДокумент=Платежное поручение",
        f"Номер={one.number}",
        f"Дата={day}",
        f"Сумма={abs(Decimal(one.amount))}",
        f"{'ДатаПоступило' if came else 'ДатаСписано'}={day}",
        f"{theirs}Счет={one.account}",
        f"{theirs}=ИНН {one.inn} {one.name}",
        f"{theirs}ИНН={one.inn}",
        f"{theirs}КПП=770701001",
        f"{theirs}1={one.name}",
        f"{theirs}РасчСчет={one.account}",
        f"{theirs}Банк1=ПАО СБЕРБАНК",
        f"{theirs}БИК=044525225",
        f"{ours}Счет={account}",
        f"{ours}=ИНН 7707083893 ООО Платформа",
        f"{ours}ИНН=7707083893",
        "ВидПлатежа=электронно",
        "ВидОплаты=01",
        "Очередность=5",
        f"НазначениеПлатежа={one.purpose}",
        "КонецДокумента",
    ]
