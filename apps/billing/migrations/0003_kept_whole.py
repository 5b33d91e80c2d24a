"""Issued documents cannot be emptied, joined by another invoice's lines, or given another moment of payment."""

from django.db import migrations

INVOICE = """
CREATE OR REPLACE FUNCTION billing_keep_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    -- A moment is set together with the state that it belongs to, and by nothing else.
    IF TG_OP = 'UPDATE'
        AND (to_jsonb(NEW) - ARRAY['state', 'paid_at', 'closed_at'])
            = (to_jsonb(OLD) - ARRAY['state', 'paid_at', 'closed_at'])
        AND (NEW.paid_at IS NOT DISTINCT FROM OLD.paid_at OR (OLD.state = 'open' AND NEW.state = 'paid'))
        AND (NEW.closed_at IS NOT DISTINCT FROM OLD.closed_at OR NEW.state <> OLD.state AND NEW.state <> 'paid')
        AND (NEW.state = OLD.state
            OR (OLD.state = 'open' AND NEW.state IN ('paid', 'void'))
            OR (OLD.state = 'paid' AND NEW.state = 'refunded'))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Invoice % is issued: % is refused', OLD.number, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""
# The table is named by the trigger's schema: the caller's search path decides nothing.
LINE = """
CREATE OR REPLACE FUNCTION billing_keep_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    issued boolean;
BEGIN
    -- A line may come before its invoice, whose key is checked at commit; the row is locked, so that nobody issues it
    -- meanwhile.
    EXECUTE 'SELECT bool_or(state <> ''draft'') FROM (SELECT state FROM ' || quote_ident(TG_TABLE_SCHEMA)
        || '.billing_invoice WHERE id IN ($1, $2) FOR SHARE) AS invoice'
        INTO issued USING
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.invoice_id END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.invoice_id END;
    IF NOT COALESCE(issued, false) THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.period_start IS NULL
        AND (to_jsonb(NEW) - ARRAY['period_start', 'period_end'])
            = (to_jsonb(OLD) - ARRAY['period_start', 'period_end'])
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A line of an issued invoice: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$
"""
KEPT = ("billing_invoice", "billing_invoiceline")


class Migration(migrations.Migration):
    dependencies = [("core", "0002_refuse_change"), ("billing", "0002_issued_documents")]
    operations = [
        migrations.RunSQL(INVOICE, migrations.RunSQL.noop),
        migrations.RunSQL(LINE, migrations.RunSQL.noop),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER {table}_kept BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change()",
                f"DROP TRIGGER {table}_kept ON {table}",
            )
            for table in KEPT
        ),
    ]
