"""Whatever comes as a webhook, nobody's books change by more than the other side's own books show.

Worlds are settled first, so that there is nothing to learn: then no message may change anything. `make soak` sets
HOSTILE=all: thousands of messages instead of some hundreds.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection as database
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from apps.billing.paperwork import ChargeRequest
from apps.connectors import webhooks
from apps.connectors.models import Connection, InboundMessage
from apps.core import due
from apps.core.models import Due, WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import Partner
from apps.payments import payments, refund_calls, refunds, registering
from apps.payments.models import Payment
from apps.payments.receipt_models import Receipt
from apps.sandbox.control import Control
from tests import recycled
from tests.billing.test_partner_service import bought
from tests.billing.test_partner_service import service as service
from tests.conftest import make_partner
from tests.orders.shop import Shop
from tests.payments.conftest import Till, later, look
from tests.payments.gateways import GATEWAYS, GatewayKind
from tests.payments.hostile import SIGN, Letter, letters, read
from tests.payments.test_receipts import rule as rule
from tests.payments.test_receipts import settled

LONG = os.environ.get("HOSTILE") == "all"
MOST_AT_ONCE = 8
ANSWERS = {200, 400, 405, 413}
"""Taken, or refused as no request at all: too large, unreadable, by another method."""
JOURNAL = {"journal_exchange"}
"""That a gateway was asked is written down."""


@dataclass
class World:
    """Partners with their shops: what everybody has, and what was truly told of it."""

    partners: list[Partner]
    true: list[Letter] = field(default_factory=list)
    names: list[Any] = field(default_factory=list)
    tills: list[tuple[Till, GatewayKind]] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)
    """How many messages ended how."""

    def connections(self) -> set[int]:
        return {letter.connection for letter in self.true}

    def books(self) -> dict[str, str]:
        """A digest of every table of the partners' schemas, and of what the public ones hold of them."""
        tables = [(p.schema_name, name, "TRUE") for p in self.partners for name in _tables(p.schema_name)]
        of_them = f"partner_id IN ({', '.join(str(p.pk) for p in self.partners)})"
        tables += [("public", f"core_{name}", of_them) for name in ("event", "delivery", "workitem")]
        tables += [("public", "connectors_gatewayreference", of_them)]
        parts = [
            sql.SQL(
                "SELECT {}, md5(coalesce(string_agg(t::text, ';' ORDER BY t::text), '')) FROM {} t WHERE {}"
            ).format(sql.Literal(f"{schema}.{name}"), sql.Identifier(schema, name), sql.SQL(where))
            for schema, name, where in tables
        ]
        with in_public(), database.cursor() as cursor:
            cursor.execute(sql.SQL(" UNION ALL ").join(parts))
            return dict(cursor.fetchall())

    def take(self, letter: Letter) -> None:
        """It arrives as often as it is sent. No answer of ours is an error of ours, and what was taken is kept raw."""
        client = Client(raise_request_exception=False)
        headers = {"host": django_settings.PUBLIC_HOST, **letter.headers}
        path, content = f"/hooks/{letter.connection}/", letter.content()
        query = content.decode("latin-1") if letter.method == "GET" else ""
        for _copy in range(letter.copies):
            with in_public():
                answer = client.generic(
                    letter.method,
                    path,
                    b"" if letter.method == "GET" else content,
                    content_type=letter.content_type,
                    headers=headers,
                    QUERY_STRING=query[:5000],
                )
            assert answer.status_code in ANSWERS, (letter, answer.status_code, answer.content[:500])

    def work_off(self) -> None:
        """Everything that this led to is done, and comes to an end: nothing is tried again and again."""
        with in_public():
            mine = InboundMessage.objects.filter(connection__in=self.connections())
            waiting = Due.objects.filter(kind=webhooks.TASK, object_id__in=mine.values("pk"))
            for row in waiting:
                # Those that were done with one before are there no more.
                due.run(row)
            assert [(row.error, mine.get(pk=row.object_id).raw()) for row in waiting.all()] == []
            assert not mine.filter(state="new").exists()
            assert not mine.filter(state="rejected", error="").exists()
            unmatched = set(mine.filter(state="unmatched").values_list("pk", flat=True))
            shown = WorkItem.objects.filter(kind=webhooks.TASK, object_id__in=unmatched)
            assert shown.count() == len(unmatched)
        for partner in self.partners:
            while rows := due.claim(100, partner_id=partner.pk):
                for row in rows:
                    assert due.run(row), (row.kind, row.object_id, row.error)

    def forget(self) -> None:
        """Messages of the last run are counted and gone."""
        with in_public():
            mine = InboundMessage.objects.filter(connection__in=self.connections())
            for state in mine.values_list("state", flat=True):
                self.states[state] = self.states.get(state, 0) + 1
            WorkItem.objects.filter(kind=webhooks.TASK, object_id__in=mine.values("pk")).delete()
            mine.delete()


