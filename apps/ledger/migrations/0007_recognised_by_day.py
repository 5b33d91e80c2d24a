"""Income is recognised by day at each month's end: what was planned for the end of its period is looked at now.

It does what is due of it, and plans the next month's end by itself.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_agency"), ("core", "__first__")]

    operations = [
        migrations.RunSQL(
            "UPDATE core_due SET due_at = least(due_at, now()) WHERE kind = 'billing.recognise'",
            migrations.RunSQL.noop,
        )
    ]
