"""How a partner looks in its letters: name, colour, address of the cabinet."""

from collections.abc import Callable
from typing import Any

from apps.core.tenancy import current_partner

Look = Callable[[], dict[str, Any]]
COLOUR = "#2563eb"
_looks: list[Look] = []


def register(look: Look) -> Look:
    """Lets an app above say more of the current partner: `colour`, `cabinet_url`, `partner_name`, `logo_url`.

    `colour` has to be read as text on white and on the letter's grey, and under white text.
    """
    _looks.append(look)
    return look


def of_partner() -> dict[str, Any]:
    """What every message of the current partner gets."""
    partner = current_partner()
    known = {"partner_name": partner.name, "colour": COLOUR, "cabinet_url": _cabinet(partner), "logo_url": ""}
    for look in _looks:
        known |= {name: value for name, value in look().items() if value}
    return known


def _cabinet(partner: Any) -> str:
    return f"{partner.url().rstrip('/')}/cabinet/"
