"""What must hold of planned work, news on its way, the staff's queue, search keys, references and triggers."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, models
from django.db.models import Q

from apps.core import audit, clock, due
from apps.core.fields import PublicReference
from apps.core.ids import floor
from apps.core.models import Delivery, Due, SearchKey, WorkItem
from apps.core.tenancy import current_partner_id

A_DAY = timedelta(days=1)

audit.OBJECTS.update(
    {
        "core.due": ("core_due", "object_id"),
        "core.delivery": ("core_delivery", "event_id"),
        # A violation is named by what it says, not by a row.
        "core.audit": None,
    }
)


@audit.rule("core.due-known", scope="everywhere")
def due_known() -> Iterator[str]:
    """Planned work is of a kind that somebody does."""
    for row in Due.objects.filter(partner_id=current_partner_id()).exclude(kind__in=due.kinds()):
        yield f"Nobody does {row.kind} of {row.object_id}"


@audit.rule("core.delivered-in-a-day", scope="everywhere")
def delivered_in_a_day() -> Iterator[str]:
    """No news is on its way for more than a day, or put off for longer."""
    now = clock.wall()
    # By the key, which is made by the wall clock: in a sandbox the moment may lie years ahead.
    late = Q(event_id__lt=floor(now - A_DAY)) | Q(next_at__gt=now + A_DAY)
    for row in Delivery.objects.filter(late, partner_id=current_partner_id()).select_related("event"):
        yield f"{row.event.type} of {row.event.object_id} has not come to {row.handler}"


@audit.rule("core.work-item-of-something", scope="everywhere")
def work_item_of_something() -> Iterator[str]:
    """What stands in the staff's queue is there."""
    yield from _of_nothing(WorkItem)


@audit.rule("core.search-key-of-something")
def search_key_of_something() -> Iterator[str]:
    """What the search box finds is there."""
    yield from _of_nothing(SearchKey)


def _of_nothing(model: type[models.Model]) -> Iterator[str]:
    """Rows of the current partner whose object is in no table: one query for their kinds, one for all of them."""
    rows = model._default_manager.filter(partner_id=current_partner_id())
    places: dict[str, tuple[str, str]] = {}
    for kind in rows.order_by().values_list("kind", flat=True).distinct():
        try:
            if place := _place(kind):
                places[kind] = place
        except LookupError:
            yield f"A {model.__name__} is of the unknown kind {kind}"
    query = " UNION ALL ".join(
        f"SELECT kind, object_id FROM {model._meta.db_table} AS mine WHERE kind = %s"  # noqa: S608 (names of models)
        " AND partner_id IS NOT DISTINCT FROM %s"
        f' AND NOT EXISTS (SELECT FROM "{table}" AS theirs WHERE theirs."{column}" = mine.object_id)'
        for table, column in places.values()
    )
    values = [value for kind in places for value in (kind, current_partner_id())]
    for kind, key in _select(query, values) if query else ():
        yield f"A {model.__name__} leads to {kind} {key}, which is not there"


def _place(kind: str) -> tuple[str, str] | None:
    """Table and column of a kind's objects. Raises LookupError for one that nobody knows."""
    if kind in audit.OBJECTS:
        return audit.OBJECTS[kind]
    try:
        meta = apps.get_model(kind)._meta
    except ValueError as error:
        raise LookupError(kind) from error
    if current_partner_id() is None and meta.app_config and meta.app_config.name not in settings.SHARED_APPS:
        raise LookupError(kind)
    return meta.db_table, str(meta.pk and meta.pk.column)


@audit.rule("core.reference-exists")
def reference_exists() -> Iterator[str]:
    """What a partner's row refers to in the public schema is there (no constraint holds it)."""
    query = " UNION ALL ".join(
        f"SELECT '{model._meta.label}.{field.name}', ours.{field.column}, count(*)"  # noqa: S608 (names of models)
        f" FROM {model._meta.db_table} AS ours"
        f" WHERE ours.{field.column} IS NOT NULL AND NOT EXISTS"
        f" (SELECT FROM {_public(field)} AS theirs WHERE theirs.id = ours.{field.column})"
        f" GROUP BY ours.{field.column}"
        for model in apps.get_models()
        if model._meta.app_config is not None and model._meta.app_config.name in settings.TENANT_APPS
        for field in model._meta.local_fields
        if isinstance(field, PublicReference)
    )
    for name, key, count in _select(query, []):
        yield f"{name} of {count} rows is {key}, which is not there"


def _public(field: Any) -> str:
    return f"public.{field.related_model._meta.db_table}"


# The body of the function as well: a trigger that calls an empty one refuses nothing.
_TRIGGERS = """
WITH standing AS (
    SELECT n.nspname AS schema, c.relname AS name, t.tgname, t.tgtype, md5(p.prosrc) AS does
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal
), whose AS (
    SELECT schema_name AS schema FROM public.partners_partner
)
SELECT w.schema, t.name, t.tgname, 'is not that of the template'
FROM whose w JOIN standing t ON t.schema = %(template)s
WHERE NOT EXISTS (
    SELECT FROM standing s WHERE s.schema = w.schema AND s.name = t.name AND s.tgname = t.tgname
    AND s.tgtype = t.tgtype AND s.does = t.does
)
UNION ALL
-- Those that hold references, too: by far the most.
SELECT n.nspname, c.relname, t.tgname, 'does not fire'
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgenabled NOT IN ('O', 'A')
AND (n.nspname IN ('public', %(template)s) OR n.nspname IN (SELECT schema FROM whose))
UNION ALL
SELECT 'public', split_part(wanted, '.', 1), split_part(wanted, '.', 2), 'is gone'
FROM unnest(%(guards)s::text[]) AS wanted
WHERE NOT EXISTS (SELECT FROM standing WHERE schema = 'public' AND wanted = name || '.' || tgname)
"""


@audit.rule("core.triggers-stand", scope="public")
def triggers_stand() -> Iterator[str]:
    """What keeps documents, catalogue and ledger immutable is there and fires, in every schema."""
    values = {"template": settings.TEMPLATE_SCHEMA_NAME, "guards": sorted(audit.GUARDS)}
    for schema, table, name, problem in _select(_TRIGGERS, values):
        yield f"{schema}.{table}: the trigger {name} {problem}"


def _select(query: str, values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()
