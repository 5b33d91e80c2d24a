"""SMS Aero, the product provider and the mailbox do what they say."""

import smtplib
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.sandbox.conftest import eventually


def test_sms(state: Path) -> None:
    with Simulator("smsaero", state=state, args=["--account", "a@example.com:key"]) as simulator:
        control = Control(simulator.url)
        api = httpx.Client(
            base_url=f"{simulator.url}/v2", auth=("a@example.com", "key"), timeout=60, verify=False
        )
        sms = {"number": "79161234567", "text": "Код 1234", "sign": "SMS Aero"}
        sent = api.post("/sms/send", json=sms).json()
        assert (sent["success"], sent["data"]["extendStatus"]) == (True, "queue")

        def poll() -> str:
            return api.post("/sms/status", json={"id": sent["data"]["id"]}).json()["data"]["extendStatus"]

        assert [poll(), poll(), poll()] == ["sent", "delivery", "delivery"]
        assert api.get("/balance").json()["data"]["balance"] == 9994.51
        assert api.post("/sms/list", json={"number": "79161234567"}).json()["data"]["totalCount"] == 1
        assert api.get("/auth", auth=("a@example.com", "no")).status_code == 401
        assert api.post("/sms/send", json=sms | {"number": "123"}).json()["data"]["number"]
        control.fault("no_credits")
        assert api.post("/sms/send", json=sms).json()["result"] == "no credits"
        control.fault("drop_answer", match={"operation": "sms/send"})
        with pytest.raises(httpx.TransportError):
            api.post("/sms/send", json=sms | {"text": "Потеряно"})
        assert [row["text"] for row in control.messages(number="79161234567")] == ["Код 1234", "Потеряно"]
        assert "Код 1234" in httpx.get(simulator.url, verify=False).text
        control.clear_messages()
        assert control.messages() == []


def test_provider(state: Path) -> None:
    with Simulator("provider", state=state, args=["--token", "secret"]) as simulator:
        control = Control(simulator.url)
        headers = {"Authorization": "Bearer secret"}
        api = httpx.Client(base_url=f"{simulator.url}/v1", headers=headers, timeout=60, verify=False)

        def ask(request_id: str, **fields: Any) -> httpx.Response:
            body = {"sku": "AV-1", "customer_ref": "c1", "period_end": "2026-12-27", "parameters": {}}
            return api.post("/activations", json={"request_id": request_id, **body, **fields})

        first = ask("r1")
        assert (first.status_code, first.json()["status"]) == (201, "active")
        assert (ask("r1").status_code, ask("r1").json()) == (200, first.json())
        assert ask("r1", sku="AV-2").json()["code"] == "request_conflict"
        assert api.get("/activations/never").status_code == 404
        assert ask("r1", period_end="soon").status_code == 422

        longer = {"extension_id": "e1", "period_end": "2027-01-27"}
        extended = [api.post("/activations/r1/extend", json=longer).json() for _ in range(2)]
        assert extended[0] == extended[1]
        assert extended[0]["period_end"] == "2027-01-27"
        assert [api.post("/activations/r1/cancel").json()["status"] for _ in range(2)] == ["canceled"] * 2
        assert (
            api.post("/activations/r1/extend", json=longer | {"extension_id": "e2"}).json()["code"]
            == "not_active"
        )

        control.fault("out_of_stock")
        assert ask("r2").json()["code"] == "out_of_stock"
        control.switch(on=False)
        assert ask("r2").status_code == 503
        assert api.get("/activations/r2").status_code == 503
        control.switch(on=True)
        control.fault("drop_answer")
        with pytest.raises(httpx.TransportError):
            ask("r2")
        assert ask("r2").json()["key"] == control.register()["activations"][1]["key"]
        control.fault("pending", seconds=0.1)
        assert (ask("r3").json()["status"], ask("r3").json()["key"]) == ("pending", None)
        assert eventually(lambda: api.get("/activations/r3").json()["key"])
        assert httpx.get(f"{simulator.url}/v1/ping", verify=False).status_code == 401


def test_mailbox(state: Path) -> None:
    simulator = Simulator("mailbox", state=state)
    control = Control(simulator.start())
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "shop@example.com", "anna@example.com", "Ваш ключ"
    letter.set_content("Ключ: 1A2B")
    letter.add_alternative("<h1>Ключ: 1A2B</h1>", subtype="html")
    letter.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="счёт.pdf")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", simulator.smtp_port, timeout=60) as smtp:
            smtp.send_message(letter)

    control.fault("reject")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send()
    assert refused.value.smtp_code == 451
    assert control.messages() == []
    control.fault("refuse", match={"to": "anna@example.com"})
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send()
    for kind, kept in (("drop", 0), ("drop_answer", 1)):
        control.fault(kind)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
            send()
        assert len(control.messages()) == kept
    send()
    simulator.kill()
    simulator.start()
    send()
    found = httpx.get(f"{simulator.url}/messages", params={"to": "Anna@example.com"}, verify=False).json()[
        "items"
    ]
    assert [row["subject"] for row in found] == ["Ваш ключ"] * 3
    assert "1A2B" in found[0]["text"]
    assert "<h1>" in found[0]["html"]
    assert found[0]["attachments"] == [{"name": "счёт.pdf", "type": "application/pdf", "bytes": 4}]
    assert "Ваш ключ" in httpx.get(simulator.url, verify=False).text
    assert "1A2B" in httpx.get(f"{simulator.url}/messages/{found[0]['id']}", verify=False).text
    control.clear_messages()
    assert control.messages() == []
    simulator.stop()
