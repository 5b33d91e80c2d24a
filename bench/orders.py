"""The bench of POST /api/v1/orders/: ours beside an authenticated DRF view that inserts the same rows.

Both ask the gateway's simulator for a payment once per order, for neither answers without its page.
"""

import itertools
import json
import os
import re
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.catalog.models import Category, Offer, Product, Tariff
from apps.channels.models import ApiKey, Channel
from apps.connectors.models import Connection
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.providers.models import Provider
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from bench.cases import new_partner
from bench.measure import in_turn

ORDERS = 40
_numbers = itertools.count(1)
_inserts: list[tuple[str, Any]] = []
_gateway = ""
urlpatterns: list[Any] = []


class Floor(APIView):
    """Authenticates, and inserts what an order inserts, in one transaction."""

    required_scopes = {"POST": "orders:write"}

    def post(self, request: Request) -> Response:
        marker = request.data["customer"]["external_id"]
        httpx.post(
            f"{_gateway}/payments",
            auth=("bench", "secret"),
            headers={"Idempotence-Key": str(uuid4())},
            json={
                "amount": {"value": "149.00", "currency": "RUB"},
                "confirmation": {"type": "redirect", "return_url": "https://shop.example/"},
                "capture": True,
            },
        ).raise_for_status()
        fresh: dict[UUID, UUID] = {}
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, params in _inserts:
                cursor.execute(sql, [_anew(value, marker, fresh) for value in params])
        return Response({"id": str(uuid4())}, status=201)


def _anew(value: Any, marker: str, fresh: dict[UUID, UUID]) -> Any:
    """The same value of another order: its own ids and its own customer."""
    if isinstance(value, list):
        return [_anew(part, marker, fresh) for part in value]
    if isinstance(value, UUID):
        return fresh.setdefault(value, uuid4()) if value in _own else value
    if isinstance(value, bytes | memoryview) and len(value) == 32:
        return os.urandom(32)
    if isinstance(value, str):
        return re.sub(r"bench-\d+", marker, value)
    return value


_own: set[UUID] = set()


def _ids(values: Any) -> Iterator[UUID]:
    """The ids among values, in lists too: many rows go in one statement."""
    for value in values:
        if isinstance(value, UUID):
            yield value
        elif isinstance(value, list | tuple):
            yield from _ids(value)


def _record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    if sql.startswith("INSERT"):
        _inserts.append((sql, tuple(params)))
    return execute(sql, params, many, context)


def _shop(partner: Partner, gateway: Control) -> tuple[Offer, str]:
    gateway.add_shop("bench", "secret")
    Connection.objects.create(
        kind="payment",
        connector="apps.payments.yookassa.YooKassa",
        name="bench",
        config={"shop_id": "bench", "secret_key": "secret", "base_url": f"{gateway.base_url}/v3"},
        partner=partner,
        legal_entity=partner.legal_entity,
    )
    category = Category.objects.create(code="bench", name={"ru": "Замер"})
    product = Product.objects.create(
        code="BENCH",
        name={"ru": "Облако"},
        category=category,
        provider=Provider.objects.create(code="bench", name="Поставщик"),
        delivery="manual",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code="BENCH", name={"ru": "Базовый"})
    tariff.publish(price=Decimal("149.00"), trial_days=0, period_count=1, period_unit="month")
    offer = Offer.objects.create(partner=partner, tariff=tariff)
    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), ["orders:write"])
    return offer, secret


def order_api() -> dict[str, float]:
    """Orders one after another through the whole stack, without network to us."""
    global _gateway
    urlpatterns.append(path("floor/", Floor.as_view()))
    with Simulator("yookassa", state=Path(tempfile.mkdtemp())) as simulator:
        partner = new_partner()
        with in_partner(partner):
            offer, secret = _shop(partner, Control(simulator.url))
        _gateway = f"{simulator.url}/v3"
        client = Client(SERVER_NAME=partner.host, headers={"Authorization": f"Bearer {secret}"})

        def post(address: str) -> None:
            marker = f"bench-{next(_numbers)}"
            body = {
                "offer": offer.pk,
                "customer": {"external_id": marker, "email": f"{marker}@example.ru"},
                "return_url": "https://shop.example/",
            }
            answer = client.post(address, json.dumps(body), "application/json")
            if answer.status_code != 201:
                raise RuntimeError(answer.content.decode()[:2000])

        def ours() -> None:
            for _ in range(ORDERS):
                post("/api/v1/orders/")

        def floor() -> None:
            usual, settings.ROOT_URLCONF = settings.ROOT_URLCONF, "bench.orders"
            try:
                for _ in range(ORDERS):
                    post("/floor/")
            finally:
                settings.ROOT_URLCONF = usual

        post("/api/v1/orders/")
        with connection.execute_wrapper(_record):
            post("/api/v1/orders/")
        # Every id in these rows is the order's own, but for those of the channel.
        with in_partner(partner):
            shared = set(Channel.objects.values_list("pk", flat=True))
        _own.update(_ids(params for _sql, params in _inserts))
        _own.difference_update(shared)
        return in_turn(ours, floor, rounds=3, each=ORDERS)
