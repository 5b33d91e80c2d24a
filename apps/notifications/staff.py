"""Letters to staff about what waits for them: to those of the partner who may act on it, once for each event."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from apps.core import ids
from apps.core.tenancy import current_partner
from apps.notifications.models import Message
from apps.notifications.outbox import send
from apps.partners.models import StaffRole


def alert(
    *,
    key: str,
    roles: Iterable[str],
    headline: str,
    page: str,
    reason: str = "",
    amount: Any = "",
    deadline: Any = "",
) -> list[Message]:
    """Writes to each member of staff with one of `roles` (or an administrator), in the caller's transaction.

    To the current partner's own staff; where it has none of them, to the operator's. `page` is a path in the
    partner's console. The same `key` again writes to nobody twice. Who has no e-mail is passed over.
    """
    partner = current_partner()
    told = [
        send(
            "staff_alert",
            to_email=user.email,
            customer_id=None,
            context={
                "headline": headline,
                "page_url": partner.url(page),
                "reason": reason,
                "amount": amount,
                "deadline": deadline,
            },
            key=_key(key, user),
        )
        for user in _on_duty(roles)
    ]
    return [one for one in told if one is not None]


def was_told(keys: Iterable[str], *, roles: Iterable[str], since: datetime) -> bool:
    """Whether `alert` wrote with one of `keys` to any of these people after `since` (wall clock)."""
    asked = [_key(key, user) for user in _on_duty(roles) for key in keys]
    found = Message.objects.filter(key__in=asked).values_list("pk", flat=True)
    return any(ids.made_at(one) > since for one in found)


def _key(key: str, user: User) -> str:
    return f"staff:{key}:{user.pk}"


def _on_duty(roles: Iterable[str]) -> list[User]:
    wanted = {StaffRole.Role.ADMIN.value, *roles}
    for partner in (current_partner(), None):
        held = StaffRole.objects.filter(partner=partner, role__in=wanted)
        able = User.objects.filter(pk__in=held.values("user"), is_active=True, is_staff=True)
        if found := list(able.exclude(email="").order_by("pk")):
            return found
    return []
