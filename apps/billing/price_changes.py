"""A new price reaches those who have subscribed: told first, moved at a bill date, or asked and moved if they agree."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.billing import facts, letters, periods, phases, run, subscriptions
from apps.billing.models import (
    LIVE,
    OPEN_CONSENT,
    RUNNING,
    ConsentState,
    PhaseKind,
    PriceConsent,
    Subscription,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.catalog import price_changes as catalogue
from apps.catalog.models import Offer, Policy, PriceChange, TariffVersion
from apps.core import bulk, clock, due, events, gather
from apps.core.errors import Refused
from apps.core.models import Event
from apps.core.money import Money, rounded
from apps.core.tenancy import current_partner, current_partner_id

IMPACT, PLAN, CHECK = "billing.price_impact", "billing.price_plan", "billing.price_check"
BATCH, PER_TASK = 100, 2000
"""Subscriptions in one transaction, and in one piece of due work."""
LEAST_TO_ANSWER = 3
"""Days that a customer has for an answer at least."""
_DAYS = {"day": Decimal(1), "week": Decimal(7)}
_MONTHS = {"month": Decimal(1), "year": Decimal(12)}
_DAYS_IN_MONTH = Decimal("30.4375")
_C = ConsentState


def touched(change: PriceChange) -> QuerySet[Subscription]:
    """Those who are billed by an older version of the tariff, and would pay another price by the new one.

    Whose offer has a price of its own pays that, whatever the tariff costs.
    """
    older = TariffVersion.objects.filter(tariff_id=change.tariff_id)
    if change.version is not None:
        older = older.filter(number__lt=change.version.number)
    own_price = Offer.objects.filter(
        partner_id=current_partner().pk, tariff_id=change.tariff_id, price__isnull=False
    )
    return (
        Subscription.objects.filter(
            state__in=RUNNING,
            cancel_at_period_end=False,
            tariff_version_id__in=list(older.values_list("pk", flat=True)),
        )
        .exclude(offer_id__in=list(own_price.values_list("pk", flat=True)))
        .exclude(price=change.price)
    )


@events.on(catalogue.COUNT_WANTED)
def count_impact(event: Event) -> None:
    due.schedule(IMPACT, event.object_id, clock.wall(), wall=True)


@events.on(catalogue.PUBLISHED)
def plan_change(event: Event) -> None:
    due.schedule(PLAN, event.object_id, clock.wall(), wall=True)


@due.task(IMPACT)
def impact(change_id: UUID) -> None:
    """Counts for the console whom an unpublished change touches here, and what a month brings before and after."""
    change = PriceChange.objects.select_related("version").filter(pk=change_id).first()
    if change is None or change.is_published:
        return
    number, old, new = 0, Decimal(0), Decimal(0)
    if change.policy != Policy.GRANDFATHER:
        rows = touched(change).values("price", "quantity", "period_count", "period_unit")
        for row in rows.annotate(number=Count("pk")).order_by():
            pieces = row["number"] * row["quantity"]
            per_month = _per_month(row["period_count"], row["period_unit"])
            number += row["number"]
            old += row["price"] * pieces * per_month
            new += change.price * pieces * per_month
    catalogue.note_impact(
        change.pk,
        current_partner().pk,
        subscriptions=number,
        old_monthly=rounded(old),
        new_monthly=rounded(new),
    )


@due.task(PLAN)
def plan(change_id: UUID) -> None:
    """Tells everybody touched, and writes down their new terms. Safe to repeat: each is planned once."""
    change = PriceChange.objects.select_related("version", "tariff").get(pk=change_id)
    if not change.is_published or change.policy == Policy.GRANDFATHER:
        return
    left = touched(change).exclude(price_consents__change_id=change.pk)
    keys = list(left.order_by("pk").values_list("pk", flat=True)[:PER_TASK])
    for start in range(0, len(keys), BATCH):
        with transaction.atomic():
            for one in facts.load(run.lock(keys[start : start + BATCH])):
                _plan(change, one)
    told = PriceConsent.objects.filter(change_id=change.pk).exclude(state=_C.VOID).count()
    done = len(keys) < PER_TASK
    catalogue.note_planned(change.pk, current_partner().pk, planned=told, is_planned=done)
    if not done:
        raise due.Retry(clock.wall())


def follow(subscription_ids: Iterable[UUID]) -> None:
    """After a start, a resumption or a change of terms: what is planned fits again, what was missed is planned."""
    with transaction.atomic():
        held = subscriptions.locked_many(subscription_ids)
        for consent in _locked_consents(held):
            _fit(held[consent.subscription_id], consent)
        versions = TariffVersion.objects.in_bulk({one.tariff_version_id for one in held.values()})
        for subscription in held.values():
            if subscription.state in RUNNING and not subscription.cancel_at_period_end:
                _catch_up(subscription, versions[subscription.tariff_version_id])


def _catch_up(subscription: Subscription, version: TariffVersion) -> None:
    changes = gather.once(
        ("price_changes", version.pk), lambda: catalogue.open_for(version.tariff_id, version.number)
    )
    for change in changes:
        if touched(change).filter(pk=subscription.pk).exists():
            [one] = facts.load([subscription])
            _plan(change, one)


@events.on_many("billing.SubscriptionStarted")
@events.on_many("billing.SubscriptionResumed")
@events.on_many("billing.SubscriptionChanged")
def terms_moved(told: Sequence[Event]) -> None:
    follow({one.object_id for one in told})


@due.task(CHECK)
def check(consent_id: UUID) -> None:
    """The day before the new price: who was asked and did not agree is not renewed; what does not fit any more goes."""
    with transaction.atomic():
        owner = PriceConsent.objects.values_list("subscription_id", flat=True).get(pk=consent_id)
        subscription = subscriptions.locked_with_parent(owner)
        consent = PriceConsent.objects.select_for_update(no_key=True).get(pk=consent_id)
        _fit(subscription, consent)
        if consent.state != _C.WAITING or clock.today() < consent.deadline:
            return
        _close(consent, _C.LAPSED)
        if subscription.state in LIVE and not subscription.cancel_at_period_end:
            subscriptions.cancel(subscription, actor="price-change")
        elif subscription.state == SubscriptionState.PAUSED:
            # It is asked anew when it goes on.
            _close(consent, _C.VOID)
        elif subscription.state in RUNNING:
            # Nothing runs that could be cancelled at its end: it ends when it would be billed again.
            subscription.end_date = consent.effective_date
            subscription.save(update_fields=["end_date"])


def answer(consent_id: UUID, *, agrees: bool, ip: str | None = None, user_agent: str = "") -> PriceConsent:
    """The customer agrees, or does not: then nothing is renewed. Safe to repeat. Raises Refused `consent_closed`."""
    with transaction.atomic():
        owner = PriceConsent.objects.values_list("subscription_id", flat=True).get(pk=consent_id)
        subscription = subscriptions.locked_with_parent(owner)
        consent = PriceConsent.objects.select_for_update(no_key=True).get(pk=consent_id)
        wanted = _C.GIVEN if agrees else _C.REFUSED
        if consent.state == wanted:
            return consent
        if consent.state != _C.WAITING or clock.today() >= consent.deadline:
            raise Refused("consent_closed", _("Ответить уже нельзя: срок прошёл или подписка изменилась"))
        consent.answered_at, consent.ip, consent.user_agent = clock.now(), ip, user_agent[:300]
        if agrees:
            [one] = facts.load([subscription])
            consent.phase = _write_phase(one, consent)
        _close(consent, wanted)
        journal.record(f"price-consent.{wanted}", subscriptions.KIND, subscription.pk, actor="customer")
        if not agrees and subscription.state in LIVE:
            subscriptions.cancel(subscription, actor="customer")
    return consent


def link(consent: PriceConsent) -> str:
    """The address of the page that asks; it opens for whoever has the letter, and only at this partner."""
    return current_partner().url(f"/price/{_signer().sign(consent.pk.hex)}/")


def of_link(token: str) -> PriceConsent | None:
    """Whom a link asks; None where it is not ours."""
    try:
        key = UUID(_signer().unsign(token))
    except (signing.BadSignature, ValueError):
        return None
    return PriceConsent.objects.select_related("subscription").filter(pk=key).first()


def _signer() -> signing.Signer:
    return signing.Signer(salt=f"billing.price:{current_partner_id()}")


def _plan(change: PriceChange, one: facts.Facts) -> None:
    """Plans one locked subscription, which may have been planned before and fallen out since."""
    subscription = one.subscription
    if not touched(change).filter(pk=subscription.pk).exists():
        # Cancelled or changed between the choice and the lock.
        return
    consent = PriceConsent.objects.filter(subscription=subscription, change_id=change.pk).first()
    if consent is not None and consent.state in OPEN_CONSENT:
        return
    consent = consent or PriceConsent(subscription=subscription, change_id=change.pk, created_at=clock.now())
    notice = max(change.notice_days, LEAST_TO_ANSWER if change.policy == Policy.WITH_CONSENT else 0)
    earliest = max(change.effective_date, clock.today() + timedelta(days=notice))
    billed = subscription.billed_until or subscription.current_period_end or earliest
    day = one.next_bill_date(max(earliest, billed))
    term = _term_on(one.terms, day)
    if change.version is None:
        raise ValueError("The change has not been published")
    consent.tariff_version_id, consent.price = change.version.pk, change.price
    consent.old_price = term.price if term else subscription.price
    consent.effective_date, consent.notice_date = day or earliest, clock.today()
    consent.phase = None
    if day is None or term is None or not _is_of(term, change) or _number_of(term) >= change.version.number:
        # It ends before, or has other terms by then, or these.
        _close(consent, _C.VOID)
        return
    asks = change.policy == Policy.WITH_CONSENT and consent.price > consent.old_price
    _supersede(subscription, change, day)
    if not asks:
        consent.phase = _write_phase(one, consent)
    _close(consent, _C.WAITING if asks else _C.NOTIFIED)
    due.schedule(CHECK, consent.pk, periods.midnight(consent.deadline))
    letters.price_change(
        subscription,
        consent,
        old=Money(consent.old_price * term.quantity, subscription.currency),
        new=Money(consent.price * term.quantity, subscription.currency),
        reason=change.note,
        url=link(consent) if asks else "",
    )
    journal.record(
        "price-change.planned", subscriptions.KIND, subscription.pk, data={"change": str(change.pk)}
    )


def _fit(subscription: Subscription, consent: PriceConsent) -> None:
    """Takes back what no longer fits a locked subscription; follows its new quantity and bill dates."""
    if consent.state not in OPEN_CONSENT:
        return
    if subscription.state not in RUNNING:
        return _void(consent)
    if clock.today() >= consent.effective_date:
        if consent.phase is not None and consent.phase.dropped_at:
            # It rested on that day: it is told anew.
            _close(consent, _C.VOID)
        return None
    [one] = facts.load([subscription])
    version = TariffVersion.objects.get(pk=consent.tariff_version_id)
    if consent.phase is not None and (copy := _copy_of(one.terms, consent)):
        # Whoever changed the terms wrote what was to come anew, with the new quantity.
        consent.phase = copy
        return consent.save()
    term = _term_on([row for row in one.terms if row.pk != consent.phase_id], consent.effective_date)
    if term is None or _tariff_of(term) != version.tariff_id or _number_of(term) >= version.number:
        # Another tariff was chosen meanwhile, or the new terms already.
        return _void(consent)
    phase = consent.phase
    if phase is not None and (phase.dropped_at or _cycle(phase) != _cycle(term)):
        _drop(phase)
        [one] = facts.load([subscription])
        day = one.next_bill_date(max(consent.effective_date, subscription.billed_until or date.min))
        if day is None:
            return _void(consent)
        consent.effective_date = day
        consent.phase = _write_phase(one, consent)
        consent.save()
        due.schedule(CHECK, consent.pk, periods.midnight(consent.deadline))
    return None


def _copy_of(terms: Iterable[SubscriptionPhase], consent: PriceConsent) -> SubscriptionPhase | None:
    for row in terms:
        same = row.kind == PhaseKind.PRICE_CHANGE and row.tariff_version_id == consent.tariff_version_id
        if same and row.start_date == consent.effective_date and row.pk != consent.phase_id:
            return row
    return None


def _cycle(row: SubscriptionPhase) -> tuple[int, date, int]:
    return row.quantity, row.anchor_date, row.cycle_day


def _write_phase(one: facts.Facts, consent: PriceConsent) -> SubscriptionPhase:
    term = _term_on(one.terms, consent.effective_date)
    if term is None:
        raise ValueError("A subscription that is billed has terms")
    return phases.add(
        one.subscription,
        kind=PhaseKind.PRICE_CHANGE,
        start_date=consent.effective_date,
        anchor_date=term.anchor_date,
        cycle_day=term.cycle_day,
        offer=Offer(pk=term.offer_id),
        version=TariffVersion.objects.get(pk=consent.tariff_version_id),
        name=term.name,
        price=consent.price,
        quantity=term.quantity,
        reason=str(_("Изменение цены тарифа")),
        actor="price-change",
    )


def _supersede(subscription: Subscription, change: PriceChange, day: date) -> None:
    """An earlier change that would come later than this one, or on its day, does not come any more."""
    for consent in _locked_consents([subscription.pk]):
        if consent.change_id != change.pk and consent.effective_date >= day:
            _void(consent)


def _locked_consents(subscription_ids: Iterable[UUID]) -> Iterable[PriceConsent]:
    wanted = bulk.these("uuid", subscription_ids)
    rows = PriceConsent.objects.select_for_update(no_key=True, of=("self",)).filter(subscription__in=wanted)
    return list(rows.filter(state__in=OPEN_CONSENT).select_related("phase").order_by("pk"))


def _void(consent: PriceConsent) -> None:
    if consent.phase is not None and clock.today() < consent.phase.start_date:
        _drop(consent.phase)
    _close(consent, _C.VOID)
    due.cancel(CHECK, consent.pk)


def _drop(phase: SubscriptionPhase) -> None:
    if phase.dropped_at is None:
        phases.drop(phase)


def _close(consent: PriceConsent, state: str) -> None:
    consent.state = state
    consent.save()


def _term_on(terms: Iterable[SubscriptionPhase], day: date | None) -> SubscriptionPhase | None:
    begun = [row for row in terms if day is not None and row.start_date <= day]
    return begun[-1] if begun else None


def _is_of(term: SubscriptionPhase, change: PriceChange) -> bool:
    return _tariff_of(term) == change.tariff_id


def _tariff_of(term: SubscriptionPhase) -> Any:
    return TariffVersion.objects.values_list("tariff_id", flat=True).get(pk=term.tariff_version_id)


def _number_of(term: SubscriptionPhase) -> int:
    return TariffVersion.objects.values_list("number", flat=True).get(pk=term.tariff_version_id)


def _per_month(count: int, unit: str) -> Decimal:
    """How many of these periods a month has."""
    if unit in _MONTHS:
        return 1 / (_MONTHS[unit] * count)
    return _DAYS_IN_MONTH / (_DAYS[unit] * count)
