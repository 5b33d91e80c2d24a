"""Work of one partner to its end, and its clock moved with the simulators' following."""

import time
from datetime import datetime
from uuid import UUID

import httpx
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core import clock, due, models
from apps.core.errors import Refused
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner
from apps.demo.connect import Addresses
from apps.demo.gateways import TILLS
from apps.partners import clock as partner_clock
from apps.partners.models import Partner
from apps.payments.models import Payment, Refund

PATIENCE_SECONDS = 90.0
ASK_AGAIN = 3
"""How often what is unknown is asked about at once, before its own time."""


class OutOfTime(Refused):
    """What is due did not come to an end in the seconds given; whoever asks again goes on from there."""

    def __init__(self) -> None:
        text = _("Работа партнёра не закончилась вовремя: загляните в очередь")
        super().__init__("clock_stuck", text, 503)


class Settling:
    """Does a partner's deliveries and wall-clock work until nothing is left, beside any worker that runs.

    Raises OutOfTime after `seconds` in all.
    """

    def __init__(self, partner: Partner, *, seconds: float = PATIENCE_SECONDS) -> None:
        self.partner, self.deadline = partner, time.monotonic() + seconds

    def __call__(self) -> None:
        asked = 0
        while True:
            self._check_time()
            if run_once(partner_id=self.partner.pk):
                continue
            if self._is_busy():
                time.sleep(0.05)
            elif asked < ASK_AGAIN and self._hurry():
                asked += 1
            else:
                return

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise OutOfTime

    def _is_busy(self) -> bool:
        """Whether a worker has something of the partner in hand."""
        now = clock.wall()
        mine = models.Due.objects.filter(partner_id=self.partner.pk)
        in_hand = Q(lease__isnull=False, leased_until__gt=now)
        ready = Q(is_sandbox=False, due_at__lte=now, leased_until=None)
        waiting = models.Delivery.objects.filter(partner_id=self.partner.pk, next_at__lte=now)
        return mine.filter(in_hand | ready).exists() or waiting.exists()

    def _hurry(self) -> int:
        """Asks now about money of which nobody knows: a moved clock would leave its own time behind."""
        with in_partner(self.partner):
            ids: list[UUID] = [
                row
                for model in (Payment, Refund)
                for row in model._default_manager.filter(state__in=["created", "unknown"]).values_list(
                    "pk", flat=True
                )
            ]
        if not ids:
            return 0
        mine = models.Due.objects.filter(partner_id=self.partner.pk, object_id__in=ids, lease=None)
        return mine.filter(kind__in=due.kinds("payments")).update(due_at=clock.wall(), leased_until=None)


def move(partner: Partner, moment: datetime, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Moves a sandbox partner's clock to `moment`, step by step. Raises Refused as `partners.clock.move`."""
    partner_clock.move(partner, moment, settle=Settling(partner, seconds=seconds))
    simulators_follow(moment)


def simulators_follow(moment: datetime, addresses: Addresses | None = None) -> None:
    """Lets the gateways' clocks follow, never back, and not while a live payment depends on their memory."""
    sandboxes = Partner.objects.filter(is_sandbox=True).values("pk")
    open_elsewhere = models.Due.objects.filter(kind__in=due.kinds("payments"))
    if open_elsewhere.exclude(partner_id__in=sandboxes).exists():
        return
    for till in TILLS:
        try:
            gateway = (addresses or Addresses()).control(till.simulator)
            if moment > datetime.fromisoformat(gateway.health()["now"].replace("Z", "+00:00")):
                gateway.set_clock(moment)
        except (LookupError, httpx.HTTPError):
            continue
