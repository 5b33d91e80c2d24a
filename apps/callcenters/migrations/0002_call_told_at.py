"""A call knows the moment of its latest news: one that is put through to another agent is that agent's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("callcenters", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="incomingcall",
            name="told_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="время последнего события"),
        ),
    ]
