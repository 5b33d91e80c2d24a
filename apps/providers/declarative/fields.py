"""What a template of a declarative connector may speak of: names, what each is, and an example."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Documented:
    """A field: its name in a template, what it is, what it looks like."""

    name: str
    about: Any
    example: Any


ORDERED = (
    Documented(
        "request_id", _("наш номер запроса: один и тот же навсегда"), "0192f3a4-6b1c-7d5e-8f00-1a2b3c4d5e6f"
    ),
    Documented("sku", _("код тарифа"), "ANTIVIRUS-1Y"),
    Documented("customer_ref", _("номер клиента, без личных данных"), "0192f3a4-0000-7000-8000-00000000c0de"),
    Documented("period_end", _("первый неоплаченный день, ГГГГ-ММ-ДД"), "2027-01-31"),
    Documented(
        "parameters",
        _("параметры тарифа и ответы клиента: parameters.код"),
        {"devices": 3, "phone": "+79001234567"},
    ),
    Documented("extension_id", _("номер продления: один у каждого"), "0192f3a4-7777-7000-8000-0000000000e1"),
    Documented("service_id", _("номер услуги, который сообщил поставщик"), "SRV-104857"),
    Documented("reference", _("наш короткий номер услуги, число"), 104857),
)
OURS = (
    Documented("login", _("логин или номер ключа из доступа"), "armor"),
    Documented("account", _("номер договора из доступа"), "D-2026/17"),
    Documented("secret", _("секрет из доступа; нигде не показывается"), "s3cr3t-example"),
    Documented("callback_url", _("адрес для уведомлений поставщика"), "https://armor.example/hooks/17/"),
    Documented("today", _("сегодня, ГГГГ-ММ-ДД"), "2026-12-31"),
    Documented("now", _("сейчас, ISO 8601"), "2026-12-31T12:30:00+00:00"),
    Documented("timestamp", _("сейчас, секунд с 1970 года"), 1798720200),
    Documented("nonce", _("случайное число запроса"), "9f86d081884c7d659a2feaa0c55ad015"),
)
SIGNED = (
    Documented("method", _("метод запроса"), "POST"),
    Documented("url", _("адрес целиком"), "https://api.provider.ru/v1/orders?dry=1"),
    Documented("path", _("адрес без узла, с параметрами"), "/v1/orders?dry=1"),
    Documented("body", _("тело, как оно уходит"), '{"order":"1"}'),
    Documented("body_sha256", _("SHA-256 тела, шестнадцатерично"), "e3b0c44298fc1c149afbf4c8996fb924…"),
    Documented("body_md5", _("MD5 тела, base64"), "1B2M2Y8AsgTpgAmY7PhCfg=="),
    Documented(
        "signature", _("готовая подпись: только в заголовках подписи"), "5d41402abc4b2a76b9719d911017c592"
    ),
)
CALLED = (
    Documented("body", _("тело уведомления, как пришло"), '{"id":"1"}'),
    Documented("timestamp", _("значение заголовка со временем"), "1798720200"),
    Documented("login", _("логин из доступа"), "armor"),
)
NAMES = frozenset(one.name for one in (*ORDERED, *OURS))
SIGNING = NAMES | {one.name for one in SIGNED} - {"signature"}
SIGNATURE_HEADERS = NAMES | {one.name for one in SIGNED}
CALLBACK = frozenset(one.name for one in CALLED)
EXAMPLES: dict[str, Any] = {one.name: one.example for one in (*ORDERED, *OURS)}
