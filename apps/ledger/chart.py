"""The chart of accounts, and which event posts what: said once, shown in the console, held by a test."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.ledger.models import Account

_A = Account


@dataclass(frozen=True, slots=True)
class Entry:
    """An account: its number in the Russian chart, whether its balance is a debit, and what stands on it."""

    number: str
    is_active: bool | None
    """None: a balance on either side is usual."""
    text: Any


CHART: dict[str, Entry] = {
    _A.RECEIVABLE: Entry(
        "62.01", None, _("Что должны клиенты по выставленным счетам; по кредиту — что пришло сверх них")
    ),
    _A.ADVANCES: Entry("62.02", False, _("Баланс клиентов: что зачтётся в следующие счета")),
    _A.CLEARING: Entry("57.03", True, _("Деньги, которые шлюз принял и ещё не перечислил, без его комиссии")),
    _A.BANK: Entry("51", True, _("Расчётный счёт")),
    _A.DEFERRED: Entry("98.01", False, _("Выставленные услуги, дни которых ещё не прошли, без НДС")),
    _A.REVENUE: Entry("90.01", False, _("Выручка без НДС: дни прошли, услуга оказана")),
    _A.VAT: Entry("68.02", False, _("НДС с выставленных счетов, по ставке дня счёта")),
    _A.FEE: Entry("91.02", True, _("Что шлюз удержал со списаний")),
    _A.REFUND: Entry("76.03", None, _("Возвраты клиентам, которые ещё в пути")),
    _A.PARTNER_SHARE: Entry(
        "44.01", True, _("Вознаграждение партнёров, за вычетом удержанного при возвратах")
    ),
    _A.PARTNER_PAYABLE: Entry(
        "76.05", None, _("Что должны партнёрам; по дебету — деньги клиентов, которые пришли на шлюз партнёра")
    ),
    _A.PROVIDER_COST: Entry("90.02", True, _("Себестоимость: что причитается поставщикам при перепродаже")),
    _A.PROVIDER_PAYABLE: Entry("60.01", False, _("Что должны поставщикам и принципалам")),
    _A.AGENCY: Entry(
        "76.06", False, _("Агентские продажи: выставлено и ещё не оплачено; это деньги принципала")
    ),
    _A.WRITE_OFF: Entry("91.03", True, _("Списанные долги и проигранные споры")),
    _A.DISPUTE: Entry("76.02", True, _("Что банк списал по чарджбэкам, которые ещё не решены")),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One posting of an event: `name` is that of the transfer, without the number of its line."""

    document: str
    name: str
    debit: str
    credit: str
    text: Any


@dataclass(frozen=True, slots=True)
class Happening:
    """An event with all that it posts."""

    title: Any
    rules: tuple[Rule, ...]


