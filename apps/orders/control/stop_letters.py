"""Those on duty hear when a provider's sale closes, and when it opens again: one letter each, however many offers.

Looked at every few minutes with what stands (`alerting`): what came and went between two looks is worth no letter. To
the own staff of each partner that sells it, and once to the platform's.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.catalog.models import Cause, Offer, SalesStop
from apps.core import clock
from apps.core.tenancy import in_partner
from apps.notifications import staff
from apps.orders.control.alerting import ON_DUTY
from apps.partners.models import Partner
from apps.providers.models import Provider

PLATFORM_PAGE, PARTNER_PAGE = "/admin/catalog/salesstop/", "/admin/providers/openrequest/"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class News:
    """What closed, or opened, at one provider for one cause."""

    provider: Provider
    cause: str
    is_closed: bool
    stops: list[SalesStop] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The same for the same stops, whoever looks and however often."""
        return f"sale:{'closed' if self.is_closed else 'open'}:{self.stops[0].pk}"

    @property
    def headline(self) -> str:
        """In a line."""
        words = {
            (Cause.CIRCUIT, True): _("{name} не отвечает: продажи закрыты"),
            (Cause.CIRCUIT, False): _("{name} снова отвечает: продажи открыты"),
            (Cause.KEYS, True): _("{name}: кончились ключи, продажи закрыты"),
            (Cause.KEYS, False): _("{name}: ключи пополнены, продажи открыты"),
            (Cause.WORKS, True): _("{name}: начались плановые работы"),
            (Cause.WORKS, False): _("{name}: плановые работы закончились, продажи открыты"),
            (Cause.HAND, True): _("{name}: продажи остановлены сотрудником"),
            (Cause.HAND, False): _("{name}: продажи снова открыты"),
        }
        return words[Cause(self.cause), self.is_closed].format(name=self.provider)

    @property
    def reason(self) -> str:
        """Which tariffs, since when, until when."""
        first = self.stops[0]
        if first.tariff_id is not None:
            return "; ".join(sorted(str(one.tariff) for one in self.stops))[:300]
        if self.is_closed and first.ends_at:
            return str(_("До %s")) % f"{clock.local(first.ends_at):%d.%m.%Y %H:%M}"
        return str(_("С %s")) % f"{clock.local(first.starts_at):%d.%m.%Y %H:%M}"


def look(at: datetime | None = None) -> int:
    """Writes the letters that are due (now, or `at`); how many pieces of news there were. Safe to repeat."""
    now = at or clock.wall()
    news = _news(now)
    for one in news:
        _tell(one)
        keys = [stop.pk for stop in one.stops]
        told = {"told_at": now} if one.is_closed else {"told_open_at": now}
        SalesStop.objects.filter(pk__in=keys).update(**told)
    return len(news)


def _news(now: datetime) -> list[News]:
    stands = Q(closed_at=None) & (Q(ends_at=None) | Q(ends_at__gt=now))
    closed = Q(stands, starts_at__lte=now, told_at=None)
    opened = ~stands & Q(told_at__isnull=False, told_open_at=None)
    rows = SalesStop.objects.filter(closed | opened).exclude(provider=None, tariff=None).order_by("pk")
    found: dict[tuple[int, str, bool], News] = {}
    for stop in rows.select_related("provider", "tariff__product__provider"):
        provider = stop.provider or (stop.tariff.product.provider if stop.tariff else None)
        # What staff stop of one tariff is theirs to know.
        if provider is None or (stop.provider is None and stop.cause != Cause.KEYS):
            continue
        is_closed = stop.told_at is None
        key = provider.pk, stop.cause, is_closed
        found.setdefault(key, News(provider, stop.cause, is_closed)).stops.append(stop)
    return list(found.values())


def _tell(news: News) -> None:
    selling = list(_selling(news))
    own = staff.having_own(selling, roles=ON_DUTY)
    for partner in selling:
        if partner.pk in own:
            _write(news, partner, PARTNER_PAGE, is_platforms=False)
    if selling:
        # By the mail of one of them: the platform's people are told once.
        _write(news, selling[0], PLATFORM_PAGE, is_platforms=True)


def _write(news: News, partner: Partner, page: str, *, is_platforms: bool) -> None:
    try:
        with in_partner(partner):
            staff.alert(
                key=news.key,
                roles=ON_DUTY,
                headline=news.headline,
                reason=news.reason,
                page=page,
                is_platforms=is_platforms,
            )
    except Exception:
        _log.exception("Nobody was told of a stop of sale at %s", partner.slug)


def _selling(news: News) -> Iterable[Partner]:
    offers = Offer.objects.filter(is_on_sale=True, tariff__product__provider=news.provider)
    tariffs = [one.tariff_id for one in news.stops if one.tariff_id is not None]
    if tariffs:
        offers = offers.filter(tariff__in=tariffs)
    live = Partner.objects.filter(pk__in=offers.values("partner"), status=Partner.Status.LIVE)
    if news.cause in {Cause.CIRCUIT, Cause.KEYS}:
        # A sandbox is supplied by test connections and keys.
        live = live.filter(is_sandbox=False)
    return live.order_by("pk")
