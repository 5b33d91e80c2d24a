"""Why a tariff is not sold just now, or is delivered late: one expression for all who sell, and the words for it.

Nothing is kept of it: a provider whose breaker is open, an empty pool, a time of works are asked about where offers
are read, so that they close within a second and open by themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import CharField, F, Func, Value, prefetch_related_objects
from django.utils.translation import gettext as _

from apps.catalog.models.stops import Cause, SalesStop
from apps.catalog.models.tariffs import BundlePart, Tariff
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import current_partner, current_partner_id, partners

if TYPE_CHECKING:
    from apps.catalog.models.offers import Offer

LATE = "late"
"""It is sold all the same, and delivered by the moment that is promised."""


def halt_of(is_sandbox: Any, at: Any = None) -> Func:
    """For offers: the `Cause` for which one is closed, LATE, or null where it is sold as always, now or `at` a moment.

    A bundle is as the worst of its parts. The database's function keeps its plans: written out, the query of a
    purchase took ten times as long to plan as to run.
    """
    return Func(
        F("tariff_id"),
        Value(is_sandbox) if isinstance(is_sandbox, bool) else is_sandbox,
        Value(clock.wall()) if at is None else at,
        function="public.catalog_halt",
        output_field=CharField(null=True),
    )


def is_sandbox(partner_id: int) -> bool:
    """Whether a partner sells what is supplied through test connections."""
    if partner_id == current_partner_id():
        return current_partner().is_sandbox
    return bool(partners().filter(pk=partner_id, is_sandbox=True).exists())


# -- in words --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Halt:
    """What a buyer is told of an offer that is closed for a while, or delivered late."""

    cause: str
    until: datetime | None = None
    """When it is expected to be sold again; None where nobody knows."""
    promised_at: datetime | None = None
    """By when it is delivered to who orders it all the same; None where it is not sold."""
    message: str = ""
    """What staff have written for buyers."""

    @property
    def is_closed(self) -> bool:
        return bool(self.cause) and self.promised_at is None

    @property
    def state(self) -> str:
        """`stopped`, `late` or `open`."""
        if not self.cause:
            return "open"
        return "stopped" if self.is_closed else LATE

    @property
    def words(self) -> str:
        """For the buyer, in their language and the partner's time zone."""
        if self.message or not self.cause:
            return self.message
        if self.promised_at is not None:
            return _("Выдача задерживается: обещаем до %s") % _at(self.promised_at)
        if self.until is not None:
            return _("Временно не продаётся, ожидаем %s") % _at(self.until)
        return _("Временно не продаётся, скоро вернётся")


OPEN = Halt("")
"""Of an offer that is sold as always."""


def explain(offers: "Iterable[Offer]") -> "dict[int, Halt]":
    """By offer what halts it, of those that were read with their `halt`; no query where none is halted."""
    halted = [one for one in offers if one.halt]
    if not halted:
        return {}
    now = clock.wall()
    prefetch_related_objects(halted, "tariff__product__provider")
    parts = BundlePart.objects.filter(version__in={one.tariff.current_id for one in halted})
    by_version: dict[int, list[Tariff]] = {}
    for part in parts.select_related("tariff__product__provider"):
        by_version.setdefault(part.version_id, []).append(part.tariff)
    stops = list(SalesStop.objects.in_force(now).order_by(F("ends_at").desc(nulls_first=True)))
    return {
        one.pk: _halt(
            str(one.halt), [one.tariff, *by_version.get(one.tariff.current_id or 0, [])], stops, now
        )
        for one in halted
    }


def _halt(cause: str, tariffs: list[Tariff], stops: list[SalesStop], now: datetime) -> Halt:
    wanted = (Cause.WORKS,) if cause == LATE else (cause,)
    stop = next((one for one in stops if one.cause in wanted and any(_is_of(one, t) for t in tariffs)), None)
    until = stop.ends_at if stop else None
    promised_at = (until or now) + timedelta(hours=_hours(tariffs)) if cause == LATE else None
    return Halt(cause, until, promised_at, str(stop.message) if stop else "")


def _is_of(stop: SalesStop, tariff: Tariff) -> bool:
    wanted = (tariff.product.provider_id, tariff.product_id, tariff.pk)
    given = (stop.provider_id, stop.product_id, stop.tariff_id)
    return any(mine is not None and mine == its for mine, its in zip(given, wanted, strict=True))


def _hours(tariffs: list[Tariff]) -> int:
    return max((t.product.provider.promise_hours for t in tariffs if t.product.provider), default=24)


def promise(offer: "Offer") -> datetime | None:
    """By when an offer that was read with its `halt` is delivered, where that is late; no query where it is not."""
    if offer.halt != LATE:
        return None
    return explain([offer])[offer.pk].promised_at


def check(offer: "Offer") -> None:
    """Raises Refused `offer_stopped`, with `until`, where an offer that was read with its `halt` is closed."""
    halt = explain([offer]).get(offer.pk)
    if halt is not None and halt.is_closed:
        until = halt.until.isoformat() if halt.until else None
        raise Refused("offer_stopped", halt.words, status=409, until=until)


def _at(moment: datetime) -> str:
    local: Any = clock.local(moment)
    return f"{local:%d.%m.%Y %H:%M}"
