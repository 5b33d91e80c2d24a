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
    "bad_answers": (400, _("Ответы на вопросы товара неверны: какие и почему, сказано в answers.")),
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
    "is_cancelled": (409, _("Подписка отключается: сначала возобновите её.")),
    "invoice_open": (409, _("У подписки есть неоплаченный счёт: сначала оплатите его.")),
    "other_product": (409, _("Перейти можно только на другой тариф того же продукта.")),
    "seats_taken": (409, _("Мест станет меньше, чем занято: сначала освободите лишние.")),
    "addon_period_differs": (409, _("У подписки и её дополнений должен быть один период.")),
    "nothing_changes": (409, _("Эти условия действуют уже сейчас.")),
    "nothing_planned": (409, _("Смена условий не запланирована.")),
    "bad_when": (400, _("when: now или period_end.")),
    "change_planned": (409, _("Запланирована смена условий: сначала отмените её.")),
    "bad_date": (400, _("День вне допустимых: см. detail.")),
    "is_addon": (409, _("Дополнение следует за основной подпиской.")),
    "not_paused": (409, _("Подписка не на паузе.")),
    "addon_of_addon": (409, _("Дополнение подключают к основной подписке.")),
    "subscription_not_found": (404, _("У клиента нет такой подписки.")),
    "parent_over": (409, _("Основная подписка отключается.")),
    "bad_holder": (400, _("Назовите, чьё это место: name, email или phone.")),
    "bad_position": (404, _("Такого места в подписке нет.")),
    "seat_taken": (409, _("Это место занято.")),
    "no_seat_free": (409, _("Все места заняты.")),
    "seat_free": (409, _("Это место и так свободно.")),
    "same_customer": (409, _("Подписка и так у этого клиента.")),
    "customer_not_found": (404, _("Такого клиента нет.")),
    "no_method": (409, _("Нет сохранённого способа оплаты: дайте return_url.")),
    "too_young": (409, _("Продаётся с возраста из rules; declared.age меньше или не указан.")),
    "not_in_region": (409, _("В declared.region нет региона, где продаётся товар.")),
    "companies_only": (409, _("Продаётся только организациям.")),
    "once_per_person": (409, _("Этот товар у клиента уже есть, его продают один раз.")),
    "needs_other": (409, _("Дополнение: сначала нужна подписка, с которой оно продаётся.")),
    "excluded": (409, _("Не продаётся вместе с тем, что у клиента есть.")),
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
