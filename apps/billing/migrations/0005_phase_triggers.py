"""What may change of an issued line: the days and phase of a first period once, and what credits take of it."""

from django.db import migrations

LINE = """
CREATE OR REPLACE FUNCTION billing_keep_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    issued boolean;
    dated text[] := ARRAY['phase_id', 'period_date', 'period_start', 'period_end'];
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
    IF TG_OP = 'UPDATE' AND OLD.phase_id IS NULL
        AND (OLD.period_start IS NULL
            OR (NEW.period_start, NEW.period_end) = (OLD.period_start, OLD.period_end))
        AND to_jsonb(NEW) - dated = to_jsonb(OLD) - dated THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.credited >= OLD.credited
        AND to_jsonb(NEW) - 'credited' = to_jsonb(OLD) - 'credited' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A line of an issued invoice: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$
"""
# A credit note gets its number with the last statement before commit; nothing else of it changes.
NOTE = """
CREATE FUNCTION billing_keep_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.number = left(OLD.key, 40)
        AND (to_jsonb(NEW) - ARRAY['number', 'to_debt', 'to_balance', 'to_refund'])
            = (to_jsonb(OLD) - ARRAY['number', 'to_debt', 'to_balance', 'to_refund']) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Credit note % is issued: % is refused', OLD.number, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""
# Terms are written once; those to come may be dropped.
PHASE = """
CREATE FUNCTION billing_keep_phase() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.dropped_at IS NULL
        AND to_jsonb(NEW) - 'dropped_at' = to_jsonb(OLD) - 'dropped_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Terms of a subscription: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""
# Subscriptions sold before there were phases: their terms as they stand, their lines under them.
BACKFILL = """
INSERT INTO billing_subscriptionphase (id, subscription_id, kind, start_date, offer_id, tariff_version_id, name, price,
    quantity, vat_code, period_count, period_unit, anchor_date, cycle_day, is_free, reason, actor, created_at)
SELECT id, id, 'regular', anchor_date, offer_id, tariff_version_id, name, price, quantity, vat_code, period_count,
    period_unit, anchor_date, cycle_day, false, '', '', created_at
FROM billing_subscription WHERE anchor_date IS NOT NULL
"""


def _trigger(table: str, name: str, function: str, events: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER {name} BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
        f"DROP TRIGGER {name} ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_phases")]
    operations = [
        migrations.RunSQL(LINE, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
        migrations.RunSQL(
            "UPDATE billing_subscription SET billed_until = current_period_end", migrations.RunSQL.noop
        ),
        migrations.RunSQL(
            "UPDATE billing_invoiceline SET phase_id = subscription_id, period_date = period_start"
            " WHERE period_start IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL("SET CONSTRAINTS ALL DEFERRED", migrations.RunSQL.noop),
        migrations.RunSQL(NOTE, "DROP FUNCTION billing_keep_note()"),
        _trigger("billing_creditnote", "billing_note_issued", "billing_keep_note", "UPDATE OR DELETE"),
        migrations.RunSQL(PHASE, "DROP FUNCTION billing_keep_phase()"),
        _trigger("billing_subscriptionphase", "billing_phase_kept", "billing_keep_phase", "UPDATE OR DELETE"),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER {table}_kept BEFORE TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change()",
                f"DROP TRIGGER {table}_kept ON {table}",
            )
            for table in ("billing_creditnote", "billing_creditnoteline", "billing_subscriptionphase")
        ),
    ]
