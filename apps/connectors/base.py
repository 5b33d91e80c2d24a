"""What every connector is: settings in, a few calls out, one kind of error."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from apps.connectors import masking
from apps.core.lanes import Limits

if TYPE_CHECKING:
    from apps.connectors.models import Connection


class Kind(models.TextChoices):
    """What a connector is for."""

    PAYMENT = "payment", _("приём платежей")
    FISCAL = "fiscal", _("онлайн-касса")
    EMAIL = "email", _("письма")
    SMS = "sms", _("СМС")
    PROVIDER = "provider", _("поставщик")
    CHANNEL = "channel", _("канал продаж")
    CALLCENTER = "callcenter", _("колл-центр")
    PARTNER = "partner", _("сервис партнёра")


class ConnectorError(Exception):
    """A call outside that did not give an answer to rest on.

    `unknown`: it may have happened there; ask with `fetch`, never send again blind.
    `retry`: it has not happened there, and may be sent again later.
    Neither: it was refused for good. `code` is the other side's own word for it, if it gave one; `answer` is
    what it said, where it said something.
    """

    def __init__(self, message: str, *, retry: bool = False, unknown: bool = False, code: str = "") -> None:
        # A refusal may repeat what we sent, and goes where anybody reads it: to a page, to the log, into the queue.
        super().__init__(masking.text(str(message)))
        self.retry = retry
        self.unknown = unknown
        self.code = masking.text(code)
        self.answer: Any = None
        self.wait: timedelta | None = None
        """For how long the other side has asked to be left alone, where it did."""
        self.left = True
        """Whether anything may have left this machine; False only where that is certain."""


class ForgedMessage(Exception):
    """An incoming message that its alleged sender did not send, or that cannot be read."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """An incoming message as it came."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    received_at: datetime | None = None
    """When it came: what is signed for a while is judged by that, however late it is read. None: just now."""


def query_fields(query: str) -> dict[str, str]:
    """The fields of an address, as many as there are."""
    # Not a QueryDict: that refuses what has many fields, and a stored message must be readable.
    return dict(parse_qsl(query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Received:
    """What a connector read in an incoming message: whom it is about, and what it says."""

    reference: int | None = None
    """Number of our GatewayReference, where the message carries it."""
    gateway_id: str = ""
    """The other side's id of the object, where it does not."""
    type: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    concerns_nobody: bool = False
    """Genuine, and about nothing of ours: it is kept, and nobody has to do anything about it."""


def setting(
    label: Any,
    *,
    secret: bool = False,
    default: Any = MISSING,
    help_text: Any = "",
    has_lines: bool = False,
) -> Any:
    """A field of a connector's Config: a box in the form of a connection. A secret is never shown again.

    `has_lines`: a text of several lines.
    """
    metadata = {"label": label, "secret": secret, "help_text": help_text, "has_lines": has_lines}
    # Not in its repr either: that is what stands in a traceback or in a line of the log.
    return field(default=default, metadata=metadata, repr=not secret)


class Connector(ABC):
    """One service outside, listed in settings.CONNECTORS. Subclasses add the few methods of their kind.

    `Config` is a frozen dataclass of `setting`s (str, int, bool); it makes the form.
    """

    kind: ClassVar[str]
    title: ClassVar[Any]
    Config: ClassVar[type]
    limits: ClassVar[Limits] = Limits()
    """Calls at a time and in a second; a connection may have its own."""
    signed_by: ClassVar[tuple[str, ...]] = ()
    """Names (lower case) of the headers that sign a message, or that it is read by (`x-*`: all such)."""

    def __init__(self, config: Any, connection: "Connection") -> None:
        self.config = config
        self.connection = connection

    @abstractmethod
    def check(self) -> str:
        """Asks the other side whether the settings work; returns a line for staff. Raises ConnectorError."""

    @abstractmethod
    def fetch(self, reference: Any, /) -> Any:
        """What the other side knows of an object of ours: this settles the unknown. Raises ConnectorError."""

    @classmethod
    def wrong(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """What is wrong with settings that were filled in, by their names: said in the form, nothing is saved."""
        return {}

    def receive(self, message: Inbound) -> Received:
        """Reads an incoming message. Raises ForgedMessage where it is not from the other side."""
        raise ForgedMessage("This connector takes no messages")

    @classmethod
    def acknowledge(cls, message: Inbound) -> tuple[str, str]:
        """What the other side takes for «received», and its content type: said at once, before it is read."""
        return "OK", "text/plain"


@cache
def connector_class(path: str) -> type[Connector]:
    """The connector with this dotted path. Raises LookupError unless it is in settings.CONNECTORS."""
    if path not in settings.CONNECTORS:
        raise LookupError(f"{path} is not in settings.CONNECTORS")
    found: type[Connector] = import_string(path)
    return found


@cache
def _names(config: type[Any]) -> frozenset[str]:
    return frozenset(item.name for item in fields(config))


def configured(connector: type[Connector], values: Mapping[str, Any]) -> Any:
    """A Config of stored values, without names it does not know. Raises ConnectorError if one lacks."""
    known = _names(connector.Config)
    try:
        return connector.Config(**{name: value for name, value in values.items() if name in known})
    except TypeError as error:
        raise ConnectorError(f"{connector.__name__}: {error}") from error
