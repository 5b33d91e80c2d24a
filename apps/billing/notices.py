"""Notices before a charge: given days ahead, and where the rules say so, no charge without one."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.billing import dunning, letters, pay_links, periods, preview, subscriptions
from apps.billing.models import Collection, Subscription, SubscriptionState
from apps.core import bulk, clock, due, work
from apps.core.models import WorkItem
from apps.core.tenancy import current_partner
from apps.notifications.models import Message, State
from apps.payments.models import PaymentMethod
from apps.policies.dunning_models import ChargeRules

_SENT = {State.SENT, State.DELIVERED}


def notice(subscription_id: UUID) -> None:
    """Due work: tells the customer of the coming charge, once for each period."""
    with transaction.atomic():
        subscription = subscriptions.locked(subscription_id)
        is_coming = subscription.is_live and not subscription.cancel_at_period_end
        if not (is_coming and subscription.current_period_end):
            return
        is_coming = clock.today() < subscription.current_period_end
        # The letter says that the card will be charged: one that was refused will not be.
        if is_coming and dunning.usable_method(subscription) is not None:
            _tell(subscription)
        elif is_coming and subscription.state == SubscriptionState.TRIAL and subscription.method_id is None:
            letters.trial_ending(subscription, preview.preview(subscription).due)


def told(due_now: Sequence[Subscription], methods: Mapping[UUID, PaymentMethod]) -> list[Subscription]:
    """Those of locked subscriptions that may be charged today; the others wait for a notice that is old enough.

    Only what is charged by a saved method is announced, and waits. Without rules that ask for it this costs one row.
    """
    partner = current_partner()
    rules = ChargeRules.of(partner.pk) if due_now else None
    if rules is None or not rules.require_notice:
        return list(due_now)
    announced = [one for one in due_now if one.collection == Collection.CHARGE and one.method_id in methods]
    days = _told_on(announced)
    today, ready = clock.today(), []
    for one in announced:
        charge_date = _charge_date(one, days.get(one.pk), rules.notice_days, today)
        if charge_date <= today:
            ready.append(one.pk)
        else:
            due.schedule(subscriptions.RENEW, one.pk, periods.work_moment(one.pk, charge_date))
    _close(ready)
    waiting = {one.pk for one in announced} - set(ready)
    return [one for one in due_now if one.pk not in waiting]


def _charge_date(one: Subscription, message: Message | None, lead: int, today: date) -> date:
    """The first day on which it may be charged: `lead` days after it was told, tomorrow to look again."""
    told_on = _sent_on(message) if message else None
    if told_on is not None:
        return told_on + timedelta(days=lead)
    if message is None:
        charge_date = today + timedelta(days=lead)
        if _tell(one, charge_date) is not None:
            return charge_date
        work.open(subscriptions.KIND, one.pk, _("Списание ждёт: некуда отправить предупреждение"))
    elif message.state == State.FAILED:
        work.open(subscriptions.KIND, one.pk, _("Списание ждёт: предупреждение не доставлено"))
    return today + timedelta(days=1)


def _tell(subscription: Subscription, charge_date: date | None = None) -> Any:
    return letters.renewal_ahead(
        subscription,
        preview.preview(subscription).due,
        charge_date=charge_date,
        url=pay_links.to_card(subscription),
    )


def _told_on(announced: Sequence[Subscription]) -> dict[UUID, Message]:
    keys = {letters.key_of_notice(one): one.pk for one in announced}
    found = Message.objects.filter(key__in=bulk.these("varchar", keys))
    return {keys[row.key]: row for row in found.only("key", "state", "created_at", "sent_at")}


def _sent_on(message: Message) -> date | None:
    """The partner's day on which it left; None while it has not. A sandbox's clock is not that of the mail."""
    if message.state not in _SENT:
        return None
    late = message.sent_at if message.sent_at and not current_partner().is_sandbox else None
    return clock.local(max(message.created_at, late or message.created_at)).date()


def _close(keys: Sequence[UUID]) -> None:
    waited = WorkItem.objects.filter(partner_id=current_partner().pk, kind=subscriptions.KIND)
    waited.filter(object_id__in=bulk.these("uuid", keys)).delete()
