"""The bench of the control room: how soon it opens where a partner has a million orders, of which some thousands hang.

Through the web server as production runs it, by staff who are signed in: the platform's board over all partners, the
partner's own, what the page asks for every few seconds, and the list of orders. The floor is a page of the same console
with nothing on it. ORDERS says how many orders there are (1,000,000), OPEN how many of them are not settled (5,000).
"""

import os
import statistics
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import httpx
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from apps.accounts import customers
from apps.catalog.models import Category, Offer, Product, Tariff
from apps.connectors.models import Connection
from apps.core.tenancy import in_partner, in_public
from apps.orders.control import standing
from apps.orders.models import Fulfilment
from apps.orders.placing import place_order
from apps.partners.models import Partner, StaffRole
from apps.providers.models import Provider
from bench import programs
from bench.cases import new_partner

ORDERS = int(os.environ.get("ORDERS", "1000000"))
OPEN = int(os.environ.get("OPEN", "5000"))
ROUNDS = 30
AIM = 0.3
FILL = (Path(__file__).parent / "sql" / "control_room_fill.sql").read_text()
TABLES = "orders_order, orders_orderitem, orders_service, orders_fulfilment"


def control_room_1m() -> dict[str, float]:
    """`seconds`: the 95th percentile of opening the slowest of the pages; `floor_seconds`: of an empty page."""
    partner = new_partner()
    with in_partner(partner):
        _fill(partner)
    with ExitStack() as stack:
        port, _pid = programs.web(stack)
        own, platform = _sign_in(partner.host, port), _sign_in("localhost", port)
        pages = {
            "board": (platform, "/admin/providers/openrequest/"),
            "part": (platform, "/admin/providers/openrequest/?part=1"),
            "filtered": (platform, f"/admin/providers/openrequest/?partner={partner.pk}&state=needs_staff"),
            "own": (own, "/admin/providers/openrequest/"),
            "orders": (own, "/admin/orders/order/"),
            "floor": (platform, "/admin/providers/requestdeed/"),
        }
        taken = _asked(pages)
    late = {name: sorted(spent)[int(len(spent) * 0.95)] for name, spent in taken.items()}
    slowest = max(seconds for name, seconds in late.items() if name != "floor")
    return {
        "seconds": slowest,
        "per_second": 1 / slowest,
        "floor_seconds": late["floor"],
        "ratio": slowest / late["floor"],
        "peak_mib": 0.0,
        "aim_seconds": AIM,
        **{f"{name}_seconds": seconds for name, seconds in late.items() if name != "floor"},
        **{f"{name}_median": statistics.median(spent) for name, spent in taken.items()},
    }


def _asked(pages: dict[str, tuple[httpx.Client, str]]) -> dict[str, list[float]]:
    """Seconds of each opening; the pages in turn, so that a noisy machine slows all alike."""
    taken: dict[str, list[float]] = {name: [] for name in pages}
    for number in range(ROUNDS + 3):
        for name, (client, path) in pages.items():
            began = time.perf_counter()
            answer = client.get(path)
            spent = time.perf_counter() - began
            if answer.status_code != 200:
                raise RuntimeError(f"{name} answers {answer.status_code}: {answer.text[:500]}")
            if number >= 3:
                taken[name].append(spent)
    return taken


def _sign_in(host: str, port: int) -> httpx.Client:
    """Staff of the platform at a host, signed in as the console does it."""
    with in_public():
        user = User.objects.create(username=f"staff at {host}", is_staff=True)
        StaffRole.objects.create(user=user, partner=None, role="admin")
        if host != "localhost":
            StaffRole.objects.create(
                user=user, partner=Partner.objects.get(slug=host.split(".")[0]), role="admin"
            )
        client = Client(SERVER_NAME=host)
        client.force_login(user)
        session = client.session
        session["host"] = f"{host}:{port}"
        session.save()
    cookies = {name: one.value for name, one in client.cookies.items()}
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Host": f"{host}:{port}"}, cookies=cookies, timeout=60
    )


def _fill(partner: Partner) -> None:
    """Copies of one order that was placed for real, with its service and fulfilment, past the foreign keys."""
    supplies = Connection.objects.create(
        kind="provider",
        connector="apps.providers.http_provider.HttpProvider",
        name="supplier",
        config={"base_url": "http://127.0.0.1:9", "token": "test"},
        legal_entity=partner.legal_entity,
    )
    Connection.objects.create(
        kind="payment",
        connector="apps.payments.yookassa.YooKassa",
        name="room",
        config={"shop_id": "room", "secret_key": "secret", "base_url": "http://127.0.0.1:9/v3"},
        partner=partner,
        legal_entity=partner.legal_entity,
    )
    provider = Provider.objects.create(code="room", name="Щит Софт", connection=supplies)
    category, _is_new = Category.objects.get_or_create(code="bench", defaults={"name": {"ru": "Замер"}})
    product = Product.objects.create(
        code="ROOM",
        name={"ru": "Антивирус"},
        category=category,
        provider=provider,
        delivery="account",
        vat_code="standard",
    )
    tariff = Tariff.objects.create(product=product, code="ROOM", name={"ru": "Базовый"})
    tariff.publish(price=Decimal("149.00"), trial_days=0, period_count=1, period_unit="month")
    offer = Offer.objects.create(partner=partner, tariff=tariff)
    customer = customers.register(external_id="room", email="room@example.ru", name="Анна")
    order = place_order(offer=offer, customer=customer, return_url="https://shop.example/")
    item = order.item
    values = {
        "count": ORDERS,
        "open": OPEN,
        "order": order.pk,
        "item": item.pk,
        "subscription": item.subscription_id,
        "product": product.pk,
        "version": item.tariff_version_id,
        "provider": provider.pk,
        "connection": supplies.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(FILL, values)
        cursor.execute("SET session_replication_role = DEFAULT")
    hangs = list(Fulfilment.objects.filter(state__in=["retry", "needs_staff"]).values_list("pk", flat=True))
    standing.keep(hangs, dict.fromkeys(hangs, "Склад пуст"))
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {TABLES}, public.providers_openrequest")
