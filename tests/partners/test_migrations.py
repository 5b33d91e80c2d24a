"""Migrations to come: recorded whole or not at all, replayed or run in each partner, new ones included."""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import ProgrammingError, connection, connections
from django.db.migrations.loader import MigrationLoader

from apps.core.tenancy import in_partner, in_public
from apps.journal.models import Entry
from apps.partners import schemas
from apps.partners.models import MigrationScript, Partner
from apps.partners.services import create_partner

APP = "payments"
Write = Callable[..., None]
FILE = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models

{above}

class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("{app}", "{after}")]
    operations = [{operations}]
"""
SEED = """
def seed(apps, editor):
    # Its references to public tables must be there, whoever runs it.
    apps.get_model("payments", "Payment").objects.count()
    if connection.schema_name != "public":
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE later_seeded (name text)")
            cursor.execute("INSERT INTO later_seeded VALUES (%s)", [connection.schema_name])
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes migrations of `payments` that follow those of the project, and takes back what they did."""
    leaf = MigrationLoader(None).graph.leaf_nodes(APP)[0][1]
    package = tmp_path / f"later_{tmp_path.name}"
    package.mkdir()
    real = importlib.import_module(f"apps.{APP}.migrations").__path__
    (package / "__init__.py").write_text(f"__path__ = {[*real, str(package)]!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(settings, "MIGRATION_MODULES", {APP: package.name})

    def run(number: int, operations: str, *, above: str = "", atomic: bool = True) -> None:
        name = f"{number}_later"
        after = leaf if number == 9001 else f"{number - 1}_later"
        text = FILE.format(app=APP, after=after, operations=operations, above=above, atomic=atomic)
        (package / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        for module in [module for module in sys.modules if module.startswith(package.name)]:
            del sys.modules[module]

    yield run
    with in_public(), connection.cursor() as cursor:
        MigrationScript.objects.filter(name__endswith="_later").delete()
        cursor.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = 'django_migrations'"
        )
        for (schema,) in cursor.fetchall():
            cursor.execute(
                f'DELETE FROM "{schema}".django_migrations WHERE name LIKE %s;'
                f'DROP TABLE IF EXISTS "{schema}".later_seeded;'
                f'DROP TABLE IF EXISTS "{schema}".later_made;'
                f'DROP INDEX IF EXISTS "{schema}".later_index',
                ["%_later"],
            )


MAKE = 'migrations.RunSQL("CREATE TABLE later_made (id integer)")'
FAIL = 'migrations.RunSQL("ALTER TABLE later_nowhere ADD COLUMN id integer")'
INDEX = "AddIndexConcurrently('payment', models.Index(fields=['state'], name='later_index'))"


def record() -> int:
    with in_public():
        return schemas.record_template()


def bring_up(partner: Partner) -> None:
    with in_public():
        schemas.bring_up(partner, schemas.behind()[partner])
        assert partner not in schemas.behind()


def has(schema: str, name: str) -> bool:
    with in_public(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f'"{schema}".{name}'])
        return cursor.fetchone()[0] is not None


def seeded(schema: str) -> list[str]:
    with in_public(), connection.cursor() as cursor:
        cursor.execute(f'SELECT name FROM "{schema}".later_seeded')
        return [name for (name,) in cursor.fetchall()]


def test_what_a_failed_run_applied_is_recorded_and_the_rest_follows(partner: Partner, write: Write) -> None:
    write(9001, MAKE)
    write(9002, FAIL)
    with pytest.raises(ProgrammingError):
        record()
    assert list(MigrationScript.objects.filter(name__endswith="_later").values_list("name", flat=True)) == [
        "9001_later"
    ]
    write(9002, 'migrations.RunSQL("ALTER TABLE later_made ADD COLUMN more integer")')
    assert record() == 1
    bring_up(partner)
    assert has(partner.schema_name, "later_made")


def test_a_template_that_was_migrated_without_a_record_is_refused(write: Write) -> None:
    write(9001, MAKE)
    record()
    MigrationScript.objects.filter(name="9001_later").delete()
    with pytest.raises(schemas.OutOfStep, match=r"payments\.9001_later"):
        record()


def test_python_runs_in_each_partner_and_in_every_new_one(partner: Partner, write: Write) -> None:
    write(9001, "migrations.RunPython(seed, migrations.RunPython.noop)", above=SEED)
    write(9002, MAKE)
    assert record() == 2
    bring_up(partner)
    new = create_partner(slug="later-python", name="Новый")
    for schema in (partner.schema_name, new.schema_name):
        assert seeded(schema) == [schema]
        assert has(schema, "later_made")
    assert new not in schemas.behind()
    with in_partner(new):
        assert Entry.objects.count() == 0


def test_python_that_fails_leaves_the_partner_as_it_was(partner: Partner, write: Write) -> None:
    failing = SEED + "    if connection.schema_name.startswith('p0'): raise ValueError('no')\n"
    write(9001, "migrations.RunPython(seed, migrations.RunPython.noop)", above=failing)
    record()
    with in_public(), pytest.raises(ValueError, match="no"):
        schemas.bring_up(partner, schemas.behind()[partner])
    assert not has(partner.schema_name, "later_seeded")
    assert partner in schemas.behind()


def test_an_index_made_concurrently_is_in_old_partners_and_new(partner: Partner, write: Write) -> None:
    write(9001, INDEX, atomic=False)
    record()
    bring_up(partner)
    new = create_partner(slug="later-index", name="Новый")
    for schema in (partner.schema_name, new.schema_name):
        assert has(schema, "later_index")


def test_python_and_concurrently_in_one_migration_are_refused(write: Write) -> None:
    write(9001, f"{INDEX}, migrations.RunPython(seed)", above=SEED, atomic=False)
    with pytest.raises(ValueError, match="a migration of its own"):
        record()
    assert not has("template", "later_index")


def test_only_one_migrates_at_a_time(capsys: Any) -> None:
    began, ended = threading.Event(), threading.Event()

    def second() -> None:
        try:
            began.set()
            call_command("migrate_all")
            ended.set()
        finally:
            connections.close_all()

    with in_public(), schemas.alone():
        thread = threading.Thread(target=second)
        thread.start()
        assert began.wait(10)
        assert not ended.wait(2)
    thread.join(60)
    assert ended.is_set()
