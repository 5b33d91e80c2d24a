"""GET /healthz: whether each part of the platform works, and how far behind it is."""

import socket
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Min
from django.http import HttpRequest, JsonResponse

from apps.core import clock, wake
from apps.core.ids import made_at
from apps.core.models import Delivery, Heartbeat, WorkItem

STALE = timedelta(seconds=90)
UNSETTLED = ("payments.payment", "payments.refund", "orders.Fulfilment", "notifications.Message")
ASK_BROKER_EVERY = 3.0
"""Seconds: a connection to the broker costs more than the rest of the answer."""
_broker = (0.0, "")


def healthz(request: HttpRequest) -> JsonResponse:
    """200 with each part's state, 503 where one of them does not work. Seconds for lags.

    `?part=web&part=database`: only these count, as for a balancer that asks whether to send customers here.
    """
    wanted = request.GET.getlist("part")
    try:
        parts, lags = _parts(wanted), _lags()
    except DatabaseError as error:
        return JsonResponse({"status": "down", "parts": {"database": type(error).__name__}}, status=503)
    healthy = all(state == "ok" for state in parts.values()) and set(wanted) <= set(parts)
    body = {"status": "ok" if healthy else "down", "parts": parts, **lags}
    return JsonResponse(body, status=200 if healthy else 503)


def _parts(wanted: list[str]) -> dict[str, str]:
    seen = dict(Heartbeat.objects.values_list("part", "seen_at"))
    alive = clock.wall() - STALE
    states = {"database": "ok", "web": "ok"}
    for part in ("worker", "lanes", "beat"):
        states[part] = "ok" if part in seen and seen[part] > alive else "silent"
    if settings.BROKER_URL and (not wanted or "broker" in wanted):
        states["broker"] = _broker_state()
    if settings.INTAKE_URL and (not wanted or "intake" in wanted):
        states["intake"] = "ok" if _is_well(f"{settings.INTAKE_URL}/healthz") else "silent"
    # Simulators, which only a sandbox has.
    for name, url in settings.SANDBOX_URLS.items():
        if url and (not wanted or name in wanted):
            states[name] = "ok" if _accepts(url) else "silent"
    return {part: state for part, state in states.items() if not wanted or part in wanted}


def _broker_state() -> str:
    global _broker
    asked, state = _broker
    if not state or time.monotonic() - asked > ASK_BROKER_EVERY:
        state = "ok" if wake.broker_answers() else "silent"
        _broker = (time.monotonic(), state)
    return state


def _is_well(url: str) -> bool:
    try:
        return httpx.get(url, timeout=4, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _accepts(url: str) -> bool:
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname or "", address.port or 80), timeout=1):
            return True
    except OSError:
        return False


def _lags() -> dict[str, Any]:
    now = clock.wall()
    oldest_event = Delivery.objects.aggregate(at=Min("event__occurred_at"))["at"]
    # A payment, refund or delivery that nobody could settle yet stands in the queue under these kinds. It has been
    # unknown for longer than it stands there: its key tells since when.
    waiting = WorkItem.objects.filter(kind__in=UNSETTLED).order_by("object_id")
    oldest = waiting.values_list("object_id", flat=True).first()
    return {
        "outbox_lag_seconds": _age(now, oldest_event),
        "oldest_unknown_seconds": _age(now, oldest and made_at(oldest)),
    }


def _age(now: Any, moment: Any) -> float:
    return max(0.0, round((now - moment).total_seconds(), 1)) if moment else 0.0
