"""The operator's console and host are the operator's: a partner's staff and strangers get nothing there."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps import journal
from apps.catalog.models import (
    Feature,
    PriceChange,
    ProductDocument,
    ProductParameter,
    ProviderTerms,
    SalesStop,
    Tariff,
    TariffRelation,
)
from apps.core import clock
from apps.core.console import operator_site, partner_site
from apps.core.models import WorkItem
from apps.core.tasks import beat
from apps.core.tenancy import in_public
from apps.journal.models import Exchange
from apps.partners.models import ContractTerms
from apps.policies.dunning_models import ChargeRules, DunningChoice, DunningPolicy
from apps.policies.fiscal import FiscalRule
from apps.policies.models import MessageTemplate
from apps.policies.refunding import RefundLimit, RefundReason
from apps.policies.routes import PaymentRoute
from apps.providers import definitions
from apps.providers.models import Provider
from apps.providers.portal.models import (
    DefectiveKey,
    ProviderKey,
    ProviderRequest,
    ProviderUser,
    ServiceList,
    UsageFile,
)
from apps.settlements.models import (
    BankLine,
    BankStatement,
    Difference,
    GatewayDay,
    GatewayPayout,
    GatewayTerms,
    ProviderDay,
    ProviderDifference,
)
from tests.isolation import routes
from tests.isolation.asking import ask
from tests.isolation.conftest import Pair
from tests.isolation.houses import House, sign_in_staff
from tests.isolation.routes import SAID_NO, Route
from tests.providers import declared

LISTS = {
    "demo/sandboxpartner",
    "reports/partnerstatement",
    "reports/recovery",
    "reports/sales",
    "reports/search",
    "reports/trialbalance",
}
"""Pages in place of a list: without rows to look at one by one."""
BOTH = tuple(
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for model in operator_site._registry.keys() & partner_site._registry.keys()
)
"""What a partner's own console has at the same address, which is about its own (test_console.py)."""


@pytest.fixture(scope="module")
def furnished(houses: Pair) -> Pair:
    """Something of everything on the operator's side too."""
    own, _other = houses
    with in_public():
        for part in ("worker", "lanes", "beat"):
            beat(part)
        every = IntervalSchedule.objects.get_or_create(every=5, period=IntervalSchedule.SECONDS)[0]
        PeriodicTask.objects.get_or_create(name="tick", task="core.tick", interval=every)
        journal.record("partner.changed", "partners.Partner", own.partner.pk, actor="admin")
        Exchange.objects.create(
            at=clock.wall(),
            connection_id=own.ids["connection"],
            method="GET",
            url="https://bank.example",
            milliseconds=1,
        )
        MessageTemplate.objects.get_or_create(type="orders.delivered", channel="email", body_text="Ключ")
        ProviderTerms.objects.get_or_create(
            provider=Provider.objects.order_by("pk")[0], number="1", valid_from=date(2020, 1, 1)
        )
        ContractTerms.objects.get_or_create(
            partner=own.partner, number="1", valid_from=date(2020, 1, 1), share_percent=Decimal(10)
        )
        SalesStop.objects.get_or_create(
            provider=Provider.objects.order_by("pk")[0],
            starts_at=clock.wall() + timedelta(days=30),
            ends_at=clock.wall() + timedelta(days=31),
        )
        _catalogue(own)
        policy = DunningPolicy.objects.get(is_default=True)
        DunningChoice.objects.get_or_create(partner=own.partner, policy=policy)
        ChargeRules.objects.get_or_create(partner=own.partner)
        RefundReason.objects.get_or_create(code="house", defaults={"title": own.markers[0]})
        RefundLimit.objects.get_or_create(role="support", defaults={"one": Decimal(1000)})
        PaymentRoute.objects.get_or_create(name=own.markers[0], is_active=False)
        _provider(own)
        described = definitions.create(name=own.markers[0], document=declared.REST)
        own.ids["definition"] = described.definition_id
        _money(own)
    Client(SERVER_NAME="localhost").post(
        f"/hooks/{own.ids['connection']}/", {"event": "payment.succeeded"}, "application/json"
    )
    return houses


