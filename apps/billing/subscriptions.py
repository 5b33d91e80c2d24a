"""A subscription's life: bought, started by its first payment, extended, cancelled and taken up again, ended."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.billing import (
    adjusting,
    bounds,
    discounts,
    facts,
    given_back,
    held,
    invoices,
    letters,
    off_invoice,
    paying,
    periods,
    phases,
    together,
)
from apps.billing.arrangements import ChangeState, SubscriptionChange
from apps.billing.dunning_results import STEP
from apps.billing.engine import Credit
from apps.billing.models import (
    LIVE,
    RUNNING,
    Collection,
    CreditReason,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoicePurpose,
    InvoiceState,
    PhaseKind,
    Subscription,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.catalog.models import Offer, TariffVersion
from apps.core import bulk, clock, due, events, gather
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.tenancy import current_partner
from apps.payments import payments
from apps.payments.models import Payment
from apps.policies.dunning_models import ChargeRules

KIND = "billing.Subscription"
RENEW, NOTICE, TRIAL_END = "billing.renew", "billing.notice", "billing.trial_end"
BEGIN, RESUME = "billing.begin", "billing.resume"
MOST_PERIODS = 120
"""Of a term."""
_S = SubscriptionState


def create(**asked: Any) -> Subscription:
    """A subscription on the terms of `version` for good, waiting for its first payment: `unsaved`, saved."""
    made = unsaved(**asked)
    gather.insert(made)
    return made


def unsaved(
    *,
    customer: Customer,
    offer: Offer,
    version: TariffVersion,
    name: str,
    quantity: int = 1,
    channel_id: UUID | None = None,
    channel_code: str = "",
    terms: dict[str, Any] | None = None,
    parent: Subscription | None = None,
    with_trial: bool = True,
    instrument: str = "",
) -> Subscription:
    """A subscription that is not written yet: to be, or only to see what it would cost.

    With `parent` it is an add-on (see `addons`). Without `with_trial` it is charged from the first day on. Where
    `terms` say `periods`, it is over after so many of them. `instrument` is how the customer has chosen to pay.
    """
    return Subscription(
        customer=customer,
        offer=offer,
        product_id=offer.tariff.product_id,
        tariff_version=version,
        legal_entity_id=current_partner().legal_entity_id,
        name=name[:300],
        quantity=quantity,
        price=offer.price_by(version),
        collection=paying.collection(customer, offer, parent, instrument),
        parent=parent,
        currency=version.currency,
        vat_code=version.vat_code,
        period_count=version.period_count,
        period_unit=version.period_unit,
        trial_days=version.trial_days if with_trial and parent is None else 0,
        channel_id=channel_id,
        channel_code=channel_code,
        terms=terms or {},
        created_at=clock.now(),
    )


def start(subscription: Subscription, invoice: Invoice, payment: Payment | None = None) -> None:
    """The first payment came, or none is needed: the first paid period begins, or the trial in front of it."""
    today = clock.today()
    is_trial = bool(subscription.trial_days)
    anchor = today + timedelta(days=subscription.trial_days)
    end = anchor if is_trial else _end_of(subscription, anchor, anchor)
    terms = []
    if is_trial:
        terms.append(
            phases.new(subscription, kind=PhaseKind.TRIAL, start_date=today, anchor_date=anchor, is_free=True)
        )
    regular = phases.new(subscription, kind=PhaseKind.REGULAR, start_date=anchor, anchor_date=anchor)
    terms.append(regular)
    if is_trial:
        # What it will cost is worked out from them right after.
        phases.write(terms)
    else:
        gather.at_end(phases.write, terms)
    subscription.state = _S.TRIAL if is_trial else _S.ACTIVE
    subscription.anchor_date, subscription.cycle_day = anchor, anchor.day
    subscription.current_period_start, subscription.current_period_end = today, end
    subscription.billed_until = end
    subscription.end_date = _end_of_term(regular, subscription.terms)
    subscription.started_at = clock.now()
    subscription.method_id = payment.method_id if payment else None
    if not gather.is_unwritten(subscription):
        gather.at_end(_write_started, [subscription])
    _give_days(subscription, invoice, terms[0], today, end)
    discounts.begin(subscription, regular)
    plan(subscription)
    events.publish("billing.SubscriptionStarted", subscription.pk, customer_id=subscription.customer_id)
    for one in together.led_by(subscription):
        if one.state == _S.PENDING:
            start(one, invoice, payment)
    if not is_trial and subscription.pk == invoice.subscription_id:
        letters.first_payment(subscription, invoice, payment)


_STARTED = (
    "state",
    "anchor_date",
    "cycle_day",
    "current_period_start",
    "current_period_end",
    "billed_until",
    "end_date",
    "started_at",
    "method",
)
_started = attrgetter("pk", *_STARTED[:-1], "method_id")


def _write_started(started: Sequence[Subscription]) -> None:
    bulk.update(Subscription, _STARTED, [_started(one) for one in started])


def _give_days(
    subscription: Subscription, invoice: Invoice, phase: SubscriptionPhase, start: date, end: date
) -> None:
    """Its lines of a first sale are of these days."""
    prefetch_related_objects([invoice], "lines")
    mine = [line for line in invoice.lines.all() if line.subscription_id == subscription.pk]
    for line in mine:
        line.phase = phase
        line.period_date, line.period_start, line.period_end = start, start, end
    gather.at_end(_write_days, [line for line in mine if not gather.is_unwritten(line)])


def _write_days(lines: Sequence[InvoiceLine]) -> None:
    rows = [(one.pk, one.phase_id, one.period_date, one.period_start, one.period_end) for one in lines]
    bulk.update(InvoiceLine, ["phase", "period_date", "period_start", "period_end"], rows)


def extend(subscription: Subscription, invoice: Invoice, payment: Payment | None = None) -> None:
    """The next period is paid."""
    woken = _wake(subscription) if subscription.state == _S.SUSPENDED else []
    for line in invoice.lines.select_related("subscription").order_by("subscription_id", "period_start"):
        key = line.subscription_id or subscription.pk
        mine = subscription if key == subscription.pk else locked(key)
        if mine.state in {_S.ENDED, _S.CANCELLED} or off_invoice.is_over(line):
            # An add-on that was cancelled while this was unpaid.
            continue
        mine.current_period_start, mine.current_period_end = line.period_start, line.period_end
        mine.state, mine.failures = _S.ACTIVE, 0
        mine.save()
    if payment and payment.method_id:
        subscription.method_id = payment.method_id
    subscription.save()
    plan(subscription)
    events.publish("billing.SubscriptionRenewed", subscription.pk, invoice_id=invoice.pk)
    for one in woken:
        events.publish("billing.SubscriptionResumed", one.pk)
    letters.renewed(subscription, invoice, payment)


def _wake(subscription: Subscription) -> list[Subscription]:
    """The suspended family; an add-on that is not on the invoice goes on with its subscription all the same."""
    addons = [one for one in locked_addons(subscription) if one.state == _S.SUSPENDED]
    for addon in addons:
        addon.state = _S.ACTIVE
        addon.save(update_fields=["state"])
    return [subscription, *addons]


def suspend(subscription: Subscription) -> None:
    """A locked subscription rests until its debt is paid, its add-ons with it."""
    for one in [subscription, *locked_addons(subscription)]:
        if one.is_live:
            one.state = _S.SUSPENDED
            one.save(update_fields=["state"])
            events.publish("billing.SubscriptionSuspended", one.pk)
    journal.record("subscription.suspended", KIND, subscription.pk)


def plan(subscription: Subscription) -> None:
    """Writes down the next charge and the notice of it; an add-on is charged with its parent."""
    if subscription.parent_id:
        return
    day = _day(subscription.current_period_end)
    if subscription.end_date and subscription.end_date <= day:
        due.schedule(RENEW, subscription.pk, periods.midnight(subscription.end_date))
        due.cancel(NOTICE, subscription.pk)
        return
    if subscription.collection == Collection.CHARGE:
        rules = gather.once("billing.charge_rules", lambda: ChargeRules.of(current_partner().pk))
        lead = timedelta(days=rules.notice_days)
        due.schedule(NOTICE, subscription.pk, periods.notice_moment(subscription.pk, day, lead))
    ahead = timedelta(days=paying.days_ahead(subscription))
    due.schedule(RENEW, subscription.pk, periods.work_moment(subscription.pk, day - ahead))


def cancel(
    subscription: Subscription, *, at_period_end: bool = True, reason: str = "", actor: str = ""
) -> Subscription:
    """Nothing is charged from now on, for it and its add-ons. Safe to repeat. `reason` is the customer's own.

    The product stays until the end of what is paid; without `at_period_end` it goes off now, and what the unused
    days cost goes back by the payment they came with. A trial that is cancelled costs nothing. A charge already on
    its way is given back when it comes. Raises Refused `subscription_not_live`.
    """
    with transaction.atomic():
        subscription = locked_with_parent(subscription.pk)
        if subscription.cancelled_at and subscription.state not in RUNNING:
            return subscription
        if subscription.cancel_at_period_end and at_period_end:
            return subscription
        if subscription.state not in RUNNING:
            raise Refused("subscription_not_live", _("Эта подписка уже не действует"))
        is_new = subscription.cancelled_at is None
        subscription.cancelled_at = subscription.cancelled_at or clock.now()
        subscription.cancel_reason = reason[:60] or subscription.cancel_reason
        stays = at_period_end and subscription.is_live and subscription.state != _S.PAST_DUE
        family = [subscription, *locked_addons(subscription)]
        for one in family:
            _stop_charges(one)
            if not stays:
                # Of money that was never taken nothing is given back.
                held.let_go(one, actor=actor)
                _give_back_unused(one, actor=actor)
            elif one is not subscription:
                # What is taken up again is billed again, add-ons as well.
                one.save(update_fields=["billed_until"])
        due.cancel(NOTICE, subscription.pk)
        _tell_cancelled(subscription, family if is_new else [], actor)
        journal.record(
            "subscription.cancelled",
            KIND,
            subscription.pk,
            actor=actor,
            data={"reason": reason, "now": not stays},
        )
        if stays:
            subscription.cancel_at_period_end = True
            subscription.save()
            off_invoice.take_off(subscription, actor=actor)
            due.schedule(RENEW, subscription.pk, periods.midnight(_day(subscription.ends_on)))
        else:
            end(subscription, _S.CANCELLED, "cancelled")
        letters.cancelled(subscription)
    return subscription


def _tell_cancelled(subscription: Subscription, family: Sequence[Subscription], actor: str) -> None:
    """`source` tells cancellations of a subscription apart, later ones greater; without it, it was cancelled before."""
    told: dict[str, Any] = {"customer_id": subscription.customer_id, "actor": actor}
    if family:
        keys = " ".join(str(one.pk) for one in family)
        told |= {"source": uuid7(), "asked_at": subscription.cancelled_at, "family": keys}
    events.publish("billing.SubscriptionCancelled", subscription.pk, **told)


def undo(subscription: Subscription, *, actor: str = "") -> None:
    """What a locked subscription was first sold for cannot be given: it is over, and never cost anything.

    All that its lines of its first invoice have left goes back by the payment it came with, whatever days have passed;
    of what was billed since, and for its add-ons, the unused days. Of one that is over already the money alone does.
    """
    is_running = subscription.state in RUNNING
    family = [subscription, *locked_addons(subscription)] if is_running else []
    for one in family:
        _stop_charges(one)
    held.let_go(subscription, actor=actor)
    _give_back_first(subscription, actor=actor)
    if not is_running:
        return
    subscription.cancelled_at = subscription.cancelled_at or clock.now()
    for one in family:
        _give_back_unused(one, actor=actor)
    data = {"reason": "not delivered", "now": True}
    journal.record("subscription.cancelled", KIND, subscription.pk, actor=actor, data=data)
    end(subscription, _S.CANCELLED, "not_delivered")
    letters.cancelled(subscription)


def _give_back_first(subscription: Subscription, *, actor: str) -> None:
    """All that is left of what it was sold for. Where nobody has paid any of that yet, there is nothing to note."""
    sold = InvoiceLine.objects.filter(subscription=subscription, invoice__purpose=InvoicePurpose.NEW)
    key = sold.order_by("invoice").values_list("invoice", flat=True).first()
    if key is None:
        return
    invoice = invoices.locked(key)
    lines = list(sold.filter(invoice=invoice).order_by("position"))
    left = given_back.left_of_lines(invoice, lines)
    back = [
        Credit(one.pk, one.period_start, one.period_end, left[one.pk])
        for one in lines
        if one.period_start and one.period_end and left[one.pk] > 0
    ]
    whole = sum((one.amount for one in back), Decimal("0.00"))
    if invoice.state == InvoiceState.OPEN and whole >= invoice.due_money.amount:
        invoices.void(invoice)
    else:
        adjusting.credit(back, reason=CreditReason.CANCELLATION, to_card=True, actor=actor)


def uncancel(subscription: Subscription, *, actor: str = "") -> Subscription:
    """Goes on as if it had not been cancelled. Raises Refused: `not_cancelled`, `period_over`."""
    with transaction.atomic():
        subscription = locked_with_parent(subscription.pk)
        if not (subscription.is_live and subscription.cancel_at_period_end):
            raise Refused("not_cancelled", _("Эта подписка не отменена"))
        if clock.today() >= _day(subscription.ends_on):
            raise Refused("period_over", _("Оплаченный период закончился: оформите подписку заново"))
        if subscription.parent and (
            subscription.parent.cancel_at_period_end or not subscription.parent.is_live
        ):
            raise Refused("parent_over", _("Основная подписка отключается: сначала возобновите её"))
        subscription.cancel_at_period_end, subscription.cancelled_at = False, None
        subscription.cancel_reason = ""
        subscription.save()
        if subscription.parent_id:
            due.cancel(RENEW, subscription.pk)
        plan(subscription)
        events.publish("billing.SubscriptionResumed", subscription.pk, customer_id=subscription.customer_id)
        journal.record("subscription.resumed", KIND, subscription.pk, actor=actor)
    return subscription


def end(subscription: Subscription, state: str, reason: str) -> None:
    """A locked subscription is over, its add-ons with it: nothing is planned any more, the product goes off."""
    for addon in locked_addons(subscription):
        end(addon, state, "parent")
    if subscription.state == _S.PENDING:
        # It was never paid for, nor were those whose money was to come with it.
        for one in together.led_by(subscription):
            if one.state == _S.PENDING:
                end(one, state, reason)
    held.let_go(subscription)
    drop_change(subscription)
    bounds.forget(subscription)
    subscription.state, subscription.end_reason, subscription.ended_at = state, reason, clock.now()
    subscription.cancel_at_period_end, subscription.resume_date = False, None
    subscription.save()
    for kind in (RENEW, NOTICE, TRIAL_END, BEGIN, RESUME, STEP):
        due.cancel(kind, subscription.pk)
    events.publish("billing.SubscriptionEnded", subscription.pk, reason=reason)


def drop_change(subscription: Subscription) -> None:
    """A change of a locked subscription that waits for money does not come; its money goes back if it comes."""
    waiting = SubscriptionChange.objects.select_for_update(no_key=True).filter(
        subscription=subscription, state=ChangeState.WAITING
    )
    for change in waiting:
        change.state, change.closed_at = ChangeState.DROPPED, clock.now()
        change.save(update_fields=["state", "closed_at"])
        for link in InvoicePayment.objects.filter(invoice=change.invoice_id, failed=False):
            link.failed = True
            link.save(update_fields=["failed"])
            payments.call_off(link.payment_id)
        events.publish("billing.ChangeDropped", subscription.pk, change_id=change.pk)


def begin(subscription_id: UUID) -> None:
    """The day of terms to come: the subscription stands on them from now on."""
    with transaction.atomic():
        subscription = locked(subscription_id)
        phase = phases.on(subscription, clock.today())
        if subscription.state in LIVE and phase is not None:
            phases.apply(subscription, phase)
            subscription.save()
            events.publish("billing.SubscriptionChanged", subscription.pk)
            plan_begin(subscription)


def plan_begin(subscription: Subscription) -> None:
    """Writes down the day of the next terms to come, if there are any that it does not show already."""
    coming = [
        one
        for one in phases.to_come(subscription, clock.today())
        if one.kind != PhaseKind.REGULAR or not phases.is_applied(subscription, one)
    ]
    if coming:
        due.schedule(BEGIN, subscription.pk, periods.midnight(coming[0].start_date))
    else:
        due.cancel(BEGIN, subscription.pk)


def locked_addons(subscription: Subscription) -> list[Subscription]:
    """What runs, or waits for its payment, on the invoices of a locked subscription; locked."""
    states = [*RUNNING, _S.PENDING]
    rows = Subscription.objects.select_for_update(no_key=True).filter(parent=subscription, state__in=states)
    return list(rows.order_by("pk"))


def locked_with_parent(subscription_id: UUID) -> Subscription:
    """`locked`, an add-on's parent before it: everybody's order."""
    parent = Subscription.objects.values_list("parent", flat=True).get(pk=subscription_id)
    if parent is not None:
        locked(parent)
    return locked(subscription_id)


def set_end_date(subscription: Subscription, *, day: date | None, actor: str = "") -> Subscription:
    """The first day after its last one, or no end. Raises Refused: `subscription_not_live`, `bad_date` (it is paid)."""
    with transaction.atomic():
        subscription = locked(subscription.pk)
        if subscription.state not in RUNNING:
            raise Refused("subscription_not_live", _("Эта подписка уже не действует"))
        if day is not None and day < _day(subscription.billed_until):
            raise Refused("bad_date", _("Эти дни уже оплачены: отмените подписку"), status=400)
        _set_end(subscription, day, 0, actor=actor)
    return subscription


def set_periods(subscription: Subscription, *, count: int, actor: str = "") -> Subscription:
    """Over after `count` periods more than are billed; a rest does not count.

    Raises Refused: `subscription_not_live`, `bad_periods`.
    """
    if not 1 <= count <= MOST_PERIODS:
        raise Refused("bad_periods", _("Периодов: от 1 до 120"), status=400)
    with transaction.atomic():
        subscription = locked(subscription.pk)
        if subscription.state not in {*LIVE, _S.SUSPENDED}:
            raise Refused("subscription_not_live", _("Срок в периодах назначают действующей подписке"))
        since = _day(subscription.billed_until)
        terms = phases.on(subscription, since)
        if terms is None:
            raise ValueError("The subscription has no terms")
        cycle = facts.cycle_of(terms)
        day = cycle.bill_date(cycle.number_on(since) + count)
        _set_end(subscription, day, count, actor=actor)
    return subscription


def _set_end(subscription: Subscription, day: date | None, count: int, *, actor: str) -> None:
    subscription.end_date, subscription.terms = day, {**subscription.terms, "periods": count}
    subscription.save(update_fields=["end_date", "terms"])
    if subscription.is_live and not subscription.cancel_at_period_end:
        plan(subscription)
    data = {"end_date": day and str(day), "periods": count}
    journal.record("subscription.term", KIND, subscription.pk, actor=actor, data=data)


def locked(subscription_id: UUID) -> Subscription:
    """The subscription as it stands now, locked: charges, cancellations and payments meet here."""
    return Subscription.objects.select_for_update(no_key=True).get(pk=subscription_id)


def locked_many(subscription_ids: Iterable[UUID]) -> dict[UUID, Subscription]:
    """`locked` for many in the order of their ids, add-ons' parents before them, their customers at hand."""
    wanted = bulk.these("uuid", subscription_ids)
    parents = Subscription.objects.filter(pk__in=wanted, parent__isnull=False).values("parent")
    list(Subscription.objects.select_for_update(no_key=True).filter(pk__in=parents).order_by("pk").only("pk"))
    rows = Subscription.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=wanted)
    return {one.pk: one for one in rows.select_related("customer").order_by("pk")}


