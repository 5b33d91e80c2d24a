"""What must always hold of messages."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Q

from apps.core import audit, clock
from apps.core.models import Due, WorkItem
from apps.core.tenancy import current_partner_id
from apps.notifications import types
from apps.notifications.models import Message, State
from apps.notifications.outbox import FOLLOW, SEND

OPEN = (State.QUEUED, State.SENDING, State.UNKNOWN)


@audit.rule("notifications.on-its-way", of=(audit.some(Message, state__in=OPEN),))
def on_its_way() -> Iterator[str]:
    """What is not settled has planned work, or stands in the staff's queue."""
    partner_id = current_partner_id()
    planned = set(
        Due.objects.filter(partner_id=partner_id, kind__in=(SEND, FOLLOW)).values_list("object_id", flat=True)
    )
    waiting = set(
        WorkItem.objects.filter(partner_id=partner_id, kind="notifications.Message").values_list(
            "object_id", flat=True
        )
    )
    for message in Message.objects.filter(state__in=OPEN).iterator():
        if message.pk not in planned | waiting:
            yield f"Message {message.pk} is {message.state}, and nothing will move it"


@audit.rule("notifications.sent-once", of=(Message,))
def sent_once() -> Iterator[str]:
    """No two messages are the same one at the service."""
    twice = (
        Message.objects.exclude(provider_id="")
        .values("connection_id", "provider_id")
        .annotate(count=Count("id"))
        .filter(count__gt=1)
    )
    for row in twice:
        yield f"{row['count']} messages are {row['provider_id']} at connection {row['connection_id']}"


@audit.rule("notifications.codes-are-gone", of=(Message,))
def codes_are_gone() -> Iterator[str]:
    """A sign-in code is not kept once it has left or is of no use."""
    secret = [code for code, _title in types.choices() if types.of(code).secret]
    long_ago = clock.wall() - timedelta(days=1)
    kept = Message.objects.filter(type__in=secret).exclude(text="")
    for message in kept.filter(
        Q(state__in=(State.SENT, State.DELIVERED, State.FAILED)) | Q(expires_at__lt=long_ago)
    ).iterator():
        yield f"Message {message.pk} still holds a code"
