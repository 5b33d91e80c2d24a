"""The database itself refuses to delete what partners refer to, and to change terms that were sold."""

from django.db import migrations

KEPT = ("category", "product", "tariff", "tariffversion", "offer")
FORWARD = """
CREATE FUNCTION catalog_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: archive it instead', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION catalog_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.sold_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'Tariff version % has been sold: publish a new one', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION catalog_part_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed bigint := CASE WHEN TG_OP = 'INSERT' THEN NEW.version_id ELSE OLD.version_id END;
BEGIN
    IF EXISTS (SELECT FROM catalog_tariffversion WHERE id = changed AND sold_at IS NOT NULL) THEN
        RAISE EXCEPTION 'Tariff version % has been sold: publish a new one', changed
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER catalog_version_frozen BEFORE UPDATE ON catalog_tariffversion
    FOR EACH ROW EXECUTE FUNCTION catalog_version_frozen();
CREATE TRIGGER catalog_part_frozen BEFORE INSERT OR UPDATE OR DELETE ON catalog_bundlepart
    FOR EACH ROW EXECUTE FUNCTION catalog_part_frozen();
""" + "".join(
    f"CREATE TRIGGER catalog_{name}_kept BEFORE DELETE OR TRUNCATE ON catalog_{name} "
    "FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse();\n"
    for name in KEPT
)
BACKWARD = (
    "".join(f"DROP TRIGGER catalog_{name}_kept ON catalog_{name};\n" for name in KEPT)
    + """
DROP TRIGGER catalog_version_frozen ON catalog_tariffversion;
DROP TRIGGER catalog_part_frozen ON catalog_bundlepart;
DROP FUNCTION catalog_refuse();
DROP FUNCTION catalog_version_frozen();
DROP FUNCTION catalog_part_frozen();
"""
)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