def _tables(schema: str) -> list[str]:
    with database.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [schema])
        return [name for (name,) in cursor.fetchall() if name not in JOURNAL]


def nothing_changes(world: World, *, examples: int, control: bool = False) -> None:
    """The property: after any messages in any order the books stand as they stood."""
    before = world.books()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=control,
        # To make a failure of the control small takes long and tells nothing.
        phases=[Phase.generate] if control else [Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(letters(world.true, world.names), min_size=2, max_size=MOST_AT_ONCE))
    def holds(sent: list[Letter]) -> None:
        try:
            for letter in sent:
                world.take(letter)
            world.work_off()
            after = world.books()
            assert {name for name in before if before[name] != after[name]} == set()
        finally:
            world.forget()

    holds()


# -- the gateways --------------------------------------------------------------------------------------------


@pytest.fixture
def partners(operator: Any) -> Iterator[list[Partner]]:
    made = [make_partner(), make_partner()]
    yield made
    for one in made:
        recycled.give_back(one)


@pytest.fixture
def gateways(request: pytest.FixtureRequest, partners: list[Partner], till_for: Callable[..., Till]) -> World:
    """Two partners, each with a shop of its own at every gateway, and payments in every state there."""
    world = World(partners)
    for kind in GATEWAYS:
        control = request.getfixturevalue(kind.name)
        for partner in partners:
            with in_partner(partner):
                Connection.objects.filter(partner=partner).update(is_enabled=False)
                till = till_for(partner, kind=kind, control=control)
                _own_secret(till)
                world.tills.append((till, kind))
                _live(till, kind)
                _told(world, till, kind)
    Connection.objects.filter(partner__in=partners).update(is_enabled=True)
    return world


def _own_secret(till: Till) -> None:
    """No two shops have the same."""
    till.gateway.add_shop(till.shop, till.shop)
    config = {name: str(value).replace("secret", till.shop) for name, value in till.connection.config.items()}
    till.connection.config = till.connection.config | {k: v for k, v in config.items() if till.shop in v}
    with in_public():
        till.connection.save()


def _live(till: Till, kind: GatewayKind) -> None:
    """Paid and saved, charged, given back in part and in full, declined, and one that waits on its page."""
    first = till.paid()
    assert first.method is not None
    charged = look(payments.send(till.charge(first.method).pk))
    refund_calls.send(refunds.refund(payment=first, reason="всё", actor="t").pk)
    part = refunds.refund(payment=charged, amount=Money(Decimal("99.50")), reason="часть", actor="t")
    refund_calls.send(part.pk)
    for row in (*first.refunds.all(), part):
        look(row)
    till.paid(card=kind.poor)
    till.pending()
    waits = Payment.objects.filter(connection=till.connection, state="pending").get()
    till.gateway.pay(waits.confirmation_url, card="1")
    states = Payment.objects.filter(connection=till.connection).values_list("state", flat=True)
    assert sorted(states) == ["failed", "pending", "refunded", "succeeded"]
    with transaction.atomic():
        Due.objects.filter(partner_id=till.partner.pk).delete()


def _told(world: World, till: Till, kind: GatewayKind) -> None:
    """What its gateway has told of these payments, once more for each that can be told of."""
    for payment in Payment.objects.filter(connection=till.connection):
        world.names += [str(payment.pk), payment.gateway_id, payment.reference_id, str(payment.reference_id)]
        world.names += list(payment.refunds.values_list("gateway_id", flat=True))
    told = _letters(till, kind)
    assert told, kind.name
    world.true += told


def _letters(till: Till, kind: GatewayKind) -> list[Letter]:
    rows = [row for row in till.gateway.webhooks() if row["shop"] == till.shop]
    return [read(row, connection=till.connection.pk, service=kind.name, secret=till.shop) for row in rows]


def anothers_is_nobodys(gateways: World) -> None:
    """A true message at another partner's address; and one of a shop that tells of another shop's payment."""
    before = gateways.books()
    for (till, kind), (other, _same) in _pairs(gateways):
        of_other = [one for one in gateways.true if one.connection == other.connection.pk]
        assert len(of_other) > 1
        for letter in of_other:
            misled = replace(letter, connection=till.connection.pk)
            _ends(gateways, misled, "rejected" if kind.name in SIGN else "unmatched")
            if sign := SIGN.get(kind.name):
                named = letter.fields.get("TerminalKey", "").replace(other.shop, till.shop)
                fields = {**letter.fields, "TerminalKey": named} if named else letter.fields
                signed = sign(replace(misled, secret=till.shop, body=None, fields=fields))
                _ends(gateways, signed, "unmatched")
    assert gateways.books() == before


