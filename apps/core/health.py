"""GET /healthz: whether each part of the platform works, and how far behind it is."""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import DatabaseError
from django.db.models import Min
from django.http import HttpRequest, JsonResponse

from apps.core import clock
from apps.core.models import Delivery, Heartbeat, WorkItem

STALE = timedelta(seconds=90)


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
    unknown = WorkItem.objects.filter(kind__contains="unknown").aggregate(at=Min("opened_at"))["at"]
    due = apps.get_model("core.Due").objects.filter(is_sandbox=False, kind="payments.sweep")
    sweeping = due.aggregate(at=Min("due_at"))["at"]
    oldest = min(filter(None, (unknown, sweeping)), default=None)
    return {
        "outbox_lag_seconds": _age(now, oldest_event),
        "oldest_unknown_seconds": _age(now, oldest),
    }


def _age(now: Any, moment: Any) -> float:
    return max(0.0, round((now - moment).total_seconds(), 1)) if moment else 0.0
