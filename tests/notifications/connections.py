"""A partner's own connections to the simulators of mail and SMS, and its messages' planned work brought near."""

from datetime import timedelta

from apps.connectors.models import Connection
from apps.core import clock
from apps.core.models import Due
from apps.notifications.models import Message
from apps.partners.models import Partner
from apps.sandbox.process import Simulator


def connect_mail(partner: Partner, mailbox: Simulator) -> Connection:
    config = {
        "host": "127.0.0.1",
        "port": mailbox.smtp_port,
        "encryption": "",
        "from_email": "noreply@example.ru",
    }
    return _connect(partner, "email", "apps.notifications.smtp.Smtp", config)


def connect_sms(partner: Partner, smsaero: Simulator) -> Connection:
    config = {"email": "a@example.ru", "api_key": "key", "base_url": f"{smsaero.url}/v2"}
    return _connect(partner, "sms", "apps.notifications.sms_aero.SmsAero", config)


def _connect(partner: Partner, kind: str, path: str, config: dict[str, object]) -> Connection:
    return Connection.objects.create(
        kind=kind,
        connector=path,
        name=f"{kind} {partner.slug}",
        config=config,
        partner=partner,
        is_test=partner.is_sandbox,
    )


def bring_near(message: Message, *, by: timedelta = timedelta(0)) -> None:
    """Its planned work is due at once, leases of dead workers are over, and it was tried `by` earlier."""
    Due.objects.filter(object_id=message.pk).update(due_at=clock.wall(), lease=None, leased_until=None)
    message.refresh_from_db()
    if by and message.tried_at:
        Message.objects.filter(pk=message.pk).update(tried_at=message.tried_at - by)
