"""Files that go with a message: named when it is written, made by the app that owns them when it is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from apps.notifications.models import Message
from apps.notifications.sender import File

Maker = Callable[[UUID], bytes]
_makers: dict[str, Maker] = {}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to come: `source` is the maker that was registered, `id` what it is made of."""

    source: str
    id: UUID
    name: str
    content_type: str = "application/pdf"

    def kept(self) -> dict[str, str]:
        """As it stands in the message."""
        return {"source": self.source, "id": str(self.id), "name": self.name, "type": self.content_type}


def register(source: str, maker: Maker) -> None:
    """What makes the files of a source; called outside any transaction, with the partner set."""
    _makers[source] = maker


def of(message: Message) -> tuple[File, ...]:
    """The files of a message, made now. Raises LookupError for a source that nobody has registered."""
    return tuple(
        File(name=one["name"], content_type=one["type"], content=_makers[one["source"]](UUID(one["id"])))
        for one in message.attachments
    )
