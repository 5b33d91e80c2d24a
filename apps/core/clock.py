"""Time: the wall clock, and the clock of the current partner (a sandbox partner has one of its own)."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from apps.core.tenancy import current_partner, current_partner_id


def wall() -> datetime:
    """Now, in UTC, for sessions, codes, leases and backoff."""
    return timezone.now()


def now() -> datetime:
    """Now in UTC for the current partner: periods, notices, deadlines and documents go by it."""
    if current_partner_id() is None:
        return wall()
    return current_partner().clock_at or wall()


def zone() -> ZoneInfo:
    """The current partner's time zone; the platform's own in the public schema."""
    return ZoneInfo(settings.TIME_ZONE if current_partner_id() is None else current_partner().time_zone)


def local(moment: datetime) -> datetime:
    """`moment` in the current partner's time zone."""
    return moment.astimezone(zone())


def today() -> date:
    """The current partner's day."""
    return local(now()).date()
