"""Which provider supplies a product, and through which connector."""

from typing import Any, Protocol

from apps.connectors.base import Kind
from apps.connectors.models import Connection
from apps.core.codes import code_for
from apps.core.tenancy import current_partner
from apps.providers.base import ProviderConnector
from apps.providers.key_pool import KeyPool
from apps.providers.manual import Manual
from apps.providers.models import Provider


class Supplied(Protocol):
    """What this app needs to know of a catalog.Product (its neighbour, which it does not import)."""

    @property
    def delivery(self) -> Any: ...

    @property
    def provider(self) -> Any: ...


def ensure(name: str, *, code: str = "", contact: str = "") -> Provider:
    """The provider of this name, made where there is none. A price list is imported only for known ones."""
    taken = set(Provider.objects.values_list("code", flat=True))
    found, _created = Provider.objects.get_or_create(
        name=name, defaults={"code": code or code_for(name, taken), "contact": contact}
    )
    return found


def connector_for(product: Supplied) -> ProviderConnector:
    """The connector that supplies `product` to the current partner: a sandbox one gets test connections only.

    Without a connection, keys come from our own pools, and everything else is done by staff.
    Raises ValueError for a bundle (its parts are supplied one by one), ConnectorError where the connection is
    switched off.
    """
    if product.delivery == "bundle" or product.provider is None:
        raise ValueError("A bundle has no provider: its parts have")
    partner, provider = current_partner(), product.provider
    connection = provider.test_connection if partner.is_sandbox else provider.connection
    if product.delivery != "manual" and connection is not None:
        connector: ProviderConnector = connection.open()
        return connector
    local: type[ProviderConnector] = KeyPool if product.delivery == "key" else Manual
    path = f"{local.__module__}.{local.__name__}"
    unsaved = Connection(
        kind=Kind.PROVIDER, connector=path, name=str(local.title), is_test=partner.is_sandbox
    )
    return local(local.Config(), unsaved)
