"""Stops of sale: staff begin and end them; those that come and go by themselves are remembered, and queued for staff.

Whether something is sold is not read from what is remembered, but from the provider and the pool (`halts`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from apps import journal
from apps.catalog.models import Cause, SalesStop, Tariff
from apps.catalog.models.stops import BY_STAFF
from apps.connectors.models import Connection
from apps.core import clock, work
from apps.core.errors import Refused

KIND = "catalog.sales_stop"
"""Of the staff's queue: a provider that does not answer; its object is `work_id`."""


def end(stop: SalesStop, *, actor: str) -> None:
    """Sells again from now on. Raises Refused `stop_over`, and `stop_by_itself` for what no person has stopped."""
    with transaction.atomic():
        row = SalesStop.objects.select_for_update().get(pk=stop.pk)
        now = clock.wall()
        if row.cause not in BY_STAFF:
            raise Refused("stop_by_itself", _("Эта остановка снимется сама, когда исчезнет причина"))
        if row.stage(now) == "over":
            raise Refused("stop_over", _("Эта остановка уже закончилась"))
        row.closed_at = now
        row.save(update_fields=["closed_at"])
        journal.record("sales-stop.ended", KIND_OF_ROW, row.pk, actor=actor)


KIND_OF_ROW = "catalog.SalesStop"


def work_id(stop: SalesStop) -> UUID:
    """How the staff's queue names a stop: its number as a UUID."""
    return UUID(int=stop.pk)


def notice_circuit(connection_id: int) -> None:
    """Remembers since when the providers of a connection do not answer, or that they do again."""
    # Of two who hear of it at once the second reads what came last.
    Connection.objects.select_for_update(no_key=True).filter(pk=connection_id).first()
    # Those that were led to another connection meanwhile, too.
    known = SalesStop.objects.filter(cause=Cause.CIRCUIT, closed_at=None).values("provider")
    providers = apps.get_model("providers.Provider")._default_manager.select_related("connection")
    for provider in providers.filter(Q(connection=connection_id) | Q(pk__in=known)):
        line: Any = provider.connection
        _notice(Cause.CIRCUIT, line.opened_at if line else None, provider=provider)


def notice_keys(pool_id: int) -> None:
    """Remembers since when a pool is empty, or that it is filled."""
    pools: Any = apps.get_model("providers.KeyPool")._default_manager
    pool = pools.select_for_update(no_key=True).filter(pk=pool_id, is_test=False).first()
    tariff = Tariff.objects.filter(code=pool.sku).first() if pool else None
    if pool is not None and tariff is not None:
        is_empty = not pool.keys.filter(state="free").exists()
        _notice(Cause.KEYS, clock.wall() if is_empty else None, tariff=tariff)


def _notice(cause: Cause, since: datetime | None, **target: Any) -> None:
    known = SalesStop.objects.filter(cause=cause, closed_at=None, **target).first()
    if since is not None and known is None:
        known = SalesStop.objects.create(cause=cause, starts_at=since, **target)
        journal.record("sales-stop.began", KIND_OF_ROW, known.pk, data={"cause": cause.value})
        if cause == Cause.CIRCUIT:
            work.open_for(None, KIND, work_id(known), _("Продажи закрыты: %s не отвечает") % known.target)
    elif since is None and known is not None:
        known.closed_at = clock.wall()
        known.save(update_fields=["closed_at"])
        journal.record("sales-stop.ended", KIND_OF_ROW, known.pk, data={"cause": cause.value})
        work.close_for(None, KIND, work_id(known))
