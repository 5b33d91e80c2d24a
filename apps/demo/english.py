"""The demonstration's own texts in English: the price list is a Russian file and knows none."""

from django.db import models

from apps.catalog.models import Category, Product, ProductParameter, Tariff
from apps.core.fields import Translated

CATALOGUE = {
    # categories
    "Здоровье": "Health",
    "Безопасность": "Security",
    "Развлечения": "Entertainment",
    "Консультации": "Advice",
    "Хранение": "Storage",
    "Страхование": "Insurance",
    "Пакеты": "Bundles",
    # products
    "Телемедицина онлайн": "Online Doctor",
    "Антивирус Щит": "Shield Antivirus",
    "Онлайн-кинотеатр Премьера": "Premiere Online Cinema",
    "Аудиокниги Слово": "Slovo Audiobooks",
    "Юрист под рукой": "Lawyer at Hand",
    "Защита от спам-звонков": "Spam Call Shield",
    "Безопасный доступ": "Secure Access",
    "Облако": "Cloud",
    "Фитнес дома": "Fitness at Home",
    "Детский час": "Children’s Hour",
    "Ветеринар онлайн": "Online Vet",
    "Страховка гаджета": "Gadget Insurance",
    "Пакет Дом": "Home Bundle",
    # tariffs
    "Базовый": "Basic",
    "Семейный": "Family",
    "Годовой": "Yearly",
    "1 устройство": "1 device",
    "3 устройства": "3 devices",
    "Помесячно": "Monthly",
    "Неделя": "Week",
    "Месяц": "Month",
    "Месяц 4K": "Month in 4K",
    "Год": "Year",
    "Три месяца": "Three months",
    "Полгода": "Half a year",
    "Личный": "Personal",
    "Для бизнеса": "For business",
    "5 рабочих мест": "5 seats",
    "25 рабочих мест": "25 seats",
    "100 ГБ": "100 GB",
    "1 ТБ": "1 TB",
    "1 ТБ на год": "1 TB for a year",
    "Смартфон до 50 000": "Smartphone up to 50,000",
    "Смартфон до 50 000, год": "Smartphone up to 50,000, a year",
    "Кино, облако, антивирус": "Cinema, cloud, antivirus",
    # descriptions
    "Консультации терапевта и педиатра в чате и по видео": "A physician and a paediatrician by chat and video",
    "Вся семья, узкие специалисты без ограничений": "The whole family, specialists without limits",
    "Год по цене девяти месяцев": "A year for the price of nine months",
    "Ключ активации сразу после оплаты": "The activation key right after payment",
    "Полис оформляет сотрудник поставщика": "The policy is drawn up by the insurer’s staff",
    "Дешевле, чем по отдельности": "Cheaper than one by one",
    # parameters
    "консультаций": "consultations",
    "членов семьи": "family members",
    "устройств": "devices",
    "экранов": "screens",
    "качество": "quality",
    "обращений": "requests",
    "мест": "seats",
    "объём ГБ": "storage, GB",
    "профилей": "profiles",
    "питомцев": "pets",
    "лимит": "limit",
}
TAGLINES = {
    "Полезные подписки для клиентов банка": "Useful subscriptions for the bank’s customers",
    "Кино, музыка и защита — одним счётом": "Cinema, music and protection on one bill",
    "Смотрите, слушайте, занимайтесь": "Watch, listen, work out",
    "Здесь можно пробовать всё: время идёт по вашей команде": "Try anything here: time moves at your command",
}
_TEXTS: tuple[tuple[type[models.Model], tuple[str, ...]], ...] = (
    (Category, ("name",)),
    (Product, ("name", "description")),
    (Tariff, ("name", "description")),
    (ProductParameter, ("name",)),
)


def translate_catalogue() -> None:
    """Gives the catalogue English where it has none; what staff wrote stays."""
    for model, fields in _TEXTS:
        rows = list(model._default_manager.all())
        for row in rows:
            for field in fields:
                _translate(row, field)
        model._default_manager.bulk_update(rows, fields)


def _translate(row: models.Model, field: str) -> None:
    text: Translated = getattr(row, field)
    english = CATALOGUE.get(text.get("ru", ""))
    if english and not text.get("en"):
        setattr(row, field, Translated({**text, "en": english}))
