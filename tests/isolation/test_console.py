"""Isolation of a partner's console, on its own host and as the platform opens it: every model, page and action."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from django.db.models import Model
from django.test import Client

from apps.core.console import partner_site
from apps.core.models import WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import StaffRole
from apps.partners.rights import Rights
from tests.isolation import routes
from tests.isolation.asking import all_wrong, ask, wrong
from tests.isolation.conftest import Pair
from tests.isolation.houses import House
from tests.isolation.routes import SAID_NO, STAFF, Route

PAGES = "change/", "history/", "delete/"


def consoles(own: House) -> list[tuple[Client, str]]:
    """The partner's console on its own host, and as the platform opens it."""
    return [(own.staff, ""), (own.operator, f"/p/{own.partner.slug}")]


def as_staff(house: House) -> Any:
    """What a ModelAdmin wants to know of a request."""
    rights = Rights(house.staff.user, house.partner)  # type: ignore[attr-defined]
    return SimpleNamespace(
        tenant=house.partner, user=rights.user, rights=rights, GET={}, method="GET", switched=False
    )


def models() -> Iterator[tuple[str, type[Model], Any]]:
    """Every model of a partner's console that has rows: its address, itself, its ModelAdmin."""
    for model, model_admin in partner_site._registry.items():
        if "<path:object_id>/change/" in {str(entry.pattern) for entry in model_admin.get_urls()}:
            yield f"{model._meta.app_label}/{model._meta.model_name}", model, model_admin


def example(house: House, model_admin: Any) -> Any:
    """The first row that the house's own staff are shown."""
    row = model_admin.get_queryset(as_staff(house)).order_by("pk").first()
    assert row is not None, f"{model_admin} has no example row"
    return row


def everything_of(house: House) -> list[Any]:
    """Every row that can be reached on its console, those of public tables too."""
    with in_public():
        common = [
            list(WorkItem.objects.filter(partner_id=house.partner.pk).order_by("pk").values()),
            list(StaffRole.objects.filter(partner=house.partner).order_by("pk").values()),
        ]
    with in_partner(house.partner):
        own = [list(model._default_manager.order_by("pk").values()) for _name, model, _admin in models()]
    return [*common, *own, *house.state()]


def pages(house: House, *, lists: bool) -> list[tuple[str, int]]:
    """Each page of an example row of each model, and what its owner is answered; `lists`: those of no row too."""
    request, found = as_staff(house), []
    with in_partner(house.partner):
        for name, _model, model_admin in models():
            if lists:
                found.append((f"{name}/", 200))
                found.append((f"{name}/add/", 200 if model_admin.has_add_permission(request) else 403))
            row = example(house, model_admin)
            for page in PAGES:
                may = page != "delete/" or model_admin.has_delete_permission(request, row)
                found.append((f"{name}/{row.pk}/{page}", 200 if may else 403))
    return found


def test_no_page_of_the_console_shows_another_partner(own_and_other: Pair) -> None:
    own, other = own_and_other
    before, found = everything_of(other), []
    for client, prefix in consoles(own):
        for page, expected in pages(own, lists=True):
            if prefix and page.endswith(("add/", "delete/")):
                continue  # the same page, which takes as long to draw
            status, text = ask(client, Route(f"{prefix}/admin/{page}"), {})
            told = [marker for marker in other.markers if marker in text]
            if status != expected or told:
                found.append((prefix, page, status, told))
            stranger = other.client(STAFF, own.partner)
            if prefix:
                stranger.defaults["SERVER_NAME"] = "localhost"
            status, text = ask(stranger, Route(f"{prefix}/admin/{page}"), {})
            if status not in SAID_NO or any(marker in text for marker in own.markers):
                found.append((prefix, page, "stranger", status))
        for page, _expected in pages(other, lists=False):
            for method in ("get", "post"):
                status, text = ask(client, Route(f"{prefix}/admin/{page}", method=method), {})
                if status not in SAID_NO or any(marker in text for marker in other.markers):
                    found.append((prefix, page, method, "another's id", status))
    assert found == []
    assert everything_of(other) == before


def test_no_button_of_the_console_reaches_another_partner(own_and_other: Pair) -> None:
    own, other = own_and_other
    before, found = everything_of(other), []
    for client, prefix in consoles(own):
        for pattern in sorted(routes.PARTNER_ACTIONS):
            app, model, _rest = pattern.split("/", 2)
            with in_partner(other.partner):
                model_admin = next(admin for name, _model, admin in models() if name == f"{app}/{model}")
                theirs = example(other, model_admin).pk
            path = f"{prefix}/admin/" + pattern.replace("<path:object_id>", str(theirs))
            for method in ("get", "post"):
                status, text = ask(client, Route(path, method=method), {})
                if status not in SAID_NO or any(marker in text for marker in other.markers):
                    found.append((path, method, status))
    assert found == []
    assert everything_of(other) == before


def test_no_action_on_a_list_reaches_another_partner(own_and_other: Pair) -> None:
    """Rows of another partner, chosen by ids that were put into the form."""
    own, other = own_and_other
    before, tried, found = everything_of(other), 0, []
    for client, prefix in consoles(own):
        for name, _model, model_admin in models():
            with in_partner(other.partner):
                theirs = example(other, model_admin).pk
            with in_partner(own.partner):
                actions = list(model_admin.get_actions(as_staff(own)))
            for action in actions:
                form = {"action": action, "_selected_action": [str(theirs)], "index": "0", "post": "yes"}
                answer = client.post(f"{prefix}/admin/{name}/", form, follow=True)
                text, tried = answer.content.decode("utf-8", "replace"), tried + 1
                if answer.status_code >= 500 or any(marker in text for marker in other.markers):
                    found.append((prefix, name, action, answer.status_code))
    assert tried > 10
    assert found == []
    assert everything_of(other) == before


def test_files_of_the_console_hold_their_own_partners_data(own_and_other: Pair) -> None:
    own, other = own_and_other
    assert [problem for route in routes.PARTNER_FILES for problem in wrong(route, own, other)] == []


def test_a_list_asked_for_another_partners_rows_has_none(own_and_other: Pair) -> None:
    own, other = own_and_other
    ids = {**own.ids, "other_partner": other.partner.pk}
    for client, prefix in consoles(own):
        for route in routes.NARROWED:
            status, text = ask(client, Route(prefix + route.path), ids)
            assert status == 200, route.path
            assert not any(marker in text for marker in other.markers), route.path


def test_pages_that_every_console_has(own_and_other: Pair) -> None:
    own, other = own_and_other
    assert all_wrong(routes.COMMON_ADMIN | routes.PARTNER_PAGES, own, other) == []
