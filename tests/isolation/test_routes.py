"""Isolation: every address, task and command serves its own partner, and no other. A build that forgets leaks."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import call_command, get_commands
from django.db import connection
from django.urls import get_resolver

from apps.core import audit, due
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_partner
from apps.partners.middleware import PartnerMiddleware
from apps.providers.portal.models import RequestLetter
from apps.settlements import provider_days
from apps.settlements.models import ProviderDay
from armor.celery import app
from tests.isolation import routes
from tests.isolation.asking import all_wrong, ask
from tests.isolation.conftest import Pair
from tests.isolation.routes import STAFF, Route

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
    of_partner = routes.COMMON_ADMIN.keys() | routes.PARTNER_ACTIONS | routes.PARTNER_PAGES.keys()
    assert partner_console == switched_console == of_partner
    assert operator_console == routes.COMMON_ADMIN.keys() | routes.OPERATOR_ACTIONS.keys()


def test_every_task_and_command_is_listed() -> None:
    assert {name for name in app.tasks if not name.startswith("celery.")} == routes.TASKS
    assert set(due._tasks) == set(routes.DUE)
    own = {name for name, where in get_commands().items() if str(where).startswith("apps.")}
    assert own == set(routes.COMMANDS)


def test_no_address_of_a_partner_serves_another(own_and_other: Pair) -> None:
    own, other = own_and_other
    before = other.state()
    assert all_wrong(routes.PARTNER, own, other) == []
    assert other.state() == before


def test_a_build_without_the_partner_check_fails(houses: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = houses

    def lost(self: PartnerMiddleware, request: Any) -> Any:
        return "armor.urls_partner", other.partner

    monkeypatch.setattr(PartnerMiddleware, "place", lost)
    found = all_wrong(routes.PARTNER, own, other)
    for path in ("/api/v1/orders/", "/api/v1/invoices/{invoice}/", "/cabinet/", "/product/{product}/"):
        assert any(problem.startswith(path + ":") for problem in found), path


def test_work_of_one_partner_leaves_another_alone(own_and_other: Pair) -> None:
    own, other = own_and_other
    before = other.state()
    for kind, what in routes.DUE.items():
        if not what:
            continue
        with in_partner(own.partner):
            with suppress(ObjectDoesNotExist):
                due._tasks[kind](other.ids[what])
            assert connection.schema_name == own.partner.schema_name
    letter = RequestLetter.objects.get(pk=other.ids["letter"])
    assert (letter.state, letter.attempts, letter.request.letters.count()) == ("queued", 0, 1)
    assert other.state() == before


def test_tasks_and_commands_end_where_they_began(
    houses: Pair, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = houses
    days = set(ProviderDay.objects.values_list("pk", flat=True))
    with monkeypatch.context() as alone:
        # The nightly audit comes to every partner of every test: one rule each says as much, and sooner.
        few = {rule.scope: rule for rule in audit.RULES.values()}
        alone.setattr(audit, "RULES", {rule.name: rule for rule in few.values()})
        for name in sorted(routes.TASKS):
            connection.set_tenant(own.partner)
            app.tasks[name]()
            assert connection.schema_name == "public", name
    # The morning comes to every provider of every test, too.
    Due.objects.filter(kind=provider_days.TASK).delete()
    looked = ProviderDay.objects.exclude(pk__in=days)
    WorkItem.objects.filter(kind=ProviderDay.KIND, object_id__in=looked.values("pk")).delete()
    looked.delete()
    assert [str(violation) for violation in audit.run([own.partner.pk, other.partner.pk])] == []
    before = other.state()
    for name in ("audit", "migrate_all"):
        call_command(name, *(argument.format(**own.ids) for argument in routes.COMMANDS[name]))
        assert connection.schema_name == "public", name
    told = capsys.readouterr().out
    assert not any(marker in told for marker in other.markers)
    assert other.state() == before


def test_a_stored_file_has_no_address(houses: Pair, settings: Any) -> None:
    own, _other = houses
    folder = Path(settings.MEDIA_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.csv").write_text(own.markers[0])
    for client in (own.client(STAFF, own.partner), own.operator):
        for path in ("/media/report.csv", "/static/../media/report.csv", "/report.csv"):
            status, text = ask(client, Route(path), {})
            assert status == 404, path
            assert own.markers[0] not in text
