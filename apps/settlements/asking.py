"""A provider that sends no list is asked about each of its services, with what it knows them by.

Each question is work in the lane of the provider's connection (ADR 0007): under its limits, never while its breaker is
open, and one a second beyond the first few, so that today's orders do not wait for yesterday's questions.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.connectors.base import ConnectorError
from apps.connectors.lanes import Calls
from apps.connectors.models import Connection
from apps.core import clock, due, faults, lanes
from apps.core.tenancy import in_partner, in_public
from apps.orders.models import Service
from apps.partners.models import Partner
from apps.providers import remembering
from apps.providers.base import Known, ProvisionRequest
from apps.providers.models import Provider
from apps.providers.services import connection_to
from apps.settlements.provider_models import DayState, ProviderAnswer, ProviderDay

ASK, ANSWERED = "settlements.ask_provider", "settlements.provider_answered"
"""Due work: of one question; of a day whose last question was answered."""
PACE = timedelta(seconds=1)
"""Between two questions, once as many as the connection takes at a time were asked."""
AGAIN, REFUSED_AGAIN = timedelta(minutes=5), timedelta(hours=1)
"""After which a question that had no answer, or was refused, is asked again."""
BACK = 10
"""Days after which nobody asks any more: staff have had the day before them for a week."""
FAULT_POINTS = ("settlements.asked-not-recorded",)
"""Every call boundary of a question."""


@dataclass(frozen=True, slots=True)
class Ours:
    """One service of a provider as we have it on a day."""

    id: UUID
    request_id: UUID
    partner: Partner
    amount: Decimal
    is_charged: bool
    is_on: bool
    """Whether we say ourselves that the customer has it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a day so far by the provider's answers."""

    on: dict[UUID, Decimal | None]
    count: int
    left: int
    """How many have not been answered."""


@dataclass(frozen=True, slots=True)
class Question:
    """All that a call needs of the database."""

    answer_id: int
    request_id: UUID
    connection: Connection
    known: Known | None


def ask(provider: Provider, day: date, ours: Sequence[Ours], *, is_test: bool) -> Asked | None:
    """Plans questions about all services that were not asked about yet, and gives what is answered; None where the
    provider has no connection, or has said of none whether it has it."""
    wanted = [one for one in ours if one.is_charged or one.is_on]
    line = _line(provider, wanted)
    if line is None:
        return None
    with in_public(), transaction.atomic():
        # Two who begin at once ask once.
        Provider.objects.select_for_update(no_key=True).get(pk=provider.pk)
        row, _is_new = ProviderDay.objects.get_or_create(
            provider=provider, day=day, is_test=is_test, defaults={"checked_at": clock.wall()}
        )
        asked = {one.request_id: one for one in row.answers.all()}
        _plan(row, line, [one for one in wanted if one.request_id not in asked])
    told = {key: one.is_on for key, one in asked.items() if one.is_answered}
    known = [one for one in wanted if one.request_id in told]
    left = len(wanted) - len(known)
    if not left and all(told[one.request_id] is None for one in known):
        # It has no word for that: our own data is all there is.
        return None
    # Of a single one that it cannot be asked about, what we say ourselves stands.
    on = [one for one in known if (one.is_on if (said := told[one.request_id]) is None else said)]
    return Asked({one.request_id: None for one in on}, len(known), left)


def _plan(row: ProviderDay, line: Connection, todo: Sequence[Ours]) -> None:
    made = [
        ProviderAnswer(day=row, request_id=one.request_id, partner_id=one.partner.pk, service_id=one.id)
        for one in todo
    ]
    made = ProviderAnswer.objects.bulk_create(made, batch_size=2000)
    at_once, now = line.limits.in_flight, clock.wall()
    due.schedule_many(
        ASK,
        ((_key(one.pk), now + PACE * max(n - at_once, 0), line.pk) for n, one in enumerate(made)),
    )


def _key(answer_id: int) -> UUID:
    return UUID(int=answer_id)


def _line(provider: Provider, wanted: Sequence[Ours]) -> Connection | None:
    if not wanted:
        return None
    with in_partner(wanted[0].partner):
        return connection_to(provider)


# -- one question ----------------------------------------------------------------------------------------


class Questions(Calls):
    """Questions in the lane of their provider."""

    def claim(self, object_ids: Sequence[UUID]) -> dict[UUID, Question]:
        return claim(object_ids)

    def go_out(self, plan: Question) -> bool | None:
        return call(plan)

    def conclude(self, answers: Sequence[tuple[Question, Any]]) -> None:
        conclude(answers)


