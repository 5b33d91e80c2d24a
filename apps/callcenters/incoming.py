"""Calls that a call centre tells us of: signed events, the caller found over all partners."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from apps.callcenters.models import CallState, IncomingCall
from apps.connectors import webhooks
from apps.connectors.base import Connector, ForgedMessage, Inbound, Kind, Received, setting
from apps.connectors.models import Connection, GatewayReference, InboundMessage, InboundState
from apps.core import clock, faults, search
from apps.core.ids import uuid7
from apps.core.tenancy import in_partner
from apps.partners.models import Partner

KIND = "callcenters.IncomingCall"
CUSTOMER = "accounts.Customer"
_RANK = [CallState.RINGING, CallState.ANSWERED, CallState.MISSED, CallState.ENDED]
_OVER = {CallState.ENDED, CallState.MISSED}


@dataclass(frozen=True)
class IncomingCallsConfig:
    """The secret that the call centre signs its events with."""

    secret: str = setting(
        _("Секрет подписи"),
        secret=True,
        help_text=_("Заголовок X-Signature: HMAC-SHA256 тела запроса, шестнадцатеричными цифрами"),
    )


class IncomingCalls(Connector):
    """`POST /hooks/<connection>/` with `{"call_id", "phone", "state", "at", "agent"?}`.

    `agent` is the login of the member of staff at whose open page the customer's card opens.
    """

    kind = Kind.CALLCENTER
    title = _("Колл-центр: входящие звонки")
    Config = IncomingCallsConfig
    signed_by = ("x-signature",)

    def check(self) -> str:
        """Nothing is asked: the call centre calls us."""
        return str(_("Секрет задан; события принимаются"))

    def fetch(self, reference: Any, /) -> IncomingCall | None:
        """What was told last of a call, in the current partner's schema."""
        return IncomingCall.objects.filter(connection=self.connection, call_id=reference).first()

    def receive(self, message: Inbound) -> Received:
        """Checks the signature, and finds whose customer calls; allots the call's number at each of them."""
        expected = hmac.new(self.config.secret.encode(), message.body, "sha256").hexdigest()
        given = message.headers.get("x-signature", "")
        if not self.config.secret or not hmac.compare_digest(expected.encode(), given.encode()):
            raise ForgedMessage(_("Подпись не сошлась"))
        told = _read(message.body)
        references = self._references(told)
        return Received(
            reference=references[0].pk if references else None,
            gateway_id=told["call_id"],
            type=told["state"],
            data={**told, "references": [reference.pk for reference in references]},
            concerns_nobody=not references,
        )

    @transaction.atomic
    def _references(self, told: Mapping[str, str]) -> list[GatewayReference]:
        # All or none: a number that was allotted and has not learnt its call would be found by nobody.
        known = GatewayReference.objects.filter(
            connection=self.connection, gateway_id=told["call_id"]
        ).first()
        call_id = known.object_id if known else uuid7()
        references = []
        for partner in self._whose(told["phone"]):
            with in_partner(partner):
                references.append(GatewayReference.allot(self.connection, KIND, call_id))
        if known is None and references:
            faults.at("callcenters.allotted-not-learnt")
            references[0].learn(told["call_id"])
        return references

    def _whose(self, phone: str) -> list[Partner]:
        """Partners that have the caller as a customer; of a partner's own call centre, that partner alone."""
        own = self.connection.partner
        if own is not None:
            return [own]
        keys = search.find(phone).filter(kind=CUSTOMER)
        found = Partner.objects.filter(
            pk__in=list(keys.values_list("partner_id", flat=True)), is_sandbox=self.connection.is_test
        )
        return list(found.exclude(status=Partner.Status.CLOSED).order_by("pk"))


