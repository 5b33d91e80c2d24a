"""Moves a sandbox partner's clock, in steps: what is due on the way happens at its moment."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from apps.core import due
from apps.core.errors import Refused
from apps.partners.models import Partner


def move(partner: Partner, moment: datetime, *, settle: Callable[[], Any]) -> None:
    """Steps to the earliest due work, does it, calls `settle` until idle, and so on until `moment` (UTC).

    Raises Refused for a partner that is no sandbox, and for a moment in its past.
    """
    if not partner.is_sandbox or partner.clock_at is None:
        raise Refused("not_sandbox", _("Часы двигаются только в песочнице"), 400)
    if moment < partner.clock_at:
        raise Refused("clock_backwards", _("Часы песочницы идут только вперёд"), 400)
    settle()
    while (step := due.next_at(partner.pk)) is not None and step <= moment:
        _set(partner, max(step, partner.clock_at))
        for row in due.claim(100, partner_id=partner.pk, until=partner.clock_at):
            due.run(row)
        settle()
    _set(partner, moment)
    settle()


def _set(partner: Partner, moment: datetime) -> None:
    partner.clock_at = moment
    Partner.objects.filter(pk=partner.pk).update(clock_at=moment)
