"""What staff call the actions in the journal. Codes are kept; words may change."""

from typing import Any

from django.utils.translation import gettext_lazy as _

ACTIONS: dict[str, Any] = {
    "apikey.issued": _("Выпущен ключ API"),
    "apikey.revoked": _("Отозван ключ API"),
    "books.closed": _("Закрыт период"),
    "books.reopened": _("Период открыт снова"),
    "call_list.created": _("Создан обзвон"),
    "call_list.exported": _("Выгружен список обзвона"),
    "call_list.results": _("Загружены результаты обзвона"),
    "connection.changed": _("Изменено подключение"),
    "connection.created": _("Создано подключение"),
    "connection.switched-off": _("Выключено подключение"),
    "connection.switched-on": _("Включено подключение"),
    "contract.set": _("Установлены условия договора"),
    "customer.company": _("Изменены реквизиты организации"),
    "customer.changed": _("Изменены данные клиента"),
    "customer.erased": _("Стёрты данные клиента"),
    "demo.clear": _("Пульт: помехи убраны"),
    "demo.day": _("Пульт: часы на день вперёд"),
    "demo.decline": _("Пульт: отклонить следующее списание"),
    "demo.drop_answer": _("Пульт: потерять ответ шлюза"),
    "demo.kill_worker": _("Пульт: остановить обработчик"),
    "demo.month": _("Пульт: часы на месяц вперёд"),
    "demo.provider_off": _("Пульт: выключить поставщика"),
    "demo.provider_on": _("Пульт: включить поставщика"),
    "demo.three_days": _("Пульт: часы на три дня вперёд"),
    "demo.to_date": _("Пульт: часы на дату"),
    "demo.webhook": _("Пульт: повторить уведомление шлюза"),
    "inbound.replayed": _("Входящее сообщение обработано ещё раз"),
    "keys.loaded": _("Загружены ключи активации"),
    "message.resent": _("Сообщение отправлено ещё раз"),
    "messagetemplate.changed": _("Изменён шаблон сообщения"),
    "messagetemplate.created": _("Создан шаблон сообщения"),
    "partner.changed": _("Изменён партнёр"),
    "partner.created": _("Создан партнёр"),
    "partner.offered": _("Партнёру открыты тарифы"),
    "payments.method_refused": _("Отказ от автосписаний"),
    "payments.refund": _("Назначен возврат"),
    "price-list.imported": _("Загружен прайс-лист"),
    "provider_terms.set": _("Установлены условия поставщика"),
    "request.moved": _("Обращение перешло в другое состояние"),
    "request.opened": _("Открыто обращение"),
    "role.given": _("Выдана роль"),
    "role.taken": _("Снята роль"),
    "staff.added": _("Добавлен сотрудник"),
    "staff.changed": _("Изменён сотрудник"),
    "subscription.cancelled": _("Отменена подписка"),
    "subscription.method_refused": _("Отказ от автосписаний по подписке"),
    "subscription.resumed": _("Возобновлена подписка"),
    "tariff.version-published": _("Опубликована редакция тарифа"),
    "vatrate.changed": _("Изменена ставка НДС"),
    "vatrate.created": _("Добавлена ставка НДС"),
}


def action(code: str) -> str:
    """An action in words; its code where it has none."""
    return str(ACTIONS.get(code, code))
