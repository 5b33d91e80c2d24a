"""The database itself refuses to delete what partners' rows refer to: connections and references."""

from django.db import migrations

KEPT = ("connection", "gatewayreference")
FORWARD = "".join(
    f"CREATE TRIGGER connectors_{name}_kept BEFORE DELETE OR TRUNCATE ON connectors_{name} "
    "FOR EACH STATEMENT EXECUTE FUNCTION public.core_refuse_change();\n"
    for name in KEPT
)
BACKWARD = "".join(f"DROP TRIGGER connectors_{name}_kept ON connectors_{name};\n" for name in KEPT)


class Migration(migrations.Migration):
    dependencies = [("core", "0002_refuse_change"), ("connectors", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
