"""GET /healthz: whether each part of the platform works, and how far behind it is."""

from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models import Min
from django.http import HttpRequest, JsonResponse

from apps.core import clock
from apps.core.models import Delivery, Heartbeat, WorkItem

STALE = timedelta(seconds=90)
UNSETTLED = ("payments.payment", "payments.refund", "orders.Fulfilment", "notifications.Message")


def healthz(request: HttpRequest) -> JsonResponse:
    """200 with each part's state, 503 where one of them does not work. Seconds for lags."""
    try:
        parts, lags = _parts(), _lags()
    except DatabaseError as error:
        return JsonResponse({"status": "down", "parts": {"database": type(error).__name__}}, status=503)
    healthy = all(state == "ok" for state in parts.values())
    body = {"status": "ok" if healthy else "down", "parts": parts, **lags}
    return JsonResponse(body, status=200 if healthy else 503)


def _parts() -> dict[str, str]:
    seen = dict(Heartbeat.objects.values_list("part", "seen_at"))
    alive = clock.wall() - STALE
    states = {"database": "ok", "web": "ok"}
    for part in ("worker", "beat"):
        states[part] = "ok" if part in seen and seen[part] > alive else "silent"
    return states


def _lags() -> dict[str, Any]:
    now = clock.wall()
    oldest_event = Delivery.objects.aggregate(at=Min("event__occurred_at"))["at"]
    # A payment, refund or delivery that nobody could settle yet stands in the queue under these kinds.
    waiting = WorkItem.objects.filter(kind__in=UNSETTLED)
    oldest = waiting.aggregate(at=Min("opened_at"))["at"]
    return {
        "outbox_lag_seconds": _age(now, oldest_event),
        "oldest_unknown_seconds": _age(now, oldest),
    }


def _age(now: Any, moment: Any) -> float:
    return max(0.0, round((now - moment).total_seconds(), 1)) if moment else 0.0
