"""Connections of the demonstration: each leads to a simulator, wherever it listens since the last start."""

import atexit
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from django.conf import settings

from apps.connectors.models import Connection
from apps.demo.gateways import TILLS
from apps.partners.models import LegalEntity
from apps.providers.models import Provider
from apps.sandbox.control import Control

LIVE_SHOP, TEST_SHOP = ("100500", "demo_secret"), ("100600", "sandbox_secret")
LIVE_TOKEN, TEST_TOKEN = "demo-token", "sandbox-token"
"""At the provider. Sandboxes have their own account, so that what is switched off there stops no live sale."""
OVER_API = ("Доктор рядом", "Премьера Медиа", "Слово", "Правовед", "Облако плюс")
"""Providers of the price list that are asked over HTTP; keys of the others lie in pools."""


@dataclass(frozen=True)
class Addresses:
    """Where the simulators are: base addresses by name, and the mailbox's SMTP port."""

    urls: dict[str, str] = field(default_factory=lambda: dict(settings.SANDBOX_URLS))
    smtp_port: int = field(default_factory=lambda: settings.SANDBOX_SMTP_PORT)

    def control(self, name: str) -> Control:
        """Hands on one simulator. Raises LookupError where its address is not known."""
        if not self.urls.get(name):
            raise LookupError(f"ARMOR_{name.upper()}_URL is not set")
        return _control(self.urls[name])


@cache
def _control(url: str) -> Control:
    """One client per simulator: its connections are kept and shared by threads."""
    control = Control(url)
    atexit.register(control.close)
    return control


def connect(addresses: Addresses | None = None, *, webhooks_to: str = "") -> list[Connection]:
    """Makes the connections or leads them to new addresses, for live and for sandbox partners. Safe to repeat.

    `webhooks_to` is the base address of our own web server as a simulator reaches it; without it the shops send
    no webhooks. A simulator that does not answer is left alone.
    """
    where = addresses or Addresses()
    operator = LegalEntity.objects.get(is_operator=True)
    made = []
    for is_test, shop in ((False, LIVE_SHOP), (True, TEST_SHOP)):
        for kind, connector, name, config in _wanted(where, shop, TEST_TOKEN if is_test else LIVE_TOKEN):
            connection = _put(kind, connector, f"{name} (песочница)" if is_test else name, is_test, config)
            Connection.objects.filter(pk=connection.pk).update(legal_entity=operator)
            made.append(connection)
            if kind == "payment":
                simulator = next(one.simulator for one in TILLS if one.connector == connector)
                _register(where, simulator, shop, webhooks_to and f"{webhooks_to}/hooks/{connection.pk}/")
            elif kind == "fiscal":
                _register_group(where, config, operator.inn)
            elif kind == "provider":
                slot = "test_connection" if is_test else "connection"
                Provider.objects.filter(name__in=OVER_API).update(**{slot: connection})
    return made


def _wanted(
    where: Addresses, shop: tuple[str, str], token: str
) -> list[tuple[str, str, str, dict[str, Any]]]:
    url = {name: address.rstrip("/") for name, address in where.urls.items()}
    smtp = {"host": "127.0.0.1", "port": where.smtp_port, "encryption": ""}
    # Those that came later than ЮKassa may not be up: a simulation goes without them.
    tills = [one for one in TILLS if url.get(one.simulator) or one is TILLS[0]]
    return [
        *(
            ("payment", one.connector, one.name, one.config(*shop, url.get(one.simulator, "")))
            for one in tills
        ),
        *_registers(url, shop),
        (
            "provider",
            "apps.providers.http_provider.HttpProvider",
            "Поставщики по API",
            {"base_url": url.get("provider", ""), "token": token},
        ),
        (
            "email",
            "apps.notifications.smtp.Smtp",
            "Почта",
            {**smtp, "from_email": settings.DEFAULT_FROM_EMAIL.replace("@localhost", "@armor.localhost")},
        ),
        (
            "sms",
            "apps.notifications.sms_aero.SmsAero",
            "SMS Aero",
            {
                "email": "demo@armor.localhost",
                "api_key": "demo-key",
                "base_url": f"{url.get('smsaero', '')}/v2",
            },
        ),
    ]


def _registers(url: dict[str, str], shop: tuple[str, str]) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The cash register, where its simulator is up."""
    if not url.get("atol"):
        return []
    config = {
        "login": f"atol-{shop[0]}",
        "password": shop[1],
        "group": f"group-{shop[0]}",
        "base_url": f"{url['atol']}/possystem/v5",
    }
    return [("fiscal", "apps.payments.atol.Atol", "АТОЛ Онлайн", config)]


def _put(kind: str, connector: str, name: str, is_test: bool, config: dict[str, Any]) -> Connection:
    connection = Connection.objects.filter(
        kind=kind, connector=connector, partner=None, is_test=is_test, name=name
    ).first()
    if connection is None:
        return Connection.objects.create(
            kind=kind, connector=connector, name=name, is_test=is_test, config=config
        )
    if connection.config != config:
        connection.config = config
        connection.save(update_fields=["config"])
    return connection


def _register(where: Addresses, simulator: str, shop: tuple[str, str], webhook_url: str) -> None:
    try:
        where.control(simulator).add_shop(*shop, webhook_url or None)
    except (LookupError, httpx.HTTPError):
        # Not up: the shop is registered at the next start.
        return


def _register_group(where: Addresses, config: dict[str, Any], inn: str) -> None:
    given = {name: config[name] for name in ("login", "password")}
    try:
        where.control("atol").add_register(config["group"], inn=inn, **given)
    except (LookupError, httpx.HTTPError):
        return