def _read(body: bytes) -> dict[str, str]:
    try:
        told = json.loads(body)
        told = {name: str(told.get(name) or "") for name in ("call_id", "phone", "state", "at", "agent")}
        moment = parse_datetime(told["at"])
    except (ValueError, AttributeError) as error:
        raise ForgedMessage(_("Не разобрать: %s") % error) from error
    if not told["call_id"] or len(told["call_id"]) > 100 or told["state"] not in CallState.values:
        raise ForgedMessage(_("Нужны call_id и state: ringing, answered, ended или missed"))
    if moment is None or moment.tzinfo is None:
        raise ForgedMessage(_("at: нужен момент с часовым поясом, как 2026-11-27T10:00:00+03:00"))
    if not search.normalised(told["phone"]).startswith("+"):
        raise ForgedMessage(_("phone: нужен номер телефона"))
    return told


@webhooks.receiver(Kind.CALLCENTER)
def take(told: webhooks.Told) -> None:
    """Records the calls, each at the partners whose customer it is from, in one transaction."""
    for _reference, received in told:
        for found in GatewayReference.objects.filter(pk__in=received.data["references"]):
            with in_partner(found.partner_id):
                _record(found, received.data)


def _record(reference: GatewayReference, told: Mapping[str, str]) -> None:
    moment = parse_datetime(told["at"]) or clock.wall()
    state = CallState(told["state"])
    phone = search.normalised(told["phone"])
    call, is_new = IncomingCall.objects.get_or_create(
        connection_id=reference.connection_id,
        call_id=told["call_id"],
        defaults={
            "id": reference.object_id,
            "phone": phone[:20],
            "customer_id": _customer(phone, reference.partner_id),
            "state": state,
            "agent": told["agent"][:150],
            "started_at": moment,
            "ended_at": moment if state in _OVER else None,
            "told_at": moment,
        },
    )
    if not is_new:
        _move(call.pk, state, moment, told["agent"])


def _move(call_id: UUID, state: CallState, moment: datetime, agent: str) -> None:
    """Events come in any order: a call never goes back, and begins with the earliest of them."""
    call = IncomingCall.objects.select_for_update().get(pk=call_id)
    call.started_at = min(call.started_at, moment)
    further = _RANK.index(state) - _RANK.index(CallState(call.state))
    # The same state told later: the call was put through to another agent.
    if further > 0 or (further == 0 and (call.told_at is None or moment > call.told_at)):
        call.state, call.agent, call.told_at = state, agent[:150] or call.agent, moment
        if further > 0:
            call.ended_at = moment if state in _OVER else None
    call.save(update_fields=["started_at", "state", "agent", "ended_at", "told_at"])


@dataclass(frozen=True, slots=True)
class Stranger:
    """A call from a number that no partner knows: read from the messages themselves, kept nowhere else."""

    call_id: str
    phone: str
    state: CallState
    agent: str
    started_at: datetime


def news() -> QuerySet[InboundMessage]:
    """What call centres told within a day, latest first."""
    centres = list(Connection.objects.filter(kind=Kind.CALLCENTER).values_list("pk", flat=True))
    if not centres:
        return InboundMessage.objects.none()
    since = clock.wall() - timedelta(days=1)
    told = InboundMessage.objects.filter(state=InboundState.DONE, received_at__gte=since)
    return told.filter(connection__in=centres).order_by("-received_at")


def strangers(most: int) -> list[Stranger]:
    """The latest calls of unknown numbers."""
    found: dict[tuple[int, str], Stranger] = {}
    for message in news().filter(reference=None)[:most]:
        told = _read(message.raw().body)
        key, moment = (message.connection_id, told["call_id"]), parse_datetime(told["at"]) or clock.wall()
        state, known = CallState(told["state"]), found.get(key)
        if known is not None:
            moment = min(moment, known.started_at)
            state = max(state, known.state, key=_RANK.index)
        found[key] = Stranger(
            told["call_id"], search.normalised(told["phone"])[:20], state, told["agent"], moment
        )
    return list(found.values())


def _customer(phone: str, partner_id: int) -> UUID | None:
    key = search.find(phone).filter(kind=CUSTOMER, partner_id=partner_id).first()
    return key.object_id if key else None
