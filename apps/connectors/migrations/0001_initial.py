"""The app's tables."""

import django.db.models.deletion
from django.db import migrations, models

import apps.core.fields
import apps.core.ids

INBOUND = """
CREATE TABLE connectors_inboundmessage (
    id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    method varchar(10) NOT NULL,
    query text NOT NULL,
    headers text NOT NULL,
    body text NOT NULL,
    fingerprint bytea NOT NULL,
    copies integer NOT NULL CHECK (copies >= 0),
    state varchar(10) NOT NULL,
    error varchar(500) NOT NULL,
    reference bigint,
    connection_id bigint NOT NULL REFERENCES connectors_connection (id),
    PRIMARY KEY (id, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX connectors_inbound_copy ON connectors_inboundmessage (connection_id, fingerprint);
CREATE INDEX connectors_inbound_state ON connectors_inboundmessage (state, received_at);
CREATE TABLE connectors_inboundmessage_default PARTITION OF connectors_inboundmessage DEFAULT;
-- From here the daily sweep makes the months, and moves what stands in this one (apps.connectors.partitions).
INSERT INTO core_due (partner_id, kind, object_id, due_at, is_sandbox, attempts, error)
VALUES (NULL, 'connectors.partitions', '00000000-0000-0000-0000-000000000000', now() + interval '1 day', false, 0, '');
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("core", "0001_initial"),
        ("partners", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Connection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("payment", "приём платежей"),
                            ("fiscal", "онлайн-касса"),
                            ("email", "письма"),
                            ("sms", "СМС"),
                            ("provider", "поставщик"),
                            ("channel", "канал продаж"),
                            ("callcenter", "колл-центр"),
                            ("partner", "сервис партнёра"),
                        ],
                        max_length=20,
                        verbose_name="вид",
                    ),
                ),
                ("connector", models.CharField(max_length=200, verbose_name="сервис")),
                ("name", models.CharField(max_length=200, verbose_name="название")),
                ("config", apps.core.fields.EncryptedJSONField(default=dict, verbose_name="настройки")),
                ("is_test", models.BooleanField(default=False, verbose_name="тестовое")),
                ("is_enabled", models.BooleanField(default=True, verbose_name="включено")),
                (
                    "last_ok_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="последний успех"),
                ),
                (
                    "last_error",
                    models.CharField(
                        blank=True, editable=False, max_length=500, verbose_name="последняя ошибка"
                    ),
                ),
                (
                    "last_error_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="время ошибки"),
                ),
                (
                    "legal_entity",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="connections",
                        to="partners.legalentity",
                        verbose_name="юридическое лицо",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        blank=True,
                        help_text="Пусто: подключение платформы",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="connections",
                        to="partners.partner",
                        verbose_name="партнёр",
                    ),
                ),
            ],
            options={
                "verbose_name": "подключение",
                "verbose_name_plural": "подключения",
                "ordering": ["kind", "name"],
            },
        ),
        migrations.CreateModel(
            name="GatewayReference",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("partner_id", models.BigIntegerField(verbose_name="партнёр")),
                ("kind", models.CharField(max_length=60, verbose_name="вид")),
                ("object_id", models.UUIDField(verbose_name="объект")),
                ("gateway_id", models.CharField(blank=True, max_length=100, verbose_name="номер у сервиса")),
                (
                    "connection",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="references",
                        to="connectors.connection",
                    ),
                ),
            ],
            options={
                "verbose_name": "ссылка шлюза",
                "verbose_name_plural": "ссылки шлюза",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("partner_id", "object_id", "connection"), name="connectors_reference_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("gateway_id", ""), _negated=True),
                        fields=("connection", "gateway_id"),
                        name="connectors_reference_gateway",
                    ),
                ],
            },
        ),
        # Django makes no partitioned tables, and the key of one must hold what it is partitioned by.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="InboundMessage",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("received_at", models.DateTimeField(verbose_name="получено")),
                        ("method", models.CharField(max_length=10, verbose_name="метод")),
                        ("query", apps.core.fields.EncryptedField(blank=True)),
                        ("headers", apps.core.fields.EncryptedJSONField(default=dict)),
                        ("body", apps.core.fields.EncryptedField(blank=True)),
                        ("fingerprint", models.BinaryField(max_length=32)),
                        ("copies", models.PositiveIntegerField(default=0, verbose_name="повторов")),
                        (
                            "state",
                            models.CharField(
                                choices=[
                                    ("new", "получено"),
                                    ("done", "обработано"),
                                    ("unmatched", "не опознано"),
                                    ("rejected", "отклонено"),
                                ],
                                default="new",
                                max_length=10,
                                verbose_name="состояние",
                            ),
                        ),
                        ("error", models.CharField(blank=True, max_length=500, verbose_name="причина")),
                        ("reference", models.BigIntegerField(null=True, verbose_name="ссылка")),
                        (
                            "connection",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="messages",
                                to="connectors.connection",
                                verbose_name="подключение",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "входящее сообщение",
                        "verbose_name_plural": "входящие сообщения",
                        "indexes": [
                            models.Index(
                                fields=["connection", "fingerprint"], name="connectors_inbound_copy"
                            ),
                            models.Index(fields=["state", "received_at"], name="connectors_inbound_state"),
                        ],
                    },
                ),
            ],
            database_operations=[migrations.RunSQL(INBOUND, "DROP TABLE connectors_inboundmessage")],
        ),
    ]
