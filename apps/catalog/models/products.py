"""Products: what a provider supplies, how it looks, by which rules and papers it is sold (public)."""

import hashlib
from datetime import date
from typing import NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.fields.json import KT
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.catalog import parameters as typed
from apps.catalog.lifecycle import Sellable, dates_in_order
from apps.core.fields import TranslatedField


class Category(models.Model):
    """A heading of the catalogue."""

    code = models.SlugField(_("код"), max_length=60, unique=True)
    name = TranslatedField(_("название"))
    sort = models.PositiveIntegerField(_("порядок"), default=100)

    class Meta:
        verbose_name, verbose_name_plural = _("категория"), _("категории")
        ordering = ["sort", "code"]
        constraints = [models.UniqueConstraint(KT("name__ru"), name="catalog_category_name_once")]

    def __str__(self) -> str:
        return str(self.name)


class Delivery(models.TextChoices):
    """How a customer receives the product."""

    KEY = "key", _("Ключ активации")
    ACCOUNT = "account", _("Учётная запись")
    DEEPLINK = "deeplink", _("Ссылка на активацию")
    MANUAL = "manual", _("Вручную")
    BUNDLE = "bundle", _("Пакет")


class Product(Sellable):
    """What a provider supplies. Archived, never deleted: the database refuses."""

    code = models.CharField(_("артикул"), max_length=60, unique=True)
    name = TranslatedField(_("название"))
    short = TranslatedField(_("коротко, для карточки"), blank=True)
    description = TranslatedField(_("описание"), blank=True)
    category = models.ForeignKey(
        Category, models.PROTECT, related_name="products", verbose_name=_("категория")
    )
    provider = models.ForeignKey(
        "providers.Provider",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="products",
        verbose_name=_("поставщик"),
    )
    delivery = models.CharField(_("выдача"), max_length=10, choices=Delivery.choices)
    vat_code = models.CharField(_("НДС"), max_length=20)
    # Rules of the sale: checked when it is ordered, by what the customer declares.
    min_age = models.PositiveSmallIntegerField(_("с какого возраста"), null=True, blank=True)
    regions = ArrayField(
        models.CharField(max_length=3), verbose_name=_("только в регионах"), default=list, blank=True
    )
    once_per_person = models.BooleanField(_("один в одни руки"), default=False)
    companies_only = models.BooleanField(_("только для организаций"), default=False)
    # None: given out in one step, by its provider.
    plan = models.ForeignKey(
        "catalog.FulfilmentPlan",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("план исполнения"),
    )
    promised_minutes = models.PositiveIntegerField(
        _("выдаём за, минут"),
        null=True,
        blank=True,
        help_text=_("Обещание клиенту: прежде чем срок выйдет, дежурные узнают. Пусто: ничего не обещаем"),
    )
    sort = models.PositiveIntegerField(_("порядок"), default=100)

    class Meta:
        verbose_name, verbose_name_plural = _("продукт"), _("продукты")
        ordering = ["sort", "code"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(delivery="bundle", provider=None)
                | ~models.Q(delivery="bundle") & models.Q(provider__isnull=False),
                name="catalog_product_provider_unless_bundle",
                violation_error_message=_("Поставщик нужен каждому продукту, кроме пакета"),
            ),
            dates_in_order("catalog_product_dates"),
        ]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def picture_version(self) -> str:
        """Of the picture in the reader's language; empty where it has none."""
        picture = getattr(self, "picture", None)
        return picture.in_language().version if picture else ""

    def documents_on(self, day: date) -> "list[ProductDocument]":
        """The legal documents in force on a day: of each kind the newest."""
        rows = self.documents.filter(valid_from__lte=day).defer("content")
        return list(rows.order_by("kind", "-valid_from", "-number").distinct("kind"))


