"""Days without an invoice of ours, paid elsewhere or given: there is nothing to give back for them, so terms stay."""

from datetime import date

from django.utils.translation import gettext as _

from apps.billing import phases
from apps.billing.models import PhaseKind, Subscription
from apps.core import clock
from apps.core.errors import Refused

_FREE = {PhaseKind.MOVED, PhaseKind.GIFT}


def free_until(subscription: Subscription) -> date | None:
    """The first day that we bill, while today was paid elsewhere or days that were given are still to come."""
    today = clock.today()
    phase = phases.on(subscription, today)
    now = [phase] if phase else []
    if any(one.kind in _FREE for one in [*now, *phases.to_come(subscription, today)]):
        return subscription.billed_until
    return None


def must_be_billed(subscription: Subscription) -> None:
    """Raises Refused `days_not_billed` where `free_until` says a day."""
    if day := free_until(subscription):
        text = _("Дни до {day} оплачены в прежней системе или подарены: это можно сделать с {day}")
        raise Refused("days_not_billed", text.format(day=f"{day:%d.%m.%Y}"))
