"""How a gateway settles, and the lock under which its days and payouts change."""

from apps.connectors.models import Connection
from apps.settlements.models import GatewayTerms


def terms_of(connection: Connection) -> GatewayTerms:
    """How a gateway settles, as far as anybody has said."""
    return GatewayTerms.objects.get_or_create(connection=connection)[0]


def lock(connection: Connection) -> GatewayTerms:
    """The gateway's terms, locked to the end of the transaction: nobody else changes its days or payouts."""
    terms_of(connection)
    return GatewayTerms.objects.select_for_update().select_related(None).get(connection=connection)
