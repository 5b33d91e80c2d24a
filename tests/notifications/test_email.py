"""Letters: written with what made them true, sent once, unknown when the line breaks."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr
from typing import Any

import pytest
from django.db import transaction
from hypothesis import example, given
from hypothesis import strategies as st

from apps import notifications
from apps.connectors import breaker
from apps.connectors.models import Connection
from apps.core import clock
from apps.core.ids import uuid7
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.journal.models import Exchange
from apps.notifications import delivery, smtp, texts, types
from apps.notifications.models import Message, State
from apps.notifications.sender import Outgoing
from apps.policies.models import MessageTemplate
from apps.sandbox.control import Control
from tests.notifications.connections import bring_near

PAID = {
    "product": "Антивирус «Щит»",
    "tariff": "Месяц",
    "amount": Money(Decimal("1299.50")),
    "method": "•• 4477",
    "period_end": date(2026, 12, 27),
}


def letter(to: str, **fields: Any) -> Message:
    context = {"type": "payment_succeeded", "context": PAID, "key": f"test:{uuid7()}", **fields}
    with transaction.atomic():
        message = notifications.send(context.pop("type"), to_email=to, customer_id=uuid7(), **context)
    assert message is not None
    return message


def waits_for_staff(message: Message) -> bool:
    return WorkItem.objects.filter(kind=delivery.KIND, object_id=message.pk).exists()


def test_a_letter_is_sent_once_after_commit(
    email_connection: Connection, mailbox: Control, deliver: Callable[[], int]
) -> None:
    message = letter("anna@once.example.ru", key="paid:1")
    again = letter("anna@once.example.ru", key="paid:1")
    with transaction.atomic():
        letter("b@once.example.ru", key="paid:2")
        transaction.set_rollback(True)
    assert again.pk == message.pk
    assert mailbox.messages(to="anna@once.example.ru") == []

    deliver()
    message.refresh_from_db()
    assert (message.state, message.attempts, message.error) == (State.SENT, 1, "")
    assert mailbox.messages(to="b@once.example.ru") == []
    [received] = mailbox.messages(to="anna@once.example.ru")
    assert received["subject"] == "Оплачено: Антивирус «Щит»"
    assert received["headers"]["From"].endswith("<noreply@example.ru>")
    for part in ("text", "html"):
        assert "1\xa0299,50\xa0₽" in received[part], part
        assert "27 декабря 2026" in received[part], part
    assert "<h1" in received["html"]
    assert "/cabinet/" in received["html"]


def test_every_message_has_texts_in_both_languages(email_connection: Connection) -> None:
    for code, _title in types.choices():
        declared = types.of(code)
        for names in (declared.required, (*declared.required, *declared.optional)):
            context = {name: f"<{name}&>" for name in (*names, *types.ALWAYS)}
            context = {**dict.fromkeys(declared.optional, ""), **context}
            for language in texts.LANGUAGES:
                email = texts.render(code, "email", language, context)
                sms = texts.render(code, "sms", language, context)
                assert email.subject
                assert "\n" not in email.subject
                for name in names:
                    assert f"<{name}&>" in email.text, (code, language, name)
                    assert f"&lt;{name}&amp;&gt;" in email.html, (code, language, name)
                assert f"<{names[0]}&>" in sms.text
                assert len(sms.text) < 300
                # A letter to staff leads to the console, not to a customer's cabinet.
            is_own = language == "ru" and code != "staff_alert"
            assert ("Личный кабинет" in email.text) == is_own


@pytest.mark.parametrize(
    ("context", "error"),
    [({"product": "Щит"}, "needs amount"), ({**PAID, "price": 1}, "does not know price")],
)
def test_a_message_with_a_hole_is_refused(
    email_connection: Connection, context: dict[str, Any], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        letter("hole@example.ru", context=context)
    assert not Message.objects.exists()


def test_staffs_own_text_comes_first(
    email_connection: Connection, mailbox: Control, deliver: Callable[[], int]
) -> None:
    with in_public():
        own = MessageTemplate.objects.create(
            type="subscription_cancelled",
            channel="email",
            subject="Жаль, $product",
            body_text="До $period_end",
            body_html="<b>$product</b>",
        )
    try:
        context = {"product": "Кино & Co", "period_end": date(2027, 1, 5)}
        letter("own@example.ru", type="subscription_cancelled", context=context)
    finally:
        with in_public():
            own.delete()
    deliver()
    [received] = mailbox.messages(to="own@example.ru")
    assert received["subject"] == "Жаль, Кино & Co"
    assert received["text"].strip() == "До 5 января 2027"
    assert "<b>Кино &amp; Co</b>" in received["html"]


def test_what_may_have_left_waits_for_a_person(
    email_connection: Connection, mailbox: Control, deliver: Callable[[], int]
) -> None:
    mailbox.fault("drop_answer", match={"operation": "letter", "to": "lost@example.ru"})
    message = letter("lost@example.ru")
    deliver()
    deliver()
    message.refresh_from_db()
    assert message.state == State.UNKNOWN
    assert waits_for_staff(message)
    assert len(mailbox.messages(to="lost@example.ru")) == 1

    delivery.resend(message, actor="staff")
    deliver()
    message.refresh_from_db()
    assert message.state == State.SENT
    assert not waits_for_staff(message)
    assert len(mailbox.messages(to="lost@example.ru")) == 2


def test_what_was_not_taken_is_tried_again_and_what_was_refused_is_not(
    email_connection: Connection, mailbox: Control, deliver: Callable[[], int]
) -> None:
    mailbox.fault("reject", match={"to": "later@example.ru"})
    mailbox.fault("refuse", match={"to": "nobody@example.ru"})
    later, nobody = letter("later@example.ru"), letter("nobody@example.ru")
    deliver()
    later.refresh_from_db()
    nobody.refresh_from_db()
    assert (later.state, later.error[:3]) == (State.QUEUED, "451")
    assert (nobody.state, nobody.error[:3]) == (State.FAILED, "550")
    assert waits_for_staff(nobody)
    bring_near(later)
    deliver()
    later.refresh_from_db()
    assert (later.state, later.attempts) == (State.SENT, 2)


def test_no_connection_and_no_contact(partner: Any, deliver: Callable[[], int]) -> None:
    nobody = notifications.send("payment_succeeded", customer_id=uuid7(), context=PAID, key="x")
    assert nobody is None
    Connection.objects.filter(partner=None, kind="email", is_test=False).update(is_enabled=False)
    message = letter("wait@example.ru")
    deliver()
    message.refresh_from_db()
    assert message.state == State.QUEUED
    assert message.error


def test_what_came_too_late_and_what_was_erased_is_not_sent(
    email_connection: Connection, mailbox: Control, deliver: Callable[[], int]
) -> None:
    late = letter("late@example.ru", type="signin_code", context={"code": "123456"}, expires_at=clock.wall())
    erased = letter("erased@example.ru")
    assert erased.customer_ref is not None
    notifications.forget(erased.customer_ref)
    deliver()
    for message in (late, erased):
        message.refresh_from_db()
        assert (message.state, message.text, waits_for_staff(message)) == (State.FAILED, "", False)
        assert mailbox.messages(to=message.to or "erased@example.ru") == []
    assert erased.to == ""


def test_a_code_is_gone_from_the_log_once_it_has_left(
    email_connection: Connection, mailbox: Control, deliver: Callable[[], int]
) -> None:
    soon = clock.wall() + timedelta(minutes=10)
    message = letter("code@example.ru", type="signin_code", context={"code": "654321"}, expires_at=soon)
    deliver()
    message.refresh_from_db()
    assert (message.state, message.subject, message.text, message.html) == (State.SENT, "", "", "")
    assert mailbox.messages(to="code@example.ru")[0]["subject"].startswith("654321")


RUSSIAN = st.text(
    st.sampled_from('абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБЯ «»,.:;()-–—№₽\xa0abcXYZ0123456789"<>@=?_')
)
SENDER = smtp.Smtp(smtp.Config(host="127.0.0.1", from_email="noreply@example.ru"), Connection())


@given(subject=RUSSIAN.map(str.strip), sender=RUSSIAN.map(lambda text: " ".join(text.split())))
@example(subject="Оплачено: Телемедицина онлайн, Базовый", sender="Банк «Заря»")
@example(
    subject="Продлим 27 декабря: Онлайн-кинотеатр Премьера, Месяц, 399,00 ₽ " * 3, sender="Банк Заря, АО " * 9
)
def test_every_subject_and_sender_arrives_as_it_was_written(subject: str, sender: str) -> None:
    subject, sender = subject.strip(), " ".join(sender.split())
    written = SENDER._letter(Outgoing(uuid7(), "anna@example.ru", subject, "Текст", "<p>Текст</p>", sender))
    wire = written.as_bytes(policy=smtp.WIRE)
    assert all(len(line) <= 998 and line.isascii() for line in wire.split(b"\r\n"))
    # The older reader: the newer one loses letters between the encoded words of a name.
    read = message_from_bytes(wire)
    name, address = parseaddr(read["From"])
    assert str(make_header(decode_header(read["Subject"]))) == subject
    assert (str(make_header(decode_header(name))), address) == (sender, "noreply@example.ru")
    assert message_from_bytes(wire, policy=policy.default)["Subject"] == subject


@pytest.mark.parametrize("subject", ["Вам\r\nBcc: all@example.ru", "а\u2028б", "а\x00б"])
def test_no_subject_becomes_a_header_of_its_own(subject: str) -> None:
    with pytest.raises(ValueError, match="Subject"):
        SENDER._letter(Outgoing(uuid7(), "anna@example.ru", subject, "Текст", "", "Банк"))


def test_a_letter_is_a_call_outside_like_any_other(
    email_connection: Connection, mailbox: Control, deliver: Callable[[], int]
) -> None:
    letter("health@example.ru")
    deliver()
    email_connection.refresh_from_db()
    assert email_connection.last_ok_at is not None
    sent = Exchange.objects.get(connection_id=email_connection.pk)
    assert (sent.method, sent.status, sent.error) == ("SEND", 250, "")
    assert "health@" not in f"{sent.request}{sent.response}"

    for number in range(breaker.FAILURES):
        mailbox.fault("drop", match={"to": f"down-{number}@example.ru"})
        letter(f"down-{number}@example.ru")
    deliver()
    email_connection.refresh_from_db()
    assert email_connection.last_error_at is not None
    waits = letter("waits@example.ru")
    deliver()
    waits.refresh_from_db()
    assert (waits.state, "не отвечает" in waits.error) == (State.QUEUED, True)
    assert mailbox.messages(to="waits@example.ru") == []
