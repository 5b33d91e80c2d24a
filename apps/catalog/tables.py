"""Import and export of the catalogue's tables, each with a preview: all rows or none, texts in both languages."""

from typing import Any

import tablib
from django.db import models
from django.utils.translation import gettext_lazy as _
from import_export.fields import Field
from import_export.resources import ModelResource
from import_export.results import Result
from import_export.widgets import BooleanWidget, DateWidget, DecimalWidget, ForeignKeyWidget, Widget

from apps.catalog import cells
from apps.catalog.models import (
    Category,
    Feature,
    Offer,
    PriceChange,
    Product,
    ProductDocument,
    ProductParameter,
    Tariff,
    TariffRelation,
)
from apps.core import clock
from apps.core.fields import Translated
from apps.partners.models import Partner


class Text(Widget):
    """A cell without what a spreadsheet would run."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> str:
        return cells.text(value)

    def render(self, value: Any, obj: Any = None, **options: Any) -> str:
        return cells.guarded(str("" if value is None else value))


class LongText(Text):
    """Text that keeps its lines."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> str:
        cells.text(value)
        raw = str("" if value is None else value)
        return (raw[1:] if raw.startswith("'") and cells.guarded(raw[1:]) != raw[1:] else raw).strip()


class YesNo(BooleanWidget):
    """«да» and «нет»."""

    TRUE_VALUES = ["1", "да", "true", "True", True]
    FALSE_VALUES = ["0", "нет", "false", "False", "", False]

    def render(self, value: Any, obj: Any = None, **options: Any) -> str:
        return "да" if value else "нет"


class Words(Widget):
    """Several values in a cell, with commas."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> list[str]:
        return [part for part in (piece.strip() for piece in cells.text(value).split(",")) if part]

    def render(self, value: Any, obj: Any = None, **options: Any) -> str:
        return cells.guarded(", ".join(value or []))


class Amount(DecimalWidget):
    """«399,00»; an empty cell is no amount."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> Any:
        return cells.price(value) if str("" if value is None else value).strip() else None

    def render(self, value: Any, obj: Any = None, **options: Any) -> Any:
        return value


class Whole(Widget):
    """A whole number; an empty cell is none."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> int | None:
        text = str("" if value is None else value).strip().removesuffix(".0")
        return int(text) if text else None


class Day(DateWidget):
    """«31.12.2026»; an empty cell is no day."""

    def __init__(self) -> None:
        super().__init__("%d.%m.%Y")


class Chosen(Widget):
    """One of a field's choices, by its code or by its name on screen."""

    def __init__(self, choices: Any) -> None:
        super().__init__()
        self.choices = choices

    def clean(self, value: Any, row: Any = None, **options: Any) -> str:
        text = cells.text(value)
        for code, label in self.choices:
            if text in {code, str(label)}:
                return str(code)
        names = ", ".join(str(label) for _code, label in self.choices)
        raise ValueError(_("«%(text)s»: нужно одно из: %(names)s") % {"text": text or "—", "names": names})

    def render(self, value: Any, obj: Any = None, **options: Any) -> str:
        return str(dict(self.choices).get(value, value))


class InLanguage(Field):
    """One language of a translated field."""

    def __init__(self, attribute: str, language: str, column_name: Any) -> None:
        super().__init__(attribute=attribute, column_name=str(column_name), widget=LongText())
        self.language = language

    def get_value(self, instance: Any) -> str:
        return (getattr(instance, self.attribute) or {}).get(self.language, "")

    def save(self, instance: Any, row: Any, is_m2m: bool = False, **options: Any) -> None:
        value = self.clean(row, **options)
        texts = {**getattr(instance, self.attribute), self.language: value}
        setattr(instance, self.attribute, Translated({key: text for key, text in texts.items() if text}))


class ByCode(ForeignKeyWidget):
    """Another row by its code."""

    def clean(self, value: Any, row: Any = None, **options: Any) -> Any:
        text = cells.text(value)
        if not text:
            return None
        found = self.model._default_manager.filter(**{self.field: text}).first()
        if found is None:
            name = self.model._meta.verbose_name
            raise ValueError(_("%(name)s «%(text)s» не найден") % {"name": name, "text": text})
        return found


def column(attribute: str, name: Any, widget: Widget | None = None) -> Field:
    """A column under a Russian heading."""
    return Field(attribute=attribute, column_name=str(name), widget=widget or Text())


