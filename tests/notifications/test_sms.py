"""SMS: followed until they arrive; a lost answer is looked for, never sent again blind."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction

from apps import notifications
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import audit, faults
from apps.core.ids import uuid7
from apps.core.tenancy import current_partner_id
from apps.notifications.models import Message, State
from apps.sandbox.control import Control
from tests.notifications.connections import bring_near

_phones = itertools.count(79161110000)


def sms(phone: str, product: str = "Кино") -> Message:
    with transaction.atomic():
        message = notifications.send(
            "subscription_cancelled",
            to_phone=phone,
            customer_id=uuid7(),
            context={"product": product},
            key=str(uuid7()),
        )
    assert message is not None
    return message


@pytest.fixture
def phone() -> str:
    return f"+{next(_phones)}"


def received(smsaero: Control, phone: str) -> list[str]:
    return [row["text"] for row in smsaero.messages(number=phone[1:])]


def test_an_sms_is_followed_until_it_arrives(
    sms_connection: Connection, smsaero: Control, deliver: Callable[[], int], phone: str
) -> None:
    assert "₽" in sms_connection.open().check()
    message = sms(phone)
    deliver()
    message.refresh_from_db()
    assert message.state == State.SENT
    assert message.provider_id
    for _poll in range(2):
        bring_near(message)
        deliver()
    message.refresh_from_db()
    assert message.state == State.DELIVERED
    assert message.settled_at
    assert received(smsaero, phone) == [message.text]

    smsaero.fault("undelivered")
    lost = sms(phone)
    deliver()
    for _poll in range(2):
        bring_near(lost)
        deliver()
    lost.refresh_from_db()
    assert lost.state == State.FAILED


def test_a_lost_answer_is_looked_for_among_the_rest(
    sms_connection: Connection, smsaero: Control, deliver: Callable[[], int], phone: str
) -> None:
    first = sms(phone)
    deliver()
    smsaero.fault("drop_answer", match={"operation": "sms/send", "number": phone[1:]})
    second = sms(phone)
    assert first.text == second.text
    deliver()
    first.refresh_from_db()
    second.refresh_from_db()
    assert second.state == State.SENT
    assert second.provider_id not in ("", first.provider_id)
    assert len(received(smsaero, phone)) == 2


def test_what_the_service_never_got_is_sent_again_when_that_is_sure(
    sms_connection: Connection, smsaero: Control, deliver: Callable[[], int], phone: str
) -> None:
    smsaero.fault("http_503", match={"operation": "sms/send", "number": phone[1:]})
    message = sms(phone)
    deliver()
    bring_near(message)
    deliver()
    message.refresh_from_db()
    assert message.state == State.UNKNOWN
    assert received(smsaero, phone) == []
    bring_near(message, by=timedelta(minutes=3))
    deliver()
    message.refresh_from_db()
    assert message.state == State.SENT
    assert received(smsaero, phone) == [message.text]


def test_an_empty_balance_is_waited_out_and_a_refused_text_is_not(
    sms_connection: Connection, smsaero: Control, deliver: Callable[[], int], phone: str
) -> None:
    smsaero.fault("no_credits")
    poor = sms(phone)
    deliver()
    smsaero.fault("reject")
    bad = sms(phone, "Плохое слово")
    deliver()
    poor.refresh_from_db()
    bad.refresh_from_db()
    assert (poor.state, bad.state) == (State.QUEUED, State.FAILED)
    assert "no credits" in poor.error
    assert "incorrect text" in bad.error
    with pytest.raises(RuntimeError), transaction.atomic():
        sms_connection.open().check()
    sms_connection.is_enabled = False
    with pytest.raises(ConnectorError):
        sms_connection.open()


@pytest.mark.parametrize("point", ["notifications.fetched-not-recorded", "notifications.followed"])
def test_a_worker_may_die_while_it_follows(
    sms_connection: Connection, smsaero: Control, deliver: Callable[[], int], phone: str, point: str
) -> None:
    message = sms(phone)
    deliver()
    bring_near(message)
    with faults.crash_at(point), pytest.raises(faults.Crash):
        deliver()
    for _restart in range(3):
        bring_near(message, by=timedelta(minutes=3))
        deliver()
    message.refresh_from_db()
    assert message.state == State.DELIVERED
    assert received(smsaero, phone) == [message.text]
    partner_id = current_partner_id()
    assert partner_id is not None
    assert list(audit.run([partner_id])) == []


@pytest.mark.parametrize(
    "point", ["notifications.claimed", "notifications.called-not-recorded", "notifications.recorded"]
)
def test_a_worker_may_die_anywhere(
    sms_connection: Connection, smsaero: Control, deliver: Callable[[], int], phone: str, point: str
) -> None:
    message = sms(phone)
    with faults.crash_at(point), pytest.raises(faults.Crash):
        deliver()
    for _restart in range(4):
        bring_near(message, by=timedelta(minutes=3))
        deliver()
    message.refresh_from_db()
    assert message.state in (State.SENT, State.DELIVERED)
    assert received(smsaero, phone) == [message.text]
    partner_id = current_partner_id()
    assert partner_id is not None
    assert list(audit.run([partner_id])) == []
