"""What stands too long is told by e-mail to those on duty: one letter for each cause in an hour, however many stand.

One query over the public table of open requests, so that a look costs the same for thousands of partners.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.connectors.models import Connection
from apps.core import clock
from apps.core.money import Money
from apps.core.tenancy import in_partner
from apps.notifications import staff
from apps.orders.models import FulfilmentState
from apps.partners.models import Partner, StaffRole
from apps.providers.models import Provider

STANDS = timedelta(minutes=30)
"""After which what no person holds back is told of."""
DOWN = timedelta(minutes=5)
"""The same of a provider that is known not to answer."""
AGAIN = timedelta(hours=1)
"""The same cause is told of no sooner."""
ON_DUTY = (StaffRole.Role.MANAGER.value, StaffRole.Role.SUPPORT.value)
_F = FulfilmentState
_HELD_BACK = (_F.HELD, _F.INFORMATION_REQUIRED)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Cause:
    """What stands at one partner for one reason."""

    partner_id: int
    provider_id: int | None
    connection_id: int | None
    is_with_staff: bool
    since: datetime
    count: int = 0
    sums: list[Money] = field(default_factory=list)


def look(at: datetime | None = None) -> int:
    """Writes the letters that are due (now, or `at`), at all partners; how many causes were told of. Safe to repeat.

    A partner whose letters cannot be written is logged and holds back nobody else's.
    """
    now, told = at or clock.wall(), 0
    causes = _causes(now)
    partners = Partner.objects.in_bulk({one.partner_id for one in causes})
    names = Provider.objects.in_bulk({one.provider_id for one in causes if one.provider_id})
    lines = Connection.objects.in_bulk({one.connection_id for one in causes if one.connection_id})
    for one in causes:
        if partner := partners.get(one.partner_id):
            name = str(names.get(one.provider_id or 0) or _("Без поставщика"))
            try:
                with in_partner(partner):
                    told += _tell(one, name, lines.get(one.connection_id or 0), now)
            except Exception:
                _log.exception("Nobody was told of what stands at %s", partner.slug)
    return told


def _causes(now: datetime) -> list[Cause]:
    given: dict[str, Any] = {
        "held_back": list(_HELD_BACK),
        "staff": _F.NEEDS_STAFF,
        "with_staff": now - timedelta(minutes=settings.STAFF_WAIT_MINUTES),
        "stands": now - STANDS,
        "down": now - DOWN,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, given)
        return _together(cursor.fetchall())


# Pieces of one item share what was paid for it. What is behind a shut breaker is told of sooner.
_STANDING = """
SELECT partner_id, provider_id, connection_id, is_with_staff, currency, count(DISTINCT what), sum(amount), min(since)
FROM (
    SELECT held.partner_id, held.provider_id, held.connection_id, held.state = %(staff)s AS is_with_staff,
        held.currency, COALESCE(held.order_id, held.invoice_id, held.request_id) AS what, held.amount,
        min(held.opened_at) AS since
    FROM public.providers_openrequest held
    LEFT JOIN public.connectors_connection line ON line.id = held.connection_id
    WHERE held.opened_at < %(down)s AND held.state <> ALL(%(held_back)s) AND CASE
        WHEN held.state = %(staff)s THEN held.opened_at < %(with_staff)s
        ELSE line.opened_at IS NOT NULL OR held.opened_at < %(stands)s END
    GROUP BY 1, 2, 3, 4, 5, 6, 7, COALESCE(held.item_id, held.invoice_id, held.request_id)
) AS late
GROUP BY 1, 2, 3, 4, 5 ORDER BY 8
"""


def _together(
    rows: Iterable[tuple[int, int | None, int | None, bool, str, int, Decimal, datetime]],
) -> list[Cause]:
    """A cause has one letter, whatever currencies its orders are in."""
    found: dict[tuple[int, int | None, int | None, bool], Cause] = {}
    for partner, provider, line, is_with_staff, currency, count, amount, since in rows:
        key = partner, provider, line, is_with_staff
        cause = found.setdefault(key, Cause(*key, since))
        cause.count += count
        cause.sums.append(Money(amount, currency))
    return list(found.values())


def _tell(one: Cause, name: str, line: Connection | None, now: datetime) -> bool:
    stand = ngettext("стоит %d заказ", "стоит %d заказов", one.count) % one.count
    if one.is_with_staff:
        headline, cause = _("%(name)s: ждут сотрудника, %(stand)s"), "staff"
    elif line is not None and line.opened_at is not None:
        headline, cause = _("%(name)s не отвечает, %(stand)s"), "down"
    else:
        headline, cause = _("%(name)s: %(stand)s дольше обычного"), "stands"
    # Each letter has the hour in its key, so that two who look at once write one; that of the hour before may be
    # some minutes old.
    this, before = (
        f"board:{cause}:{one.provider_id}:{one.connection_id}:{hour:%Y%m%d%H}" for hour in (now, now - AGAIN)
    )
    if staff.was_told((this, before), roles=ON_DUTY, since=now - AGAIN):
        return False
    sent = staff.alert(
        key=this,
        roles=ON_DUTY,
        headline=headline % {"name": name, "stand": stand},
        page="/admin/providers/openrequest/",
        reason=_("Самый старый с %s") % f"{clock.local(one.since):%d.%m.%Y %H:%M}",
        amount=", ".join(str(money) for money in one.sums),
    )
    return bool(sent)