class Table(ModelResource):
    """What all of them share: nothing is written where one row is wrong; a row that says nothing new is skipped."""

    class Meta:
        abstract = True
        use_transactions = True
        skip_unchanged = True
        report_skipped = True
        clean_model_instances = True
        fields: tuple[str, ...] = ()

    def import_data(self, dataset: tablib.Dataset, dry_run: bool = False, **options: Any) -> Result:
        options["use_transactions"] = options["rollback_on_validation_errors"] = True
        return super().import_data(dataset, dry_run=dry_run, **options)


_CATEGORY, _PRODUCT, _TARIFF = (ByCode(model, "code") for model in (Category, Product, Tariff))


class CategoryTable(Table):
    code = column("code", "Код")
    name_ru = InLanguage("name", "ru", "Название")
    name_en = InLanguage("name", "en", "Название по-английски")
    sort = column("sort", "Порядок", Whole())

    class Meta(Table.Meta):
        model = Category
        name = _("Категории")
        import_id_fields = ("code",)
        fields = ("code", "name_ru", "name_en", "sort")


class ProductTable(Table):
    """Texts, days and rules of products; tariffs and prices are the price list's."""

    code = column("code", "Артикул")
    name_ru = InLanguage("name", "ru", "Название")
    name_en = InLanguage("name", "en", "Название по-английски")
    short_ru = InLanguage("short", "ru", "Коротко")
    short_en = InLanguage("short", "en", "Коротко по-английски")
    about_ru = InLanguage("description", "ru", "Описание")
    about_en = InLanguage("description", "en", "Описание по-английски")
    category = column("category", "Категория", _CATEGORY)
    provider = column("provider", "Поставщик")
    delivery = column("delivery", "Выдача", Chosen(Product._meta.get_field("delivery").choices))
    vat_code = column("vat_code", "Код НДС")
    state = Field(attribute="state", column_name="Состояние", readonly=True)
    begins = column("on_sale_from", "Продаётся с", Day())
    ends = column("on_sale_until", "Продаётся по", Day())
    min_age = column("min_age", "С возраста", Whole())
    regions = column("regions", "Регионы", Words())
    once = column("once_per_person", "Один в руки", YesNo())
    companies = column("companies_only", "Только организациям", YesNo())
    sort = column("sort", "Порядок", Whole())

    class Meta(Table.Meta):
        model = Product
        name = _("Продукты")
        import_id_fields = ("code",)
        fields = (
            "code", "name_ru", "name_en", "short_ru", "short_en", "about_ru", "about_en", "category", "provider",
            "delivery", "vat_code", "state", "begins", "ends", "min_age", "regions", "once", "companies", "sort",
        )  # fmt: skip

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        provider: Any = Product._meta.get_field("provider").related_model
        self.fields["provider"].widget = ByCode(provider, "name")

    def before_save_instance(self, instance: Product, row: Any, **options: Any) -> None:
        if instance.pk is None:
            instance.state = Product.State.DRAFT


class ParameterTable(Table):
    product = column("product", "Артикул продукта", _PRODUCT)
    code = column("code", "Код")
    name_ru = InLanguage("name", "ru", "Название")
    name_en = InLanguage("name", "en", "Название по-английски")
    kind = column("kind", "Тип", Chosen(ProductParameter._meta.get_field("kind").choices))
    choices = column("choices", "Варианты", Words())
    asked_at = column(
        "asked_at", "Когда задаётся", Chosen(ProductParameter._meta.get_field("asked_at").choices)
    )
    is_required = column("is_required", "Обязателен", YesNo())
    minimum = column("minimum", "Не меньше", Whole())
    maximum = column("maximum", "Не больше", Whole())
    pattern = column("pattern", "Шаблон")
    sort = column("sort", "Порядок", Whole())

    class Meta(Table.Meta):
        model = ProductParameter
        name = _("Параметры")
        import_id_fields = ("product", "code")
        fields = (
            "product", "code", "name_ru", "name_en", "kind", "choices", "asked_at", "is_required", "minimum",
            "maximum", "pattern", "sort",
        )  # fmt: skip


class FeatureTable(Table):
    code = column("code", "Код")
    name_ru = InLanguage("name", "ru", "Название")
    name_en = InLanguage("name", "en", "Название по-английски")
    has_quantity = column("has_quantity", "Измеряется числом", YesNo())
    sort = column("sort", "Порядок", Whole())

    class Meta(Table.Meta):
        model = Feature
        name = _("Возможности")
        import_id_fields = ("code",)
        fields = ("code", "name_ru", "name_en", "has_quantity", "sort")


class RelationTable(Table):
    tariff = column("tariff", "Код тарифа", _TARIFF)
    kind = column("kind", "Связь", Chosen(TariffRelation._meta.get_field("kind").choices))
    other = column("other", "С тарифом", _TARIFF)

    class Meta(Table.Meta):
        model = TariffRelation
        name = _("Связи тарифов")
        import_id_fields = ("tariff", "other")
        fields = ("tariff", "kind", "other")


