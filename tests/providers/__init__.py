"""Tests of providers."""

from typing import Any

from apps.providers import services
from apps.providers.base import ProviderConnector


def connector_for(product: Any) -> ProviderConnector:
    """Who supplies a product to the current partner, as fulfilment asks it."""
    connection = services.connection_for(product)
    connector: ProviderConnector = connection.open() if connection else services.local_connector(product)
    return connector
