"""The database itself refuses to change or delete a VAT rate that has begun: documents stand under it."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION policies_rate_begun() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.valid_from <= (now() AT TIME ZONE 'Europe/Moscow')::date THEN
        RAISE EXCEPTION 'VAT rate % has begun: % is refused, add a new one', OLD.id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER policies_rate_begun BEFORE UPDATE OR DELETE ON policies_vatrate
    FOR EACH ROW EXECUTE FUNCTION policies_rate_begun();
CREATE TRIGGER policies_rate_kept BEFORE TRUNCATE ON policies_vatrate
    FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change();
"""
BACKWARD = """
DROP TRIGGER policies_rate_begun ON policies_vatrate;
DROP TRIGGER policies_rate_kept ON policies_vatrate;
DROP FUNCTION policies_rate_begun();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_refuse_change"), ("policies", "0002_rates")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
