"""What a reader sees of a page, and which of its Russian is data rather than a text of ours."""

import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

from django.apps import apps
from django.db import models

from apps.billing.moving import reading
from apps.callcenters import lists
from apps.catalog import price_list, regions
from apps.core.tenancy import in_partner
from apps.orders import bulk_orders
from apps.partners.models import Partner

CYRILLIC = re.compile("[А-Яа-яЁё]")
READ_ALOUD = ("placeholder", "title", "aria-label", "alt", "data-confirm")
# A language is called by its own name, and so are regions and the columns of a Russian file.
OWN_NAMES = {
    "русский",
    "по-русски",
    *map(str.lower, (*price_list.COLUMNS, *lists.COLUMNS, *regions.NAMES.values())),
}
_OF_A_BASE = (*reading.COLUMNS, *reading.OLD_CHARGES, *bulk_orders.COLUMNS)
OF_A_BASE = sorted(
    {", ".join(reading.EVENTS), *(column.heading.lower() for column in _OF_A_BASE)}, key=len, reverse=True
)
"""Headings of the files of a base and of orders, and the words in them: too common to be taken out of other pages."""

SHOWN_OF_OTHERS = {
    "accounts",
    "billing",
    "callcenters",
    "channels",
    "notifications",
    "orders",
    "payments",
    "storefronts",
}


class Page(HTMLParser):
    """Collects the texts of a page, attributes that are shown included."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self._inside = tag if tag in {"script", "style"} else ""
        self.texts += [given[name] or "" for name in READ_ALOUD if name in given]
        if given.get("type") == "submit":
            self.texts.append(given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)


def stored() -> list[str]:
    """Every Russian string in the public tables and the current partner's, the longest first.

    The platform's own pages show what belongs to other partners too.
    """
    found = set(OWN_NAMES) | _held(apps.get_models())
    theirs = [model for model in apps.get_models() if model._meta.app_label in SHOWN_OF_OTHERS]
    for partner in Partner.objects.all():
        with in_partner(partner):
            found |= _held(theirs)
    return sorted(found, key=len, reverse=True)


def _held(held: Iterable[type[models.Model]]) -> set[str]:
    found = set()
    for model in held:
        names = [
            field.name
            for field in model._meta.concrete_fields
            if isinstance(field, models.CharField | models.TextField | models.JSONField)
        ]
        for row in model._default_manager.values_list(*names) if names else ():
            for text in _strings(row):
                found |= {_plain(line) for line in (text, *text.splitlines()) if CYRILLIC.search(line)}
    return found


def leftovers(page: str, data: list[str]) -> list[str]:
    """The texts of a page that are still Russian when the data is taken out."""
    texts = {_plain(text) for text in Page(page).texts if CYRILLIC.search(text)}
    return sorted(text for text in texts if CYRILLIC.search(_without(text, data)))


def _without(text: str, data: list[str]) -> str:
    for value in data:
        text = text.replace(value, "")
    return text


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        if value[:1] in {"{", "["}:
            try:
                yield from _strings(json.loads(value))
            except ValueError:
                pass
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)
