"""A message on its way: claim (commit) → call → record (commit). Unknown is never sent again blind."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from apps import journal
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import bulk, clock, due, faults, gather, work
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.notifications import attachments, types
from apps.notifications.models import Message, State
from apps.notifications.outbox import FOLLOW, SEND
from apps.notifications.sender import MessageSender, Outgoing, Receipt

KIND = "notifications.Message"
PATIENCE = 8
"""Attempts that were surely not taken before the message counts as not sent."""
DISAPPEARED = timedelta(minutes=2)
"""A service that does not know a message so long after the call never got it."""
FOLLOWED = timedelta(days=3)
"""After which nobody asks any more whether a sent message has arrived."""


def send_many(message_ids: Sequence[UUID]) -> None:
    """Due work `notifications.send` of many: an attempt each, one after another, as long as their lease allows.

    Each is claimed right before its call: who is killed leaves one of which nobody knows whether it went out.
    """
    until = clock.wall() + due.LEASE / 4
    left = _with_connection(message_ids)
    for place, message_id in enumerate(left):
        if clock.wall() > until:
            now = clock.wall()
            due.schedule_many(SEND, [(key, now, None) for key in left[place:]])
            return
        send(message_id)


def _with_connection(message_ids: Sequence[UUID]) -> list[UUID]:
    """Those that can be sent; the others wait, all put off at once, until there is something to send them by."""
    with transaction.atomic(), gather.gathering():
        rows = Message.objects.select_for_update().filter(pk__in=bulk.these("uuid", message_ids))
        found = list(rows.only("state", "channel", "attempts", "expires_at", "to").order_by("pk"))
        refusals = {channel: _refusal(channel) for channel in {one.channel for one in found}}
        waiting = [
            one
            for one in found
            if one.state == State.QUEUED
            and refusals[one.channel]
            and not _useless(one)
            and not _is_spent(one)
        ]
        now = clock.wall()
        for one in waiting:
            one.attempts += 1
            due.schedule(SEND, one.pk, _put_off_until(one), wall=True)
        bulk.update(
            Message,
            ["attempts", "tried_at", "error"],
            [(one.pk, one.attempts, now, refusals[one.channel]) for one in waiting],
        )
    return [one.pk for one in found if one not in waiting]


def _refusal(channel: str) -> str:
    """Why nothing goes by a channel now; empty where it does."""
    try:
        Connection.objects.for_partner(current_partner(), channel)
    except Refused as refusal:
        return str(refusal.message)[:500]
    return ""


def send(message_id: UUID) -> None:
    """One attempt. Raises due.Retry where it is to be tried again."""
    # Files are made before the claim: what fails to be made leaves nothing half sent.
    files = attachments.of(Message.objects.only("attachments").get(pk=message_id))
    message = _claim(message_id)
    if message is None:
        return
    faults.at("notifications.claimed")
    try:
        receipt = _sender(message).send(replace(_outgoing(message), files=files))
    except ConnectorError as error:
        _record_error(message_id, error)
        return
    faults.at("notifications.called-not-recorded")
    _record(message_id, receipt)
    faults.at("notifications.recorded")


def follow(message_id: UUID) -> None:
    """Due work `notifications.follow`: asks the service what became of a sent or unknown message."""
    message = Message.objects.get(pk=message_id)
    if message.state not in (State.SENT, State.UNKNOWN) or message.tried_at is None:
        return
    age = clock.wall() - message.tried_at
    if age > FOLLOWED:
        return
    try:
        receipt = _sender(message).fetch(_outgoing(message))
    except ConnectorError:
        raise due.Retry(_ask_again_at(age)) from None
    faults.at("notifications.fetched-not-recorded")
    if receipt.status in ("sent", "delivered", "failed"):
        _record(message_id, receipt)
        faults.at("notifications.followed")
    elif message.state == State.UNKNOWN:
        _settle_unknown(message_id, receipt, age)
        return
    if receipt.status not in ("delivered", "failed"):
        raise due.Retry(_ask_again_at(age))


def resend(message: Message, *, actor: str) -> None:
    """A person's decision to send again what did not arrive or hangs. Raises Refused for another."""
    with transaction.atomic():
        message = _locked(message.pk)
        if message.state not in (State.FAILED, State.UNKNOWN) or not message.text:
            raise Refused("not_resendable", _("Ещё раз отправляют только недоставленное"))
        message.expires_at = None
        _queue(message)
        message.attempts = 0
        message.save()
        journal.record("message.resent", KIND, message.pk, actor=actor)


def _claim(message_id: UUID) -> Message | None:
    with transaction.atomic():
        message = _locked(message_id)
        if message.state == State.SENDING:
            # The process that claimed it died, or lost its lease: what it did is not known.
            _set_unknown(message, _("Отправка прервалась"))
            message.save()
            return None
        if message.state != State.QUEUED:
            return None
        if reason := _useless(message):
            _finish(message, State.FAILED, reason)
            message.save()
            return None
        return _claim_on_connection(message)


def _useless(message: Message) -> str:
    """Why it is not sent any more; empty where it is."""
    if not message.to:
        return _("Данные клиента стёрты")
    if _is_past(message):
        return _("Устарело прежде, чем удалось отправить")
    return ""


def _is_past(message: Message) -> bool:
    return message.expires_at is not None and message.expires_at <= clock.wall()


