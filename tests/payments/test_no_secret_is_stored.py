"""What was planted as a secret, a token or a card number is looked for in every row and in every line of the logs."""

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection as database

from apps.connectors.models import Connection
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.journal.models import Exchange
from apps.partners.models import LegalEntity, Partner
from apps.payments import payments, refund_calls, refunds
from apps.payments.atol import _tokens
from apps.payments.models import Payment, PaymentMethod
from apps.policies.fiscal import FiscalRule
from apps.sandbox.control import Control
from tests.billing.test_partner_service import bought, service
from tests.orders.shop import Shop
from tests.payments.conftest import Till, look
from tests.payments.gateways import GATEWAYS, GatewayKind
from tests.payments.test_gateways import arrive
from tests.payments.test_receipts import rule, settled

__all__ = ["rule", "service"]

SECRET, WRONG = "planted-live-Qm7Zx-w0rd", "planted-stale-Kp3Vt-w0rd"


class Parrot(BaseHTTPRequestHandler):
    """Refuses everything, and repeats all that it was told: what is in the headers too."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        basic = self.headers.get("Authorization", "").rpartition(" ")[2]
        told = " ".join((self.path, body, basic, base64.b64decode(basic).decode()))
        answer = {
            "description": told,
            "Message": told,
            "Details": told,
            "message": told,
            "code": "invalid_request",
        }
        answer |= {
            "Success": False,
            "success": False,
            "ErrorCode": "9",
            "type": "error",
            "echo": {"of": [told]},
            "error": {"text": told, "code": 32},
            "reason": told,
        }
        content = json.dumps(answer).encode()
        self.send_response(200 if "/Init" in self.path or "/payments/" in self.path[:10] else 400)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def parrot() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(params=GATEWAYS, ids=lambda one: one.name)
def kind(request: pytest.FixtureRequest) -> GatewayKind:
    found: GatewayKind = request.param
    return found


@pytest.fixture
def counter(
    kind: GatewayKind, request: pytest.FixtureRequest, partner: Partner, till_for: Callable[..., Till]
) -> Till:
    """A till whose shop has a secret that stands nowhere else."""
    control: Control = request.getfixturevalue(kind.name)
    till: Till = till_for(partner, kind=kind, control=control)
    control.add_shop(till.shop, SECRET)
    change(till, "secret", SECRET)
    return till


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger tells all that it can, but those of the client that these tests pay at the simulators with."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
    for name, one in list(logging.root.manager.loggerDict.items()):
        if isinstance(one, logging.Logger):
            caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def change(till: Till, old: str, new: str) -> None:
    """Other secrets in the till's connection; names of settings stay."""
    config = {
        name: value.replace(old, new) if isinstance(value, str) else value
        for name, value in till.connection.config.items()
    }
    till.connection.config = config
    with in_public():
        Connection.objects.filter(pk=till.connection.pk).update(config=config)


def everything() -> list[tuple[str, str]]:
    """Each row of the current partner's schema and of the public one, with its table, as the database has it."""
    found = []
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN (current_schema(), 'public')"
        )
        for schema, table in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{schema}"."{table}" t')
            found += [(f"{schema}.{table}", row) for [row] in cursor.fetchall()]
    return found


def in_all_forms(till: Till, words: set[str]) -> set[str]:
    pairs = {f"{name}:{word}" for word in words for name in till.connection.config.values()}
    coded = {base64.b64encode(one.encode()).decode().rstrip("=") for one in words | pairs}
    return words | coded


def test_no_row_and_no_line_of_the_log_holds_a_secret(
    counter: Till,
    kind: GatewayKind,
    logged: pytest.LogCaptureFixture,
    parrot: str,
    deliver: Callable[[], int],
) -> None:
    paid = counter.paid(card=kind.three_ds)
    method = paid.method
    assert method is not None
    renewal = payments.settle(payments.send(counter.charge(method).pk).pk)
    assert renewal.is_paid
    part = refunds.refund(payment=renewal, amount=Money(Decimal("99.50")), reason="часть", actor="t")
    refund_calls.send(part.pk)
    assert look(part).state == "succeeded"
    assert counter.paid(card=kind.poor).state == "failed"
    account = account_of(counter)
    for hook in counter.gateway.webhooks(payment_id=paid.gateway_id):
        assert arrive(counter, hook, kind) == 200
    deliver()
    refuse_all(counter, account or method, renewal, parrot)

    assert Exchange.objects.filter(connection_id=counter.connection.pk).count() > 6
    rows = everything()
    assert len({table for table, _row in rows}) > 20
    words = in_all_forms(counter, {SECRET, WRONG} | tokens(kind))
    cards = {kind.three_ds, kind.poor, kind.good}
    for word in words | cards:
        assert [one for one in rows if word in one[1]] == []
        assert [one for one in logged.messages if word in one] == []
        assert word not in logged.text
    # It is all there for those who can decrypt it.
    assert WRONG in str(Connection.objects.get(pk=counter.connection.pk).config)
    assert PaymentMethod.objects.get(pk=method.pk).token == method.token


