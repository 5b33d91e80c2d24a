"""Of every refusal of a method it is kept when, how, by whom and from where."""

from django.db import migrations, models

HOW = [
    ("cabinet", "в личном кабинете"),
    ("link", "по ссылке из сообщения"),
    ("call_centre", "по телефону, записал сотрудник"),
    ("written", "письмом или чатом, записал сотрудник"),
    ("api", "система партнёра, через API"),
    ("bank", "в банке"),
    ("erasure", "данные клиента стёрты"),
]


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_binding")]
    operations = [
        migrations.AddField(
            "paymentmethod",
            "refused_how",
            models.CharField(
                blank=True, choices=HOW, db_default="", default="", max_length=15, verbose_name="как отозван"
            ),
        ),
        migrations.AddField(
            "paymentmethod",
            "refused_by",
            models.CharField(
                blank=True, default="", db_default="", max_length=150, verbose_name="кто отозвал"
            ),
        ),
        migrations.AddField(
            "paymentmethod",
            "refused_ip",
            models.GenericIPAddressField(blank=True, null=True, verbose_name="с какого адреса"),
        ),
        migrations.AddField(
            "paymentmethod",
            "refused_agent",
            models.CharField(blank=True, default="", db_default="", max_length=300, verbose_name="браузер"),
        ),
        migrations.AddField(
            "paymentmethod",
            "refusal_recorded_at",
            models.DateTimeField(blank=True, null=True, verbose_name="отзыв записан"),
        ),
        # Refused before evidence was kept: the moment is known, the rest stands in the journal.
        migrations.RunSQL(
            "UPDATE payments_paymentmethod SET refusal_recorded_at = refused_at, refused_how = 'written' "
            "WHERE refused_at IS NOT NULL; SET CONSTRAINTS ALL IMMEDIATE",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            "paymentmethod",
            models.CheckConstraint(
                condition=models.Q(
                    ("refused_at", None),
                    models.Q(
                        ("refusal_recorded_at__isnull", False), models.Q(("refused_how", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="payments_refusal_evidence",
            ),
        ),
    ]
