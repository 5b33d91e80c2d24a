"""A part of a bundle can no more be moved into a version that has been sold."""

from django.db import migrations

BODY = """
CREATE OR REPLACE FUNCTION catalog_part_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sold bigint;
BEGIN
    SELECT id INTO sold FROM public.catalog_tariffversion WHERE sold_at IS NOT NULL AND (
        TG_OP <> 'INSERT' AND id = OLD.version_id OR TG_OP <> 'DELETE' AND id = NEW.version_id
    ) LIMIT 1;
    IF sold IS NOT NULL THEN
        RAISE EXCEPTION 'Tariff version % has been sold: publish a new one', sold
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER catalog_bundlepart_kept BEFORE TRUNCATE ON catalog_bundlepart
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_immutable")]
    operations = [migrations.RunSQL(BODY, "DROP TRIGGER catalog_bundlepart_kept ON catalog_bundlepart")]
