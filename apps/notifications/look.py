"""How a partner looks in its letters: name, colour, address of the cabinet."""

from collections.abc import Callable
from typing import Any

from apps.core.tenancy import current_partner

COLOUR = "#2563eb"
_looks: list[Callable[[], dict[str, Any]]] = []


def register(look: Callable[[], dict[str, Any]]) -> None:
    """Lets an app above say more of the current partner: `colour`, `cabinet_url`, `partner_name`."""
    _looks.append(look)


def of_partner() -> dict[str, Any]:
    """What every message of the current partner gets."""
    partner = current_partner()
    known = {"partner_name": partner.name, "colour": COLOUR, "cabinet_url": _cabinet(partner)}
    for look in _looks:
        known |= {name: value for name, value in look().items() if value}
    return known


def _cabinet(partner: Any) -> str:
    return f"{partner.url().rstrip('/')}/cabinet/"