def _provider(own: House) -> None:
    """A provider with a person, a key, a request and a file of its own."""
    provider, now = Provider.objects.order_by("pk")[0], clock.now()
    user = User.objects.get_or_create(username="provider-person")[0]
    own.ids["provider_user"] = ProviderUser.objects.get_or_create(user=user, defaults={"provider": provider})[
        0
    ].pk
    ProviderKey.objects.get_or_create(prefix="house", defaults={"provider": provider})
    ProviderRequest.objects.get_or_create(
        pk=own.ids["service"],
        defaults={
            "provider": provider,
            "partner_id": own.partner.pk,
            "kind": "provision",
            "request_id": own.ids["service"],
            "created_at": now,
        },
    )
    DefectiveKey.objects.get_or_create(
        request_id=own.ids["service"],
        defaults={
            "provider": provider,
            "partner_id": own.partner.pk,
            "service_id": own.ids["service"],
            "replacement_id": own.ids["fulfilment"],
            "sku": "house",
            "key": "K",
            "reason": "used",
            "reported_at": now,
        },
    )
    ServiceList.objects.get_or_create(
        provider=provider, day=date(2026, 1, 1), is_test=True, name="house", defaults={"loaded_at": now}
    )
    day = ProviderDay.objects.get_or_create(
        provider=provider, day=date(2026, 1, 1), is_test=True, defaults={"checked_at": now}
    )[0]
    own.ids["provider_day"] = day.pk
    own.ids["provider_difference"] = ProviderDifference.objects.create(
        day=day, kind="not_charged", named=uuid4(), partner=own.partner, explained_at=now
    ).pk
    UsageFile.objects.get_or_create(provider=provider, fingerprint="house", defaults={"loaded_at": now})


def _money(own: House) -> None:
    """A seller without a cash register, a statement with a line that nobody knows, a gateway's day that differs."""
    entity, now, today = own.ids["entity"], clock.now(), clock.today()
    FiscalRule.objects.get_or_create(
        legal_entity_id=entity, valid_from=today, defaults={"place": "shop.example"}
    )
    statement = BankStatement.objects.create(
        legal_entity_id=entity,
        account="40702810000000000001",
        start_date=today,
        end_date=today,
        loaded_at=now,
    )
    line = BankLine.objects.create(
        statement=statement,
        fingerprint=own.markers[0],
        is_credit=True,
        document_date=today,
        booked_date=today,
        amount=Decimal("1.00"),
        counterparty={"name": own.markers[0]},
        purpose="Оплата",
        state="unidentified",
    )
    day = GatewayDay.objects.create(connection_id=own.ids["connection"], day=today, checked_at=now)
    GatewayTerms.objects.create(connection_id=own.ids["connection"])
    difference = Difference.objects.create(day=day, kind="missing_here", entry="payment", gateway_id="x")
    paid = BankLine.objects.create(
        statement=statement,
        fingerprint=own.markers[0][:60] + "paid",
        is_credit=True,
        document_date=today,
        booked_date=today,
        amount=Decimal("1.00"),
        counterparty={"name": own.markers[0]},
        purpose="Перечисление",
        state="payout",
    )
    payout = GatewayPayout.objects.create(
        connection_id=own.ids["connection"], line=paid, amount=paid.amount, made_at=now
    )
    own.ids |= {
        "bank_line": line.pk,
        "gateway_day": day.pk,
        "difference": difference.pk,
        "gateway_payout": payout.pk,
    }


def _catalogue(own: House) -> None:
    """Of each table of the catalogue something: of a product, and of its tariff beside the other one's."""
    product, tariff, today = own.ids["product_id"], own.ids["tariff"], clock.today()
    Feature.objects.get_or_create(code="disk", name={"ru": "Диск"})
    ProductParameter.objects.get_or_create(
        product_id=product, code="size", name={"ru": "Размер"}, kind="string"
    )
    ProductDocument.objects.get_or_create(
        product_id=product,
        kind="offer",
        number=1,
        defaults={"valid_from": today, "text": {"ru": "Оферта"}, "created_at": clock.now()},
    )
    other = Tariff.objects.exclude(pk=tariff).order_by("pk")[0]
    TariffRelation.objects.get_or_create(tariff_id=tariff, other=other, kind="excludes")
    PriceChange.objects.get_or_create(
        tariff_id=tariff,
        defaults={
            "price": Decimal("350.00"),
            "policy": "grandfather",
            "effective_date": today,
            "created_at": clock.now(),
        },
    )


