"""The database itself refuses postings to a day whose books are closed."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER ledger_transfer_open AFTER INSERT ON ledger_transfer REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION public.partners_refuse_closed('seller_id', 'true');
ALTER TABLE ledger_transfer ENABLE ALWAYS TRIGGER ledger_transfer_open;
"""


class Migration(migrations.Migration):
    dependencies = [("partners", "0004_books"), ("ledger", "0004_binding")]
    operations = [migrations.RunSQL(FORWARD, "DROP TRIGGER ledger_transfer_open ON ledger_transfer")]
