"""Moves a sandbox partner's clock, in steps: what is due on the way happens at its moment."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from apps.core import clock, due
from apps.core.errors import Refused
from apps.core.models import Due
from apps.partners.models import Partner

ATTEMPTS = 2
"""After which what fails stops the clock: the first failure may be a deadlock or a connection that broke."""


def move(partner: Partner, moment: datetime, *, settle: Callable[[], Any]) -> None:
    """Steps to the earliest due work, does it, calls `settle` until idle, and so on until `moment` (UTC).

    Raises Refused for a partner that is no sandbox, for a moment in its past, and where something fails that was
    due on the way (`clock_stuck`): the clock stands at its moment then, and a later move tries it again.
    """
    if not partner.is_sandbox or partner.clock_at is None:
        raise Refused("not_sandbox", _("Часы двигаются только в песочнице"), 400)
    if moment < partner.clock_at:
        raise Refused("clock_backwards", _("Часы песочницы идут только вперёд"), 400)
    walk(partner, moment, settle=settle)
    settle()


def walk(partner: Partner, moment: datetime, *, settle: Callable[[], Any]) -> None:
    """The steps themselves, for a partner whose clock is known to be its own. Raises Refused `clock_stuck`."""
    settle()
    while (step := due.next_at(partner.pk)) is not None and step <= moment:
        _set(partner, max(step, partner.clock_at or step))
        rows = due.claim(100, partner_id=partner.pk, until=partner.clock_at)
        for row in rows:
            due.run(row)
        if not rows:
            _wait(partner)
        settle()
    _set(partner, moment)


def _wait(partner: Partner) -> None:
    """What is due cannot be had: it failed and rests, or somebody else who moves the clock has it in hand."""
    mine = Due.objects.filter(partner_id=partner.pk, is_sandbox=True, due_at__lte=partner.clock_at)
    row = mine.filter(lease=None, attempts__gte=ATTEMPTS).order_by("due_at").first()
    if row is not None:
        message = _("Часы остановились: %(kind)s %(object)s не выполнено (%(error)s)")
        named = {"kind": row.kind, "object": row.object_id, "error": row.error[:200]}
        raise Refused("clock_stuck", message % named, 503)
    until = mine.order_by("leased_until").values_list("leased_until", flat=True).first()
    rest = (until - clock.wall()).total_seconds() if until else 0.0
    time.sleep(min(max(rest, 0.05), 0.5))


def _set(partner: Partner, moment: datetime) -> None:
    partner.clock_at = moment
    Partner.objects.filter(pk=partner.pk).update(clock_at=moment)
