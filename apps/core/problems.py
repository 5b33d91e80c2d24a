"""`/api/docs/problems`: what each code of a problem document means; its `type` points here."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

# (status, what it means and what to do). In the order in which a reader meets them.
CODES = {
    "invalid": (400, _("Поля запроса заполнены неверно: какие и почему, сказано в errors.")),
    "parse_error": (400, _("Тело запроса — не JSON.")),
    "bad_request": (400, _("Запрос не получилось разобрать.")),
    "bad_phone": (400, _("Это не номер телефона.")),
    "bad_email": (400, _("Это не адрес почты.")),
    "bad_contact": (400, _("Это не телефон и не почта.")),
    "no_contact": (400, _("Нужно хотя бы одно: phone, email или external_id.")),
    "bad_quantity": (400, _("Количество: от 1 до 99.")),
    "idempotency_key": (400, _("Idempotency-Key: до 255 печатных знаков.")),
    "not_authenticated": (401, _("Нужен заголовок Authorization: Bearer с ключом API.")),
    "authentication_failed": (401, _("Ключ API неизвестен, отозван или принадлежит другому партнёру.")),
    "permission_denied": (403, _("У ключа нет права на это действие: права выбираются при выдаче.")),
    "forbidden": (403, _("Недостаточно прав.")),
    "not_found": (404, _("Такого объекта у этого партнёра нет.")),
    "offer_closed": (404, _("Предложение не продаётся или не выбрано для канала этого ключа.")),
    "unknown_host": (404, _("На этом адресе никто не работает.")),
    "method_not_allowed": (405, _("Такого действия у адреса нет; возможные — в заголовке Allow.")),
    "not_acceptable": (406, _("В таком виде ответа нет: проверьте заголовок Accept.")),
    "price_changed": (409, _("Цена не та, что в expected_price; новая — в price. Ничего не списано.")),
    "sales_stopped": (409, _("Продажи партнёра остановлены.")),
    "customer_conflict": (409, _("Телефон, почта и номер принадлежат разным клиентам.")),
    "customer_erased": (409, _("Данные этого клиента стёрты.")),
    "subscription_not_live": (409, _("Подписка уже не действует.")),
    "not_cancelled": (409, _("Подписка не отменена: возобновлять нечего.")),
    "trial_refunded": (409, _("Подписка отменена в пробный период, оплата возвращается.")),
    "period_over": (409, _("Оплаченный период кончился: оформите новый заказ.")),
    "invoice_closed": (409, _("Счёт уже оплачен или аннулирован.")),
    "invoice_not_paid": (409, _("Счёт не оплачен: возвращать нечего.")),
    "method_refused": (409, _("Клиент отказался от списаний с этой карты.")),
    "idempotency_in_progress": (409, _("Первый запрос с этим Idempotency-Key ещё выполняется.")),
    "unsupported_media_type": (415, _("Тело запроса присылайте как application/json.")),
    "idempotency_mismatch": (422, _("Этот Idempotency-Key уже был у другого запроса.")),
    "request_key_reused": (422, _("С этим ключом уже оформлен другой заказ.")),
    "throttled": (429, _("Слишком много запросов: сколько ждать, сказано в Retry-After.")),
    "failed": (500, _("Сбой у нас. Повторите с тем же Idempotency-Key: второй раз ничего не сделается.")),
    "no_connection": (503, _("У партнёра не настроено подключение к шлюзу. Повторите позже.")),
}


@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    """The list, each code under an anchor of its own."""
    return render(request, "core/problems.html", {"codes": CODES.items()})
