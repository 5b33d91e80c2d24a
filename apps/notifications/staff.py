"""Letters to staff about what waits for them: to those of the partner who may act on it, once for each event."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User

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
            key=f"staff:{key}:{user.pk}",
        )
        for user in _on_duty(roles)
    ]
    return [one for one in told if one is not None]


def _on_duty(roles: Iterable[str]) -> list[User]:
    wanted = {StaffRole.Role.ADMIN.value, *roles}
    for partner in (current_partner(), None):
        held = StaffRole.objects.filter(partner=partner, role__in=wanted)
        able = User.objects.filter(pk__in=held.values("user"), is_active=True, is_staff=True)
        if found := list(able.exclude(email="").order_by("pk")):
            return found
    return []
