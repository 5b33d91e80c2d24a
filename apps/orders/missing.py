"""What a product, or its provider, has to know and nobody has told: the customer is asked, and reminded.

After a day and after three, by the partner's clock; who is silent then is put before those on duty.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.catalog.models import ProductParameter
from apps.catalog.parameters import AskedAt
from apps.core import clock, due, events, gather, work
from apps.core.errors import Refused
from apps.notifications import staff
from apps.orders import inquiries, letters
from apps.orders.models import OPEN_STATES, Fulfilment, FulfilmentState, History, Service
from apps.orders.watching import ON_DUTY
from apps.providers.portal import requests
from apps.providers.portal.models import ProviderRequest

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


def hand_on(one: Fulfilment, text: str, *, to: str, actor: str) -> None:
    """Asks the customer, in these words, what the provider wants to know: `to` is its question as it was seen.

    The same words again are the same question; others take its place. Raises Refused: `no_reason`, `not_inquiring`,
    `service_off` (there is no customer to ask: the service is over, or another's since).
    """
    with transaction.atomic():
        one = inquiries.locked(one)
        asked = inquiries.question_of(one)
        if asked is None:
            raise requests.nothing_asked()
        if not inquiries.may_be_asked(one, asked):
            raise Refused("service_off", _("У клиента этой услуги больше нет: ответьте поставщику сами"))
        handed_on = requests.put_to_customer(asked.pk, text, to=to)
        if handed_on is None:
            return
        letters.provider_question(one, handed_on)
        events.publish("orders.InformationRequired", one.service_id, fulfilment_id=one.pk)
        due.schedule(REMIND, one.pk, clock.now() + AFTER[0])
        if one.state in inquiries.AT_PROVIDER:
            # The words may be personal: they stand where the customer and the provider have them.
            asked_now = str(_("{service}: клиента спросили, ждём ответа")).format(service=one.service.name)
            work.open(inquiries.KIND, one.pk, asked_now)
        journal.record("fulfilment.customer-asked", inquiries.KIND, one.pk, actor=actor)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a customer has not answered yet: names of data, or a question of the provider."""

    since: datetime
    names: tuple[str, ...] = ()
    request: ProviderRequest | None = None

    def write(self, one: Fulfilment, reminder: int) -> None:
        if self.request:
            letters.provider_question(one, self.request, reminder=reminder)
        else:
            letters.information_required(one, self.names, reminder=reminder)

    def in_words(self) -> str:
        if self.request:
            return str(_("Поставщик ждёт ответа на вопрос"))
        return str(_("Нужны данные: {names}")).format(names=", ".join(self.names))


def _asked_of(one: Fulfilment) -> _Asked | None:
    if one.state == _WAITS:
        since = History.objects.filter(object_id=one.pk, became=_WAITS).latest("pk").at
        return _Asked(since, names=tuple(names)) if (names := of(one.service)) else None
    request = inquiries.handed_on(one)
    if request is None or request.customer_asked_at is None:
        return None
    return _Asked(request.customer_asked_at, request=request)


def remind(fulfilment_id: UUID) -> None:
    """Due work: whoever has not answered is written to again; nothing where it goes on. Safe to repeat."""
    with transaction.atomic():
        rows = Fulfilment.objects.select_for_update(no_key=True, of=("self",)).filter(state__in=OPEN_STATES)
        one = rows.filter(pk=fulfilment_id).select_related("service__customer").first()
        if one is None or not (asked := _asked_of(one)):
            return
        passed = sum(asked.since + wait <= clock.now() for wait in AFTER)
        if passed:
            asked.write(one, passed)
        if passed < len(AFTER):
            due.schedule(REMIND, one.pk, asked.since + AFTER[passed])
        else:
            _tell_staff(one, asked)


def _tell_staff(one: Fulfilment, asked: _Asked) -> None:
    silent = str(_("клиент не отвечает с {day}")).format(day=f"{clock.local(asked.since):%d.%m.%Y}")
    told = f"{one.service.name}: {silent}"
    work.open(inquiries.KIND, one.pk, f"{told}. {asked.in_words()}")
    staff.alert(
        key=f"information:{one.pk}:{asked.since.isoformat()}" if asked.request else f"information:{one.pk}",
        roles=ON_DUTY,
        headline=told,
        page=f"/admin/orders/fulfilment/{one.pk}/change/",
        reason=asked.in_words(),
    )
