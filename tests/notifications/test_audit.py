"""The auditor finds each planted corruption of messages."""

from collections.abc import Callable

import pytest

from apps.core import audit, clock
from apps.core.ids import uuid7
from apps.notifications.models import Message, State
from apps.partners.models import Partner


def plant(**fields: object) -> None:
    Message.objects.create(
        **{
            "key": str(uuid7()),
            "type": "renewal_paid",
            "channel": "sms",
            "to": "+79161234567",
            "text": "Текст",
            "state": State.SENT,
            "created_at": clock.wall(),
            **fields,
        }
    )


CORRUPTIONS: dict[str, Callable[[], None]] = {
    "notifications.on-its-way": lambda: plant(state=State.QUEUED),
    "notifications.sent-once": lambda: (plant(provider_id="7"), plant(provider_id="7"))[0],
    "notifications.codes-are-gone": lambda: plant(type="signin_code"),
    "core.reference-exists": lambda: plant(connection_id=999_999_999),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_planted_corruption_is_found(partner: Partner, name: str) -> None:
    plant()
    assert list(audit.RULES[name].check()) == []
    CORRUPTIONS[name]()
    assert len(list(audit.RULES[name].check())) == 1
