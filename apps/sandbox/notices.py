"""Webhooks: sent to the shop's address until it takes them, for a day, and sent wrongly on demand."""

import asyncio
import json
import time
import uuid
from typing import Any

import aiohttp
from yarl import URL

from apps.sandbox.faults import Faults
from apps.sandbox.store import Doc, Store

KEPT_SECONDS = 24 * 3600
LONGEST_PAUSE_SECONDS = 30.0


class Notices:
    """Every webhook is journaled with the change it tells of, so a restart goes on sending.

    Subclasses say what is sent. Documents carry `id`, `_shop`, and `payment_id` where they are about a payment.
    """

    def body(self, event: str, doc: Doc, altered: Doc) -> Doc:
        """What is sent; `altered` fields make it a false one."""
        raise NotImplementedError

    def address(self, shop: str, doc_id: str) -> str | None:
        """Where it is sent to."""
        found: str | None = (self._store.get("shops", shop) or {}).get("webhook_url")
        return found

    def encoded(self, shop: str, body: Doc) -> tuple[bytes, dict[str, str]]:
        """What goes over the wire, and its headers."""
        return json.dumps(body).encode(), {"Content-Type": "application/json"}

    def is_taken(self, status: int, text: str) -> bool:
        """Whether this answer ends the tries."""
        return status == 200

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store, self._faults = store, faults
        self._tries: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(100)
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        timeout = aiohttp.ClientTimeout(total=30)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        for key in self._store.table("notices"):
            self._send_later(key)

    def happened(self, event: str, doc: Doc) -> None:
        """Tell the shop, in the transaction of the change."""
        facts = {"operation": "webhook", "event": event, "shop": doc["_shop"]}
        facts |= {"metadata": doc.get("metadata"), "payment_id": doc.get("payment_id", doc["id"])}
        late = self._faults.take(["late_webhook"], facts)
        pause = (60.0 if late.seconds is None else late.seconds) if late else 0.0
        suppressed = self._faults.take(["no_webhook"], facts) is not None
        twice = None if suppressed else self._faults.take(["duplicate_webhook"], facts)
        for _ in range(twice.copies if twice else 1):
            self.tell(event, doc, pause=pause, suppressed=suppressed)

    def tell(
        self,
        event: str,
        doc: Doc,
        *,
        altered: Doc | None = None,
        pause: float = 0.0,
        suppressed: bool = False,
    ) -> str:
        """Make one webhook; `altered` fields make it a false one."""
        key = str(uuid.uuid4())
        notice = {"shop": doc["_shop"], "body": self.body(event, doc, altered or {}), "event": event}
        notice |= {"about": doc.get("payment_id", doc["id"]), "due": time.time() + pause}
        notice |= {"seq": len(self.all()), "forged": bool(altered), "suppressed": suppressed}
        self._store.put("notices", key, notice)
        self._send_later(key)
        return key

    def all(self) -> Any:
        return self._store.table("notices")

    def as_json(self, payment_id: str | None = None) -> list[dict[str, Any]]:
        """Webhooks in the order they were made; `tries` holds what the shop answered each time."""
        rows = []
        for key, notice in self.all().items():
            if payment_id in (None, notice["about"]):
                row = {"id": key, "shop": notice["shop"], "event": notice["event"]}
                row |= {"payment_id": notice["about"], "forged": notice["forged"]}
                row |= {"state": self._state(key, notice), "body": notice["body"]}
                row |= {"object": notice["body"].get("object", notice["body"])}
                rows.append(row | {"tries": self._tries.get(key, [])})
        return rows

    def _state(self, key: str, notice: Doc) -> str:
        if notice["suppressed"]:
            return "suppressed"
        return "delivered" if self._store.get("delivered", key) else "waiting"

    def _send_later(self, key: str) -> None:
        if self._state(key, self.all()[key]) == "waiting":
            task = asyncio.get_running_loop().create_task(self._deliver(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, key: str) -> None:
        notice, pause = self.all()[key], 0.5
        await asyncio.sleep(max(0.0, notice["due"] - time.time()))
        while time.time() < notice["due"] + KEPT_SECONDS:
            address = self.address(notice["shop"], notice["about"])
            if address:
                async with self._slots:
                    content = self.encoded(notice["shop"], notice["body"])
                    answer, is_taken = await self._post(address, *content)
                self._tries.setdefault(key, []).append(answer)
                if is_taken:
                    self._store.put("delivered", key, {"at": time.time()})
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _post(self, address: str, content: bytes, headers: dict[str, str]) -> tuple[str, bool]:
        assert self._session is not None
        url = URL(address)
        if (url.host or "").endswith(".localhost"):
            # Browsers resolve these names by themselves, the system often does not.
            headers = {**headers, "Host": url.authority}
            url = url.with_host("127.0.0.1")
        try:
            async with self._session.post(
                url, data=content, headers=headers, allow_redirects=False
            ) as answer:
                return str(answer.status), self.is_taken(answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__, False


def merged(doc: Doc, altered: Doc) -> Doc:
    """`doc` with the fields of `altered` over it, objects field by field."""
    result = dict(doc)
    for name, value in altered.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