def account_of(till: Till) -> PaymentMethod | None:
    """An account that is linked by a payment through SBP and charged by its token, where the gateway has that."""
    if "sbp" not in till.connection.connector_class.instruments:
        return None
    paid = till.pending(instrument="sbp")
    till.gateway.pay_sbp(paid.confirmation_url)
    account = payments.settle(paid.pk).method
    if account is not None:
        charge = payments.send(till.charge(account).pk)
        assert payments.settle(charge.pk).is_paid
    return account


def refuse_all(till: Till, method: PaymentMethod, renewal: Payment, parrot: str) -> None:
    """The gateway takes no key of ours; then one that repeats in its refusal all that it was sent."""
    change(till, SECRET, WRONG)
    for row in (till.start(), till.charge(method)):
        payments.send(row.pk)
    change(till, till.gateway.base_url, parrot)
    for row in (till.start(), till.charge(method)):
        payments.send(row.pk)
    made = refunds.refund(payment=renewal, amount=Money(Decimal("1.00")), reason="часть", actor="t")
    refund_calls.send(made.pk)
    with pytest.raises(Exception, match=r"."):
        till.connection.open().check()


def held(words: set[str], logged: pytest.LogCaptureFixture) -> list[str]:
    """Which of these stand in a row, or in a line of the log."""
    rows = everything()
    told = [*logged.messages, logged.text]
    return [
        word for word in words if any(word in row for _table, row in rows) or any(word in one for one in told)
    ]


def coded(pairs: dict[str, str]) -> set[str]:
    """Secrets by the names that go with them, and as they go in a header."""
    both = {f"{name}:{word}" for word, name in pairs.items()}
    return set(pairs) | {base64.b64encode(one.encode()).decode().rstrip("=") for one in both | set(pairs)}


def swapped(made: Connection, **config: str) -> None:
    made.config = {**made.config, **config}
    with in_public():
        made.save(update_fields=["config"])


def test_the_cash_registers_password_and_token_are_nowhere(
    shop: Shop,
    rule: FiscalRule,
    atol: Control,
    operator: LegalEntity,
    logged: pytest.LogCaptureFixture,
    parrot: str,
) -> None:
    register = rule.test_connection
    assert register is not None
    with in_public():
        atol.add_register(register.name, inn=operator.inn, password=SECRET)
    swapped(register, password=SECRET)
    shop.buy(shop.offer())
    settled(shop)
    account = (register.pk, f"{register.name}:{SECRET}")
    told = {_tokens[account]}
    # A token that is over, a password that is wrong, and a register that repeats all that it was told.
    _tokens[account] = stale = "planted-token-Rw5"
    shop.buy(shop.offer(), customer=shop.customer())
    told |= {stale, _tokens[account]}
    assert len(told) == 3
    for config in ({"password": WRONG}, {"base_url": parrot}):
        swapped(register, **config)
        shop.buy(shop.offer(), customer=shop.customer())
    assert Exchange.objects.filter(connection_id=register.pk).count() > 3
    pairs = dict.fromkeys([SECRET, WRONG], register.name) | dict.fromkeys(told, "Token")
    assert held(coded(pairs), logged) == []
    # It is all there for those who can decrypt it.
    assert WRONG in str(Connection.objects.get(pk=register.pk).config)


def test_the_secret_of_a_partners_own_service_is_nowhere(
    shop: Shop, service: Connection, partner_sim: Control, logged: pytest.LogCaptureFixture, parrot: str
) -> None:
    partner_sim.add_shop(shop.partner.slug, SECRET)
    swapped(service, secret=SECRET)
    _subscription, made = bought(shop)
    assert made.state == "charged"
    for config in ({"secret": WRONG}, {"url": parrot}):
        swapped(service, **config)
        bought(shop)
    assert Exchange.objects.filter(connection_id=service.pk).count() > 2
    assert held(coded(dict.fromkeys([SECRET, WRONG], "secret")), logged) == []
    assert WRONG in str(Connection.objects.get(pk=service.pk).config)


def tokens(kind: GatewayKind) -> set[str]:
    """Of the saved methods, where they are more than the number of a payment, which stands on its page."""
    public = set(Payment.objects.values_list("gateway_id", flat=True))
    found = {one.token.rpartition("/")[2] for one in PaymentMethod.objects.all()} - public
    assert found or kind.name in {"robokassa", "yookassa"}
    return found
