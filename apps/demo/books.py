"""What finance works with in the demonstration: receipts, a bank statement, and a gateway's days beside ours."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from apps.billing.models import Collection, Invoice, InvoiceState
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.tenancy import in_partner, in_public
from apps.demo.connect import Addresses
from apps.demo.gateways import TILLS
from apps.partners.models import LegalEntity, Partner
from apps.payments.models import Payment, Refund
from apps.policies.fiscal import FiscalRule
from apps.settlements import reconciliation, statements
from apps.settlements.models import BankStatement, GatewayDay, GatewayTerms

ACTOR = "demo"
GATEWAY_NAME, GATEWAY_INN = "ООО НКО «ЮМани»", "7750005725"
LATEST, EARLIEST = timedelta(days=2), timedelta(days=32)
"""Which days are compared: their payouts have come by now."""


def receipts() -> None:
    """The operator's own sales get receipts of its cash register from now on, in live shops and in sandboxes."""
    registers = {one.is_test: one for one in Connection.objects.filter(kind="fiscal", partner=None)}
    seller = LegalEntity.objects.get(is_operator=True)
    if not registers or FiscalRule.objects.filter(legal_entity=seller).exists():
        return
    FiscalRule.objects.create(
        legal_entity=seller,
        valid_from=date(2020, 1, 1),
        connection=registers[False],
        test_connection=registers[True],
        place="https://armor.localhost",
        email="receipts@armor.localhost",
    )


def reconcile(partner: Partner) -> str:
    """A day that agrees and is paid out, a day that does not, and a statement; tells how much of each, or nothing."""
    if BankStatement.objects.exists():
        return ""
    gateway = Connection.objects.get(connector=TILLS[0].connector, partner=None, is_test=False)
    GatewayTerms.objects.update_or_create(
        connection=gateway,
        defaults={"payer_inn": GATEWAY_INN, "purpose_words": gateway.config["shop_id"]},
    )
    days = _days(partner, gateway)
    if not days:
        return ""
    *others, doubtful = sorted(days, key=lambda day: (len(days[day]), day))
    returned = _returned(partner, gateway)
    # Of a day on which more went back than came in, nothing is paid out.
    others = [one for one in others if one not in returned]
    _spoil(doubtful, days[doubtful])
    reconciliation.check(gateway.pk, doubtful, actor=ACTOR)
    good = reconciliation.check(gateway.pk, max(others), actor=ACTOR) if others else None
    loaded = statements.load(_statement(partner, good), name="kl_to_1c.txt", actor=ACTOR)
    if good is not None:
        reconciliation.close(good.pk, actor=ACTOR)
    compared = 1 if good is None else 2
    return f"выписка загружена, неопознанных строк — {loaded.unidentified}; сверено дней — {compared}"


def _days(partner: Partner, gateway: Connection) -> dict[date, list[Payment]]:
    """What came through a gateway by the days of its register."""
    since, until = (
        datetime.combine(clock.today() - back, time(), clock.zone()) for back in (EARLIEST, LATEST)
    )
    found: defaultdict[date, list[Payment]] = defaultdict(list)
    zone = reconciliation.bounds(gateway, clock.today())[0].tzinfo
    with in_partner(partner):
        rows = Payment.objects.filter(connection=gateway, state="succeeded", settled_at__range=(since, until))
        for row in rows.order_by("pk"):
            assert row.settled_at is not None
            found[row.settled_at.astimezone(zone).date()].append(row)
    return dict(found)


def _returned(partner: Partner, gateway: Connection) -> set[date]:
    """Days of its register on which money went back."""
    zone = reconciliation.bounds(gateway, clock.today())[0].tzinfo
    with in_partner(partner):
        rows = Refund.objects.filter(payment__connection=gateway, settled_at__isnull=False)
        return {one.astimezone(zone).date() for one in rows.values_list("settled_at", flat=True) if one}


def _spoil(day: date, rows: list[Payment]) -> None:
    """Money went back by hand in the gateway's cabinet, and its register tells of another fee."""
    control = Addresses().control(TILLS[0].simulator)
    control.set_clock(datetime.combine(day, time(18), clock.zone()))
    # As where nobody has switched on the notification: or we would hear of it at once.
    control.fault("no_webhook", match={"event": "refund.succeeded"})
    control.cabinet_refund(rows[0].gateway_id, "50.00")
    control.set_clock(None)
    control.misreport(rows[-1].gateway_id, fee=str(rows[-1].fee + Decimal("3.40")))


