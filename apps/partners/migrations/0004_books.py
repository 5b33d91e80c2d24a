"""Requisites for bank transfers, who pays for a partner's clients, and the day up to which books are closed."""

import django.core.validators
from django.db import migrations, models

# Statement triggers name what they look at: the column of the legal entity, and which of the fresh rows count. The
# shared lock is what a closing waits for: whoever posts to an old day has committed before the books are closed, or
# sees them closed.
REFUSE = """
CREATE FUNCTION public.partners_refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entity bigint;
    day date;
    closed date;
BEGIN
    FOR entity, day IN EXECUTE format(
        'SELECT %I, min(business_date) FROM fresh WHERE %I IS NOT NULL AND %s GROUP BY 1 ORDER BY 1',
        TG_ARGV[0], TG_ARGV[0], TG_ARGV[1])
    LOOP
        PERFORM pg_advisory_xact_lock_shared(7205760, entity::integer);
        SELECT closed_until INTO closed FROM public.partners_legalentity WHERE id = entity;
        IF day <= closed THEN
            RAISE EXCEPTION '% to %: books of legal entity % are closed until %', TG_TABLE_NAME, day, entity, closed
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("partners", "0003_terms")]
    operations = [
        migrations.AddField(
            "legalentity", "bank", models.CharField(blank=True, max_length=200, verbose_name="банк")
        ),
        migrations.AddField(
            "legalentity",
            "bik",
            models.CharField(
                blank=True,
                max_length=9,
                validators=[django.core.validators.RegexValidator("^0\\d{8}$")],
                verbose_name="БИК",
            ),
        ),
        migrations.AddField(
            "legalentity",
            "account",
            models.CharField(
                blank=True,
                max_length=20,
                validators=[django.core.validators.RegexValidator("^\\d{20}$")],
                verbose_name="расчётный счёт",
            ),
        ),
        migrations.AddField(
            "legalentity",
            "bank_account",
            models.CharField(
                blank=True,
                max_length=20,
                validators=[django.core.validators.RegexValidator("^\\d{20}$")],
                verbose_name="корреспондентский счёт",
            ),
        ),
        migrations.AddField(
            "legalentity",
            "signer",
            models.CharField(blank=True, max_length=120, verbose_name="кто подписывает документы"),
        ),
        migrations.AddField(
            "legalentity",
            "closed_until",
            models.DateField(blank=True, editable=False, null=True, verbose_name="период закрыт по"),
        ),
        migrations.AddField(
            "legalentity",
            "closed_at",
            models.DateTimeField(blank=True, editable=False, null=True, verbose_name="когда закрыт"),
        ),
        migrations.AddField(
            "partner",
            "payer_id",
            models.UUIDField(blank=True, editable=False, null=True, verbose_name="кто платит за клиентов"),
        ),
        migrations.AddField(
            "contractterms",
            "counts",
            models.CharField(
                choices=[
                    ("active", "по действующим: за каждый начатый период"),
                    ("activated", "по подключённым: один раз, за первый период"),
                ],
                default="active",
                max_length=9,
                verbose_name="за что платит партнёр, если платит за клиентов",
            ),
        ),
        migrations.RunSQL(REFUSE, "DROP FUNCTION public.partners_refuse_closed()"),
    ]
