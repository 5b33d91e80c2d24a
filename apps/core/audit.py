"""The auditor's rules: each re-derives, from the data, something that must always hold."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import NAMESPACE_URL, uuid5

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import RawSQL

from apps.core import work
from apps.core.tenancy import current_partner_id, in_partner, in_public

if TYPE_CHECKING:
    from apps.partners.models import Partner

Rule = Callable[[], Iterable[str]]
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table, all or some; for a partner's rule, of a public table those of that partner."""

    model: type[Model]
    where: Q | None = None


class _Given(RawSQL):
    """Stands in a query for what is known only when it is asked."""

    def __init__(self, name: str) -> None:
        super().__init__("%s", [_Name(name)])


class _Name(str):
    pass


PARTNER = _Given("partner")
"""The current partner's key."""
given = _Given
"""A value by its name, told to `Query.rows`."""


class Query(Generic[M]):
    """Rows that are asked for again and again: composing a query takes longer than its answer, and is done once.

    `make` is called once, before any partner is known: what differs is `PARTNER` or `given` there.
    """

    def __init__(self, make: Callable[[], QuerySet[M]]) -> None:
        self._make = make

    @cached_property
    def _composed(self) -> tuple[type[M], str, tuple[Any, ...]]:
        found = self._make()
        return found.model, *found.query.sql_with_params()

    def rows(self, **values: Any) -> Iterator[M]:
        """What it finds in the current schema, with these in the places of `given`. KeyError where one is not told."""
        model, asked, places = self._composed
        yield from model._default_manager.raw(asked, _told(places, values))


def _told(places: Iterable[Any], values: dict[str, Any]) -> list[Any]:
    known = {"partner": current_partner_id(), **values}
    return [known[one] if isinstance(one, _Name) else one for one in places]


def some(model: type[Model], *args: Q, **where: Any) -> Rows:
    """Rows of a table under a condition, as `filter` takes it; it is composed once."""
    return Rows(model, Q(*args, **where))


@dataclass(frozen=True, eq=False)
class _Rule:
    name: str
    check: Rule
    scope: str
    of: tuple[Rows, ...] = ()


@dataclass(frozen=True)
class Violation:
    """What does not hold, where; `partner` is a slug or empty for the platform."""

    rule: str
    partner: str
    text: str


RULES: dict[str, _Rule] = {}
GUARDS: set[str] = set()
"""Triggers of the public schema, as `table.trigger`; those of partners are compared with the template's."""
OBJECTS: dict[str, tuple[str, str] | None] = {}
"""Kinds of work items that are no model's label: where their objects stand, None where in no table."""


def rule(
    name: str, *, scope: str = "partner", of: Iterable[type[Model] | Rows] = ()
) -> Callable[[Rule], Rule]:
    """Registers a check that yields a line for each violation.

    Run in each partner's schema (`partner`), once in the public one (`public`), or in both (`everywhere`). `of`: the
    rows that it goes through, of whole tables or `some`; where there are none, it has nothing to say and is not run.
    """
    rows = tuple(one if isinstance(one, Rows) else Rows(one) for one in of)

    def register(check: Rule) -> Rule:
        if scope not in {"partner", "public", "everywhere"} or name in RULES:
            raise ValueError(f"Rule {name} is there already, or its scope {scope} is unknown")
        RULES[name] = _Rule(name, check, scope, rows)
        return check

    return register


def guarded(table: str, *triggers: str) -> None:
    """Declares triggers without which a public table would not be kept."""
    GUARDS.update(f"{table}.{trigger}" for trigger in triggers)


def run(partner_ids: Iterable[int] | None = None) -> Iterator[Violation]:
    """Checks the platform and every partner (or the given ones)."""
    yield from of_platform()
    with in_public():
        everyone = apps.get_model("partners.Partner").objects.order_by("pk")
        partners = list(everyone if partner_ids is None else everyone.filter(pk__in=partner_ids))
    yield from of_partners(partners)


def of_platform() -> Iterator[Violation]:
    """Checks what stands in the public schema."""
    with in_public():
        for checked in _with_rows(_of("public")):
            for text in checked.check():
                yield Violation(checked.name, "", text)


def of_partners(partners: Iterable["Partner"]) -> Iterator[Violation]:
    """Checks these partners' schemas."""
    for partner in partners:
        with in_partner(partner):
            rules = _with_rows(_of("partner"))
            found = [Violation(c.name, partner.slug, text) for c in rules for text in c.check()]
        yield from found


def says(name: str) -> list[str]:
    """What one rule finds in the current schema. LookupError where there is no such rule."""
    return [text for checked in _with_rows([RULES[name]]) for text in checked.check()]


def put_into_queue(violations: Iterable[Violation]) -> None:
    """Each stands in the staff's queue, once."""
    for violation in violations:
        name = f"{violation.rule}|{violation.partner}|{violation.text}"
        text = f"{violation.rule} [{violation.partner}] {violation.text}"
        work.open_for(None, "core.audit", uuid5(NAMESPACE_URL, name), text)


def _of(scope: str) -> list[_Rule]:
    return [checked for checked in RULES.values() if checked.scope in {scope, "everywhere"}]


def _with_rows(rules: list[_Rule]) -> list[_Rule]:
    """Those that have something to go through: most partners have no dispute, no mass action, no base that moves in."""
    query, values = _asked(tuple(rules))
    if not query:
        return rules
    with connection.cursor() as cursor:
        cursor.execute(query, _told(values, {}))
        filled = {place for (place,) in cursor.fetchall()}
    return [checked for place, checked in enumerate(rules) if not checked.of or place in filled]


@cache
def _asked(rules: tuple[_Rule, ...]) -> tuple[str, list[Any]]:
    """One question for them all, composed once: which of these, by place, have something to go through."""
    places: dict[str, list[int]] = {}
    values: dict[str, tuple[Any, ...]] = {}
    for place, checked in enumerate(rules):
        for one in checked.of:
            asked, given = _exists(one, is_of_partner=checked.scope == "partner")
            key = f"{asked} {given}"
            places.setdefault(key, []).append(place)
            values[key] = (asked, given)
    parts = [
        f"SELECT unnest(ARRAY{sorted(set(of))}) WHERE EXISTS ({values[key][0]})" for key, of in places.items()
    ]
    return " UNION ALL ".join(parts), [value for key in places for value in values[key][1]]


def _exists(rows: Rows, *, is_of_partner: bool) -> tuple[str, tuple[Any, ...]]:
    meta = rows.model._meta
    found = rows.model._default_manager.order_by()
    if rows.where is not None:
        found = found.filter(rows.where)
    is_public = meta.app_config is not None and meta.app_config.name not in settings.TENANT_APPS
    if is_of_partner and is_public and any(one.attname == "partner_id" for one in meta.concrete_fields):
        found = found.filter(partner_id=PARTNER)
    asked, values = found.values("pk").query.sql_with_params()
    return asked, tuple(values)
