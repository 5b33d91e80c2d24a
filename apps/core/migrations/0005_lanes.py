"""Work that calls outside gets a lane of its own; the general tick no longer looks at it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0004_due_batches")]

    operations = [
        migrations.CreateModel(
            name="Lane",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("holder", models.CharField(max_length=200)),
                ("held_until", models.DateTimeField()),
            ],
        ),
        migrations.AddField(model_name="due", name="lane", field=models.BigIntegerField(null=True)),
        migrations.RemoveIndex(model_name="due", name="core_due_tick"),
        migrations.AddIndex(
            model_name="due",
            index=models.Index(
                condition=models.Q(("is_sandbox", False), ("lane", None)),
                fields=["due_at"],
                name="core_due_tick",
            ),
        ),
        migrations.AddIndex(
            model_name="due",
            index=models.Index(
                condition=models.Q(("lane__isnull", False)), fields=["lane", "due_at"], name="core_due_lane"
            ),
        ),
    ]
