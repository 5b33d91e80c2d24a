"""Letters to staff about what waits for them: to those of the partner who may act on it, once for each event."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from apps.core import ids, links
from apps.core.tenancy import current_partner
from apps.notifications.models import Message
from apps.notifications.outbox import send
from apps.partners import duty
from apps.partners.models import Partner, StaffRole


def alert(
    *,
    key: str,
    roles: Iterable[str],
    headline: str,
    page: str,
    reason: str = "",
    amount: Any = "",
    deadline: Any = "",
    is_platforms: bool = False,
) -> list[Message]:
    """Writes to each member of staff with one of `roles` (or an administrator), in the caller's transaction.

    To the current partner's own staff; where it has none of them, or `is_platforms`, to the operator's: of them to
    those on duty (`partners.duty`), where one of these roles is, else to all. `page` is a path in the partner's
    console, then in the platform's. The same `key` again writes to nobody twice. Who has no
    e-mail is passed over.
    """
    partner = current_partner()
    told = [
        send(
            "staff_alert",
            to_email=user.email,
            customer_id=None,
            context={
                "headline": headline,
                "page_url": links.public_url(page) if is_platforms else partner.url(page),
                "reason": reason,
                "amount": amount,
                "deadline": deadline,
            },
            key=_key(key, user),
        )
        for user in (_to_be_told(None, list(roles)) if is_platforms else _on_duty(roles))
    ]
    return [one for one in told if one is not None]


def was_told(keys: Iterable[str], *, roles: Iterable[str], since: datetime) -> bool:
    """Whether `alert` wrote with one of `keys` to any of these people after `since` (wall clock)."""
    asked = [_key(key, user) for user in _on_duty(roles) for key in keys]
    found = Message.objects.filter(key__in=asked).values_list("pk", flat=True)
    return any(ids.made_at(one) > since for one in found)


def _key(key: str, user: User) -> str:
    return f"staff:{key}:{user.pk}"


def having_own(partners: Iterable[Partner], *, roles: Iterable[str]) -> set[int]:
    """Of these partners, the ids of those whose own staff `alert` would write to."""
    held = StaffRole.objects.filter(
        partner__in=[one.pk for one in partners],
        role__in={StaffRole.Role.ADMIN.value, *roles},
        user__is_active=True,
        user__is_staff=True,
    )
    return set(held.exclude(user__email="").values_list("partner", flat=True).distinct())


def _on_duty(roles: Iterable[str]) -> list[User]:
    roles = list(roles)
    return _to_be_told(current_partner(), roles) or _to_be_told(None, roles)


def _to_be_told(partner: Partner | None, roles: list[str]) -> list[User]:
    return duty.of_roles(_able(partner, roles), partner, roles)


def _able(partner: Partner | None, roles: Iterable[str]) -> list[User]:
    held = StaffRole.objects.filter(partner=partner, role__in={StaffRole.Role.ADMIN.value, *roles})
    able = User.objects.filter(pk__in=held.values("user"), is_active=True, is_staff=True)
    return list(able.exclude(email="").order_by("pk"))
