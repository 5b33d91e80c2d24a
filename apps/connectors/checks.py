"""A wrong path in settings.CONNECTORS is refused at start, not at the first call."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from apps.connectors.base import Connector, Kind


@register
def connectors_are_whole(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Every path imports and gives a whole connector of a known kind."""
    return [
        Error(f"settings.CONNECTORS: {path}: {problem}", id="connectors.E001")
        for path in settings.CONNECTORS
        for problem in problems(path)
    ]


def problems(path: str) -> Iterator[str]:
    """What is wrong with the connector at a dotted path."""
    try:
        found = import_string(path)
    except ImportError as error:
        yield str(error)
        return
    if not (isinstance(found, type) and issubclass(found, Connector)):
        yield "is not a Connector"
        return
    if missing := ", ".join(sorted(found.__abstractmethods__)):
        yield f"lacks {missing}"
    if getattr(found, "kind", None) not in Kind.values:
        yield "has no known kind"
    if not getattr(found, "title", ""):
        yield "has no title"
    parameters = getattr(getattr(found, "Config", None), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        yield "has no Config that is a frozen dataclass"
