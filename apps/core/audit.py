"""The auditor's rules: each re-derives, from the data, something that must always hold."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.apps import apps

from apps.core.tenancy import in_partner, in_public

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


def rule(name: str, *, scope: str = "partner") -> Callable[[Rule], Rule]:
    """Registers a check that yields a line for each violation; run in each partner's schema, or once."""

    def register(check: Rule) -> Rule:
        if scope not in {"partner", "public"} or name in RULES:
            raise ValueError(f"Rule {name} is there already, or its scope {scope} is unknown")
        RULES[name] = _Rule(name, check, scope)
        return check

    return register


def run(partner_ids: Iterable[int] | None = None) -> Iterator[Violation]:
    """Checks the platform and every partner (or the given ones)."""
    with in_public():
        for checked in _of("public"):
            for text in checked.check():
                yield Violation(checked.name, "", text)
        everyone = apps.get_model("partners.Partner").objects.order_by("pk")
        partners = list(everyone if partner_ids is None else everyone.filter(pk__in=partner_ids))
    for partner in partners:
        with in_partner(partner):
            found = [Violation(c.name, partner.slug, text) for c in _of("partner") for text in c.check()]
        yield from found


def _of(scope: str) -> list[_Rule]:
    return [checked for checked in RULES.values() if checked.scope == scope]
