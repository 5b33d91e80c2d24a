"""What must hold of connections and their messages."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, OuterRef

from apps.connectors import partitions
from apps.connectors.checks import problems
from apps.connectors.models import Connection, GatewayReference, InboundMessage, InboundState
from apps.connectors.webhooks import TASK
from apps.core import audit, clock
from apps.core.models import Due
from apps.partners.models import Partner

audit.guarded("connectors_connection", "connectors_connection_kept")
audit.guarded("connectors_gatewayreference", "connectors_gatewayreference_kept")
audit.OBJECTS[TASK] = ("connectors_inboundmessage", "id")


@audit.rule("connectors.connection-can-open", scope="public")
def connection_can_open() -> Iterator[str]:
    """Every connection has a connector that is listed, and of the kind that it says."""
    for connection in Connection.objects.all():
        try:
            found = connection.connector_class
        except (LookupError, ImportError) as error:
            yield f"Connection {connection.pk}: {error}"
            continue
        if found.kind != connection.kind:
            yield f"Connection {connection.pk} says {connection.kind}, its connector is {found.kind}"
        for problem in problems(connection.connector):
            yield f"Connection {connection.pk}: {problem}"


@audit.rule("connectors.test-connection-apart", scope="public")
def test_connection_apart() -> Iterator[str]:
    """No reference leads from a test connection to a live partner, or from a live one to a sandbox."""
    sandbox = Partner.objects.filter(pk=OuterRef("partner_id"), is_sandbox=OuterRef("connection__is_test"))
    for reference in GatewayReference.objects.filter(~Exists(sandbox)):
        where = f"partner {reference.partner_id}, connection {reference.connection_id}"
        yield f"Reference {reference.pk}: {where}"


@audit.rule(
    "connectors.message-processed", scope="public", of=(audit.some(InboundMessage, state=InboundState.NEW),)
)
def message_processed() -> Iterator[str]:
    """A stored message is processed or planned to be."""
    planned = Due.objects.filter(kind=TASK, object_id=OuterRef("pk"), partner_id=None)
    for message in InboundMessage.objects.filter(~Exists(planned), state=InboundState.NEW):
        yield f"Message {message.pk} of {message.received_at} is neither processed nor planned"


@audit.rule("connectors.message-dropped", scope="public", of=(InboundMessage,))
def message_dropped() -> Iterator[str]:
    """No message is kept longer than 90 days (a day more for the nightly sweep)."""
    limit = clock.wall() - partitions.KEPT - timedelta(days=2)
    if late := InboundMessage.objects.filter(received_at__lt=limit).count():
        yield f"{late} messages are older than {partitions.KEPT.days} days"
