"""Whatever an address holds, in its path or its query, the answer is never a failure of ours.

The suite brings texts and parameters by turns; `make soak` sets HOSTILE=all: every text, by GET and by POST, to every
address.
"""

import os
import re
from collections.abc import Iterator
from itertools import cycle
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver

from apps.accounts import customers, sign_in
from apps.channels.models import ApiKey, Channel, Scope
from apps.core.console import operator_site, partner_site
from apps.core.tenancy import in_public
from apps.partners.models import Partner, StaffRole

HOSTILE = (
    "abc",
    "0",
    "-1",
    "9" * 30,
    "²",  # a digit to isdigit(), not to int()
    "٣",  # a digit to int() too
    "1.5",
    "1e400",
    "\x00",
    "x" * 400,
    "' OR 1=1--",
    "00000000-0000-0000-0000-000000000000",
    "None",
    "2026-99-99",
    "[]",
    "<script>",
    "‮\U0001f4a9",
    "1,2",
)
BYTES = ("%FF%FE", "%00", "%C0%80")
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>|\(\?P<(\w+)>((?:\[[^]]*\]|[^()])*)\)")
OF_API = ("q", "cursor", "limit", "ordering", "id")
EVERY = os.environ.get("HOSTILE") == "all"
ADD = "add"
LOOKUPS = ("__exact", "__id__exact", "__gte", "__isnull", "")
COMMON = ("?q", "?o", "?p", "?id__exact", "?action", ADD)
"""What every list of a console may be asked, and its page to add one."""


@pytest.fixture
def everybody(partner: Partner) -> dict[str, Client]:
    """Who may go furthest: an administrator of the platform, a key with all scopes, a customer."""
    with in_public():
        user = User.objects.create_user(f"hostile-{partner.slug}", is_staff=True)
        StaffRole.objects.create(user=user, partner=None, role="admin")
    made = {}
    for urlconf, host in (("armor.urls_partner", partner.host), ("armor.urls_public", "localhost")):
        client = Client(SERVER_NAME=host, raise_request_exception=False)
        client.force_login(user)
        session = client.session
        session["host"] = host
        session.save()
        made[urlconf] = client
    _key, text = ApiKey.issue(Channel.objects.get(code="api"), Scope.values)
    made["armor.urls_partner"].defaults["HTTP_AUTHORIZATION"] = f"Bearer {text}"
    made["armor.urls_partner"].cookies[sign_in.COOKIE] = sign_in._open(customers.register(external_id="A-1"))
    made["armor.urls_switched"] = made["armor.urls_public"]
    return made


def paths(resolver: Any, before: str = "") -> Iterator[str]:
    """Every pattern of a URLconf, as one string each."""
    for entry in resolver.url_patterns:
        path = before + str(entry.pattern)
        if hasattr(entry, "url_patterns"):
            yield from paths(entry, path)
        else:
            yield path


def filled(pattern: str, text: str) -> str:
    """An address of a pattern with `text` for what it leaves open; a number where only a number fits."""
    bare = re.sub(r"[\^$]|\\Z|\(\?:[^)]*\)\??", "", pattern)
    return "/" + PARAMETER.sub(lambda found: "7" if found[1] == "int" and not text.isdigit() else text, bare)


def all_failing(client: Client, addresses: Iterator[tuple[str, str]]) -> str:
    failures = []
    for method, address in addresses:
        answer = getattr(client, method)(address)
        if answer.status_code >= 500:
            failures.append(f"{method} {address[:120]!r}: {answer.status_code}")
    return "\n".join(failures)


@pytest.mark.parametrize("urlconf", ["armor.urls_partner", "armor.urls_public", "armor.urls_switched"])
def test_no_path_breaks_us(urlconf: str, everybody: dict[str, Client], partner: Partner) -> None:
    prefix = f"/p/{partner.slug}" if urlconf == "armor.urls_switched" else ""
    texts = cycle([quote(text, safe="") for text in HOSTILE if "/" not in text] + list(BYTES))
    methods = cycle(("get", "post"))  # the texts are odd in number, so that by turns each meets both

    def addresses() -> Iterator[tuple[str, str]]:
        for pattern in paths(get_resolver(urlconf)):
            if not PARAMETER.search(pattern):
                continue
            # More of them where a text is looked up by itself than in the many pages of the console.
            in_console = "admin/" in pattern and "/r/" not in pattern
            for _time in range((len(HOSTILE) + len(BYTES)) * 2 if EVERY else 1 if in_console else 5):
                yield next(methods), prefix + filled(pattern, next(texts))

    assert all_failing(everybody[urlconf], addresses()) == ""


