from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0009_payouts_past_gateway"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentmethod",
            name="unbinding_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="шлюз извещается с"),
        ),
        migrations.AddField(
            model_name="paymentmethod",
            name="unbound_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="отвязан у шлюза"),
        ),
        migrations.AddConstraint(
            model_name="paymentmethod",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("unbinding_since", None), ("unbound_at", None)),
                    models.Q(("refused_at__isnull", False), ("unbinding_since__isnull", False)),
                    _connector="OR",
                ),
                name="payments_unbinding_of_refused",
            ),
        ),
    ]
