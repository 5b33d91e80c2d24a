"""The auditor's rules: each re-derives, from the data, something that must always hold."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from django.apps import apps

from apps.core import work
from apps.core.tenancy import in_partner, in_public

if TYPE_CHECKING:
    from apps.partners.models import Partner

Rule = Callable[[], Iterable[str]]


@dataclass(frozen=True)
class _Rule:
    name: str
    check: Rule
    scope: str


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


def rule(name: str, *, scope: str = "partner") -> Callable[[Rule], Rule]:
    """Registers a check that yields a line for each violation.

    Run in each partner's schema (`partner`), once in the public one (`public`), or in both (`everywhere`).
    """

    def register(check: Rule) -> Rule:
        if scope not in {"partner", "public", "everywhere"} or name in RULES:
            raise ValueError(f"Rule {name} is there already, or its scope {scope} is unknown")
        RULES[name] = _Rule(name, check, scope)
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
            found = [Violation(c.name, partner.slug, text) for c in _of("partner") for text in c.check()]
        yield from found


def put_into_queue(violations: Iterable[Violation]) -> None:
    """Each stands in the staff's queue, once."""
    for violation in violations:
        name = f"{violation.rule}|{violation.partner}|{violation.text}"
        text = f"{violation.rule} [{violation.partner}] {violation.text}"
        work.open_for(None, "core.audit", uuid5(NAMESPACE_URL, name), text)


def _of(scope: str) -> list[_Rule]:
    return [checked for checked in RULES.values() if checked.scope in {scope, "everywhere"}]
