"""What a member of staff may do at the partner (or the platform) that the request is about."""

from functools import cached_property
from typing import Any

from django.db.models import Q

from apps.partners.models import Partner, StaffRole


class Rights:
    """The roles of a user at a partner. The platform's own roles count at every partner."""

    def __init__(self, user: Any, partner: Partner | None) -> None:
        self.user, self.partner = user, partner

    @cached_property
    def roles(self) -> set[str]:
        """Roles in force here; a superuser has all."""
        if not (self.user.is_authenticated and self.user.is_active and self.user.is_staff):
            return set()
        if self.user.is_superuser:
            return set(StaffRole.Role.values)
        here = Q(partner=None) | Q(partner=self.partner) if self.partner else Q(partner=None)
        return set(StaffRole.objects.filter(here, user=self.user).values_list("role", flat=True))

    @cached_property
    def is_operator(self) -> bool:
        """True for the platform's own staff."""
        user = self.user
        if not (user.is_authenticated and user.is_active and user.is_staff):
            return False
        return user.is_superuser or StaffRole.objects.filter(user=user, partner=None).exists()

    def may(self, *roles: str) -> bool:
        """True where one of the roles, or the administrator's, is held."""
        return bool(self.roles & {StaffRole.Role.ADMIN.value, *roles})