def _claim_on_connection(message: Message) -> Message | None:
    message.tried_at = clock.wall()
    message.attempts += 1
    try:
        message.connection = Connection.objects.for_partner(current_partner(), message.channel)
    except Refused as refusal:
        retry_at = _put_off(message, str(refusal.message))
        message.save()
        if retry_at:
            due.schedule(SEND, message.pk, retry_at, wall=True)
        return None
    message.state, message.error = State.SENDING, ""
    message.save()
    return message


def _sender(message: Message) -> MessageSender:
    assert message.connection is not None, "claimed with a connection"
    try:
        sender: MessageSender = message.connection.open()
    except LookupError as error:
        raise ConnectorError(str(error), retry=True) from error
    return sender


def _outgoing(message: Message) -> Outgoing:
    others = Message.objects.none()
    if message.state == State.UNKNOWN:
        others = Message.objects.filter(
            connection=message.connection, channel=message.channel, provider_id__gt=""
        ).exclude(pk=message.pk)
    return Outgoing(
        id=message.pk,
        to=message.to,
        subject=message.subject,
        text=message.text,
        html=message.html,
        sender_name=current_partner().name,
        provider_id=message.provider_id,
        not_ids=frozenset(others.order_by("-id").values_list("provider_id", flat=True)[:1000]),
    )


def _record(message_id: UUID, receipt: Receipt) -> None:
    """Writes what the service says, unless the message has come to its end already."""
    with transaction.atomic():
        message = _locked(message_id)
        if message.state not in (State.SENDING, State.UNKNOWN, State.SENT):
            return
        message.provider_id = receipt.provider_id or message.provider_id
        if receipt.status == "failed":
            _finish(message, State.FAILED, receipt.reason)
        elif receipt.status == "delivered":
            message.sent_at = message.sent_at or clock.wall()
            _finish(message, State.DELIVERED)
        elif message.state != State.SENT:
            message.state, message.error, message.sent_at = State.SENT, "", clock.wall()
            work.close(KIND, message.pk)
            _wipe_secret(message)
            if _reports_delivery(message):
                due.schedule(FOLLOW, message.pk, clock.wall() + timedelta(seconds=10), wall=True)
        message.save()


def _reports_delivery(message: Message) -> bool:
    assert message.connection is not None
    return bool(getattr(message.connection.connector_class, "reports_delivery", False))


def _record_error(message_id: UUID, error: ConnectorError) -> None:
    with transaction.atomic():
        message = _locked(message_id)
        if message.state != State.SENDING:
            return
        if error.unknown:
            _set_unknown(message, str(error))
        elif error.retry:
            if retry_at := _put_off(message, str(error)):
                due.schedule(SEND, message.pk, retry_at, wall=True)
        else:
            _finish(message, State.FAILED, str(error))
        message.save()


def _put_off(message: Message, reason: str) -> datetime | None:
    """Back into the queue, for when it is returned; None where patience is at its end."""
    if message.attempts >= PATIENCE:
        _finish(message, State.FAILED, reason)
        return None
    message.state, message.error = State.QUEUED, reason[:500]
    return _put_off_until(message)


def _put_off_until(message: Message) -> datetime:
    return clock.wall() + timedelta(seconds=min(15 * 2**message.attempts, 3600))


def _is_spent(message: Message) -> bool:
    """Whether its next attempt is the last."""
    return message.attempts + 1 >= PATIENCE


def _set_unknown(message: Message, reason: str) -> None:
    message.state, message.error = State.UNKNOWN, reason[:500]
    due.schedule(FOLLOW, message.pk, clock.wall(), wall=True)


def _settle_unknown(message_id: UUID, receipt: Receipt, age: timedelta) -> None:
    """The service has no answer: sent anew where it surely never got it, else a person decides."""
    with transaction.atomic():
        message = _locked(message_id)
        if message.state != State.UNKNOWN:
            return
        if _useless(message):
            _finish(message, State.FAILED, _("Неизвестно, ушло ли; теперь уже не нужно"))
            message.save()
            return
        if receipt.status == "unknown":
            if message.expires_at:
                raise due.Retry(message.expires_at)
            work.open(KIND, message.pk, _("Неизвестно, ушло ли сообщение: %(why)s") % {"why": message.error})
            return
        if age >= DISAPPEARED:
            _queue(message)
            message.save()
            return
    raise due.Retry(_ask_again_at(age))


def _queue(message: Message) -> None:
    message.state, message.error, message.settled_at = State.QUEUED, "", None
    work.close(KIND, message.pk)
    due.schedule(SEND, message.pk, clock.wall(), wall=True)


def _finish(message: Message, state: State, reason: str = "") -> None:
    message.state, message.error, message.settled_at = state, reason[:500], clock.wall()
    work.close(KIND, message.pk)
    _wipe_secret(message)
    if state == State.FAILED and message.to and not message.expires_at:
        work.open(KIND, message.pk, _("Сообщение не отправлено: %(why)s") % {"why": reason})


def _wipe_secret(message: Message) -> None:
    if types.of(message.type).secret:
        message.wipe_texts()


def _locked(message_id: UUID) -> Message:
    return Message.objects.select_for_update().get(pk=message_id)


def _ask_again_at(age: timedelta) -> datetime:
    """Often at first, later at ever greater distances: 10 seconds to 6 hours."""
    return clock.wall() + min(max(age, timedelta(seconds=10)), timedelta(hours=6))