def _pairs(world: World) -> list[Any]:
    """Both shops at each gateway, each with the other one."""
    ones, others = world.tills[::2], world.tills[1::2]
    return [*zip(ones, others, strict=True), *zip(others, ones, strict=True)]


def _ends(world: World, letter: Letter, state: str) -> None:
    world.take(letter)
    world.work_off()
    with in_public():
        found = InboundMessage.objects.filter(connection=letter.connection)
        assert list(found.values_list("state", flat=True)) == [state], letter
        assert found.get().raw().body == letter.content()
    world.forget()


def test_no_message_changes_what_the_gateways_do_not_show(gateways: World) -> None:
    anothers_is_nobodys(gateways)
    nothing_changes(gateways, examples=1500 if LONG else 20)
    # Not because none of them was believed to be the gateway's.
    assert gateways.states["done"] > 10, gateways.states
    assert gateways.states["rejected"] > 10, gateways.states
    # What has become true there since is taken from there, whatever a message says of it.
    for till, kind in gateways.tills:
        with in_partner(till.partner):
            _paid_meanwhile(gateways, till, kind)


def _paid_meanwhile(world: World, till: Till, kind: GatewayKind) -> None:
    payment = Payment.objects.get(connection=till.connection, state="pending")
    till.gateway.pay(payment.confirmation_url, card=kind.good)
    for letter in reversed(_letters(till, kind)):
        world.take(letter)
    world.work_off()
    payment.refresh_from_db()
    assert (payment.state, payment.amount) == ("succeeded", Decimal("399.00")), kind.name


def test_the_property_fails_where_a_message_is_believed(
    gateways: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believe(told: webhooks.Told) -> None:
        for reference, received in told:
            word = received.type.partition(".")[2]
            good = word in {"succeeded", "confirmed", "completed", "paid"}
            Payment.objects.filter(pk=reference.object_id).update(state="succeeded" if good else "failed")

    monkeypatch.setitem(webhooks._receivers, "payment", believe)
    with pytest.raises(AssertionError, match="payments_payment"):
        nothing_changes(gateways, examples=25, control=True)


# -- the partner's service and the cash register --------------------------------------------------------------


@pytest.fixture
def asked(shop: Shop, service: Connection, rule: Any, atol: Control, partner_sim: Control) -> World:
    """Charged by the partner, refused, promised for later; receipts registered, refused and under way."""
    world = World([shop.partner])
    for fault in ("", "refuse", "pending"):
        if fault:
            partner_sim.fault(fault, match={"shop": shop.partner.slug})
        bought(shop)
    shop.buy(shop.offer(price="1220.00"))
    settled(shop)
    for fault in ("fail", "pending"):
        atol.fault(fault, match={"shop": rule.test_connection.name})
        shop.buy(shop.offer(price="610.00"))
    for one in Receipt.objects.filter(state__in=["queued", "sending", "sent", "unknown"]):
        later(one)
        registering.sweep(one.pk)
    assert set(Receipt.objects.values_list("state", flat=True)) == {"registered", "failed", "sent"}
    assert set(ChargeRequest.objects.values_list("state", flat=True)) == {"charged", "refused", "waiting"}
    _told_of_charges(world, partner_sim, service)
    for row in Receipt.objects.all():
        world.names += [row.gateway_id, row.reference_id, str(row.pk)]
    for told in [one for one in atol.webhooks() if one["shop"] == rule.test_connection.name]:
        world.true.append(read(told, connection=rule.test_connection_id, service="atol", secret="secret"))
    shop.deliver()
    Due.objects.filter(partner_id=shop.partner.pk).delete()
    return world


def _told_of_charges(world: World, partner_sim: Control, service: Connection) -> None:
    for made in ChargeRequest.objects.all():
        world.names += [str(made.pk), made.reference_number_id]
        partner_sim.resend_webhook(str(made.pk))
        [row] = [row for row in partner_sim.webhooks() if row["payment_id"] == str(made.pk)]
        world.true.append(read(row, connection=service.pk, service="partner", secret="secret"))


def test_no_message_changes_what_a_partner_and_a_cash_register_do_not_show(asked: World) -> None:
    assert {letter.service for letter in asked.true} == {"partner", "atol"}
    nothing_changes(asked, examples=700 if LONG else 12)
    assert asked.states["done"] > 5, asked.states
    assert asked.states["rejected"] > 5, asked.states
