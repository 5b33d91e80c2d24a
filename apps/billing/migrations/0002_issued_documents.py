"""Issued invoices are immutable: only their state moves, one way, and a first period gets its days once."""

from django.db import migrations

INVOICE = """
CREATE FUNCTION billing_keep_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    IF TG_OP = 'UPDATE'
        AND (to_jsonb(NEW) - ARRAY['state', 'paid_at', 'closed_at'])
            = (to_jsonb(OLD) - ARRAY['state', 'paid_at', 'closed_at'])
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
CREATE FUNCTION billing_keep_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    EXECUTE 'SELECT state FROM ' || quote_ident(TG_TABLE_SCHEMA) || '.billing_invoice WHERE id = $1'
        INTO state USING CASE WHEN TG_OP = 'INSERT' THEN NEW.invoice_id ELSE OLD.invoice_id END;
    IF state = 'draft' THEN
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


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [
        migrations.RunSQL(INVOICE, "DROP FUNCTION billing_keep_invoice()"),
        migrations.RunSQL(
            "CREATE TRIGGER billing_invoice_issued BEFORE UPDATE OR DELETE ON billing_invoice"
            " FOR EACH ROW EXECUTE FUNCTION billing_keep_invoice()",
            "DROP TRIGGER billing_invoice_issued ON billing_invoice",
        ),
        migrations.RunSQL(LINE, "DROP FUNCTION billing_keep_line()"),
        migrations.RunSQL(
            "CREATE TRIGGER billing_line_issued BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline"
            " FOR EACH ROW EXECUTE FUNCTION billing_keep_line()",
            "DROP TRIGGER billing_line_issued ON billing_invoiceline",
        ),
    ]
