"""A change of a tariff's price: counted before, published once, started on its day.

Subscriptions stand in the partners' schemas, above the catalogue. So each partner that sells the tariff counts its own
and moves its own, as events of its own; it writes down here what it counted. That is exact, for today's quantities,
pauses and cancellations, where the ledger would know only what was billed last.
"""

from datetime import datetime, time
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.models import Policy, PriceChange, PriceImpact, Tariff, TariffVersion
from apps.core import clock, due, events
from apps.core.errors import Refused
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import Partner

KIND = "catalog.PriceChange"
START = "catalog.price_start"
COUNT_WANTED, PUBLISHED = "catalog.PriceImpactWanted", "catalog.PriceChangePublished"


def count(change: PriceChange) -> None:
    """Has every partner that sells the tariff count whom the change touches. Safe to repeat."""
    with transaction.atomic():
        for partner in _sellers(change.tariff):
            PriceImpact.objects.update_or_create(
                change=change, partner=partner, defaults={"counted_at": None}
            )
            with in_partner(partner):
                events.publish(COUNT_WANTED, change.pk)


def publish(change_id: UUID, *, actor: str = "") -> PriceChange:
    """Makes the version; partners tell and move their subscribers. Raises Refused: `already_published`,
    `not_counted`, `same_price`, `in_the_past`.

    Two who publish at once meet at the row's lock: the second is refused.
    """
    with transaction.atomic():
        change = (
            PriceChange.objects.select_for_update(of=("self",)).select_related("tariff").get(pk=change_id)
        )
        _check(change)
        change.version = _next_version(change)
        change.published_at, change.published_by = clock.wall(), actor
        change.save(update_fields=["version", "published_at", "published_by"])
        journal.record(
            "price-change.published",
            KIND,
            change.pk,
            actor=actor,
            data={"tariff": change.tariff.code, "price": str(change.price), "policy": change.policy},
        )
        if change.effective_date <= clock.today():
            start(change.pk)
        else:
            due.schedule(START, change.pk, _midnight(change))
        for partner in _sellers(change.tariff):
            PriceImpact.objects.get_or_create(change=change, partner=partner)
            with in_partner(partner):
                events.publish(PUBLISHED, change.pk)
    return change


def start(change_id: UUID) -> None:
    """The day has come: new sales go by the new price."""
    with transaction.atomic():
        change = (
            PriceChange.objects.select_for_update(of=("self",)).select_related("tariff").get(pk=change_id)
        )
        if change.version is None or change.started_at is not None:
            return
        change.tariff.start(change.version)
        change.started_at = clock.wall()
        change.save(update_fields=["started_at"])


def open_for(tariff_id: int, newer_than: int) -> list[PriceChange]:
    """Published changes that reach subscribers of an older version of the tariff, oldest first."""
    return list(
        PriceChange.objects.filter(tariff_id=tariff_id, version__number__gt=newer_than)
        .exclude(policy=Policy.GRANDFATHER)
        .select_related("tariff", "version")
        .order_by("version__number")
    )


def note_impact(
    change_id: UUID, partner_id: int, *, subscriptions: int, old_monthly: Decimal, new_monthly: Decimal
) -> None:
    """What a partner counted."""
    with in_public():
        PriceImpact.objects.filter(change_id=change_id, partner_id=partner_id).update(
            subscriptions=subscriptions,
            old_monthly=old_monthly,
            new_monthly=new_monthly,
            counted_at=clock.wall(),
        )


def note_planned(change_id: UUID, partner_id: int, *, planned: int, is_planned: bool) -> None:
    """How many subscribers a partner has told."""
    with in_public():
        PriceImpact.objects.filter(change_id=change_id, partner_id=partner_id).update(
            planned=planned, is_planned=is_planned
        )


def _check(change: PriceChange) -> None:
    if change.is_published:
        raise Refused("already_published", _("Это изменение уже опубликовано"))
    current = Tariff.objects.select_related("current").get(pk=change.tariff_id).current
    if current is None or current.price == change.price:
        raise Refused("same_price", _("Цена и так такая: менять нечего"))
    if change.effective_date < clock.today():
        raise Refused("in_the_past", _("День, с которого действует цена, уже прошёл"))
    if change.policy == Policy.GRANDFATHER:
        return
    sellers = {partner.pk for partner in _sellers(change.tariff)}
    counted = change.impacts.filter(counted_at__isnull=False).values_list("partner_id", flat=True)
    if sellers - set(counted):
        raise Refused("not_counted", _("Ещё не посчитано, кого это затронет"))


def _next_version(change: PriceChange) -> TariffVersion:
    old = Tariff.objects.select_related("current").get(pk=change.tariff_id).current
    if old is None:
        raise ValueError("The tariff has no version")
    return change.tariff.publish(
        price=change.price,
        period_count=old.period_count,
        period_unit=old.period_unit,
        trial_days=old.trial_days,
        trial_needs_method=old.trial_needs_method,
        parameters=old.parameters,
        features=old.features,
        vat_code=old.vat_code,
        parts=old.parts(),
        currency=old.currency,
        starts=False,
    )


def _sellers(tariff: Tariff) -> list[Partner]:
    """Who sells it, or did: nobody else can have its subscribers."""
    return list(Partner.objects.filter(offers__tariff=tariff).distinct().order_by("pk"))


def _midnight(change: PriceChange) -> datetime:
    return datetime.combine(change.effective_date, time(), tzinfo=ZoneInfo(settings.TIME_ZONE))
