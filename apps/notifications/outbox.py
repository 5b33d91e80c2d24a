"""Messages are written here, in the transaction that made them true; `delivery` sends them after it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.core import bulk, clock, due, gather
from apps.notifications import look, texts, types
from apps.notifications.attachments import Attachment
from apps.notifications.models import Message
from apps.policies.models import Channel

SEND = "notifications.send"
FOLLOW = "notifications.follow"


def send(
    type: str,
    *,
    to_email: str = "",
    to_phone: str = "",
    customer_id: UUID | None,
    context: dict[str, Any],
    key: str,
    language: str = "ru",
    expires_at: datetime | None = None,
    attachments: Sequence[Attachment] = (),
) -> Message | None:
    """Writes a message, plans its sending: by e-mail where there is one, else by SMS; None without either.

    `key` names the reason (`renewal_ahead:<subscription>:<date>`): a second call with it changes nothing and
    gives the first message (within a batch, the one that is written at its end if there is none). After
    `expires_at` (wall clock) it is not sent any more. Keys of `context`: see README. `attachments` go by e-mail
    only. Raises LookupError for an unknown type, ValueError for a missing or unknown key.
    """
    values = types.of(type).complete(context)
    to, channel = (to_email, Channel.EMAIL) if to_email else (to_phone, Channel.SMS)
    if not to:
        return None
    language = language if language in texts.LANGUAGES else texts.LANGUAGES[0]
    own_look = gather.once("notifications.look", look.of_partner)
    rendered = texts.render(type, channel, language, own_look | values)
    message = Message(
        key=key,
        type=type,
        channel=channel,
        language=language,
        customer_ref=customer_id,
        to=to,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        attachments=[one.kept() for one in attachments] if to_email else [],
        created_at=clock.now(),
        expires_at=expires_at,
    )
    if gather.is_gathering():
        gather.at_end(_write, [message])
        return message
    with transaction.atomic():
        _write([message])
        return Message.objects.get(key=key)


def _write(messages: Sequence[Message]) -> None:
    """Those whose keys are new, and plans to send them."""
    now = clock.wall()
    due.schedule_many(SEND, [(key, now, None) for key in bulk.insert_new(Message, messages)])


def forget(customer_id: UUID) -> None:
    """Erases contacts and texts of everything ever sent to a customer; what was not sent yet is not sent."""
    with transaction.atomic():
        for message in Message.objects.select_for_update().filter(customer_ref=customer_id).order_by("pk"):
            message.erase()
