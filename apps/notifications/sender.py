"""What carries messages to customers: the base of e-mail and SMS connectors."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from apps.connectors.base import Connector

Status = Literal["sent", "delivered", "failed", "missing", "unknown"]


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes with a letter."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as the connector gets it. `to`: an address, or a phone in E.164."""

    id: UUID
    to: str
    subject: str
    text: str
    html: str
    sender_name: str
    provider_id: str = ""
    """The service's id, where it is known already."""
    not_ids: frozenset[str] = frozenset()
    """The service's ids of other messages: an unknown one is none of these."""
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the service says. `missing`: it has no such message; `unknown`: it cannot be asked."""

    status: Status
    provider_id: str = ""
    reason: str = ""


class MessageSender(Connector):
    """Sends one message and says later what became of it."""

    reports_delivery: bool = False
    """Whether `fetch` comes to `delivered` in time."""

    @abstractmethod
    def send(self, message: Outgoing, /) -> Receipt:
        """Sends once. Raises ConnectorError: `retry`, `unknown` (it may have left), or refused for good."""

    @abstractmethod
    def fetch(self, message: Outgoing, /) -> Receipt:
        """What became of it: by the service's id, or without one by what we know. Raises ConnectorError."""
