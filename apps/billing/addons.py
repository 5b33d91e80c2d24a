"""Add-ons: sold for a running subscription, billed on its bill dates and invoices, and over with it."""

from datetime import date, timedelta

from django.utils.translation import gettext_lazy as _

from apps.billing import adjusting, engine, facts, invoices, phases, subscriptions
from apps.billing.engine import Charge
from apps.billing.models import (
    Invoice,
    PhaseKind,
    Subscription,
    SubscriptionPhase,
    SubscriptionState,
)
from apps.core import clock, events
from apps.core.errors import Refused

_S = SubscriptionState
Priced = list[tuple[Charge, SubscriptionPhase]]


def check(parent: Subscription, *, customer_id: object, count: int, unit: str) -> None:
    """Raises Refused where nothing can be added to a locked subscription: `subscription_not_live`,
    `addon_of_addon`, `addon_period_differs`, `invoice_open`; 404 where it is somebody else's."""
    if parent.customer_id != customer_id:
        raise Refused("subscription_not_found", _("Такой подписки у клиента нет"), status=404)
    if parent.parent_id:
        raise Refused("addon_of_addon", _("Дополнение подключают к основной подписке"))
    if parent.state not in {_S.TRIAL, _S.ACTIVE} or parent.cancel_at_period_end:
        raise Refused("subscription_not_live", _("Дополнение подключают к действующей подписке"))
    if (parent.period_count, parent.period_unit) != (count, unit):
        raise Refused("addon_period_differs", _("У подписки и её дополнений должен быть один период"))
    adjusting.must_be_settled(parent)


def draft(addon: Subscription, parent: Subscription, **options: object) -> Invoice:
    """The invoice of an add-on from today to where its locked parent is billed already."""
    return adjusting.draft(addon, price(addon, parent, clock.today()), **options)  # type: ignore[arg-type]


def price(addon: Subscription, parent: Subscription, start: date) -> Priced:
    """What an add-on costs from `start` to the day up to which its parent is billed: a stub, or more pieces."""
    row = phases.new(
        addon,
        kind=PhaseKind.REGULAR,
        start_date=start,
        anchor_date=parent.anchor_date,
        cycle_day=parent.cycle_day,
    )
    until = parent.billed_until or parent.anchor_date
    if until is None:
        raise ValueError("The subscription has not started")
    last = max(start, until - timedelta(days=1))
    charges = engine.charges([facts.phase_of(row)], since=start, as_of=last)
    return [(one, row) for one in charges]


def start(addon: Subscription, invoice: Invoice, method_id: object = None) -> bool:
    """The first payment of an add-on came. False where its parent has moved on meanwhile: the money goes back."""
    parent = subscriptions.locked(addon.parent_id) if addon.parent_id else None
    if parent is None or not parent.is_live or parent.cancel_at_period_end or addon.state != _S.PENDING:
        return False
    priced = price(addon, parent, invoice.business_date)
    lines = list(invoice.lines.order_by("position"))
    if [one.amount for one, _row in priced[: len(lines)]] != [line.amount for line in lines]:
        return False
    priced = priced[: len(lines)]
    row = priced[0][1]
    row.save(force_insert=True)
    adjusting.date_lines(invoice, priced)
    first, last = priced[0][0], priced[-1][0]
    addon.state = _S.ACTIVE
    addon.anchor_date, addon.cycle_day = row.anchor_date, row.cycle_day
    addon.current_period_start, addon.current_period_end = first.start, last.end
    addon.billed_until, addon.started_at, addon.method_id = last.end, clock.now(), parent.method_id
    addon.save()
    events.publish("billing.SubscriptionStarted", addon.pk, customer_id=addon.customer_id)
    return True


def drop(addon: Subscription, invoice: Invoice) -> None:
    """An add-on whose parent has moved on is not started."""
    invoices.void(invoice)
    subscriptions.end(addon, _S.ENDED, "parent")
