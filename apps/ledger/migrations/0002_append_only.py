"""The database itself refuses to change, delete or empty the ledger."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER ledger_transfer_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change();
-- Also where session_replication_role would silence triggers.
ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_refuses;
"""
BACKWARD = "DROP TRIGGER ledger_transfer_refuses ON ledger_transfer"


class Migration(migrations.Migration):
    dependencies = [("core", "0002_refuse_change"), ("ledger", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