def _day(day: date | None) -> date:
    """A day that every live subscription has: the database holds it."""
    if day is None:
        raise ValueError("The subscription has not started")
    return day


def _end_of_term(phase: SubscriptionPhase, terms: dict[str, Any]) -> date | None:
    """After how many periods it is over, where that was agreed."""
    periods_agreed = int(terms.get("periods") or 0)
    return facts.cycle_of(phase).bill_date(periods_agreed) if periods_agreed else None


def _end_of(subscription: Subscription, anchor: date, start: date) -> date:
    return periods.period_end(
        anchor=anchor, start=start, count=subscription.period_count, unit=subscription.period_unit
    )


def _void_open_renewals(subscription: Subscription) -> None:
    for invoice in subscription.invoices.select_for_update(no_key=True).filter(
        state=InvoiceState.OPEN, purpose=InvoicePurpose.RENEWAL
    ):
        invoices.void(invoice)
    subscription.billed_until = subscription.current_period_end


def _stop_charges(subscription: Subscription) -> None:
    _void_open_renewals(subscription)
    drop_change(subscription)


def _give_back_unused(subscription: Subscription, *, actor: str) -> None:
    owed = adjusting.if_ended(subscription, clock.today())
    adjusting.credit(owed.credits, reason=CreditReason.CANCELLATION, to_card=True, actor=actor)
