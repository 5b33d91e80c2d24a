"""The smallest rota: who of a partner's staff, or of the platform's, is on duty, and hears of what waits.

A shift that nobody has ended is over after `settings.SHIFT_HOURS`: a forgotten one must not keep letters from others.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps import journal
from apps.core import clock
from apps.core.errors import Refused
from apps.partners.models import Partner, Shift, StaffRole


def begin(user: User, partner: Partner | None, *, actor: str) -> None:
    """On duty from now on, at a partner or (None) at the platform; again, it begins anew. Raises Refused `no_role`."""
    if not _staff(partner).filter(pk=user.pk).exists():
        raise Refused("no_role", _("У этого сотрудника здесь нет роли"))
    with transaction.atomic():
        Shift.objects.update_or_create(user=user, partner=partner, defaults={"since": clock.wall()})
        _note("duty.begun", user, partner, actor)


def end(user: User, partner: Partner | None, *, actor: str) -> None:
    """Off duty; safe to repeat."""
    with transaction.atomic():
        if Shift.objects.filter(user=user, partner=partner).delete()[0]:
            _note("duty.ended", user, partner, actor)


def people(partner: Partner | None) -> list[tuple[User, datetime | None]]:
    """Those who have a role here, by name, and since when they are on duty."""
    since = dict(_now(partner).values_list("user", "since"))
    found = [(one, since.get(one.pk)) for one in _staff(partner)]
    return sorted(found, key=lambda pair: (pair[1] is None, pair[0].get_full_name() or pair[0].username))


def of_roles(able: list[User], partner: Partner | None, roles: Iterable[str]) -> list[User]:
    """Of those who may act, the ones to be told: who is on duty, where one of them has one of `roles` itself; all,
    where none has: an administrator on duty does not stand in for whose work it is."""
    on_duty = set(_now(partner).filter(user__in=able).values_list("user", flat=True))
    if not on_duty:
        return able
    held = StaffRole.objects.filter(partner=partner, user__in=on_duty, role__in=list(roles))
    return [one for one in able if one.pk in on_duty] if held.exists() else able


def _now(partner: Partner | None) -> QuerySet[Shift]:
    return Shift.objects.filter(
        partner=partner, since__gt=clock.wall() - timedelta(hours=settings.SHIFT_HOURS)
    )


def _staff(partner: Partner | None) -> QuerySet[User]:
    held = StaffRole.objects.filter(partner=partner).values("user")
    return User.objects.filter(pk__in=held, is_active=True, is_staff=True)


def _note(what: str, user: User, partner: Partner | None, actor: str) -> None:
    journal.record(what, "auth.User", user.pk, actor=actor, data={"partner": partner and partner.pk})