class OfferTable(Table):
    """The matrix as a table."""

    partner = column("partner", "Партнёр", ByCode(Partner, "slug"))
    tariff = column("tariff", "Код тарифа", _TARIFF)
    channel = column("channel_code", "Канал")
    is_on_sale = column("is_on_sale", "В продаже", YesNo())
    price = column("price", "Своя цена", Amount())
    begins = column("on_sale_from", "Продаётся с", Day())
    ends = column("on_sale_until", "Продаётся по", Day())
    payer = column("payer", "Кто платит", Chosen(Offer._meta.get_field("payer").choices))
    holds = column("hold_first", "Сначала удержать", YesNo())
    sort = column("sort", "Порядок", Whole())

    class Meta(Table.Meta):
        model = Offer
        name = _("Предложения партнёрам")
        import_id_fields = ("partner", "tariff", "channel")
        fields = (
            "partner", "tariff", "channel", "is_on_sale", "price", "begins", "ends", "payer", "holds", "sort"
        )  # fmt: skip

    def before_save_instance(self, instance: Offer, row: Any, **options: Any) -> None:
        instance.revision = instance.revision + 1 if instance.pk else 1


class PriceChangeTable(Table):
    """Drafts come in; published ones only go out."""

    tariff = column("tariff", "Код тарифа", _TARIFF)
    price = column("price", "Новая цена", Amount())
    policy = column("policy", "Прежние подписчики", Chosen(PriceChange._meta.get_field("policy").choices))
    notice_days = column("notice_days", "Уведомить за, дней", Whole())
    effective_date = column("effective_date", "Действует с", Day())
    note_ru = InLanguage("note", "ru", "Почему")
    note_en = InLanguage("note", "en", "Почему, по-английски")

    class Meta(Table.Meta):
        model = PriceChange
        name = _("Изменения цен")
        import_id_fields = ("tariff", "effective_date")
        fields = ("tariff", "price", "policy", "notice_days", "effective_date", "note_ru", "note_en")

    def get_queryset(self) -> models.QuerySet[PriceChange]:
        return PriceChange.objects.all()

    def get_instance(self, instance_loader: Any, row: Any) -> PriceChange | None:
        """A day may have several: the one with this price, else a draft, else what is published; the newest first."""
        tariff, day, price = (self.fields[name].clean(row) for name in ("tariff", "effective_date", "price"))
        same = PriceChange.objects.filter(tariff=tariff, effective_date=day).order_by("-id")
        return min(same, key=lambda one: (one.price != price, one.is_published), default=None)

    def before_save_instance(self, instance: PriceChange, row: Any, **options: Any) -> None:
        instance.created_at = instance.created_at or clock.wall()

    def skip_row(self, instance: Any, original: Any, row: Any, import_validation_errors: Any = None) -> bool:
        return bool(instance.published_at) or super().skip_row(
            instance, original, row, import_validation_errors
        )


class DocumentTable(Table):
    """Texts of legal documents: each row that says something new is a new version."""

    product = column("product", "Артикул продукта", _PRODUCT)
    kind = column("kind", "Документ", Chosen(ProductDocument._meta.get_field("kind").choices))
    valid_from = column("valid_from", "Действует с", Day())
    text_ru = InLanguage("text", "ru", "Текст")
    text_en = InLanguage("text", "en", "Текст по-английски")

    class Meta(Table.Meta):
        model = ProductDocument
        name = _("Документы продуктов")
        import_id_fields = ("product", "kind", "valid_from")
        fields = ("product", "kind", "valid_from", "text_ru", "text_en")

    def get_instance(self, instance_loader: Any, row: Any) -> ProductDocument | None:
        """Only the very same text is known already."""
        product, kind, day = (self.fields[name].clean(row) for name in ("product", "kind", "valid_from"))
        wanted = {
            language: text
            for language, text in (
                ("ru", self.fields["text_ru"].clean(row)),
                ("en", self.fields["text_en"].clean(row)),
            )
            if text
        }
        last = (
            ProductDocument.objects.filter(product=product, kind=kind, valid_from=day)
            .order_by("-number")
            .first()
        )
        return last if last and dict(last.text) == wanted else None

    def before_save_instance(self, instance: ProductDocument, row: Any, **options: Any) -> None:
        newest = ProductDocument.objects.filter(product=instance.product, kind=instance.kind)
        instance.number = (newest.aggregate(last=models.Max("number"))["last"] or 0) + 1
        instance.created_at = clock.wall()
