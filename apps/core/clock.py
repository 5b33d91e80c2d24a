"""Time: the wall clock, and the clock of the current partner (a sandbox partner has one of its own)."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from apps.core.tenancy import partner_or_none


def wall() -> datetime:
    """Now, in UTC, for sessions, codes, leases and backoff."""
    return timezone.now()


def now() -> datetime:
    """Now in UTC for the current partner: periods, notices, deadlines and documents go by it."""
    partner = partner_or_none()
    return (partner and partner.clock_at) or wall()


def zone() -> ZoneInfo:
    """The current partner's time zone; the platform's own in the public schema."""
    partner = partner_or_none()
    return ZoneInfo(partner.time_zone if partner else settings.TIME_ZONE)


def local(moment: datetime) -> datetime:
    """`moment` in the current partner's time zone."""
    return moment.astimezone(zone())


def today() -> date:
    """The current partner's day."""
    return local(now()).date()
