"""Which provider supplies a product, and through which connector."""

from typing import Any, Protocol
from uuid import UUID

from apps.connectors.base import Kind
from apps.connectors.models import Connection
from apps.core.codes import code_for
from apps.core.tenancy import current_partner
from apps.providers.base import ProviderConnector
from apps.providers.key_pool import KeyPool
from apps.providers.manual import Manual
from apps.providers.models import Provider
from apps.providers.portal.by_letter import ByLetter
from apps.providers.portal.connector import Portal
from apps.providers.portal.models import RequestKind


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


def connection_for(product: Supplied) -> Connection | None:
    """The connection through which `product` is supplied to the current partner; None where nobody outside is asked.

    A sandbox partner gets test connections only. Raises ValueError for a bundle: its parts are supplied one by one.
    """
    if product.delivery == "bundle" or product.provider is None:
        raise ValueError("A bundle has no provider: its parts have")
    if product.delivery == "manual":
        return None
    return connection_to(product.provider)


def connection_to(provider: Provider) -> Connection | None:
    """The connection through which a provider is called for the current partner; None where it is not called."""
    connection = _line(provider)
    return None if connection is None or _is_local(connection) else connection


def _line(provider: Provider) -> Connection | None:
    return provider.test_connection if current_partner().is_sandbox else provider.connection


def _is_local(connection: Connection) -> bool:
    try:
        return bool(getattr(connection.connector_class, "is_local", False))
    except LookupError:
        return False


def has_people(provider: Provider) -> bool:
    """Whether its people can be asked: by letter, or in its own console."""
    line = _line(provider)
    return bool(provider.has_portal or (line is not None and _is_local(line)))


def step_connector(provider: Provider) -> ProviderConnector:
    """Asks the people of `provider`, that `has_people`, to do a step of a plan. As `local_connector`."""
    found: Portal = _by_letter(provider) or Portal.of(provider)
    found.asks = RequestKind.REGISTER
    return found


def _by_letter(provider: Provider) -> ByLetter | None:
    line = _line(provider)
    if line is None or not _is_local(line):
        return None
    by_letter: ByLetter = line.open()
    by_letter.provider = provider
    return by_letter


def knows_pause(product: Supplied) -> bool:
    """Whether who supplies `product` has a word for a pause. What it is at one provider is found out by asking."""
    line = connection_for(product)
    supplies: Any = _local_class(product) if line is None else line.connector_class
    return supplies.suspend is not ProviderConnector.suspend


def call_off(product: Supplied, request_id: UUID, key: UUID, kind: str) -> None:
    """What people of its provider were asked for is wanted no more (`Portal.call_off`); others are asked nothing.

    In the caller's transaction; `kind`: suspend, resume or extend.
    """
    if connection_for(product) is None and issubclass(_local_class(product), Portal):
        Portal.of(product.provider).call_off(request_id, key, kind)


def _local_class(product: Supplied) -> type[ProviderConnector]:
    line = _line(product.provider)
    if line is not None and _is_local(line):
        return ByLetter
    if product.delivery == "key":
        return KeyPool
    return Portal if product.provider.has_portal else Manual


def local_connector(product: Supplied) -> ProviderConnector:
    """Who supplies `product` without a call: its provider by letter, our own pools, its provider's own console, staff.

    It needs the database. Raises ConnectorError where letters to the provider are switched off.
    """
    if by_letter := _by_letter(product.provider):
        return by_letter
    local = _local_class(product)
    if local is Portal:
        return Portal.of(product.provider)
    path = f"{local.__module__}.{local.__name__}"
    unsaved = Connection(
        kind=Kind.PROVIDER, connector=path, name=str(local.title), is_test=current_partner().is_sandbox
    )
    return local(local.Config(), unsaved)
