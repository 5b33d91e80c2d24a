"""Definitions of connectors, their versions and the calls by them; the database keeps what was live."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION providers_version_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'DELETE of % is refused', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state IN ('live', 'retired') AND (NEW.state NOT IN ('live', 'retired')
        OR (NEW.document, NEW.exchange, NEW.number, NEW.definition_id)
            IS DISTINCT FROM (OLD.document, OLD.exchange, OLD.number, OLD.definition_id)) THEN
        RAISE EXCEPTION 'Version % has been live', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER providers_version_kept BEFORE UPDATE OR DELETE ON providers_definitionversion
    FOR EACH ROW EXECUTE FUNCTION providers_version_kept();
CREATE TRIGGER providers_version_whole BEFORE TRUNCATE ON providers_definitionversion
    FOR EACH STATEMENT EXECUTE FUNCTION providers_refuse();
CREATE TRIGGER providers_definition_kept BEFORE DELETE OR TRUNCATE ON providers_connectordefinition
    FOR EACH STATEMENT EXECUTE FUNCTION providers_refuse();
CREATE TRIGGER providers_call_kept BEFORE DELETE OR TRUNCATE ON providers_providercall
    FOR EACH STATEMENT EXECUTE FUNCTION providers_refuse();
"""
BACKWARD = """
DROP TRIGGER providers_version_kept ON providers_definitionversion;
DROP TRIGGER providers_version_whole ON providers_definitionversion;
DROP TRIGGER providers_definition_kept ON providers_connectordefinition;
DROP TRIGGER providers_call_kept ON providers_providercall;
DROP FUNCTION providers_version_kept();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0005_store"),
        ("providers", "0005_sales_stops"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConnectorDefinition",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.SlugField(max_length=60, unique=True, verbose_name="код")),
                ("name", models.CharField(max_length=120, unique=True, verbose_name="название")),
                ("is_archived", models.BooleanField(default=False, verbose_name="в архиве")),
                ("created_at", models.DateTimeField(verbose_name="создано")),
            ],
            options={
                "verbose_name": "конструктор подключения",
                "verbose_name_plural": "конструктор подключений",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="DefinitionVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="версия")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Черновик"),
                            ("tested", "Проверена"),
                            ("live", "Действует"),
                            ("retired", "Заменена"),
                        ],
                        default="draft",
                        max_length=8,
                        verbose_name="состояние",
                    ),
                ),
                ("document", models.JSONField(default=dict, verbose_name="описание")),
                ("exchange", models.JSONField(blank=True, default=list, verbose_name="записанный обмен")),
                ("author", models.CharField(blank=True, max_length=150, verbose_name="кто")),
                ("created_at", models.DateTimeField(verbose_name="создана")),
                ("tested_at", models.DateTimeField(blank=True, null=True, verbose_name="проверена")),
                ("live_at", models.DateTimeField(blank=True, null=True, verbose_name="действует с")),
                ("retired_at", models.DateTimeField(blank=True, null=True, verbose_name="заменена")),
                (
                    "definition",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="providers.connectordefinition",
                        verbose_name="конструктор",
                    ),
                ),
            ],
            options={
                "verbose_name": "версия",
                "verbose_name_plural": "версии",
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="ProviderCall",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("is_accepted", models.BooleanField(default=False, verbose_name="принят поставщиком")),
                (
                    "reference",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.gatewayreference",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="providers.definitionversion",
                    ),
                ),
            ],
            options={
                "verbose_name": "вызов поставщика",
                "verbose_name_plural": "вызовы поставщика",
            },
        ),
        migrations.AddConstraint(
            model_name="definitionversion",
            constraint=models.UniqueConstraint(
                models.F("definition"), models.F("number"), name="providers_version_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="definitionversion",
            constraint=models.UniqueConstraint(
                models.F("definition"),
                condition=models.Q(("state", "live")),
                name="providers_version_one_live",
            ),
        ),
        migrations.AddConstraint(
            model_name="definitionversion",
            constraint=models.UniqueConstraint(
                models.F("definition"),
                condition=models.Q(("state__in", ["draft", "tested"])),
                name="providers_version_one_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="definitionversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("state", "draft"), ("tested_at__isnull", False), _connector="OR"),
                name="providers_version_tested",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
