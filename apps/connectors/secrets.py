"""Secrets of a connection change without a stop: for a while the old one still reads what was signed with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from apps.core import clock

if TYPE_CHECKING:
    from apps.connectors.base import Connector

OLD = "_old"
"""Name in the settings of a connection, encrypted with them: what a connector's Config never sees."""
KEPT = timedelta(hours=24)
SHOWN, LONG = 4, 12
"""How much of a secret may be shown, and of how long a one."""


@cache
def names(connector: "type[Connector]") -> tuple[str, ...]:
    """Names of the settings that are secret."""
    return tuple(item.name for item in fields(connector.Config) if item.metadata.get("secret"))


def parted(stored: Mapping[str, Any], hidden: Sequence[str]) -> tuple[list[str], list[str]]:
    """Values of stored settings: the secret ones, those replaced of late among them, and the other texts."""
    told = [str(stored[name]) for name in hidden if stored.get(name)]
    before = stored[OLD]["values"].values() if stored.get(OLD) else ()
    others = [value for name, value in stored.items() if name not in hidden and isinstance(value, str)]
    return [*told, *map(str, before)], others


def replaced(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with new secrets in them, and the old ones kept for a day. An empty value changes nothing."""
    changed = {
        name: value for name, value in given.items() if value and stored.get(name) not in {None, "", value}
    }
    config = {**stored, **{name: value for name, value in given.items() if value}}
    if changed:
        before = {name: stored[name] for name in changed}
        config[OLD] = {"values": before, "until": (clock.wall() + KEPT).isoformat()}
    return config


def old_settings(stored: Mapping[str, Any], at: datetime) -> Iterator[dict[str, Any]]:
    """The settings as they were before the last change of secrets, where those still hold at a moment."""
    if (old := stored.get(OLD)) and at < datetime.fromisoformat(old["until"]):
        yield {**stored, **old["values"]}


def old_until(stored: Mapping[str, Any]) -> datetime | None:
    """Until when the old secrets read what comes in; None where none does any more."""
    until = datetime.fromisoformat(stored[OLD]["until"]) if stored.get(OLD) else None
    return until if until and until > clock.wall() else None


def tail(secret: Any) -> str:
    """What may be shown of a secret: its last signs, where it is long enough to tell nothing by them."""
    text = str(secret or "")
    return f"…{text[-SHOWN:]}" if len(text) >= LONG else ""
