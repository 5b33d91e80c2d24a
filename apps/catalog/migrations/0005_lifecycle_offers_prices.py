"""Lifecycle, rules, documents, features; offers by channel with price, days and payer; price changes."""

from decimal import Decimal

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids

ARCHIVED = """
UPDATE catalog_product SET state = 'archived' WHERE is_archived;
UPDATE catalog_tariff SET state = 'archived' WHERE is_archived;
SET CONSTRAINTS ALL IMMEDIATE;
"""
# A document that somebody has agreed to, and a price change that was published, stay as they were.
KEPT = """
CREATE FUNCTION catalog_document_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of a legal document is refused: add a new version', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION catalog_pricechange_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.published_at IS NULL THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        OLD.started_at := NEW.started_at;
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'Price change % has been published', OLD.id USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER catalog_productdocument_kept BEFORE UPDATE OR DELETE ON catalog_productdocument
    FOR EACH ROW EXECUTE FUNCTION catalog_document_frozen();
CREATE TRIGGER catalog_productdocument_whole BEFORE TRUNCATE ON catalog_productdocument
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse();
CREATE TRIGGER catalog_pricechange_kept BEFORE UPDATE OR DELETE ON catalog_pricechange
    FOR EACH ROW EXECUTE FUNCTION catalog_pricechange_frozen();
CREATE TRIGGER catalog_pricechange_whole BEFORE TRUNCATE ON catalog_pricechange
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse();
"""
UNKEPT = """
DROP TRIGGER catalog_productdocument_kept ON catalog_productdocument;
DROP TRIGGER catalog_productdocument_whole ON catalog_productdocument;
DROP TRIGGER catalog_pricechange_kept ON catalog_pricechange;
DROP TRIGGER catalog_pricechange_whole ON catalog_pricechange;
DROP FUNCTION catalog_document_frozen();
DROP FUNCTION catalog_pricechange_frozen();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0004_product_picture"),
        ("partners", "0002_kept"),
        ("providers", "0002_sold_once"),
    ]

    operations = [
        migrations.CreateModel(
            name="Feature",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.SlugField(max_length=60, unique=True, verbose_name="код")),
                ("name", apps.core.fields.TranslatedField(verbose_name="название")),
                ("has_quantity", models.BooleanField(default=False, verbose_name="измеряется числом")),
                ("sort", models.PositiveIntegerField(default=100, verbose_name="порядок")),
            ],
            options={
                "verbose_name": "возможность",
                "verbose_name_plural": "возможности",
                "ordering": ["sort", "code"],
            },
        ),
        migrations.CreateModel(
            name="PriceChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("price", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="новая цена")),
                (
                    "policy",
                    models.CharField(
                        choices=[
                            ("grandfather", "прежние платят по-старому"),
                            ("at_renewal", "при продлении, после уведомления"),
                            ("with_consent", "только с согласия, иначе без продления"),
                        ],
                        max_length=12,
                        verbose_name="прежние подписчики",
                    ),
                ),
                (
                    "notice_days",
                    models.PositiveSmallIntegerField(default=30, verbose_name="уведомить за, дней"),
                ),
                ("effective_date", models.DateField(verbose_name="действует с")),
                (
                    "note",
                    apps.core.fields.TranslatedField(blank=True, verbose_name="почему, для письма клиенту"),
                ),
                ("created_at", models.DateTimeField(verbose_name="создано")),
                (
                    "published_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="опубликовано"),
                ),
                (
                    "published_by",
                    models.CharField(blank=True, editable=False, max_length=150, verbose_name="кем"),
                ),
                (
                    "started_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="новые продажи с"),
                ),
            ],
            options={
                "verbose_name": "изменение цены",
                "verbose_name_plural": "изменения цен",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="PriceImpact",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subscriptions", models.PositiveIntegerField(default=0, verbose_name="подписок")),
                (
                    "old_monthly",
                    models.DecimalField(
                        decimal_places=2, default=Decimal("0.00"), max_digits=14, verbose_name="в месяц было"
                    ),
                ),
                (
                    "new_monthly",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        max_digits=14,
                        verbose_name="в месяц станет",
                    ),
                ),
                ("counted_at", models.DateTimeField(null=True, verbose_name="посчитано")),
                ("planned", models.PositiveIntegerField(default=0, verbose_name="извещено")),
                ("is_planned", models.BooleanField(default=False, verbose_name="все извещены")),
            ],
            options={
                "verbose_name": "кого затронет",
                "verbose_name_plural": "кого затронет",
            },
        ),
        migrations.CreateModel(
            name="ProductDocument",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("offer", "Оферта"),
                            ("terms", "Правила оказания услуги"),
                            ("privacy", "Политика обработки данных"),
                        ],
                        max_length=10,
                        verbose_name="что это",
                    ),
                ),
                ("number", models.PositiveIntegerField(editable=False, verbose_name="редакция")),
                ("valid_from", models.DateField(verbose_name="действует с")),
                ("text", apps.core.fields.TranslatedField(blank=True, verbose_name="текст")),
                ("content", models.BinaryField(null=True, verbose_name="файл")),
                ("file_name", models.CharField(blank=True, max_length=100, verbose_name="имя файла")),
                ("created_at", models.DateTimeField(verbose_name="загружен")),
            ],
            options={
                "verbose_name": "документ продукта",
                "verbose_name_plural": "документы продуктов",
                "ordering": ["product", "kind", "-number"],
            },
        ),
        migrations.CreateModel(
            name="TariffRelation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("requires", "нужен один из"), ("excludes", "не вместе с")],
                        max_length=10,
                        verbose_name="связь",
                    ),
                ),
            ],
            options={
                "verbose_name": "связь тарифов",
                "verbose_name_plural": "связи тарифов",
                "ordering": ["tariff", "kind", "id"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="offer",
            name="catalog_offer_once",
        ),
        migrations.AddField(
            model_name="offer",
            name="channel_code",
            field=models.CharField(
                blank=True, help_text="пусто: во всех каналах", max_length=40, verbose_name="канал"
            ),
        ),
        migrations.AddField(
            model_name="offer",
            name="on_sale_from",
            field=models.DateField(blank=True, null=True, verbose_name="продаётся с"),
        ),
        migrations.AddField(
            model_name="offer",
            name="on_sale_until",
            field=models.DateField(blank=True, null=True, verbose_name="продаётся по"),
        ),
        migrations.AddField(
            model_name="offer",
            name="payer",
            field=models.CharField(
                choices=[
                    ("charge", "клиент через шлюз"),
                    ("partner_reports", "партнёр собирает и отчитывается"),
                    ("partner_charges", "партнёр списывает по нашему запросу"),
                    ("partner_pays", "партнёр платит за клиентов"),
                ],
                default="charge",
                max_length=15,
                verbose_name="кто платит",
            ),
        ),
        migrations.AddField(
            model_name="offer",
            name="price",
            field=models.DecimalField(
                blank=True, decimal_places=2, max_digits=14, null=True, verbose_name="своя цена"
            ),
        ),
        migrations.AddField(
            model_name="offer",
            name="revision",
            field=models.PositiveIntegerField(default=1, editable=False),
        ),
        migrations.AddField(
            model_name="product",
            name="companies_only",
            field=models.BooleanField(default=False, verbose_name="только для организаций"),
        ),
        migrations.AddField(
            model_name="product",
            name="min_age",
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="с какого возраста"),
        ),
        migrations.AddField(
            model_name="product",
            name="on_sale_from",
            field=models.DateField(blank=True, null=True, verbose_name="продаётся с"),
        ),
        migrations.AddField(
            model_name="product",
            name="on_sale_until",
            field=models.DateField(blank=True, null=True, verbose_name="продаётся по"),
        ),
        migrations.AddField(
            model_name="product",
            name="once_per_person",
            field=models.BooleanField(default=False, verbose_name="один в одни руки"),
        ),
        migrations.AddField(
            model_name="product",
            name="regions",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=3),
                blank=True,
                default=list,
                size=None,
                verbose_name="только в регионах",
            ),
        ),
        migrations.AddField(
            model_name="product",
            name="short",
            field=apps.core.fields.TranslatedField(blank=True, verbose_name="коротко, для карточки"),
        ),
        migrations.AddField(
            model_name="product",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "Черновик"),
                    ("approved", "Одобрен"),
                    ("on_sale", "В продаже"),
                    ("closed", "Закрыт для продажи"),
                    ("archived", "В архиве"),
                ],
                default="on_sale",
                max_length=10,
                verbose_name="состояние",
            ),
        ),
        migrations.AddField(
            model_name="productparameter",
            name="asked_at",
            field=models.CharField(
                choices=[
                    ("tariff", "в тарифе"),
                    ("order", "клиенту при заказе"),
                    ("fulfilment", "сотруднику при выдаче"),
                ],
                default="tariff",
                max_length=10,
                verbose_name="когда задаётся",
            ),
        ),
        migrations.AddField(
            model_name="productparameter",
            name="help",
            field=apps.core.fields.TranslatedField(blank=True, verbose_name="подсказка"),
        ),
        migrations.AddField(
            model_name="productparameter",
            name="is_required",
            field=models.BooleanField(default=False, verbose_name="обязателен"),
        ),
        migrations.AddField(
            model_name="productparameter",
            name="maximum",
            field=models.IntegerField(blank=True, null=True, verbose_name="не больше"),
        ),
        migrations.AddField(
            model_name="productparameter",
            name="minimum",
            field=models.IntegerField(blank=True, null=True, verbose_name="не меньше"),
        ),
        migrations.AddField(
            model_name="productparameter",
            name="pattern",
            field=models.CharField(
                blank=True,
                help_text="Регулярное выражение, которому отвечает вся строка",
                max_length=200,
                verbose_name="шаблон",
            ),
        ),
        migrations.AddField(
            model_name="productpicture",
            name="content_en",
            field=models.BinaryField(null=True, verbose_name="картинка по-английски"),
        ),
        migrations.AddField(
            model_name="productpicture",
            name="type_en",
            field=models.CharField(blank=True, max_length=20),
        ),
        migrations.AddField(
            model_name="productpicture",
            name="version_en",
            field=models.CharField(blank=True, max_length=12),
        ),
        migrations.AddField(
            model_name="tariff",
            name="is_addon",
            field=models.BooleanField(default=False, verbose_name="дополнение"),
        ),
        migrations.AddField(
            model_name="tariff",
            name="on_sale_from",
            field=models.DateField(blank=True, null=True, verbose_name="продаётся с"),
        ),
        migrations.AddField(
            model_name="tariff",
            name="on_sale_until",
            field=models.DateField(blank=True, null=True, verbose_name="продаётся по"),
        ),
        migrations.AddField(
            model_name="tariff",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "Черновик"),
                    ("approved", "Одобрен"),
                    ("on_sale", "В продаже"),
                    ("closed", "Закрыт для продажи"),
                    ("archived", "В архиве"),
                ],
                default="on_sale",
                max_length=10,
                verbose_name="состояние",
            ),
        ),
        migrations.AddField(
            model_name="tariffversion",
            name="features",
            field=models.JSONField(blank=True, default=dict, verbose_name="возможности"),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.UniqueConstraint(
                models.F("partner"), models.F("tariff"), models.F("channel_code"), name="catalog_offer_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(("price", None), ("price__gt", 0), _connector="OR"),
                name="catalog_offer_price_positive",
                violation_error_message="Цена должна быть больше нуля",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("on_sale_from", None),
                    ("on_sale_until", None),
                    ("on_sale_until__gte", models.F("on_sale_from")),
                    _connector="OR",
                ),
                name="catalog_offer_dates",
                violation_error_message="Продажи заканчиваются раньше, чем начинаются",
            ),
        ),
        migrations.AddConstraint(
            model_name="product",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("on_sale_from", None),
                    ("on_sale_until", None),
                    ("on_sale_until__gte", models.F("on_sale_from")),
                    _connector="OR",
                ),
                name="catalog_product_dates",
                violation_error_message="Продажи заканчиваются раньше, чем начинаются",
            ),
        ),
        migrations.AddConstraint(
            model_name="tariff",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("on_sale_from", None),
                    ("on_sale_until", None),
                    ("on_sale_until__gte", models.F("on_sale_from")),
                    _connector="OR",
                ),
                name="catalog_tariff_dates",
                violation_error_message="Продажи заканчиваются раньше, чем начинаются",
            ),
        ),
        migrations.AddField(
            model_name="pricechange",
            name="tariff",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="price_changes",
                to="catalog.tariff",
                verbose_name="тариф",
            ),
        ),
        migrations.AddField(
            model_name="pricechange",
            name="version",
            field=models.OneToOneField(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="price_change",
                to="catalog.tariffversion",
            ),
        ),
        migrations.AddField(
            model_name="priceimpact",
            name="change",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="impacts", to="catalog.pricechange"
            ),
        ),
        migrations.AddField(
            model_name="priceimpact",
            name="partner",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="partners.partner",
                verbose_name="партнёр",
            ),
        ),
        migrations.AddField(
            model_name="productdocument",
            name="product",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="documents",
                to="catalog.product",
                verbose_name="продукт",
            ),
        ),
        migrations.AddField(
            model_name="tariffrelation",
            name="other",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalog.tariff",
                verbose_name="с тарифом",
            ),
        ),
        migrations.AddField(
            model_name="tariffrelation",
            name="tariff",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="relations",
                to="catalog.tariff",
                verbose_name="тариф",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricechange",
            constraint=models.CheckConstraint(
                condition=models.Q(("price__gt", 0)),
                name="catalog_pricechange_price",
                violation_error_message="Цена должна быть больше нуля",
            ),
        ),
        migrations.AddConstraint(
            model_name="pricechange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("published_at", None), ("version", None)),
                    models.Q(("published_at__isnull", False), ("version__isnull", False)),
                    _connector="OR",
                ),
                name="catalog_pricechange_published",
            ),
        ),
        migrations.AddConstraint(
            model_name="priceimpact",
            constraint=models.UniqueConstraint(
                models.F("change"), models.F("partner"), name="catalog_impact_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="productdocument",
            constraint=models.UniqueConstraint(
                models.F("product"), models.F("kind"), models.F("number"), name="catalog_document_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="tariffrelation",
            constraint=models.UniqueConstraint(
                models.F("tariff"), models.F("other"), name="catalog_relation_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="tariffrelation",
            constraint=models.CheckConstraint(
                condition=models.Q(("tariff", models.F("other")), _negated=True),
                name="catalog_relation_to_another",
                violation_error_message="Тариф не связывают с самим собой",
            ),
        ),
        migrations.RunSQL(ARCHIVED, migrations.RunSQL.noop),
        migrations.RemoveField(model_name="product", name="is_archived"),
        migrations.RemoveField(model_name="tariff", name="is_archived"),
        migrations.RunSQL(KEPT, UNKEPT),
    ]
