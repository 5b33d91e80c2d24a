"""Bill dates of a subscription, and the moment of the day at which its work is done."""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from apps.billing.proration import add_months
from apps.core import clock

_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}
_EIGHT_O_CLOCK = 8 * 3600
_TWELVE_HOURS = 12 * 3600
NOTICE = timedelta(days=3)
"""How long before a charge the customer is told of it, where no rules say otherwise (reference/law.md, 2)."""


def period_end(*, anchor: date, start: date, count: int, unit: str) -> date:
    """The first day after the period that starts on `start`; months keep the day of `anchor` (31, 28, 31).

    `start` is a bill date of the subscription. Raises KeyError for an unknown unit.
    """
    if unit in _DAYS:
        return start + timedelta(days=count * _DAYS[unit])
    return add_months(start, count * _MONTHS[unit], anchor.day)


def midnight(day: date) -> datetime:
    """The first moment of a day in the partner's zone, in UTC."""
    return datetime.combine(day, time(), tzinfo=clock.zone()).astimezone(UTC)


def work_moment(subscription_id: UUID, day: date) -> datetime:
    """When on `day` this subscription's charge or notice falls, in UTC: 08:00-20:00, always the same time.

    A stable hash of the id spreads a partner's subscriptions over the day.
    """
    digest = hashlib.sha256(subscription_id.bytes).digest()
    seconds = _EIGHT_O_CLOCK + int.from_bytes(digest[:8]) % _TWELVE_HOURS
    moment = datetime.combine(day, time(seconds // 3600, seconds % 3600 // 60, seconds % 60), clock.zone())
    return moment.astimezone(UTC)


def notice_moment(subscription_id: UUID, charge_day: date, lead: timedelta = NOTICE) -> datetime:
    """When the customer is told of the charge on `charge_day`: so long before it or a little more."""
    charge = work_moment(subscription_id, charge_day)
    return min(work_moment(subscription_id, charge_day - lead), charge - lead)
