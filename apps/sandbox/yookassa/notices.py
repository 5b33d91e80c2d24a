"""YooKassa's webhooks: the event and the whole object, without a signature."""

from apps.sandbox.notices import Notices, merged
from apps.sandbox.store import Doc
from apps.sandbox.yookassa.register import public


class Notifications(Notices):
    """Sent to the shop's one address until it answers 200."""

    def body(self, event: str, doc: Doc, altered: Doc) -> Doc:
        return {"type": "notification", "event": event, "object": merged(public(doc), altered)}
