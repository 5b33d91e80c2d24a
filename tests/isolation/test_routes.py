"""Isolation: every address, task and command serves its own partner, and no other. A build that forgets leaks."""

import re
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import call_command, get_commands
from django.db import connection
from django.test import Client
from django.urls import get_resolver

from apps.core import audit, due
from apps.core.console import operator_site, partner_site
from apps.core.tasks import beat
from apps.core.tenancy import in_partner, in_public
from apps.partners.middleware import PartnerMiddleware
from apps.partners.rights import Rights
from apps.sandbox.process import Simulator
from armor.celery import app
from tests.isolation import routes
from tests.isolation.houses import MARKERS, House, open_house, sign_in_staff
from tests.isolation.routes import ANYONE, SAID_NO, STAFF, Route

OF_A_MODEL = re.compile(
    r"^(?!password_change/)\w+/\w+/(|add/|<path:object_id>/(|history/|delete/|change/))$|^\^\(\?P<app_label>[\w|]+\)/\$$"
)


def patterns(urlconf: str) -> list[str]:
    """Every pattern of a URLconf, as one string each."""
    return list(_walk(get_resolver(urlconf), ""))


def _walk(resolver: Any, before: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        path = before + str(entry.pattern)
        if hasattr(entry, "url_patterns"):
            yield from _walk(entry, path)
        else:
            yield path


def _split(urlconf: str) -> tuple[set[str], set[str]]:
    """A URLconf's own patterns, and those of its console beyond a model's usual ones."""
    own, console = set(), set()
    for pattern in patterns(urlconf):
        if pattern.startswith("admin/"):
            console.add(pattern.removeprefix("admin/"))
        else:
            own.add(pattern)
    return own, {pattern for pattern in console if not OF_A_MODEL.match(pattern)}


def test_every_address_is_listed() -> None:
    partner, partner_console = _split("armor.urls_partner")
    public, operator_console = _split("armor.urls_public")
    switched, switched_console = _split("armor.urls_switched")
    assert partner == set(routes.PARTNER)
    assert public == set(routes.PUBLIC)
    assert switched == set()
    assert partner_console == switched_console == routes.COMMON_ADMIN.keys() | routes.PARTNER_ACTIONS
    assert operator_console == routes.COMMON_ADMIN.keys() | routes.OPERATOR_ACTIONS


def test_every_task_and_command_is_listed() -> None:
    assert {name for name in app.tasks if not name.startswith("celery.")} == routes.TASKS
    assert set(due._tasks) == set(routes.DUE)
    own = {name for name, where in get_commands().items() if str(where).startswith("apps.")}
    assert own == set(routes.COMMANDS)


@pytest.fixture(scope="module")
def houses(
    operator: Any,
    yookassa_process: Simulator,
    provider_process: Simulator,
    mailbox_process: Simulator,
) -> tuple[House, House]:
    """Two partners that sell to the same person."""
    outside = yookassa_process, provider_process, mailbox_process
    first, second = (open_house(marker, *outside) for marker in MARKERS)
    return first, second


def ask(client: Client, route: Route, ids: dict[str, Any]) -> tuple[int, str]:
    """The status and the text of an answer. The headers are part of it: a redirect tells too."""
    path = route.path.format(**ids)
    if route.method == "post":
        answer = client.post(
            path, route.data or {}, **({"content_type": "application/json"} if "api" in path else {})
        )
    else:
        answer = client.get(path)
    body = b"".join(answer) if answer.streaming else answer.content
    return answer.status_code, body.decode("utf-8", "replace") + str(dict(answer.headers))


def wrong(route: Route, own: House, other: House) -> list[str]:
    """What is wrong with an address: own is refused, or the other's is answered or told of."""
    here = own.partner
    attempts = [("own", own.client(route.who, here), own.ids, {route.own})]
    if route.names_an_object:
        attempts.insert(0, ("another's id", own.client(route.who, here), other.ids, SAID_NO))
    if route.who != ANYONE:
        attempts.insert(0, ("another's credentials", other.client(route.who, here), own.ids, SAID_NO))
        attempts.insert(0, ("another's both", other.client(route.who, here), other.ids, SAID_NO))
    found = []
    for name, client, ids, expected in attempts:
        status, text = ask(client, route, ids)
        if status not in expected:
            found.append(f"{route.path}: {name} is answered {status}")
        told = [marker for marker in other.markers if marker in text]
        if name != "own" and route.who != ANYONE:
            told += [marker for marker in own.markers if "credentials" in name and marker in text]
        if told:
            found.append(f"{route.path}: {name} tells {told}")
    return found


def _checked(listed: dict[str, Route], own: House, other: House) -> list[str]:
    return [problem for route in listed.values() for problem in wrong(route, own, other)]


def test_no_address_of_a_partner_serves_another(houses: tuple[House, House]) -> None:
    own, other = houses
    before = other.state()
    assert _checked(routes.PARTNER, own, other) == []
    assert other.state() == before


def test_a_build_without_the_partner_check_fails(
    houses: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = houses

    def lost(self: PartnerMiddleware, request: Any) -> Any:
        return "armor.urls_partner", other.partner

    monkeypatch.setattr(PartnerMiddleware, "place", lost)
    found = _checked(routes.PARTNER, own, other)
    for path in ("/api/v1/orders/", "/api/v1/invoices/{invoice}/", "/cabinet/", "/product/{product}/"):
        assert any(problem.startswith(path + ":") for problem in found), path


def _consoles(own: House) -> list[tuple[Client, str]]:
    """The partner's console on its own host, and as the platform opens it."""
    return [(own.staff, ""), (own.operator, f"/p/{own.partner.slug}")]


def _objects(house: House) -> dict[str, Any]:
    """One object per model of the partner's console; None where it is a page without rows."""
    found = {}
    with in_partner(house.partner):
        request: Any = SimpleNamespace(
            tenant=house.partner,
            user=house.staff.user,
            GET={},
            rights=Rights(house.staff.user, house.partner),
        )
        for model, model_admin in partner_site._registry.items():
            paths = {str(entry.pattern) for entry in model_admin.get_urls()}
            rows = model_admin.get_queryset(request) if "<path:object_id>/change/" in paths else None
            first = None if rows is None else rows.order_by("pk").first()
            found[f"{model._meta.app_label}/{model._meta.model_name}"] = first
    return found


def test_no_page_of_the_console_shows_another_partner(houses: tuple[House, House]) -> None:
    own, other = houses
    theirs, before = _objects(other), other.state()
    found = []
    for client, prefix in _consoles(own):
        for name, thing in _objects(own).items():
            changelist = Route(f"{prefix}/admin/{name}/")
            pages = [(changelist, {200})]
            if thing is not None:
                pages.append((Route(f"{changelist.path}{thing.pk}/change/"), {200}))
            if theirs[name] is not None:
                their_page = Route(f"{changelist.path}{theirs[name].pk}/change/")
                pages.append((their_page, SAID_NO))
            for route, expected in pages:
                status, text = ask(client, route, {})
                told = [marker for marker in other.markers if marker in text]
                if status not in expected or told:
                    found.append((route.path, status, told))
                stranger = other.client(STAFF, own.partner)
                if prefix:
                    stranger.defaults["SERVER_NAME"] = "localhost"
                status, text = ask(stranger, route, {})
                if status not in SAID_NO or any(marker in text for marker in own.markers):
                    found.append((route.path, "stranger", status))
    assert found == []
    assert other.state() == before


def test_no_action_of_the_console_reaches_another_partner(houses: tuple[House, House]) -> None:
    own, other = houses
    theirs, before, found = _objects(other), other.state(), []
    for client, prefix in _consoles(own):
        for pattern in sorted(routes.PARTNER_ACTIONS):
            name = "/".join(pattern.split("/")[:2])
            assert theirs[name] is not None, name
            path = f"{prefix}/admin/" + pattern.replace("<path:object_id>", str(theirs[name].pk))
            for method in ("get", "post"):
                status, text = ask(client, Route(path, method=method), {})
                if status not in SAID_NO or any(marker in text for marker in other.markers):
                    found.append((path, method, status))
    assert found == []
    assert other.state() == before


def test_pages_that_every_console_has(houses: tuple[House, House]) -> None:
    own, other = houses
    assert _checked(routes.COMMON_ADMIN, own, other) == []


def test_the_operators_host_is_the_operators(houses: tuple[House, House]) -> None:
    own, other = houses
    with in_public():
        staff = sign_in_staff(None, of=own.partner)
        for part in ("worker", "beat"):
            beat(part)
    anyone = Client(SERVER_NAME="localhost", raise_request_exception=False)
    for route in routes.PUBLIC.values():
        status, text = ask(anyone, route, own.ids)
        assert status == route.own, (route.path, text[:500])
        assert not any(marker in text for marker in own.markers + other.markers)
    found = []
    for model in operator_site._registry:
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for client, expected in ((own.operator, {200, 302}), (staff, {302}), (anyone, {302})):
            status, text = ask(client, Route(path), {})
            if status not in expected:
                found.append((path, status))
            if client is not own.operator and any(marker in text for marker in own.markers + other.markers):
                found.append((path, "tells"))
    assert found == []


def test_work_of_one_partner_leaves_another_alone(houses: tuple[House, House]) -> None:
    own, other = houses
    before = other.state()
    for kind, what in routes.DUE.items():
        if not what:
            continue
        with in_partner(own.partner):
            with suppress(ObjectDoesNotExist):
                due._tasks[kind](other.ids[what])
            assert connection.schema_name == own.partner.schema_name
    assert other.state() == before


def test_tasks_and_commands_end_where_they_began(houses: tuple[House, House], capsys: Any) -> None:
    own, other = houses
    for name in routes.TASKS:
        connection.set_tenant(own.partner)
        app.tasks[name]()
        assert connection.schema_name == "public", name
    assert [str(violation) for violation in audit.run([own.partner.pk, other.partner.pk])] == []
    before = other.state()
    for name in ("audit", "migrate_all"):
        call_command(name, *(argument.format(**own.ids) for argument in routes.COMMANDS[name]))
        assert connection.schema_name == "public", name
    told = capsys.readouterr().out
    assert not any(marker in told for marker in other.markers)
    assert other.state() == before
