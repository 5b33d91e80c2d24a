"""The database itself refuses to change, delete or empty the ledger."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger_transfer is append-only: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ledger_transfer_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
-- Also where session_replication_role would silence triggers.
ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_refuses;
"""
BACKWARD = """
DROP TRIGGER ledger_transfer_refuses ON ledger_transfer;
DROP FUNCTION ledger_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