@dataclass(frozen=True)
class Came:
    """A document of the statement; negative where the money left the account."""

    amount: Decimal
    number: str
    name: str
    inn: str
    purpose: str
    bank: str = "ПАО СБЕРБАНК"
    bik: str = "044525225"
    account: str = "40702810900000054321"


def _statement(partner: Partner, good: GatewayDay | None) -> bytes:
    """Yesterday's file of the bank: a payout, a client's transfer, its own fee, and what nobody knows."""
    came = [
        Came(
            Decimal("12500.00"),
            "412",
            "ООО «Василёк»",
            "7728168971",
            "Оплата по договору б/н за услуги связи, НДС не облагается",
        ),
        Came(
            Decimal("3990.00"),
            "88",
            "ИП Громова Анна Сергеевна",
            "770812345678",
            f"Оплата по счёту I{clock.today():%y}-1-1-000999 за подписку, без НДС",
        ),
        Came(Decimal("-1200.00"), "5", "АО «Пример Банк»", "7707083893", "Комиссия за ведение счёта"),
    ]
    if good is not None:
        name, words = GATEWAY_NAME, good.connection.config["shop_id"]
        told = f"Перечисление платежей по договору № {words} за {good.day:%d.%m.%Y}, НДС не облагается"
        came.insert(0, Came(good.net.amount, "70214", name, GATEWAY_INN, told))
    with in_partner(partner):
        waiting = Invoice.objects.filter(state=InvoiceState.OPEN, collection=Collection.INVOICE).first()
        if waiting is not None:
            company = waiting.customer.company
            asked = f"Оплата по счету {waiting.number}, в т.ч. НДС 22%"
            came.append(Came(waiting.due_money.amount + 1000, "119", company.name, company.inn, asked))
    with in_public():
        return _written(came, LegalEntity.objects.get(is_operator=True), clock.today() - timedelta(days=1))


def _written(came: list[Came], owner: LegalEntity, day: date) -> bytes:
    """The file as banks write it: 1CClientBankExchange 1.03, Windows."""
    received = sum((one.amount for one in came if one.amount > 0), Decimal("0.00"))
    spent = -sum((one.amount for one in came if one.amount < 0), Decimal("0.00"))
    opening = Decimal("184250.00")
    dates = [f"ДатаНачала={day:%d.%m.%Y}", f"ДатаКонца={day:%d.%m.%Y}", f"РасчСчет={owner.account}"]
    lines = [
        "1CClientBankExchange",
        "ВерсияФормата=1.03",
        "Кодировка=Windows",
        "Отправитель=Банк-клиент",
        f"ДатаСоздания={day:%d.%m.%Y}",
        *dates,
        "СекцияРасчСчет",
        *dates,
        f"НачальныйОстаток={opening}",
        f"ВсегоПоступило={received}",
        f"ВсегоСписано={spent}",
        f"КонечныйОстаток={opening + received - spent}",
        "КонецРасчСчет",
        *(line for one in came for line in _document(one, owner, day)),
        "КонецФайла",
    ]
    return "\r\n".join([*lines, ""]).encode("cp1251")


def _document(one: Came, owner: LegalEntity, day: date) -> list[str]:
    theirs, ours = ("Плательщик", "Получатель") if one.amount > 0 else ("Получатель", "Плательщик")
    return [
        "СекцияДокумент=Платежное поручение",
        f"Номер={one.number}",
        f"Дата={day:%d.%m.%Y}",
        f"Сумма={abs(one.amount)}",
        f"{'ДатаПоступило' if one.amount > 0 else 'ДатаСписано'}={day:%d.%m.%Y}",
        f"{theirs}Счет={one.account}",
        f"{theirs}ИНН={one.inn}",
        f"{theirs}1={one.name}",
        f"{theirs}РасчСчет={one.account}",
        f"{theirs}Банк1={one.bank}",
        f"{theirs}БИК={one.bik}",
        f"{ours}Счет={owner.account}",
        f"{ours}ИНН={owner.inn}",
        f"{ours}1={owner.name}",
        f"НазначениеПлатежа={one.purpose}",
        "КонецДокумента",
    ]
