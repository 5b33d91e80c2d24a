"""How a shop window says prices and periods, and which picture suits a category."""

from decimal import Decimal
from typing import Any
from zlib import crc32

from django.utils.translation import gettext as _

from apps.catalog import periods
from apps.catalog.models import Category, Delivery
from apps.core.money import Money

# Roots of words in a category's Russian name or code, by motif; staff name categories as they like.
_ROOTS = {
    "health": ("здоров", "медиц", "врач", "фитнес", "спорт", "zdorov", "health"),
    "security": ("безопас", "защит", "антивир", "bezopas", "security"),
    "fun": ("развлеч", "кино", "видео", "музык", "книг", "игр", "razvlech", "entertainment"),
    "advice": ("консульт", "юри", "прав", "обуч", "образов", "konsult", "advice", "legal"),
    "storage": ("хранен", "облак", "связь", "интернет", "hranen", "storage", "cloud"),
    "insurance": ("страх", "полис", "strah", "insurance"),
    "bundle": ("пакет", "набор", "комплект", "paket", "bundle"),
}


def motif(category: Category) -> str:
    """The name of the illustration for a category: always the same for the same category."""
    words = f"{category.name.get('ru', '')} {category.code}".lower()
    for name, roots in _ROOTS.items():
        if any(root in words for root in roots):
            return name
    motifs = [*_ROOTS, "other"]
    return motifs[crc32(category.code.encode()) % len(motifs)]


def money(amount: Decimal, currency: str = "RUB") -> str:
    """«1 290 ₽»."""
    return str(Money(amount, currency))


def per_period(terms: Any) -> str:
    """«в месяц», «за 3 месяца», «в год», of anything that has period_count and period_unit."""
    if single := _single(terms):
        return {
            "day": _("в день"),
            "week": _("в неделю"),
            "month": _("в месяц"),
            "year": _("в год"),
        }[single]
    return _("за %(period)s") % {"period": periods.in_words(terms.period_count, terms.period_unit)}


def every_period(terms: Any) -> str:
    """«каждый месяц», «каждые 3 месяца», «каждый год», of anything that has period_count and period_unit."""
    if single := _single(terms):
        return {
            "day": _("каждый день"),
            "week": _("каждую неделю"),
            "month": _("каждый месяц"),
            "year": _("каждый год"),
        }[single]
    return _("каждые %(period)s") % {"period": periods.in_words(terms.period_count, terms.period_unit)}


def delivery_in_words(delivery: Delivery) -> str:
    """What the buyer gets, and when."""
    return {
        Delivery.KEY: _("Ключ активации появится на экране и придёт сообщением сразу после оплаты."),
        Delivery.ACCOUNT: _("Доступ откроется сразу после оплаты: данные для входа покажем и пришлём."),
        Delivery.DEEPLINK: _("Ссылка на активацию появится сразу после оплаты."),
        Delivery.MANUAL: _("Документ оформит сотрудник поставщика и пришлёт его вам."),
        Delivery.BUNDLE: _("Всё, что входит в пакет, подключится сразу после оплаты."),
    }[delivery]


def _single(terms: Any) -> str:
    if (terms.period_count, terms.period_unit) == (12, "month"):
        return "year"
    return str(terms.period_unit) if terms.period_count == 1 else ""
