"""What is Robokassa's own: signatures of links and ResultURL, its tokens."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.connectors.base import ConnectorError, ForgedMessage, Inbound
from apps.partners.models import Partner
from apps.payments.robokassa import Robokassa, jwt
from apps.sandbox.control import Control
from tests.payments.conftest import Till
from tests.payments.gateways import ROBOKASSA


@pytest.fixture
def till(partner: Partner, till_for: Any, robokassa: Control) -> Till:
    made: Till = till_for(partner, kind=ROBOKASSA, control=robokassa)
    return made


def connector(till: Till, **changed: Any) -> Robokassa:
    values = {**ROBOKASSA.config(till.shop, till.gateway), **changed}
    return Robokassa(Robokassa.Config(**values), till.connection)


def notice(body: str) -> Inbound:
    return Inbound("POST", {}, {}, body.encode())


def test_the_published_signatures(till: Till) -> None:
    shop = connector(till, login="demo", password_1="pass1", password_2="pass2")
    assert shop._sign("demo", "100.00", "5", "pass1") == "f9e2308845746db952d652d2f05c7bce"
    signed = "OutSum=100.000000&InvId=5&Shp_oplata=1&Shp_login=Vasya&SignatureValue="
    for signature in ("d3703d404850dadbf9be12c1e498bb6d", "D3703D404850DADBF9BE12C1E498BB6D"):
        assert shop.receive(notice(signed + signature)).reference == 5
    assert Robokassa.acknowledge(notice(signed)) == ("OK5", "text/plain")


def test_what_is_not_signed_by_the_shop_is_forged(till: Till) -> None:
    shop = connector(till, password_2="pass2")
    good = hashlib.md5(b"100.000000:5:pass2", usedforsecurity=False).hexdigest()
    assert shop.receive(notice(f"OutSum=100.000000&InvId=5&SignatureValue={good}")).gateway_id == "5"
    for body in (
        f"OutSum=1.000000&InvId=5&SignatureValue={good}",
        f"OutSum=100.000000&InvId=6&SignatureValue={good}",
        f"OutSum=100.000000&InvId=5&Shp_a=1&SignatureValue={good}",
        "OutSum=100.000000&InvId=5",
        "OutSum=100.000000&SignatureValue=x",
        "",
    ):
        with pytest.raises(ForgedMessage):
            shop.receive(notice(body))


def test_a_link_says_what_it_is_for_and_cannot_be_altered(till: Till) -> None:
    payment = till.pending()
    asked = {name: value[0] for name, value in parse_qs(urlsplit(payment.confirmation_url).query).items()}
    assert (asked["OutSum"], asked["InvId"]) == ("399.00", str(payment.reference_id))
    assert (asked["Recurring"], asked["IsTest"]) == ("true", "1")
    cheaper = payment.confirmation_url.replace("399.00", "1.00")
    assert till.gateway.pay(cheaper, card=ROBOKASSA.good).status_code == 400
    assert till.gateway.register(shop=till.shop)["payments"] == []


def test_refunds_are_signed_as_jwt() -> None:
    # RFC 7515's own example of HS256 has line breaks in its JSON; this one is of the same parts without them.
    head, body, signature = jwt({"OpKey": "A", "RefundSum": 1.5}, "secret").split(".")
    assert (head, body) == ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJPcEtleSI6IkEiLCJSZWZ1bmRTdW0iOjEuNX0")
    assert len(signature) == 43


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
    + b"".join(b'<!ENTITY b%d "%s">' % (n, b"&b%d;" % (n - 1) * 10 if n else b"&b;" * 10) for n in range(9))
    + b"]><OperationStateResponse><Result><Code>&b8;</Code></Result></OperationStateResponse>"
)
OF_FILE = (
    BOMB[:21]
    + b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a><Result><Code>&b;</Code></Result></a>'
)


class Bomber(BaseHTTPRequestHandler):
    content = BOMB

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def bomber() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bomber) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("content", [BOMB, OF_FILE], ids=["grows", "reads"])
def test_an_answer_that_declares_entities_is_not_read(
    till: Till, bomber: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bomber, "content", content)
    with pytest.raises(ConnectorError, match="Непонятный ответ") as caught:
        connector(till, base_url=bomber).check()
    assert "root:" not in str(caught.value)