@pytest.mark.parametrize("urlconf", ["armor.urls_partner", "armor.urls_public"])
def test_no_query_of_a_console_breaks_us(urlconf: str, everybody: dict[str, Client]) -> None:
    texts = cycle([quote(text, safe="") for text in HOSTILE] + list(BYTES))
    of_list, lookups = cycle(COMMON), cycle(LOOKUPS)

    def addresses() -> Iterator[tuple[str, str]]:
        yield "get", f"/admin/search/?s={quote('²')}"
        yield "get", "/admin/search/?s=%00"
        site = partner_site if urlconf == "armor.urls_partner" else operator_site
        for model, admin in site._registry.items():
            page = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            # What our own code reads is asked of every list; what Django reads alike for all of them, by turns.
            common = COMMON if EVERY else (next(of_list),)
            own = [f"?{name}" for name in _filters(admin, lookups)]
            for name in [*common, *own] * (len(HOSTILE) if EVERY else 1):
                asked = name if name != ADD else f"add/?{model._meta.pk.name}"
                yield "get", f"{page}{asked}={next(texts)}"

    assert all_failing(everybody[urlconf], addresses()) == ""


def _filters(admin: Any, lookups: Iterator[str]) -> Iterator[str]:
    """Parameters of a list's filters. What Django reads alike for all fields is asked by turns: one lookup a field."""
    for one in admin.list_filter:
        given = one[0] if isinstance(one, tuple) else one
        if isinstance(given, str):
            yield from (given + next(lookups) for _time in range(len(LOOKUPS) if EVERY else 1))
        elif name := getattr(given, "parameter_name", None):
            yield name
    if admin.date_hierarchy:
        yield from (f"{admin.date_hierarchy}__{part}" for part in ("year", "month", "day"))


def test_no_query_of_api_and_storefront_breaks_us(everybody: dict[str, Client]) -> None:
    texts = [quote(text, safe="") for text in HOSTILE] + list(BYTES)
    client, turn = everybody["armor.urls_partner"], cycle(texts)

    def addresses() -> Iterator[tuple[str, str]]:
        for pattern in paths(get_resolver("armor.urls_partner")):
            if pattern.startswith("api/v1/") and not PARAMETER.search(pattern):
                known = _api_filters(pattern)
                for name in sorted({*OF_API, *known}):
                    times = len(texts) if EVERY else 2
                    yield from (
                        ("get", f"{filled(pattern, '')}?{name}={next(turn)}") for _time in range(times)
                    )
        for text in texts:
            for page in (
                "/?channel=",
                "/theme.css?v=",
                "/logo?v=",
                "/cabinet/sign-in/?next=",
                "/feeds/web.yml?x=",
            ):
                yield "get", page + text

    assert all_failing(client, addresses()) == ""


def _api_filters(pattern: str) -> set[str]:
    """What a list of the API may be filtered by."""
    view = get_resolver("armor.urls_partner").resolve(filled(pattern, "")).func
    given = getattr(view.cls, "filterset_class", None)
    return set(given.base_filters) if given else set(getattr(view.cls, "filterset_fields", None) or ())


def test_no_cookie_breaks_us(partner: Partner) -> None:
    for name in (
        "armor_customer",
        "armor_purchases",
        "armor_source",
        "armor_contact",
        "armor_staff",
        "django_language",
    ):
        for text in ("x", "a:b:c", "²", "x" * 3000, "\\000", "."):
            client = Client(SERVER_NAME=partner.host, raise_request_exception=False)
            client.cookies[name] = text
            for page in ("/", "/cabinet/", "/cabinet/code/", "/admin/"):
                assert client.get(page).status_code < 500, (name, text, page)
