"""The database itself refuses to sell a key again, to delete a sold one, or to delete a provider or pool."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION providers_key_sold_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'free' THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    -- The ciphertext may change (keys of encryption are rotated), what it stands for may not.
    IF TG_OP = 'DELETE' OR NEW.state = 'free'
        OR (NEW.request_id, NEW.fingerprint, NEW.pool_id, NEW.partner_id, NEW.sold_at)
            IS DISTINCT FROM (OLD.request_id, OLD.fingerprint, OLD.pool_id, OLD.partner_id, OLD.sold_at) THEN
        RAISE EXCEPTION 'Activation key % has been sold', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION providers_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER providers_key_sold_once BEFORE UPDATE OR DELETE ON providers_activationkey
    FOR EACH ROW EXECUTE FUNCTION providers_key_sold_once();
CREATE TRIGGER providers_key_kept BEFORE TRUNCATE ON providers_activationkey
    FOR EACH STATEMENT EXECUTE FUNCTION providers_refuse();
CREATE TRIGGER providers_pool_kept BEFORE DELETE OR TRUNCATE ON providers_keypool
    FOR EACH STATEMENT EXECUTE FUNCTION providers_refuse();
CREATE TRIGGER providers_provider_kept BEFORE DELETE OR TRUNCATE ON providers_provider
    FOR EACH STATEMENT EXECUTE FUNCTION providers_refuse();
"""
BACKWARD = """
DROP TRIGGER providers_key_sold_once ON providers_activationkey;
DROP TRIGGER providers_key_kept ON providers_activationkey;
DROP TRIGGER providers_pool_kept ON providers_keypool;
DROP TRIGGER providers_provider_kept ON providers_provider;
DROP FUNCTION providers_key_sold_once();
DROP FUNCTION providers_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("providers", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
