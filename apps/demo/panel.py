"""What «Пульт демонстрации» shows of a sandbox partner: clock, what is next, payments, what hangs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from apps.core import clock, models
from apps.core.tenancy import in_partner
from apps.demo import controls
from apps.demo.connect import TEST_TOKEN, Addresses
from apps.notifications.models import Message
from apps.partners.models import Partner
from apps.payments.models import Payment

KINDS = {
    "billing.renew": _("Продление"),
    "billing.notice": _("Напоминание о списании"),
    "billing.trial_end": _("После пробного периода не выбрали оплату"),
    "billing.expire": _("Срок оплаты счёта"),
    "billing.recognise": _("Период закончился"),
    "billing.begin": _("Новые условия вступают в силу"),
    "billing.resume": _("Конец паузы"),
    "billing.dunning": _("Повтор неудачного списания"),
    "billing.act": _("Акт за период"),
    "billing.document_letter": _("Письмо с документом"),
    "billing.partner_invoice": _("Счёт партнёру за клиентов"),
    "billing.mass_action": _("Массовое действие"),
    "billing.move_base": _("Перенос пачки подписок"),
    "billing.price_impact": _("Подсчёт, кого затронет новая цена"),
    "billing.price_plan": _("Извещение о новой цене"),
    "billing.price_check": _("Срок согласия с новой ценой"),
    "catalog.price_start": _("Новая цена вступает в силу"),
    "orders.fulfil": _("Выдача продукта"),
    "orders.give_back": _("Деньги за неисполненное"),
    "orders.watch": _("Присмотр за обещанным сроком"),
    "orders.remind": _("Напоминание клиенту о данных"),
    "orders.start": _("Исполнение заказа по дате"),
    "orders.bulk": _("Оформление заказов из файла"),
    "orders.expire": _("Срок черновика заказа"),
    "orders.request_deed": _("Действие с пульта исполнения"),
    "notifications.send": _("Отправка сообщения"),
    "providers.letter": _("Письмо поставщику"),
    "providers.remind": _("Напоминание поставщику"),
    "notifications.follow": _("Что стало с сообщением"),
    "payments.send": _("Отправка платежа"),
    "payments.sweep": _("Вопрос о платеже"),
    "payments.settle": _("Чтение платежа"),
    "payments.refund": _("Отправка возврата"),
    "payments.refund_sweep": _("Вопрос о возврате"),
    "payments.unbind": _("Отвязка карты у шлюза"),
    "payments.reconcile": _("Чтение возвратов"),
    "payments.dispute_deadline": _("Напоминание о сроке спора"),
    "payments.receipt": _("Отправка чека"),
    "payments.receipt_sweep": _("Вопрос о чеке"),
    "payments.receipt_close": _("Зачёт предоплаты"),
    "billing.charge_ask": _("Запрос партнёру о списании"),
    "billing.refund_ask": _("Запрос партнёру о возврате"),
    "settlements.match": _("Разбор выписки"),
    "settlements.provider_day": _("Сверка с поставщиком"),
    "settlements.ask_provider": _("Вопрос поставщику об услуге"),
    "settlements.provider_answered": _("Поставщик ответил обо всех услугах дня"),
    "settlements.morning": _("Утренняя сверка со шлюзами"),
    "connectors.inbound": _("Разбор уведомления"),
    "connectors.partitions": _("Новый месяц журнала"),
    "connectors.probe": _("Проба неисправного шлюза"),
    "core.audit": _("Ночная проверка"),
    "core.tidy": _("Уборка устаревшего"),
}
"""Every kind of due work in words; a test holds it against the registry."""
FAULTS = {"decline": _("отказ банка"), "drop_answer": _("потеря ответа")}
TONES = {"succeeded": "good", "failed": "bad", "unknown": "warn", "pending": "warn", "refunded": "plain"}
LONG = 6
"""Lines in each list."""


@dataclass(frozen=True)
class Line:
    """One line of a list on the panel."""

    at: datetime
    text: str
    side: str = ""
    tone: str = "plain"


def state(partner: Partner) -> dict[str, Any]:
    """All that the page shows of the partner, times in its zone."""
    with in_partner(partner):
        return {
            "clock_at": clock.local(clock.now()),
            "zone": partner.time_zone,
            "next": _next(partner),
            "payments": _payments(),
            "letters": _messages(),
            "work": _work(partner),
            "outside": _outside(),
            "links": _links(partner),
            "worker": controls.worker_pid(),
        }


def _next(partner: Partner) -> list[Line]:
    rows = models.Due.objects.filter(partner_id=partner.pk, is_sandbox=True).order_by("due_at")[:LONG]
    return [Line(clock.local(row.due_at), str(KINDS.get(row.kind, row.kind))) for row in rows]


def _payments() -> list[Line]:
    rows = Payment.objects.select_related("customer").order_by("-id")[:LONG]
    return [
        Line(
            clock.local(row.settled_at or row.created_at),
            f"{row.customer} · {row.get_purpose_display()}",
            f"{row.money}",
            TONES.get(row.state, "plain"),
        )
        for row in rows
    ]


def _messages() -> list[Line]:
    rows = Message.objects.order_by("-id")[:LONG]
    return [
        Line(clock.local(row.created_at), row.subject or row.text[:80], row.get_channel_display())
        for row in rows
    ]


def _work(partner: Partner) -> list[Line]:
    rows = models.WorkItem.objects.filter(partner_id=partner.pk).order_by("-opened_at")[:LONG]
    return [Line(clock.local(row.opened_at), row.reason, tone="warn") for row in rows]


def _outside() -> dict[str, Any]:
    """Planned faults of the gateway and whether the provider is on; None where a simulator does not answer."""
    found: dict[str, Any] = {"faults": [], "provider_on": None}
    try:
        faults = Addresses().control("yookassa").faults()
        found["faults"] = [str(FAULTS.get(fault["kind"], fault["kind"])) for fault in faults]
        found["provider_on"] = Addresses().control("provider").health(account=TEST_TOKEN)["on"]
    except (LookupError, httpx.HTTPError):
        pass
    return found


def _links(partner: Partner) -> list[tuple[str, Any, str]]:
    urls = {name: url.replace("127.0.0.1", "localhost") for name, url in settings.SANDBOX_URLS.items()}
    wanted = (
        ("storefront", _("Витрина"), partner.url()),
        ("group", _("Консоль партнёра"), f"/p/{partner.slug}/admin/"),
        ("mail", _("Письма"), urls.get("mailbox", "")),
        ("sms", _("СМС"), urls.get("smsaero", "")),
        ("credit_card", _("Платежи в шлюзе"), urls.get("yookassa", "")),
    )
    return [link for link in wanted if link[2]]
