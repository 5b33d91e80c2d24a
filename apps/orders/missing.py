"""What a product has to know before it is given out, and nobody has told: its customer is asked, and reminded.

After a day and after three, by the partner's clock; who is silent then is put before those on duty.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.catalog.models import ProductParameter
from apps.catalog.parameters import AskedAt
from apps.core import clock, due, events, gather, work
from apps.notifications import staff
from apps.orders import letters
from apps.orders.models import Fulfilment, FulfilmentState, History, Service
from apps.orders.watching import ON_DUTY

REMIND = "orders.remind"
AFTER = (timedelta(days=1), timedelta(days=3))
"""Since it was asked for: when the customer is reminded. With the last of them, those on duty are told."""
_WAITS = FulfilmentState.INFORMATION_REQUIRED


def of(service: Service) -> list[str]:
    """Names of what has to be known before a service can be given out, and is not yet."""
    rows = ProductParameter.objects.filter(
        product=service.product_id, asked_at=AskedAt.FULFILMENT, is_required=True
    )
    asked = gather.once(("orders.parameters", service.product_id), lambda: list(rows))
    return [str(one.name) for one in asked if one.code not in service.answers]


def ask(fulfilment: Fulfilment, names: list[str]) -> None:
    """A locked fulfilment waits for these from now on: its customer is written to."""
    letters.information_required(fulfilment, names)
    events.publish("orders.InformationRequired", fulfilment.service_id, fulfilment_id=fulfilment.pk)
    due.schedule(REMIND, fulfilment.pk, clock.now() + AFTER[0])


def remind(fulfilment_id: UUID) -> None:
    """Due work: whoever has not answered is written to again; nothing where it goes on. Safe to repeat."""
    with transaction.atomic():
        rows = Fulfilment.objects.select_for_update(no_key=True, of=("self",)).filter(state=_WAITS)
        one = rows.filter(pk=fulfilment_id).select_related("service__customer").first()
        if one is None or not (names := of(one.service)):
            return
        since = History.objects.filter(object_id=one.pk, became=_WAITS).latest("pk").at
        passed = sum(since + wait <= clock.now() for wait in AFTER)
        if passed:
            letters.information_required(one, names, reminder=passed)
        if passed < len(AFTER):
            due.schedule(REMIND, one.pk, since + AFTER[passed])
        else:
            _tell_staff(one, names, since)


def _tell_staff(one: Fulfilment, names: list[str], since: datetime) -> None:
    silent = str(_("клиент не отвечает с {day}")).format(day=f"{clock.local(since):%d.%m.%Y}")
    told = f"{one.service.name}: {silent}"
    asked = str(_("Нужны данные: {names}")).format(names=", ".join(names))
    work.open("orders.Fulfilment", one.pk, f"{told}. {asked}")
    staff.alert(
        key=f"information:{one.pk}",
        roles=ON_DUTY,
        headline=told,
        page=f"/admin/orders/fulfilment/{one.pk}/change/",
        reason=asked,
    )
