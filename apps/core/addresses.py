"""Where a request really comes from, when proxies stand in between."""

from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address


def of(request: HttpRequest) -> str | None:
    """The client's IP address.

    X-Forwarded-For is believed from settings.TRUSTED_PROXIES only, from its end, and as far as each hop is one of
    them: what stands left of that is whatever the client wrote.
    """
    found = _parsed(request.META.get("REMOTE_ADDR", ""))
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while found is not None and hops and _is_trusted(found):
        hop = _parsed(hops.pop())
        if hop is None:
            break
        found = hop
    return str(found) if found else None


def household(address: str) -> str:
    """What one subscriber has: an IPv4 address, or the /64 that an IPv6 provider gives to each."""
    found = ip_address(address)
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@cache
def _networks(texts: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for text in texts]


def _parsed(text: str) -> Address | None:
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found
