"""Those who act in a simulation, through HTTP alone: a partner's system by the API, a customer in the storefront."""

import html
import re
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from apps.demo.world import World

TIMEOUT = 60.0
_FIELD = re.compile(r"<input[^>]*>")


class Refusal(RuntimeError):
    """The platform did not do what was asked."""


class PartnerSystem:
    """A partner's own system with its API key."""

    def __init__(self, world: World, host: str, key: str) -> None:
        self._client = httpx.Client(
            base_url=_direct(world.base_url) + "/api/v1/",
            headers={"Host": _host(world, host), "Authorization": f"Bearer {key}"},
            timeout=TIMEOUT,
            trust_env=False,
        )

    def close(self) -> None:
        """Lets its connections go."""
        self._client.close()

    def order(self, offer: int, customer: dict[str, str], key: str) -> dict[str, Any]:
        """Orders for a customer; `key` makes a repeated call harmless."""
        body = {"offer": offer, "customer": customer, "return_url": "https://partner.example/thanks/{order}"}
        return self.call("POST", "orders/", json=body, headers={"Idempotency-Key": key})

    def get(self, path: str, **params: Any) -> Any:
        """Reads an object or the first page of a list."""
        return self.call("GET", path, params=params)

    def cancel(self, subscription: str) -> None:
        """Cancels at the end of the paid period."""
        self.call("POST", f"subscriptions/{subscription}/cancel/", json={})

    def call(self, method: str, path: str, **request: Any) -> Any:
        """A request and its JSON. Raises Refusal for any answer of 400 and above."""
        answer = self._client.request(method, path, **request)
        if answer.status_code >= 400:
            raise Refusal(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


class Shopper:
    """A customer with a browser in a partner's storefront. While it waits for a page, `meanwhile` is called."""

    def __init__(self, world: World, host: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._meanwhile = meanwhile
        self._client = httpx.Client(
            base_url=_direct(world.base_url),
            headers={"Host": _host(world, host)},
            timeout=TIMEOUT,
            trust_env=False,
        )
        self._cookies: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self._client.close()

    def buy(self, offer: int, *, email: str, phone: str, name: str) -> str:
        """Fills in the checkout; returns the address of the gateway's page."""
        page = self._request("GET", f"/checkout/{offer}/")
        form = _fields(page.text) | {"email": email, "phone": phone, "name": name}
        form |= {"recurring": "on", "terms": "on"}
        answer = self._request("POST", f"/checkout/{offer}/", data=form)
        if answer.status_code != 302:
            raise Refusal(f"checkout of {offer}: {answer.status_code}")
        return self._to_gateway(answer.headers["location"])

    def _to_gateway(self, path: str) -> str:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            answer = self._request("GET", path)
            if answer.status_code == 302:
                return answer.headers["location"]
            self._meanwhile()
            time.sleep(0.2)
        raise Refusal("the gateway has given no page")

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        # Kept by hand: an address of 127.0.0.1 with another Host would not get the host's cookies back.
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        answer = self._client.request(
            method, path, headers={"Cookie": cookies} if cookies else None, **request
        )
        if answer.status_code >= 400 and method == "GET":
            raise Refusal(f"{path}: {answer.status_code}")
        self._cookies.update(answer.cookies.items())
        for line in answer.headers.get_list("set-cookie"):
            name, _equals, value = line.split(";", 1)[0].partition("=")
            self._cookies[name] = value
        return answer


def _fields(page: str) -> dict[str, str]:
    """Hidden fields of a page's form by name."""
    found = {}
    for tag in _FIELD.findall(page):
        given = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if given.get("type") == "hidden" and "name" in given:
            found[given["name"]] = html.unescape(given.get("value", ""))
    return found


def _direct(base_url: str) -> str:
    """The loopback address itself: a subdomain of localhost is not known to every resolver."""
    parts = urlsplit(base_url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


def _host(world: World, host: str) -> str:
    port = urlsplit(world.base_url).port
    return f"{host}:{port}" if port else host
