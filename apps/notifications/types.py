"""Every message to a customer, or to staff, declared once: what it is called and what has to be put in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.policies import messages as policies

EXPLAINED = {
    "product": _("название продукта"),
    "tariff": _("название тарифа"),
    "amount": _("сумма"),
    "old_amount": _("прежняя сумма"),
    "deadline": _("последний день для ответа"),
    "next_charge_date": _("день следующего списания"),
    "period_start": _("начало оплаченного периода"),
    "period_end": _("конец оплаченного периода"),
    "key": _("ключ активации"),
    "url": _("ссылка на услугу"),
    "instructions": _("как активировать"),
    "invoice_number": _("номер счёта"),
    "method": _("карта или другой способ оплаты"),
    "code": _("код"),
    "contact": _("новый телефон или почта, скрыты наполовину"),
    "who": _("кто изменил: сотрудник или партнёр"),
    "minutes": _("сколько минут действует код"),
    "reason": _("причина"),
    "pay_url": _("ссылка на оплату"),
    "ends_on": _("день, когда подписка завершится"),
    "document": _("вид документа: счёт, акт, корректировка, квитанция"),
    "document_number": _("номер документа"),
    "document_date": _("дата документа"),
    "due_date": _("последний день оплаты"),
    "receipt_kind": _("приход или возврат прихода"),
    "receipt_date": _("когда чек пробит"),
    "receipt_url": _("ссылка на чек у оператора фискальных данных"),
    "fn": _("номер фискального накопителя (ФН)"),
    "fd": _("номер фискального документа (ФД)"),
    "fpd": _("фискальный признак документа (ФПД)"),
    "headline": _("что случилось, одной строкой"),
    "page_url": _("ссылка на страницу консоли"),
    "text": _("текст, который написали в плане исполнения"),
    "asked": _("какие данные нужны"),
    "question": _("вопрос поставщика"),
    "ask_url": _("ссылка, по которой отвечают"),
    "order_number": _("номер заказа"),
    "partner_name": _("название партнёра"),
    "colour": _("цвет партнёра"),
    "cabinet_url": _("ссылка на личный кабинет"),
    "logo_url": _("ссылка на логотип партнёра"),
}
ALWAYS = ("partner_name", "colour", "cabinet_url", "logo_url")
"""Put into every message by `look.of_partner`; a sender may give its own."""


@dataclass(frozen=True, slots=True)
class Type:
    """One type. `secret`: its text opens a door, so it is never shown and goes once the message has left."""

    code: str
    title: Any
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    secret: bool = False

    def complete(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """`context` with empty optional keys. Raises ValueError for what lacks or is not known."""
        given = {name for name, value in context.items() if value not in (None, "")}
        if missing := [name for name in self.required if name not in given]:
            raise ValueError(f"Message {self.code} needs {', '.join(missing)}")
        known = {*self.required, *self.optional, *ALWAYS}
        if unknown := sorted(set(context) - known):
            raise ValueError(f"Message {self.code} does not know {', '.join(unknown)}")
        empty = dict.fromkeys(self.optional, "")
        return {**empty, **{name: context[name] for name in known if name in given}}


@dataclass
class _Types:
    by_code: dict[str, Type] = field(default_factory=dict)

    def declare(self, type: Type) -> None:
        self.by_code[type.code] = type
        names = (*type.required, *type.optional, *ALWAYS)
        policies.declare(type.code, type.title, {name: EXPLAINED[name] for name in names})


_types = _Types()
_PERIOD = ("period_start", "period_end")
_UNPAID = (
    "tariff",
    "reason",
    "pay_url",
    "method",
    "invoice_number",
    "next_charge_date",
    "ends_on",
    "period_end",
)

for _type in (
    Type("signin_code", _("Код для входа"), ("code",), ("minutes",), secret=True),
    Type("contact_code", _("Код для смены контакта"), ("code", "contact"), ("minutes",), secret=True),
    Type("contact_changed", _("Контакт изменён"), ("who",), ("contact",)),
    Type(
        "payment_succeeded",
        _("Оплата прошла"),
        ("product", "amount"),
        ("tariff", "invoice_number", "method", "next_charge_date", *_PERIOD),
    ),
    Type(
        "key_delivered",
        _("Доступ к продукту"),
        ("product",),
        ("tariff", "key", "url", "instructions", "period_end"),
    ),
    Type("fulfilment_step", _("Как идёт заказ"), ("product", "text")),
    Type("order_to_pay", _("Заказ ждёт оплаты"), ("product", "amount", "pay_url"), ("due_date",)),
    Type("order_rejected", _("Заказ не будет исполнен"), ("product", "reason"), ("order_number",)),
    Type("information_required", _("Нужны данные, чтобы выдать"), ("product", "asked", "ask_url")),
    Type("provider_question", _("Поставщик спрашивает клиента"), ("product", "question", "ask_url")),
    Type(
        "trial_started",
        _("Пробный период начался"),
        ("product", "amount", "period_end"),
        ("tariff", "method"),
    ),
    Type(
        "trial_ending",
        _("Пробный период заканчивается"),
        ("product", "amount", "period_end", "pay_url"),
        ("tariff",),
    ),
    Type(
        "renewal_ahead",
        _("Скоро продление"),
        ("product", "amount", "next_charge_date"),
        ("tariff", "method", "url", *_PERIOD),
    ),
    Type(
        "renewal_paid",
        _("Подписка продлена"),
        ("product", "amount", "period_end"),
        ("tariff", "invoice_number", "method", "next_charge_date", "period_start"),
    ),
    *(
        Type(code, title, ("product", "amount"), _UNPAID)
        for code, title in (
            ("renewal_failed", _("Продление не оплачено")),
            ("payment_reminder", _("Напоминание об оплате")),
            ("service_suspended", _("Услуга приостановлена")),
            ("last_warning", _("Последнее предупреждение")),
        )
    ),
    Type("method_refused", _("Автосписания отключены"), ("method",), ("product",)),
    Type(
        "price_change",
        _("Цена изменится"),
        ("product", "amount", "old_amount", "next_charge_date"),
        ("tariff", "reason", "url", "deadline"),
    ),
    Type(
        "document_issued",
        _("Документ"),
        ("document", "document_number", "document_date", "amount"),
        ("due_date",),
    ),
    Type(
        "fiscal_receipt",
        _("Кассовый чек"),
        ("amount", "receipt_kind", "fn", "fd", "fpd"),
        ("product", "receipt_date", "receipt_url"),
    ),
    Type(
        "subscription_cancelled",
        _("Подписка отменена"),
        ("product",),
        ("tariff", "period_end", "reason"),
    ),
    Type(
        "staff_alert",
        _("Сотрудникам: нужен ответ"),
        ("headline", "page_url"),
        ("reason", "amount", "deadline"),
    ),
):
    _types.declare(_type)


def of(code: str) -> Type:
    """The type with this code. Raises LookupError where there is none."""
    try:
        return _types.by_code[code]
    except KeyError:
        raise LookupError(f"No message type {code}; there are {', '.join(_types.by_code)}") from None


def choices() -> list[tuple[str, Any]]:
    """Codes and names on screen."""
    return [(type.code, type.title) for type in _types.by_code.values()]
