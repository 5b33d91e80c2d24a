"""Texts of messages: staff's own where there is one, else the default from `templates/messages/`."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.template import Context, Engine
from django.utils import formats, translation

from apps.core import clock, gather
from apps.core.money import Money
from apps.policies import messages
from apps.policies.messages import Rendered
from apps.policies.models import Channel

LANGUAGES = ("ru", "en")
_FOLDER = Path(__file__).parent / "templates" / "messages"
_plain = Engine(dirs=[str(_FOLDER)], autoescape=False)
_BEFORE = "notifications.before"
_html = Engine(dirs=[str(_FOLDER)], autoescape=True)


def render(type: str, channel: str, language: str, context: dict[str, Any]) -> Rendered:
    """The message in `language`. Values: text, numbers, Money, dates (moments: in the partner's zone).

    Raises TypeError for a value that is none of these. In a batch, who follows one of the same values gets the same.
    """
    before: dict[Any, tuple[dict[str, Any], Rendered]] = gather.once(_BEFORE, dict)
    key = (type, channel, language)
    if key not in before or before[key][0] != context:
        before[key] = dict(context), _rendered(type, channel, language, context)
    return before[key][1]


def _rendered(type: str, channel: str, language: str, context: dict[str, Any]) -> Rendered:
    with translation.override(language):
        values = {name: _shown(name, value) for name, value in context.items()}
        own = gather.once(
            ("notifications.text", type, channel, language),
            lambda: messages.override(type, channel, language),
        )
        if own:
            rendered: Rendered = own.render(values)
            return rendered
        if channel == Channel.SMS:
            return Rendered("", _file(_plain, f"{type}.sms.{language}", values), "")
        subject = " ".join(_file(_plain, f"{type}.subject.{language}", values).split())
        text = _file(_plain, f"{type}.txt.{language}", values)
        html = _file(_html, f"{type}.html.{language}", values | {"subject": subject, "language": language})
        return Rendered(subject, text, html)


def _file(engine: Engine, name: str, values: dict[str, Any]) -> str:
    lines = engine.get_template(name).render(Context(values, autoescape=engine.autoescape)).strip()
    # Optional lines leave gaps of several empty lines behind.
    while "\n\n\n" in lines:
        lines = lines.replace("\n\n\n", "\n\n")
    return lines


def _shown(name: str, value: Any) -> str:
    match value:
        case datetime():
            return formats.date_format(clock.local(value), "j E Y, H:i" if _russian() else "j F Y, H:i")
        case date():
            return formats.date_format(value, "j E Y" if _russian() else "j F Y")
        case Money() | str() | int() | Decimal():
            return str(value)
        case _:
            raise TypeError(f"{name} of a message must be text, a number, Money or a date, not {value!r}")


def _russian() -> bool:
    return (translation.get_language() or "ru").startswith("ru")
