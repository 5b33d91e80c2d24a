"""A partner's schema: replayed equals migrated, whole or not there, and brought up to date by replay."""

import os
import subprocess
import sys
import uuid
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

from apps.core import faults
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.partners import schemas
from apps.partners.models import Domain, LegalEntity, MigrationScript, Partner
from apps.partners.services import create_partner
from tests.database import on

CATALOGUE = """
SELECT 'column', attrelid::regclass::text, attname,
    format_type(atttypid, atttypmod) || ' null ' || (NOT attnotnull)::text || ' identity ' || attidentity::text
    || ' generated ' || attgenerated::text || ' default ' || coalesce(pg_get_expr(adbin, adrelid), '')
    || ' collation ' || attcollation::text
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %(schema)s
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname,
    pg_get_triggerdef(pg_trigger.oid) || ' enabled ' || tgenabled::text
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = %(schema)s::regnamespace AND NOT tgisinternal
UNION ALL SELECT 'function', proname, '', pg_get_functiondef(oid)
FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
"""


def catalogue(schema: str) -> set[tuple[Any, ...]]:
    """Everything that the database knows of a schema, its own name left out."""
    with connection.cursor() as cursor:
        cursor.execute(CATALOGUE, {"schema": schema})
        rows = cursor.fetchall()
    return {
        tuple(str(part).replace(f"{schema}.", "").replace(f'"{schema}"', "") for part in row) for row in rows
    }


def test_replayed_equals_migrated(partner: Partner) -> None:
    with in_public():
        migrated, replayed = catalogue("template"), catalogue(partner.schema_name)
    assert len(migrated) > 300
    assert replayed == migrated


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders_orderitem ALTER COLUMN name TYPE varchar(299)",
        "ALTER TABLE billing_invoice DISABLE TRIGGER billing_invoice_issued",
        "ALTER TABLE orders_orderitem ALTER COLUMN quantity SET DEFAULT 1",
        "ALTER TABLE journal_idempotentanswer ALTER COLUMN id SET GENERATED ALWAYS",
    ],
)
def test_the_comparison_sees_what_differs(partner: Partner, change: str) -> None:
    before = catalogue(partner.schema_name)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(change)
        after = catalogue(partner.schema_name)
        # The auditor looks at every schema, and other tests ask it.
        transaction.set_rollback(True)
    assert after != before
    assert catalogue(partner.schema_name) == before


def test_a_crash_leaves_nothing_behind(operator: LegalEntity) -> None:
    with faults.crash_at("partners.schema-not-committed"), pytest.raises(faults.Crash):
        create_partner(slug="crashed", name="Сбой")
    assert not Partner.objects.filter(slug="crashed").exists()
    assert not Domain.objects.filter(domain__startswith="crashed.").exists()
    partner = create_partner(slug="crashed", name="Со второй попытки")
    assert partner.schema_name == f"p{partner.pk:06d}"


@pytest.mark.parametrize("slug", ["Банк", "a", "-bank", "bank_1", "x" * 60])
def test_a_slug_that_is_no_host_name_is_refused(operator: LegalEntity, slug: str) -> None:
    with pytest.raises(Refused) as refusal:
        create_partner(slug=slug, name="Банк")
    assert refusal.value.code == "partner_invalid"


def test_a_taken_slug_is_refused(partner: Partner) -> None:
    with pytest.raises(Refused) as refusal:
        create_partner(slug=partner.slug, name="Второй")
    assert refusal.value.code == "partner_exists"


def test_who_lacks_a_migration_gets_it_replayed(partner: Partner) -> None:
    name = f"9999_{uuid.uuid4().hex[:8]}"
    with in_public():
        script = MigrationScript.objects.create(
            app="orders", name=name, position=9999, sql="ALTER TABLE orders_order ADD COLUMN extra integer"
        )
        try:
            assert script in schemas.behind()[partner]
            schemas.bring_up(partner, [script])
            assert partner not in schemas.behind()
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM information_schema.columns WHERE column_name = 'extra'"
                    " AND table_schema = %s",
                    [partner.schema_name],
                )
                assert cursor.fetchone()[0] == 1
        finally:
            script.delete()


def test_a_replay_that_fails_leaves_the_partner_as_it_was(partner: Partner) -> None:
    scripts = [
        MigrationScript(app="orders", name="9998_a", sql="ALTER TABLE orders_order ADD COLUMN half integer"),
        MigrationScript(
            app="orders", name="9998_b", sql="ALTER TABLE orders_nowhere ADD COLUMN half integer"
        ),
    ]
    with in_public(), pytest.raises(Exception, match="orders_nowhere"):
        schemas.bring_up(partner, scripts)
    with in_public():
        assert not any("half" in row for row in catalogue(partner.schema_name))


def test_nothing_to_migrate_changes_nothing(partner: Partner, capsys: Any) -> None:
    with in_public():
        call_command("migrate_all")
    assert "partners: 0 brought up to date" in capsys.readouterr().out


BY_DJANGO = """
import django
django.setup()
from django.core.management import call_command
from django.db.migrations.state import ProjectState
from apps.partners import schemas
schemas._Alone = ProjectState
call_command("migrate_all")
"""


@pytest.mark.soak
def test_models_rendered_alone_make_what_django_makes_of_them() -> None:
    server, name = os.environ["TEST_DATABASE_URL"], f"armor_rendered_{uuid.uuid4().hex[:8]}"
    scripts = "SELECT app, name, position, sql, runs_per_partner FROM partners_migrationscript"
    with psycopg.connect(server, autocommit=True) as control:
        control.execute(f'CREATE DATABASE "{name}"')
        try:
            environment = {**os.environ, "DATABASE_URL": on(server, name)}
            command = [sys.executable, "-W", "ignore", "-c", BY_DJANGO]
            subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True)
            found = []
            for database in (name, os.environ["ARMOR_TEST_TEMPLATE"]):
                with psycopg.connect(on(server, database), cursor_factory=psycopg.ClientCursor) as asked:
                    made = asked.execute(CATALOGUE, {"schema": "public"}).fetchall()
                    found.append({*made, *asked.execute(scripts).fetchall()})
        finally:
            control.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    assert len(found[0]) > 1000
    assert found[0] == found[1]
