"""Which gateway takes a new payment: by the operator's rules, and past the gateways that do not answer.

Only what has certainly not been sent moves. A charge by a saved method stays where its method was saved.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.utils.translation import gettext as _

from apps import journal
from apps.catalog.models import TariffVersion
from apps.connectors.base import Kind
from apps.connectors.models import Connection, GatewayReference
from apps.core import faults
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.partners.models import Partner
from apps.payments import offers
from apps.payments.gateway import Instrument
from apps.payments.models import Payment, PaymentState
from apps.policies.routes import PaymentRoute, RouteShare

_ANY = UUID(int=0)
_tellers: list[Callable[[UUID], int | None]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A payment to be made, as far as a rule looks at it."""

    partner: Partner
    money: Money
    product_id: int | None = None
    tariff_id: int | None = None
    tariff_version_id: int | None = None
    """Tells the tariff, where that is not given."""
    offer_id: int | None = None
    subscription_id: UUID | None = None
    """Tells the offer, where that is not given (`offer_teller`)."""
    instrument: str = ""
    """How the customer pays; empty: as the gateway's page lets them."""
    two_stage: bool = False
    """Whether the money is only held at first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A connection of a rule: what part of its payments comes here, or why none does."""

    connection: Connection
    percent: int
    why_not: str = ""
    """Why it may never take this payment; empty where it may."""
    away: str = ""
    """Why it cannot take it just now."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The connection of a payment, and how it came to that."""

    connection: Connection
    route: PaymentRoute | None = None
    """None: no rule fits, it is the partner's usual connection."""
    candidates: tuple[Candidate, ...] = ()
    passed: tuple[tuple[PaymentRoute, str], ...] = field(default=())
    """Rules before it that did not decide, and why."""
    stepped_in: bool = False
    """Whether it takes the place of one that is away."""


def choose(asked: Asked, key: UUID, *, avoid: Collection[int] = ()) -> Choice:
    """The connection for the payment `key`: the same one each time, as long as the gateways stand as they do.

    `avoid`: ids of connections that have just proved unreachable. Raises Refused where no gateway is connected.
    """
    usual = Connection.objects.for_partner(asked.partner, Kind.PAYMENT)
    passed: list[tuple[PaymentRoute, str]] = []
    routes = list(PaymentRoute.objects.for_partner(asked.partner))
    if any(route.tariff_id for route in routes):
        asked = replace(asked, tariff_id=asked.tariff_id or _tariff_of(asked.tariff_version_id))
    if any(route.offer_id for route in routes):
        asked = replace(asked, offer_id=asked.offer_id or _offer_of(asked.subscription_id))
    for route in routes:
        if unmet := _unmet(route, asked):
            passed.append((route, unmet))
            continue
        candidates = tuple(_candidates(route, asked, usual, avoid))
        if not any(not one.why_not for one in candidates):
            passed.append((route, _("ни одно его подключение не подходит")))
            continue
        chosen, stepped_in = _pick(candidates, key)
        return Choice(chosen, route, candidates, tuple(passed), stepped_in)
    return Choice(usual, passed=tuple(passed))


def instruments(asked: Asked, *, binds: bool = False) -> list[str]:
    """What a customer may choose to pay with, the usual first: whatever the gateway that would get it takes.

    What only gateways take that are away just now is left out. `binds`: a method is saved and nothing is to be paid.
    """
    return [one for one in Instrument if _is_on_offer(replace(asked, instrument=one), binds=binds)]


def _is_on_offer(asked: Asked, *, binds: bool) -> bool:
    try:
        # Whichever it comes to by shares: all that are shared among can take it.
        to = choose(asked, _ANY).connection
    except Refused:
        return False
    if not to.is_enabled or not to.is_well:
        return False
    if not binds and asked.money.amount < offers.least_of(asked.instrument):
        return False
    return not offers.why_not(to, asked.money, asked.instrument, two_stage=asked.two_stage)


def _tariff_of(tariff_version_id: int | None) -> int | None:
    if tariff_version_id is None:
        return None
    return TariffVersion.objects.values_list("tariff_id", flat=True).filter(pk=tariff_version_id).first()


def offer_teller(function: Callable[[UUID], int | None]) -> Callable[[UUID], int | None]:
    """Registers who tells by which offer a subscription is sold: an app above, which this one does not know.

    It is asked only where a rule names an offer.
    """
    if function not in _tellers:
        _tellers.append(function)
    return function


def _offer_of(subscription_id: UUID | None) -> int | None:
    told = (tell(subscription_id) for tell in _tellers) if subscription_id else ()
    return next((one for one in told if one), None)


