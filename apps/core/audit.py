"""The auditor's rules: each re-derives, from the data, something that must always hold."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from django.apps import apps
from django.db import connection

from apps.core import work
from apps.core.tenancy import in_partner, in_public

if TYPE_CHECKING:
    from django.db.models import Model

    from apps.partners.models import Partner

Rule = Callable[[], Iterable[str]]


@dataclass(frozen=True)
class _Rule:
    name: str
    check: Rule
    scope: str
    of: frozenset[str] = frozenset()


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


def rule(name: str, *, scope: str = "partner", of: Iterable[type["Model"]] = ()) -> Callable[[Rule], Rule]:
    """Registers a check that yields a line for each violation.

    Run in each partner's schema (`partner`), once in the public one (`public`), or in both (`everywhere`). `of`: the
    partner's tables whose rows it goes through; where they are all empty, it has nothing to say and is not run.
    """
    tables = frozenset(model._meta.db_table for model in of)

    def register(check: Rule) -> Rule:
        if scope not in {"partner", "public", "everywhere"} or name in RULES:
            raise ValueError(f"Rule {name} is there already, or its scope {scope} is unknown")
        RULES[name] = _Rule(name, check, scope, tables)
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
        for checked in _of("public"):
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
    tables = sorted(frozenset().union(*(checked.of for checked in rules)))
    if not tables:
        return rules
    asked = (f"SELECT '{one}' WHERE EXISTS (SELECT FROM {one})" for one in tables)  # noqa: S608 (names of models)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(asked))
        filled = {name for (name,) in cursor.fetchall()}
    return [checked for checked in rules if not checked.of or checked.of & filled]
