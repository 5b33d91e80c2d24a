"""The trigger function that refuses to change or delete a row: issued documents, sold versions, the ledger."""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION public.core_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION public.core_refuse_change()")]