def strangers(house: House, other: House) -> list[tuple[Client, str]]:
    """Nobody; a partner's staff with a session of the public host, there and in the other's console; and those
    with the session of their own host, there and at home. Each with what stands before an operator's address.
    """
    elsewhere = Client(SERVER_NAME="localhost", raise_request_exception=False)
    elsewhere.cookies = house.staff.cookies.copy()
    staff = sign_in_staff(None, of=house.partner)
    nobody = Client(SERVER_NAME="localhost", raise_request_exception=False)
    return [
        (nobody, ""),
        (staff, ""),
        (staff, f"/p/{other.partner.slug}"),
        (elsewhere, ""),
        (house.staff, ""),
    ]


def refused(house: House, other: House, routes: Iterable[Route]) -> list[Any]:
    """Who is answered more than no, or told something, at addresses of the operator's."""
    found = []
    for client, before in strangers(house, other):
        for route in routes:
            if client is house.staff and route.path.startswith(BOTH):
                continue
            asked = replace(route, path=before + route.path)
            status, text = ask(client, asked, {})
            if status not in SAID_NO or any(marker in text for marker in house.markers + other.markers):
                found.append((asked.path, client.defaults["SERVER_NAME"], status))
    return found


def test_the_public_hosts_own_pages_tell_nothing(furnished: Pair) -> None:
    own, other = furnished
    anyone = Client(SERVER_NAME="localhost", raise_request_exception=False)
    for route in routes.PUBLIC.values():
        status, text = ask(anyone, route, own.ids)
        assert status == route.own, (route.path, text[:500])
        assert not any(marker in text for marker in own.markers + other.markers)


def operator_pages() -> list[tuple[str, set[int]]]:
    """Each page of each model of the operator's console, with what its own staff is answered."""
    found: list[tuple[str, set[int]]] = []
    for model in operator_site._registry:
        name = f"{model._meta.app_label}/{model._meta.model_name}"
        found.append((f"/admin/{name}/", {200}))
        if name in LISTS:
            continue
        row = model._default_manager.order_by("pk").first()
        assert row is not None, f"{name} has no example row"
        paths = [f"/admin/{name}/{row.pk}/{page}" for page in ("change/", "history/", "delete/")]
        # A published change of a price is looked at, and its page leads to where.
        leads = {302} if isinstance(row, PriceChange) and row.is_published else set()
        found += [(path, {200, 403} | leads) for path in [f"/admin/{name}/add/", *paths]]
        if isinstance(row, PriceChange):
            # Where it is published, and to which its own page leads afterwards.
            found.append((f"/admin/{name}/{row.pk}/impact/", {200}))
    return found


def test_a_page_of_the_operators_console_is_the_operators(furnished: Pair) -> None:
    own, other = furnished
    with in_public():
        listed = operator_pages()
    found: list[Any] = refused(own, other, [Route(path) for path, _expected in listed])
    for path, expected in listed:
        status, _text = ask(own.operator, Route(path), {})
        if status not in expected:
            found.append((path, status))
    assert found == []


def test_a_button_of_the_operators_console_is_the_operators(furnished: Pair) -> None:
    """What the operator's press does, and a stranger's does not: the work is taken."""
    own, other = furnished
    with in_public():
        item = WorkItem.objects.get(kind="orders.Fulfilment", object_id=own.ids["fulfilment"])
    ids = {**own.ids, "workitem": item.pk, "user": own.staff.user.pk}  # type: ignore[attr-defined]
    listed = [
        replace(route, path=route.path.format(**ids))
        for route in (*routes.OPERATOR_ACTIONS.values(), *routes.OPERATOR_FILES)
    ]
    found: list[Any] = refused(own, other, listed)
    found += refused(own, other, [replace(route, method="post") for route in listed])
    item.refresh_from_db()
    assert item.owner_id is None
    for route in listed:
        status, text = ask(own.operator, route, {})
        if status != route.own or (route.tells and own.markers[0] not in text):
            found.append((route.path, "operator", status))
        item.refresh_from_db()
        if route.path.endswith("/take/"):
            assert item.owner_id == own.operator.user.pk  # type: ignore[attr-defined]
    assert found == []
