"""Tables of the catalogue."""

import django.db.models.deletion
import django.db.models.fields.json
from django.db import migrations, models

import apps.core.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("partners", "0001_initial"),
        ("providers", "0002_sold_once"),
    ]

    operations = [
        migrations.CreateModel(
            name="Category",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.SlugField(max_length=60, unique=True, verbose_name="код")),
                ("name", apps.core.fields.TranslatedField(verbose_name="название")),
                ("sort", models.PositiveIntegerField(default=100, verbose_name="порядок")),
            ],
            options={
                "verbose_name": "категория",
                "verbose_name_plural": "категории",
                "ordering": ["sort", "code"],
                "constraints": [
                    models.UniqueConstraint(
                        django.db.models.fields.json.KeyTextTransform("ru", "name"),
                        name="catalog_category_name_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Product",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=60, unique=True, verbose_name="артикул")),
                ("name", apps.core.fields.TranslatedField(verbose_name="название")),
                ("description", apps.core.fields.TranslatedField(blank=True, verbose_name="описание")),
                (
                    "delivery",
                    models.CharField(
                        choices=[
                            ("key", "Ключ активации"),
                            ("account", "Учётная запись"),
                            ("deeplink", "Ссылка на активацию"),
                            ("manual", "Вручную"),
                            ("bundle", "Пакет"),
                        ],
                        max_length=10,
                        verbose_name="выдача",
                    ),
                ),
                ("vat_code", models.CharField(max_length=20, verbose_name="НДС")),
                ("sort", models.PositiveIntegerField(default=100, verbose_name="порядок")),
                ("is_archived", models.BooleanField(default=False, verbose_name="в архиве")),
                (
                    "category",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="products",
                        to="catalog.category",
                        verbose_name="категория",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="products",
                        to="providers.provider",
                        verbose_name="поставщик",
                    ),
                ),
            ],
            options={
                "verbose_name": "продукт",
                "verbose_name_plural": "продукты",
                "ordering": ["sort", "code"],
            },
        ),
        migrations.CreateModel(
            name="ProductParameter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.SlugField(max_length=60, verbose_name="код")),
                ("name", apps.core.fields.TranslatedField(verbose_name="название")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("string", "строка"),
                            ("int", "целое число или «безлимит»"),
                            ("bool", "да или нет"),
                            ("choice", "одно из списка"),
                        ],
                        max_length=10,
                        verbose_name="тип",
                    ),
                ),
                ("choices", models.JSONField(blank=True, default=list, verbose_name="варианты")),
                ("sort", models.PositiveIntegerField(default=100, verbose_name="порядок")),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parameters",
                        to="catalog.product",
                        verbose_name="продукт",
                    ),
                ),
            ],
            options={
                "verbose_name": "параметр",
                "verbose_name_plural": "параметры",
                "ordering": ["sort", "id"],
            },
        ),
        migrations.CreateModel(
            name="Tariff",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=60, unique=True, verbose_name="код тарифа")),
                ("name", apps.core.fields.TranslatedField(verbose_name="название")),
                ("description", apps.core.fields.TranslatedField(blank=True, verbose_name="описание")),
                ("sort", models.PositiveIntegerField(default=100, verbose_name="порядок")),
                ("is_archived", models.BooleanField(default=False, verbose_name="в архиве")),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tariffs",
                        to="catalog.product",
                        verbose_name="продукт",
                    ),
                ),
            ],
            options={
                "verbose_name": "тариф",
                "verbose_name_plural": "тарифы",
                "ordering": ["product__sort", "product__code", "sort", "id"],
            },
        ),
        migrations.CreateModel(
            name="Offer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("is_on_sale", models.BooleanField(default=True, verbose_name="в продаже")),
                ("sort", models.PositiveIntegerField(default=100, verbose_name="порядок")),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="partners.partner",
                        verbose_name="партнёр",
                    ),
                ),
                (
                    "tariff",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="catalog.tariff",
                        verbose_name="тариф",
                    ),
                ),
            ],
            options={
                "verbose_name": "предложение",
                "verbose_name_plural": "предложения партнёрам",
                "ordering": ["partner", "sort", "id"],
            },
        ),
        migrations.CreateModel(
            name="TariffVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="номер редакции")),
                ("price", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="цена")),
                ("currency", models.CharField(default="RUB", max_length=3, verbose_name="валюта")),
                ("period_count", models.PositiveSmallIntegerField(default=1, verbose_name="периодов")),
                (
                    "period_unit",
                    models.CharField(
                        choices=[("day", "день"), ("week", "неделя"), ("month", "месяц"), ("year", "год")],
                        max_length=5,
                        verbose_name="единица периода",
                    ),
                ),
                (
                    "trial_days",
                    models.PositiveSmallIntegerField(default=0, verbose_name="пробный период, дней"),
                ),
                ("parameters", models.JSONField(blank=True, default=dict, verbose_name="параметры")),
                ("vat_code", models.CharField(max_length=20, verbose_name="НДС")),
                ("published_at", models.DateTimeField(verbose_name="действует с")),
                ("sold_at", models.DateTimeField(editable=False, null=True, verbose_name="продана впервые")),
                (
                    "tariff",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="catalog.tariff",
                        verbose_name="тариф",
                    ),
                ),
            ],
            options={
                "verbose_name": "редакция тарифа",
                "verbose_name_plural": "редакции тарифа",
                "ordering": ["-number"],
            },
        ),
        migrations.AddField(
            model_name="tariff",
            name="current",
            field=models.OneToOneField(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalog.tariffversion",
                verbose_name="действующая редакция",
            ),
        ),
        migrations.CreateModel(
            name="BundlePart",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(verbose_name="порядок")),
                (
                    "tariff",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.tariff",
                        verbose_name="тариф",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bundle_parts",
                        to="catalog.tariffversion",
                    ),
                ),
            ],
            options={
                "verbose_name": "часть пакета",
                "verbose_name_plural": "состав пакета",
                "ordering": ["position"],
            },
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("delivery", "bundle"), ("provider", None)),
                    models.Q(models.Q(("delivery", "bundle"), _negated=True), ("provider__isnull", False)),
                    _connector="OR",
                ),
                name="catalog_product_provider_unless_bundle",
                violation_error_message="Поставщик нужен каждому продукту, кроме пакета",
            ),
        ),
        migrations.AddConstraint(
            model_name="productparameter",
            constraint=models.UniqueConstraint(
                models.F("product"), models.F("code"), name="catalog_parameter_code_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="productparameter",
            constraint=models.UniqueConstraint(
                models.F("product"),
                django.db.models.fields.json.KeyTextTransform("ru", "name"),
                name="catalog_parameter_name_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.UniqueConstraint(
                models.F("partner"), models.F("tariff"), name="catalog_offer_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="tariffversion",
            constraint=models.UniqueConstraint(
                models.F("tariff"), models.F("number"), name="catalog_version_number_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="tariffversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("price__gt", 0)),
                name="catalog_version_price_positive",
                violation_error_message="Цена должна быть больше нуля",
            ),
        ),
        migrations.AddConstraint(
            model_name="tariffversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("period_count__gt", 0)),
                name="catalog_version_period_positive",
                violation_error_message="Период должен быть не короче одного дня",
            ),
        ),
        migrations.AddConstraint(
            model_name="bundlepart",
            constraint=models.UniqueConstraint(
                models.F("version"), models.F("tariff"), name="catalog_bundlepart_once"
            ),
        ),
    ]
