"""Run the foreign providers: `python -m apps.sandbox.foreign --port 9111 --state var/sandbox`.

`/rest/v2` JSON, each request signed; `/rest/openapi.json` describes it. `/xml/gate`: XML, one address, errors
inside 200. `/async/api` answers 202, works, then tells by a signed callback; OAuth 2.0. One account: login and secret.
"""

import argparse
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.faults import Fault
from apps.sandbox.foreign import later, rest, xml_gate
from apps.sandbox.service import Service
from apps.sandbox.store import Doc

Act = Callable[[], web.Response]


class Foreign(Service):
    """What was made, by the protocol it was made through and its own number."""

    name = "foreign"
    fault_kinds = (
        "pending",
        "out_of_stock",
        "refuse",
        "failed",
        "lie",
        "no_webhook",
        "late_webhook",
        "duplicate_webhook",
        "forge_webhook",
    )

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.login, self.secret = options.login, options.secret
        self.callback_secret = options.callback_secret
        self.tokens: set[str] = set()

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--login", default="armor")
        parser.add_argument("--secret", default="foreign-secret-2026")
        parser.add_argument("--callback-secret", default="callback-secret-2026")
        parser.add_argument(
            "--work-seconds", type=float, default=0.5, help="for which the asynchronous one works"
        )

    def add_routes(self, router: web.UrlDispatcher) -> None:
        rest.add_routes(self, router)
        xml_gate.add_routes(self, router)
        later.add_routes(self, router)
        router.add_get("/_control/callbacks", self._callbacks)

    async def started(self) -> None:
        await later.go_on(self)

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        rows = list(self.store.table("made").values())
        wanted = query.get("protocol")
        return {"made": [one for one in rows if wanted in (None, one["protocol"])]}

    async def _callbacks(self, request: web.Request) -> web.Response:
        return web.json_response({"items": list(self.store.table("callbacks").values())})

    # -- what all three share ----------------------------------------------------------------------------

    async def under_faults(self, request: web.Request, facts: Doc, act: Act, lie: Act) -> web.StreamResponse:
        """Serves one request; `lie` is a success with an error inside."""

        def answer(_entry: Entry) -> web.Response:
            if self.faults.take(["lie"], facts, committed=False):
                return lie()
            made = act()
            return lie() if made.status < 400 and self.faults.take(["lie"], facts, committed=True) else made

        return await self.serve(request, facts, answer)

    def planned(self, facts: Doc) -> Fault | None:
        """What is planned for the next that is made."""
        return self.faults.take(["pending", "out_of_stock", "refuse", "failed"], facts)

    def make(self, protocol: str, ref: str, **fields: Any) -> Doc:
        """Something new, kept."""
        number = f"{protocol[:1].upper()}{100001 + len(self.store.table('made'))}"
        code = secrets.token_hex(8).upper()
        doc: Doc = {
            "number": number,
            "protocol": protocol,
            "ref": ref,
            "state": "active",
            "key": "-".join(code[place : place + 4] for place in range(0, 16, 4)),
            "until": "",
            "changes": [],
            **fields,
        }
        self.store.put("made", number, doc)
        return doc

    def change(self, doc: Doc, **fields: Any) -> Doc:
        """What was made, otherwise."""
        changed = {**doc, **fields}
        self.store.put("made", doc["number"], changed)
        return changed

    def found(self, protocol: str, *, number: str = "", ref: str = "") -> Doc | None:
        """The last of this number or of the caller's."""
        rows = [one for one in self.store.table("made").values() if one["protocol"] == protocol]
        hits = [one for one in rows if (number and one["number"] == number) or (ref and one["ref"] == ref)]
        return hits[-1] if hits else None

    def token(self) -> str:
        """A new access token."""
        made = f"tok-{uuid.uuid4().hex}"
        self.tokens.add(made)
        return made


if __name__ == "__main__":
    Foreign.main()