EVENTS: tuple[Happening, ...] = (
    Happening(
        _("Счёт выставлен"),
        (
            Rule("invoice", "net", _A.RECEIVABLE, _A.DEFERRED, _("стоимость строки без НДС")),
            Rule("invoice", "vat", _A.RECEIVABLE, _A.VAT, _("НДС строки, по ставке на день счёта")),
            Rule("invoice", "net", _A.RECEIVABLE, _A.AGENCY, _("агент: стоимость без НДС — принципала")),
            Rule("invoice", "vat", _A.RECEIVABLE, _A.AGENCY, _("агент: НДС — тоже принципала")),
            Rule("invoice", "balance", _A.ADVANCES, _A.RECEIVABLE, _("зачтено с баланса клиента")),
        ),
    ),
    Happening(
        _("Деньги пришли"),
        (
            Rule("payment", "paid", _A.CLEARING, _A.RECEIVABLE, _("через шлюз платформы")),
            Rule(
                "payment", "paid", _A.PARTNER_PAYABLE, _A.RECEIVABLE, _("через шлюз партнёра: деньги у него")
            ),
            Rule("outside_payment", "paid", _A.BANK, _A.RECEIVABLE, _("переводом на расчётный счёт")),
            Rule(
                "outside_payment",
                "paid",
                _A.PARTNER_PAYABLE,
                _A.RECEIVABLE,
                _("собрал партнёр: деньги у него"),
            ),
            Rule("outside_payment", "balance", _A.BANK, _A.ADVANCES, _("переплата — на баланс клиента")),
            Rule(
                "outside_payment",
                "balance",
                _A.PARTNER_PAYABLE,
                _A.ADVANCES,
                _("переплата, деньги у партнёра"),
            ),
            Rule(
                "outside_payment",
                "released",
                _A.RECEIVABLE,
                _A.ADVANCES,
                _("счёт аннулирован: часть — на баланс"),
            ),
            Rule("payment", "fee", _A.FEE, _A.CLEARING, _("комиссия, удержанная шлюзом платформы")),
        ),
    ),
    Happening(
        _("Счёт оплачен"),
        (
            Rule("invoice", "share", _A.PARTNER_SHARE, _A.PARTNER_PAYABLE, _("вознаграждение партнёра")),
            Rule(
                "invoice", "cost", _A.PROVIDER_COST, _A.PROVIDER_PAYABLE, _("себестоимость при перепродаже")
            ),
            Rule(
                "invoice",
                "principal",
                _A.AGENCY,
                _A.PROVIDER_PAYABLE,
                _("агент: деньги принципала без вознаграждения"),
            ),
            Rule("invoice", "commission", _A.AGENCY, _A.DEFERRED, _("агент: своё вознаграждение без НДС")),
            Rule("invoice", "commission_vat", _A.AGENCY, _A.VAT, _("агент: НДС своего вознаграждения")),
        ),
    ),
    Happening(
        _("Месяц кончился: часть услуги оказана"),
        (
            Rule(
                "invoice",
                "month",
                _A.DEFERRED,
                _A.REVENUE,
                _("выручка за прошедшие дни строки, последним днём месяца"),
            ),
        ),
    ),
    Happening(
        _("Период кончился: услуга оказана"),
        (
            Rule(
                "invoice",
                "recognised",
                _A.DEFERRED,
                _A.REVENUE,
                _("остаток выручки строки, за вычетом возвращённого"),
            ),
            Rule(
                "invoice",
                "share",
                _A.PARTNER_SHARE,
                _A.PARTNER_PAYABLE,
                _("вознаграждение, если так в договоре"),
            ),
            Rule(
                "invoice",
                "cost",
                _A.PROVIDER_COST,
                _A.PROVIDER_PAYABLE,
                _("себестоимость, если так в договоре"),
            ),
        ),
    ),
    Happening(
        _("Счёт аннулирован"),
        (
            Rule("invoice", "void-net", _A.DEFERRED, _A.RECEIVABLE, _("обратная проводка")),
            Rule("invoice", "void-vat", _A.VAT, _A.RECEIVABLE, _("обратная проводка")),
            Rule("invoice", "void-net", _A.AGENCY, _A.RECEIVABLE, _("обратная проводка агента")),
            Rule("invoice", "void-vat", _A.AGENCY, _A.RECEIVABLE, _("обратная проводка агента")),
            Rule("invoice", "void-balance", _A.RECEIVABLE, _A.ADVANCES, _("баланс возвращён клиенту")),
        ),
    ),
    Happening(
        _("Корректировка счёта (пауза, смена тарифа, отключение)"),
        (
            Rule("credit_note", "net", _A.DEFERRED, _A.RECEIVABLE, _("период не кончился")),
            Rule("credit_note", "net", _A.REVENUE, _A.RECEIVABLE, _("период кончился: сторно выручки")),
            Rule("credit_note", "unearned", _A.REVENUE, _A.DEFERRED, _("сторно выручки за прошедшие дни")),
            Rule("credit_note", "net", _A.AGENCY, _A.RECEIVABLE, _("агент")),
            Rule("credit_note", "vat", _A.VAT, _A.RECEIVABLE, _("НДС по ставке строки")),
            Rule("credit_note", "vat", _A.AGENCY, _A.RECEIVABLE, _("агент")),
            Rule("credit_note", "balance", _A.RECEIVABLE, _A.ADVANCES, _("на баланс клиента")),
            Rule("credit_note", "share", _A.PARTNER_PAYABLE, _A.PARTNER_SHARE, _("удержано с партнёра")),
            Rule("credit_note", "cost", _A.PROVIDER_PAYABLE, _A.PROVIDER_COST, _("возвращено поставщиком")),
            Rule("credit_note", "principal", _A.PROVIDER_PAYABLE, _A.AGENCY, _("агент: вернёт принципал")),
            Rule("credit_note", "commission", _A.DEFERRED, _A.AGENCY, _("агент: вознаграждение снято")),
            Rule("credit_note", "commission", _A.REVENUE, _A.AGENCY, _("агент: сторно выручки")),
            Rule("credit_note", "commission_vat", _A.VAT, _A.AGENCY, _("агент: НДС вознаграждения")),
        ),
    ),
    Happening(
        _("Деньги с баланса возвращены покупателю"),
        (
            Rule("payout", "paid-out", _A.ADVANCES, _A.RECEIVABLE, _("сняты с баланса, ушли платежом")),
            Rule("payout", "returned", _A.RECEIVABLE, _A.ADVANCES, _("шлюз не вернул: снова на балансе")),
            Rule(
                "credit_note",
                "returned",
                _A.RECEIVABLE,
                _A.ADVANCES,
                _("шлюз не вернул деньги корректировки: они на балансе"),
            ),
        ),
    ),
    Happening(
        _("Возврат оплаченного: счёт уменьшен"),
        (
            Rule("credit", "credit-net", _A.DEFERRED, _A.RECEIVABLE, _("период не кончился")),
            Rule("credit", "credit-net", _A.REVENUE, _A.RECEIVABLE, _("период кончился: сторно выручки")),
            Rule("credit", "credit-unearned", _A.REVENUE, _A.DEFERRED, _("сторно выручки за прошедшие дни")),
            Rule("credit", "credit-net", _A.AGENCY, _A.RECEIVABLE, _("агент")),
            Rule("credit", "credit-vat", _A.VAT, _A.RECEIVABLE, _("НДС по ставке строки")),
            Rule("credit", "credit-vat", _A.AGENCY, _A.RECEIVABLE, _("агент")),
            Rule("credit", "credit-share", _A.PARTNER_PAYABLE, _A.PARTNER_SHARE, _("удержано с партнёра")),
            Rule("credit", "credit-cost", _A.PROVIDER_PAYABLE, _A.PROVIDER_COST, _("возвращено поставщиком")),
            Rule("credit", "credit-principal", _A.PROVIDER_PAYABLE, _A.AGENCY, _("агент: вернёт принципал")),
            Rule("credit", "credit-commission", _A.DEFERRED, _A.AGENCY, _("агент: вознаграждение снято")),
            Rule("credit", "credit-commission", _A.REVENUE, _A.AGENCY, _("агент: сторно выручки")),
            Rule("credit", "credit-commission_vat", _A.VAT, _A.AGENCY, _("агент: НДС вознаграждения")),
        ),
    ),
    Happening(
        _("Деньги ушли клиенту"),
        (
            Rule("refund", "refunded", _A.RECEIVABLE, _A.CLEARING, _("через шлюз платформы")),
            Rule("refund", "refunded", _A.RECEIVABLE, _A.PARTNER_PAYABLE, _("через шлюз партнёра")),
            Rule("refund", "refunded", _A.RECEIVABLE, _A.BANK, _("переводом по реквизитам клиента")),
            Rule(
                "outside_refund",
                "owed",
                _A.ADVANCES,
                _A.RECEIVABLE,
                _("пришедшее мимо шлюза снято с баланса, в пути"),
            ),
            Rule(
                "outside_refund", "refunded", _A.RECEIVABLE, _A.BANK, _("пришедшее мимо шлюза ушло клиенту")
            ),
            Rule(
                "outside_refund",
                "refunded",
                _A.RECEIVABLE,
                _A.PARTNER_PAYABLE,
                _("вернул партнёр: деньги у него"),
            ),
            Rule("outside_refund", "returned", _A.RECEIVABLE, _A.ADVANCES, _("не ушло: снова на балансе")),
        ),
    ),
    Happening(
        _("Чарджбэк: банк забрал деньги и решил спор"),
        (
            Rule("dispute", "taken", _A.DISPUTE, _A.CLEARING, _("списаны со шлюза платформы")),
            Rule("dispute", "taken", _A.DISPUTE, _A.PARTNER_PAYABLE, _("списаны со шлюза партнёра")),
            Rule("dispute", "returned", _A.CLEARING, _A.DISPUTE, _("спор выигран: деньги вернулись")),
            Rule("dispute", "returned", _A.PARTNER_PAYABLE, _A.DISPUTE, _("выигран, шлюз партнёра")),
            Rule("dispute", "lost", _A.WRITE_OFF, _A.DISPUTE, _("спор проигран или признан: убыток")),
        ),
    ),
    Happening(
        _("Шлюз перечислил деньги на расчётный счёт"),
        (
            Rule("gateway_payout", "payout", _A.BANK, _A.CLEARING, _("выплата за дни, доля партнёра в ней")),
            Rule(
                "gateway_payout",
                "fee",
                _A.FEE,
                _A.CLEARING,
                _("комиссия, которую шлюз назвал в реестре, а не с платежом"),
            ),
            Rule("gateway_payout", "payout-undone", _A.CLEARING, _A.BANK, _("выплату сняли или изменили")),
            Rule("gateway_payout", "fee-undone", _A.CLEARING, _A.FEE, _("комиссия этой выплаты снята")),
        ),
    ),
)
"""Trials and pauses post nothing: nothing is invoiced. The gateway's fee is not given back with a refund."""
