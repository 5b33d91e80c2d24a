"""What the search box found, in any partner, with a link that opens it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from apps.callcenters import incoming
from apps.callcenters.models import CallState, IncomingCall
from apps.connectors.models import GatewayReference
from apps.core import links, search
from apps.core.tenancy import in_partner
from apps.partners.models import Partner

LIVE = (CallState.RINGING, CallState.ANSWERED)
MOST = 50
"""A number that more objects share is no number."""


@dataclass(frozen=True)
class Found:
    """One object of a partner."""

    partner: Partner
    kind: str
    text: str
    url: str


@dataclass(frozen=True)
class Call:
    """A recent call; `card` opens the customer, where there is one."""

    number: str
    """The same for each news of one call."""
    phone: str
    state: str
    agent: str
    started_at: datetime
    is_live: bool
    partner: str = ""
    customer: str = ""
    card: str = ""


def find(text: str) -> list[Found]:
    """Customers, orders, invoices, payments that carry exactly this phone, e-mail, number or id."""
    keys = [(key.partner_id, (key.kind, key.object_id)) for key in search.find(text)[:MOST]]
    found = []
    for partner, (kind, object_id), shown in _read(keys, _object):
        url = links.to(kind, object_id, slug=partner.slug)
        found.append(Found(partner, links.title(kind), str(shown), url))
    return found


def news_of_calls() -> str:
    """Changes whenever a call centre has told anything new: one query, which a page may ask every other second."""
    told = incoming.news().values_list("pk", "copies")[:MOST]
    return sha256(repr(list(told)).encode()).hexdigest()[:16]


def recent_calls() -> list[Call]:
    """The latest calls over all partners and of unknown numbers, newest first."""
    references = GatewayReference.objects.filter(kind=incoming.KIND).order_by("-pk")[:MOST]
    keys = [(reference.partner_id, reference) for reference in references]
    calls = [_known(*row) for row in _read(keys, _call)]
    for call in incoming.strangers(MOST):
        number, live = f"s-{call.call_id}", call.state in LIVE
        calls.append(Call(number, call.phone, str(call.state.label), call.agent, call.started_at, live))
    return sorted(calls, key=lambda call: call.started_at, reverse=True)[:MOST]


def _known(partner: Partner, reference: GatewayReference, call: IncomingCall) -> Call:
    card = links.to("accounts.Customer", call.customer_id, slug=partner.slug) if call.customer_id else ""
    return Call(
        str(reference.pk),
        call.phone,
        call.get_state_display(),
        call.agent,
        call.started_at,
        call.state in LIVE,
        partner.name,
        str(call.customer or ""),
        card,
    )


def _read(keys: Iterable[tuple[int, Any]], reader: Any) -> list[tuple[Partner, Any, Any]]:
    """Each partner's objects, its schema set once."""
    theirs: dict[int, list[Any]] = defaultdict(list)
    for partner_id, key in keys:
        theirs[partner_id].append(key)
    read: list[tuple[Partner, Any, Any]] = []
    for partner in Partner.objects.filter(pk__in=theirs):
        with in_partner(partner):
            read.extend((partner, key, shown) for key in theirs[partner.pk] if (shown := reader(key)))
    return read


def _object(key: tuple[str, UUID]) -> Any:
    model = links.model_of(key[0])
    return model._default_manager.filter(pk=key[1]).first() if model else None


def _call(reference: GatewayReference) -> IncomingCall | None:
    return IncomingCall.objects.select_related("customer").filter(pk=reference.object_id).first()