class ProductPicture(models.Model):
    """How a product looks in shop windows and feeds. Apart from the product: lists do not carry its bytes."""

    product = models.OneToOneField(
        Product, models.CASCADE, primary_key=True, related_name="picture", verbose_name=_("продукт")
    )
    # In the row, not in a folder of files: every web host has it, and a backup too.
    content = models.BinaryField(_("картинка"))
    type = models.CharField(max_length=20)
    version = models.CharField(max_length=12)
    # Where words stand in the picture, another one for those who read English.
    content_en = models.BinaryField(_("картинка по-английски"), null=True)
    type_en = models.CharField(max_length=20, blank=True)
    version_en = models.CharField(max_length=12, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("картинка продукта"), _("картинки продуктов")

    def __str__(self) -> str:
        return self.version

    @classmethod
    def put(cls, product: Product, content: bytes, type: str, *, language: str = "ru") -> "ProductPicture":
        """Gives a product its picture, in place of the former; addresses carry the version."""
        version, end = hashlib.sha256(content).hexdigest()[:12], "_en" if language == "en" else ""
        values = {f"content{end}": content, f"type{end}": type, f"version{end}": version}
        # An English one alone stands for both.
        first = {} if not end else {"content": content, "type": type, "version": version}
        return cls.objects.update_or_create(
            product=product, defaults=values, create_defaults={**first, **values}
        )[0]

    def in_language(self) -> "Shown":
        """The picture for those who read now."""
        if self.version_en and (get_language() or "ru").startswith("en"):
            return Shown(self.version_en, self.type_en, "content_en")
        return Shown(self.version, self.type, "content")


class Shown(NamedTuple):
    """One picture: its version and type, and the column that holds its bytes."""

    version: str
    type: str
    column: str


class ProductParameter(models.Model):
    """A property in which the tariffs of a product differ, with the kind of its values."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="parameters", verbose_name=_("продукт"))
    code = models.SlugField(_("код"), max_length=60)
    name = TranslatedField(_("название"))
    kind = models.CharField(_("тип"), max_length=10, choices=typed.Kind.choices)
    choices = models.JSONField(_("варианты"), default=list, blank=True)
    asked_at = models.CharField(
        _("когда задаётся"), max_length=10, choices=typed.AskedAt.choices, default=typed.AskedAt.TARIFF
    )
    is_required = models.BooleanField(_("обязателен"), default=False)
    minimum = models.IntegerField(_("не меньше"), null=True, blank=True)
    maximum = models.IntegerField(_("не больше"), null=True, blank=True)
    pattern = models.CharField(
        _("шаблон"),
        max_length=200,
        blank=True,
        help_text=_("Регулярное выражение, которому отвечает вся строка"),
    )
    help = TranslatedField(_("подсказка"), blank=True)
    sort = models.PositiveIntegerField(_("порядок"), default=100)

    class Meta:
        verbose_name, verbose_name_plural = _("параметр"), _("параметры")
        ordering = ["sort", "id"]
        constraints = [
            models.UniqueConstraint("product", "code", name="catalog_parameter_code_once"),
            models.UniqueConstraint("product", KT("name__ru"), name="catalog_parameter_name_once"),
        ]

    def __str__(self) -> str:
        return str(self.name)

    def clean(self) -> None:
        """A rule that nothing can meet is refused here, not at the customer's order."""
        try:
            typed.check_rule(self.rule)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    @property
    def rule(self) -> typed.Rule:
        """What its values must be."""
        return typed.Rule(
            kind=self.kind,
            choices=tuple(self.choices or ()),
            is_required=self.is_required,
            minimum=self.minimum,
            maximum=self.maximum,
            pattern=self.pattern,
        )


class DocumentKind(models.TextChoices):
    """What a legal document of a product is."""

    OFFER = "offer", _("Оферта")
    TERMS = "terms", _("Правила оказания услуги")
    PRIVACY = "privacy", _("Политика обработки данных")


class ProductDocument(models.Model):
    """A legal document of a product from a day on. A new text is a new version; the database keeps the old."""

    product = models.ForeignKey(Product, models.PROTECT, related_name="documents", verbose_name=_("продукт"))
    kind = models.CharField(_("что это"), max_length=10, choices=DocumentKind.choices)
    number = models.PositiveIntegerField(_("редакция"), editable=False)
    valid_from = models.DateField(_("действует с"))
    text = TranslatedField(_("текст"), blank=True)
    # Or a file, the same for both languages.
    content = models.BinaryField(_("файл"), null=True)
    file_name = models.CharField(_("имя файла"), max_length=100, blank=True)
    created_at = models.DateTimeField(_("загружен"))

    class Meta:
        verbose_name, verbose_name_plural = _("документ продукта"), _("документы продуктов")
        ordering = ["product", "kind", "-number"]
        constraints = [models.UniqueConstraint("product", "kind", "number", name="catalog_document_once")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {_('редакция')} {self.number}"


class Feature(models.Model):
    """What a tariff entitles to, apart from its price: a right, or so many of something."""

    code = models.SlugField(_("код"), max_length=60, unique=True)
    name = TranslatedField(_("название"))
    has_quantity = models.BooleanField(_("измеряется числом"), default=False)
    sort = models.PositiveIntegerField(_("порядок"), default=100)

    class Meta:
        verbose_name, verbose_name_plural = _("возможность"), _("возможности")
        ordering = ["sort", "code"]

    def __str__(self) -> str:
        return str(self.name)
