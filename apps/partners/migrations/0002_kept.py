"""The database itself refuses to delete a partner or a legal entity, and to change terms that are in force."""

from django.db import migrations

KEPT = ("partner", "legalentity")
TERMS = """
CREATE FUNCTION partners_terms_in_force() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The partner's own day: it may have begun already, and a sandbox has a clock of its own.
    IF OLD.valid_from <= (
        SELECT (greatest(clock_at, now()) AT TIME ZONE time_zone)::date
        FROM public.partners_partner WHERE id = OLD.partner_id
    ) THEN
        RAISE EXCEPTION 'Contract terms % are in force: % is refused, add new ones', OLD.id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER partners_terms_in_force BEFORE UPDATE OR DELETE ON partners_contractterms
    FOR EACH ROW EXECUTE FUNCTION partners_terms_in_force();
CREATE TRIGGER partners_terms_kept BEFORE TRUNCATE ON partners_contractterms
    FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change();
"""
FORWARD = TERMS + (
    "".join(
        f"CREATE TRIGGER partners_{name}_kept BEFORE DELETE OR TRUNCATE ON partners_{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change();\n"
        for name in KEPT
    )
)
BACKWARD = (
    "".join(f"DROP TRIGGER partners_{name}_kept ON partners_{name};\n" for name in KEPT)
    + """
DROP TRIGGER partners_terms_in_force ON partners_contractterms;
DROP TRIGGER partners_terms_kept ON partners_contractterms;
DROP FUNCTION partners_terms_in_force();
"""
)


class Migration(migrations.Migration):
    dependencies = [("core", "0002_refuse_change"), ("partners", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
