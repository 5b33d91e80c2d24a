"""What a provider is owed, by dated terms. The database refuses to change those that are in force."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

# The earliest day there is in the country: a partner's own day may have begun before the platform's.
FORWARD = """
CREATE FUNCTION catalog_providerterms_in_force() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.valid_from <= (now() AT TIME ZONE 'Asia/Kamchatka')::date THEN
        RAISE EXCEPTION 'Provider terms % are in force: % is refused, add new ones', OLD.id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER catalog_providerterms_in_force BEFORE UPDATE OR DELETE ON catalog_providerterms
    FOR EACH ROW EXECUTE FUNCTION catalog_providerterms_in_force();
CREATE TRIGGER catalog_providerterms_kept BEFORE TRUNCATE ON catalog_providerterms
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse();
"""
BACKWARD = """
DROP TRIGGER catalog_providerterms_in_force ON catalog_providerterms;
DROP TRIGGER catalog_providerterms_kept ON catalog_providerterms;
DROP FUNCTION catalog_providerterms_in_force();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0006_trial_needs_method"),
        ("providers", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderTerms",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(max_length=60, verbose_name="номер договора")),
                ("valid_from", models.DateField(verbose_name="действует с")),
                (
                    "trade",
                    models.CharField(
                        choices=[
                            ("resale", "перепродажа: от своего имени, поставщику — себестоимость"),
                            (
                                "agency",
                                "агент поставщика: выручка — только вознаграждение, остальное поставщику",
                            ),
                        ],
                        default="resale",
                        max_length=10,
                        verbose_name="как продаём",
                    ),
                ),
                (
                    "percent",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0"),
                        help_text="Перепродажа: доля поставщика. Агент: наше вознаграждение",
                        max_digits=5,
                        verbose_name="процент",
                    ),
                ),
                (
                    "base",
                    models.CharField(
                        choices=[
                            ("gross", "от оборота с НДС"),
                            ("net", "от оборота без НДС"),
                            ("fee", "от оборота без НДС и комиссии шлюза"),
                        ],
                        default="net",
                        max_length=5,
                        verbose_name="база",
                    ),
                ),
                (
                    "fixed",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0.00"),
                        help_text="За оплаченный период одной штуки; за неполный — пропорционально",
                        max_digits=14,
                        verbose_name="и твёрдая сумма",
                    ),
                ),
                (
                    "earned_on",
                    models.CharField(
                        choices=[
                            ("payment", "когда клиент оплатил"),
                            ("service", "когда услуга оказана: в конце оплаченного периода"),
                        ],
                        default="payment",
                        help_text="У агента — всегда с оплатой: это деньги поставщика",
                        max_length=10,
                        verbose_name="начисляется",
                    ),
                ),
                (
                    "clawback",
                    models.BooleanField(
                        default=True,
                        help_text=("Снимите, если поставщик не возвращает деньги, например за выданный ключ"),
                        verbose_name="возвращается при возврате",
                    ),
                ),
                (
                    "vat_code",
                    models.CharField(
                        default="standard",
                        help_text="Только для агента",
                        max_length=20,
                        verbose_name="НДС нашего вознаграждения",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Пусто: для всех продуктов поставщика",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.product",
                        verbose_name="продукт",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="providers.provider",
                        verbose_name="поставщик",
                    ),
                ),
                (
                    "tariff",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Пусто: для всех тарифов",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.tariff",
                        verbose_name="тариф",
                    ),
                ),
            ],
            options={
                "verbose_name": "условия поставщика",
                "verbose_name_plural": "условия поставщиков",
                "ordering": ["provider__name", "-valid_from", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "product", "tariff", "valid_from"),
                        name="catalog_providerterms_once_a_day",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(percent__range=(0, 100), fixed__gte=0),
                        name="catalog_providerterms_sums",
                        violation_error_message="Процент: от 0 до 100, сумма: не меньше нуля",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