def _unmet(route: PaymentRoute, asked: Asked) -> str:
    return route.why_not(
        partner_id=asked.partner.pk,
        product_id=asked.product_id,
        tariff_id=asked.tariff_id,
        offer_id=asked.offer_id,
        instrument=asked.instrument,
        amount=asked.money.amount,
        currency=asked.money.currency,
    )


def _candidates(
    route: PaymentRoute, asked: Asked, usual: Connection, avoid: Collection[int]
) -> Iterable[Candidate]:
    for share in sorted(route.shares.all(), key=lambda one: (one.position, one.pk)):
        yield _candidate(share, asked, usual, avoid)


def _candidate(share: RouteShare, asked: Asked, usual: Connection, avoid: Collection[int]) -> Candidate:
    one = share.connection
    away = ""
    if not one.is_enabled:
        away = _("выключено")
    elif not one.is_well:
        away = _("не отвечает, предохранитель разомкнут")
    elif one.pk in avoid:
        away = _("только что не ответило")
    never = why_not(one, asked.partner, usual) or offers.why_not(
        one, asked.money, asked.instrument, two_stage=asked.two_stage
    )
    return Candidate(one, share.percent, never, away)


def why_not(connection: Connection, partner: Partner, usual: Connection) -> str:
    """Why a connection may never take a payment of a partner; empty where it may.

    Whose money it is was frozen with the bill: so a rule chooses among connections of the usual one's owner.
    """
    if connection.kind != Kind.PAYMENT:
        return _("это не платёжный шлюз")
    if connection.partner_id not in {None, partner.pk}:
        return _("подключение другого партнёра")
    if connection.is_test != partner.is_sandbox:
        return (
            _("тестовое подключение") if connection.is_test else _("у песочницы только тестовые подключения")
        )
    if connection.partner_id != usual.partner_id:
        own = usual.partner_id is not None
        return _("у партнёра своё подключение: деньги его") if own else _("деньги собирает платформа")
    entity, seller = connection.legal_entity, partner.legal_entity
    # Where the operator's own company sells, its account takes the money; for a partner's one the operator collects.
    if entity is None or entity == seller or (entity.is_operator and not seller.is_operator):
        return ""
    return _("подключение другого юридического лица")


def _pick(candidates: Collection[Candidate], key: UUID) -> tuple[Connection, bool]:
    """By the payment's id, so that shares hold over many and a retry comes to the same; then in order."""
    able = [one for one in candidates if not one.why_not]
    first = _by_share(able, key)
    if not first.away:
        return first.connection, False
    for one in able:
        if not one.away:
            return one.connection, True
    return first.connection, False


def _by_share(able: list[Candidate], key: UUID) -> Candidate:
    whole = sum(one.percent for one in able)
    if not whole:
        return able[0]
    point = int.from_bytes(hashlib.sha256(b"route:" + key.bytes).digest()[:8]) % whole
    for one in able:
        point -= one.percent
        if point < 0:
            return one
    raise AssertionError("Shares add up to their sum")


def asked_of(payment: Payment) -> Asked:
    """What a payment asks for, as its rules see it."""
    return Asked(
        partner=current_partner(),
        money=payment.money,
        product_id=payment.product_id,
        tariff_version_id=payment.tariff_version_id,
        subscription_id=payment.subscription_id,
        instrument=payment.instrument,
        two_stage=payment.is_two_stage,
    )


def may_move(payment: Payment) -> bool:
    """Whether a locked payment may still go to another gateway: nothing of it has ever left this machine.

    `claimed_at` is what tells: it is set before anything is sent, and taken back only where nothing was.
    """
    return payment.state == PaymentState.CREATED and payment.claimed_at is None and not payment.is_charge


def move_on(payment: Payment, avoid: Collection[int] = ()) -> None:
    """A locked payment whose gateway is away goes to the next one that may take it, in the caller's transaction."""
    if not may_move(payment):
        return
    now: Connection = payment.connection
    if now.is_well and now.pk not in avoid:
        return
    asked = asked_of(payment)
    try:
        to = choose(asked, payment.pk, avoid=avoid).connection
    except Refused:
        # Nothing is connected any more: it waits for its own gateway.
        return
    if to.pk == now.pk or not to.is_well or to.pk in avoid or to.partner_id != now.partner_id:
        return
    # The usual connection is no rule's, and was not asked whether it can.
    if offers.why_not(to, asked.money, asked.instrument, two_stage=asked.two_stage):
        return
    payment.connection = to
    payment.reference = GatewayReference.allot(to, "payments.payment", payment.pk)
    payment.save(update_fields=["connection", "reference"])
    journal.record(
        "payments.moved",
        "payments.payment",
        payment.pk,
        data={"from": now.pk, "to": to.pk, "why": now.last_error if now.is_enabled else "off"},
    )
    faults.at("payments.moved-not-committed")