def put(object_id: UUID) -> None:
    """One question, at once."""
    question = claim([object_id]).get(object_id)
    if question is None:
        return
    answer: bool | ConnectorError | None
    try:
        answer = call(question)
    except ConnectorError as error:
        answer = error
    faults.at("settlements.asked-not-recorded")
    with transaction.atomic():
        conclude([(question, answer)])


def claim(object_ids: Sequence[UUID]) -> dict[UUID, Question]:
    """What to ask. To ask changes nothing there: nothing is written down before."""
    since = clock.wall().date() - timedelta(days=BACK)
    rows = ProviderAnswer.objects.filter(
        pk__in=[key.int for key in object_ids],
        is_answered=False,
        day__state=DayState.OPEN,
        day__day__gte=since,
    ).select_related("day__provider__connection", "day__provider__test_connection")
    by_partner: dict[int, list[ProviderAnswer]] = defaultdict(list)
    for row in rows:
        if row.partner_id is not None:
            by_partner[row.partner_id].append(row)
    found: dict[UUID, Question] = {}
    for partner_id, theirs in by_partner.items():
        with in_partner(partner_id):
            for line, some in _by_line(theirs):
                known = _known(line, some)
                for row in some:
                    question = Question(row.pk, row.request_id, line, known.get(row.request_id))
                    found[_key(row.pk)] = question
    return found


def _by_line(rows: Sequence[ProviderAnswer]) -> list[tuple[Connection, list[ProviderAnswer]]]:
    """Questions of the current partner by the connection that each goes through."""
    found: dict[int, tuple[Connection, list[ProviderAnswer]]] = {}
    for row in rows:
        line = connection_to(row.day.provider)
        if line is not None:
            found.setdefault(line.pk, (line, []))[1].append(row)
    return list(found.values())


def _known(line: Connection, rows: Sequence[ProviderAnswer]) -> dict[UUID, Known]:
    if not getattr(line.connector_class, "remembers", False):
        return {}
    services = Service.objects.filter(pk__in=[one.service_id for one in rows])
    requests = [_request(one) for one in services.select_related("tariff_version__tariff")]
    return remembering.known(line, requests)


def _request(service: Service) -> ProvisionRequest:
    version = service.tariff_version
    return ProvisionRequest(
        request_id=service.request_id,
        sku=version.tariff.code,
        customer_ref=str(service.customer_id),
        period_end=service.active_until or clock.today(),
        parameters={**version.parameters, **service.answers},
    )


def call(question: Question) -> bool | None:
    """Asks the provider. Raises ConnectorError."""
    connector = question.connection.open()
    if question.known is not None:
        connector = connector.knowing(question.known)
    told: bool | None = connector.has(question.request_id)
    return told


def conclude(answers: Sequence[tuple[Question, Any]]) -> None:
    """Writes down what was said, in the caller's transaction; with the last answer its day goes on. Raises what is no
    answer of a provider."""
    said: dict[bool | None, list[int]] = defaultdict(list)
    now = clock.wall()
    for question, answer in answers:
        if isinstance(answer, lanes.PutBack):
            _again(question, now)
        elif isinstance(answer, ConnectorError):
            usual = AGAIN if answer.retry or answer.unknown else REFUSED_AGAIN
            _again(question, now + max(usual, answer.wait or timedelta()))
        elif isinstance(answer, Exception):
            raise answer
        else:
            said[answer].append(question.answer_id)
    told = [key for keys in said.values() for key in keys]
    days = ProviderDay.objects.filter(answers__pk__in=told).distinct()
    # Whose answer is the last is seen by one of those who record.
    providers = Provider.objects.select_for_update(no_key=True).filter(pk__in=days.values("provider"))
    list(providers.order_by("pk"))
    for is_on, keys in said.items():
        ProviderAnswer.objects.filter(pk__in=keys).update(is_on=is_on, is_answered=True)
    for row in days:
        row.asked = row.answers.filter(is_answered=True).count()
        row.save(update_fields=["asked"])
        if not row.answers.filter(is_answered=False).exists():
            due.schedule(ANSWERED, row.pk, now, wall=True)


def _again(question: Question, at: datetime) -> None:
    due.schedule(ASK, _key(question.answer_id), at, wall=True, lane=question.connection.pk)
