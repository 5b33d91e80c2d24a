"""What every provider's connector does: provision a product, ask about it, extend it, take it back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.connectors.base import Connector, ConnectorError, Kind

NOT_SUPPORTED = "not_supported"
"""Code of the refusal of what a provider has no word for."""


class Status(models.TextChoices):
    """How far a provisioning is. A final refusal is not a status but a ConnectorError that says no retry."""

    ACTIVE = "active", _("Выдано")
    PENDING = "pending", _("У поставщика")
    CANCELED = "canceled", _("Отозвано")
    MANUAL = "manual", _("Нужен сотрудник")


@dataclass(frozen=True, slots=True)
class ProvisionRequest:
    """What is wanted. `request_id` names it for ever: asked twice, made once.

    `sku` is the tariff's code, `customer_ref` the customer's id and nothing personal, `period_end` the first
    day no longer paid.
    """

    request_id: UUID
    sku: str
    customer_ref: str
    period_end: date
    parameters: Mapping[str, Any] = field(default_factory=dict)
    holder: UUID | None = None
    """The item of an order for which stock of our own was reserved."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What the customer got, or is about to get."""

    status: Status
    key: str = ""
    url: str = ""
    instructions: str = ""
    service_id: str = ""
    """The provider's own number of it, to be remembered for connectors that say `remembers`."""
    ask_again: float = 0.0
    """Of a pending one: seconds after which to look again; 0: as usual."""
    question: str = ""
    """Of a pending one: what the provider wants to know before it goes on."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a call when it is made: for connectors that say `remembers`."""

    request: ProvisionRequest
    reference: int = 0
    """Our number of the service, as messages of the provider may name it."""
    service_id: str = ""
    """The provider's, once it has told it."""
    version: int = 0
    """The version of the definition that the call began with."""
    is_accepted: bool = False
    """Whether the provider has said that it has the request."""
    is_repeated: bool = False
    """Whether the same call may have arrived already."""


class ProviderConnector(Connector):
    """Base of provider connectors.

    All methods raise ConnectorError: `retry` means the same request may succeed later, `unknown` that nobody
    knows whether it arrived (then `fetch` before repeating), neither means a final refusal.
    """

    kind = Kind.PROVIDER
    remembers: ClassVar[bool] = False
    """Whether it is told (`knowing`) what is known of each call, and what it learns is kept: see `remembering`."""

    is_local: ClassVar[bool] = False
    """Whether it answers from our own database: then it is asked at once, and never in a lane."""

    def knowing(self, known: Known) -> Self:
        """The connector for one call that more is known of."""
        return self

    def provision(self, request: ProvisionRequest) -> Provisioned:
        """Makes the product available. Repeated with the same request: the same answer."""
        raise NotImplementedError

    def fetch(self, request_id: UUID, /) -> Provisioned | None:
        """What became of a request; None where it never arrived, so that it may be sent again."""
        raise NotImplementedError

    def has(self, request_id: UUID, /) -> bool | None:
        """Whether the provider says that it has a service on: for reconciliation. None where it cannot be asked that.

        Raises ConnectorError.
        """
        if self.remembers:
            return None
        found = self.fetch(request_id)
        return found is not None and found.status == Status.ACTIVE

    def extend(self, request_id: UUID, *, extension_id: UUID, period_end: date) -> Provisioned:
        """Prolongs to `period_end` (the first day no longer paid). Safe to repeat by `extension_id`."""
        raise NotImplementedError

    def cancel(self, request_id: UUID) -> Provisioned:
        """Takes the product back. Safe to repeat."""
        raise NotImplementedError

    def suspend(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        """Shuts the product for a while; all that belongs to it is kept. Safe to repeat by `pause_id`. Optional."""
        raise ConnectorError(str(_("Поставщик не знает паузы")), code=NOT_SUPPORTED)

    def resume(self, request_id: UUID, *, pause_id: UUID) -> Provisioned:
        """Opens what was suspended. Safe to repeat. Optional, as `suspend`."""
        raise ConnectorError(str(_("Поставщик не знает паузы")), code=NOT_SUPPORTED)
