"""What a customer was given is sent again, by another channel: the letter was lost, the phone is at hand."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts import recycled
from apps.core.errors import Refused
from apps.notifications.models import Message
from apps.orders import letters, replacing
from apps.orders.models import ENDED_STATES, Service
from apps.policies.models import Channel

KIND = "orders.Service"


def send_again(service: Service, *, channel: str, key: str, actor: str) -> Message:
    """Sends the key, link or instructions once more by `channel`; the same `key` is the same message.

    A phone that nobody has proven for long may be somebody else's: nothing goes there. Raises Refused: `nothing_given`,
    `service_off`, `no_contact`.
    """
    with transaction.atomic():
        service = Service.objects.select_for_update(no_key=True, of=("self",)).get(pk=service.pk)
        if service.state in ENDED_STATES or service.customer.erased_at:
            raise Refused("service_off", _("Эта услуга уже отключена"))
        if replacing.is_open(service):
            raise Refused("nothing_given", _("Ключ заменяют: новый придёт клиенту сам"))
        if not (service.key or service.url or service.instructions):
            raise Refused("nothing_given", _("Клиенту ещё ничего не выдано"))
        reason = f"key_delivered:{service.request_id}:{key}"
        if (known := Message.objects.filter(key=reason).first()) is not None:
            return known
        if channel == Channel.SMS and service.customer.phone and recycled.is_stale(service.customer):
            text = _("Этот телефон давно не подтверждали: номер мог достаться другому человеку")
            raise Refused("no_contact", text)
        sent = letters.again(service, channel=channel, key=reason)
        if sent is None:
            raise Refused("no_contact", _("У клиента нет такого контакта"))
        data = {"channel": channel, "message": str(sent.pk)}
        journal.record("service.sent-again", KIND, service.pk, actor=actor, data=data)
    return sent
