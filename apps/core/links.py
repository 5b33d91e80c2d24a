"""Where the consoles show an object, given only its kind and id, and what its kind is called."""

from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.urls import NoReverseMatch, get_script_prefix, get_urlconf, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

# Kinds of work that are no model of their own: the name, and the model whose page helps.
_NAMES = {
    "core.due": _("Работа не удалась"),
    "core.delivery": _("Событие не доставлено"),
    "connectors.inbound": _("Неопознанное сообщение"),
    "providers.low_stock": _("Ключи заканчиваются"),
}
_MODELS = {"connectors.inbound": "connectors.InboundMessage", "payments.method": "payments.PaymentMethod"}
_LISTS = {"providers.low_stock": "providers.KeyPool"}
SWITCHED = "armor.urls_switched"


def model_of(kind: str) -> type[Model] | None:
    """The model that a kind (`orders.Order`) names; None where it names none."""
    try:
        return apps.get_model(_MODELS.get(kind, kind))
    except (LookupError, ValueError):
        return None


def title(kind: str) -> str:
    """What staff call a kind."""
    if kind in _NAMES:
        return str(_NAMES[kind])
    model = model_of(kind)
    return str(capfirst(model._meta.verbose_name)) if model else kind


def to(kind: str, object_id: UUID | int | str, *, slug: str = "") -> str:
    """The address of an object's page in this console, or in the partner's (`/p/<slug>/…`); "" if it has none."""
    if kind in _LISTS and (listed := model_of(_LISTS[kind])):
        return _reverse(listed, "changelist", [], slug)
    model = model_of(kind)
    if model is None or kind in {"core.due", "core.delivery"}:
        return ""
    return _reverse(model, "change", [object_id], slug)


def linked(name: Any, url: str) -> SafeString | str:
    """A name that leads to a page; plain text where there is none."""
    if not url:
        return str(name)
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, name)


def public_url(path: str) -> str:
    """An absolute address on the platform's host."""
    port = f":{settings.PUBLIC_PORT}" if settings.PUBLIC_PORT else ""
    return f"{settings.PUBLIC_SCHEME}://{settings.PUBLIC_HOST}{port}{path}"


def page(name: str, *args: Any, slug: str = "") -> str:
    """The address of a page by its name, in this console or in the partner's (`/p/<slug>/…`)."""
    return _switched(slug, f"admin:{name}", list(args)) if slug else reverse(f"admin:{name}", args=args)


def list_of(model: type[Model], *, slug: str = "") -> str:
    """The address of a model's list; "" where this console has none."""
    return _reverse(model, "changelist", [], slug)


def console(slug: str) -> str:
    """A partner's console on the operator's host."""
    return _switched(slug, "admin:index", [])


def _reverse(model: type[Model], page: str, args: list[Any], slug: str) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    try:
        if slug:
            return _switched(slug, name, args)
        return reverse(name, args=args) if args else get_script_prefix() + _known(name, get_urlconf())
    except NoReverseMatch:
        return ""


@cache
def _known(name: str, urlconf: str | None) -> str:
    """An address without arguments, after the prefix; every page of a console leads to dozens of them."""
    return reverse(name, urlconf=urlconf).removeprefix(get_script_prefix())


def _switched(slug: str, name: str, args: list[Any]) -> str:
    # In a switched console every address begins with that partner's own prefix.
    path = reverse(name, urlconf=SWITCHED, args=args).removeprefix(get_script_prefix())
    return f"/p/{slug}/{path}"
