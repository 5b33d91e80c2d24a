"""Texts of messages: what may be put into each, staff's own text before the default one."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

from django.utils.html import conditional_escape
from django.utils.translation import gettext as _

from apps.policies.models import MessageTemplate


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready to be sent; `html` may be empty."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class MessageType:
    """A type of message: its name on screen, and what may be put in, with an explanation each."""

    code: str
    title: Any
    placeholders: Mapping[str, Any]


TYPES: dict[str, MessageType] = {}


def declare(code: str, title: Any, placeholders: Mapping[str, Any]) -> None:
    """Makes a type of message known, so that staff can write a text of their own for it."""
    TYPES[code] = MessageType(code, title, placeholders)


def override(type: str, channel: str, language: str) -> MessageTemplate | None:
    """Staff's own text, if they wrote one and it is in use."""
    return MessageTemplate.objects.filter(
        type=type, channel=channel, language=language, is_active=True
    ).first()


def fill(subject: str, text: str, html: str, context: Mapping[str, Any]) -> Rendered:
    """Puts `context` in for `$name`, escaped in HTML. No logic, no attributes: staff's text can do no harm.

    Raises KeyError for a missing value: a message with a hole in it is not sent.
    """
    plain = {name: str(value) for name, value in context.items()}
    escaped = {name: conditional_escape(value) for name, value in context.items()}
    return Rendered(
        # A line break in a subject would start another header.
        subject=" ".join(Template(subject).substitute(plain).split()),
        text=Template(text).substitute(plain),
        html=Template(html).substitute(escaped),
    )


def problem(type: str, text: str) -> str:
    """What is wrong with staff's text for this type of message; empty where nothing is."""
    template = Template(text)
    if not template.is_valid():
        return _("Знак $ ставится перед именем подстановки; чтобы написать сам знак, поставьте $$")
    known = TYPES.get(type)
    if known and (unknown := sorted(set(template.get_identifiers()) - set(known.placeholders))):
        return _("Нет такой подстановки: %(names)s. Есть: %(known)s") % {
            "names": ", ".join(f"${name}" for name in unknown),
            "known": ", ".join(f"${name}" for name in known.placeholders),
        }
    return ""
