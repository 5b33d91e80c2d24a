"""Run the SMS Aero simulator: `python -m apps.sandbox.smsaero --port 9102 --state var/sandbox`."""

import argparse
import base64
import re
from collections.abc import Callable
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.service import Service, json_body, page
from apps.sandbox.store import Doc

STATUS = {0: "queue", 1: "delivery", 2: "failed", 3: "sent", 4: "wait", 6: "rejected", 8: "moderation"}
IN_RUSSIAN = {0: "в очереди", 1: "доставлено", 2: "не доставлено", 3: "отправлено", 6: "отклонено"}
PRICE = Decimal("5.49")

Act = Callable[[Doc], web.Response]


class SmsAero(Service):
    """Each poll of a message's status brings it one step on: queue, sent, delivery."""

    name = "smsaero"
    fault_kinds = ("no_credits", "reject", "undelivered", "stuck")

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--account", action="append", metavar="EMAIL:API_KEY", help="default: any")
        parser.add_argument("--sign", action="append", help="approved sender names; default: SMS Aero")
        parser.add_argument("--balance", default="10000.00")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        for operation, act in (
            ("auth", self._auth),
            ("balance", self._balance),
            ("sign/list", self._signs),
            ("sms/send", self._send),
            ("sms/testsend", self._send),
            ("sms/status", self._status),
            ("sms/teststatus", self._status),
            ("sms/list", self._list),
        ):
            router.add_route("*", f"/v2/{operation}", self._endpoint(operation, act))
        router.add_get("/", self.phone)
        router.add_get("/_control/messages", self.messages)
        router.add_delete("/_control/messages", self.clear_messages)

    def refusal(self, status: int) -> web.Response:
        return reply(None, "Service is temporarily unavailable", success=False, status=status)

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        return {"messages": self._found(query.get("number"))}

    # -- the API -------------------------------------------------------------------------------------

    def _endpoint(self, operation: str, act: Act) -> Callable[[web.Request], Any]:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            try:
                body = {**request.query, **(await json_body(request))}
            except ValueError:
                body = {**request.query, **(await request.post())}
            facts = {"operation": operation, "number": str(body.get("number", "")), "text": body.get("text")}

            def answer(entry: Entry) -> web.Response:
                if not self._knows(request.headers.get("Authorization", "")):
                    text = "Your request was made with invalid credentials."
                    return reply(None, text, success=False, status=401)
                return act(body | {"_facts": facts})

            return await self.serve(request, facts, answer)

        return endpoint

    def _knows(self, header: str) -> bool:
        kind, _, given = header.partition(" ")
        try:
            account = base64.b64decode(given).decode()
        except ValueError:
            return False
        accounts = self.options.account
        return kind.lower() == "basic" and (account in accounts if accounts else len(account) > 1)

    def _auth(self, body: Doc) -> web.Response:
        return reply(None, "Successful authorization.")

    def _balance(self, body: Doc) -> web.Response:
        return reply({"balance": float(self._rest())})

    def _signs(self, body: Doc) -> web.Response:
        signs: list[Doc] = [
            {"id": number, "name": name, "status": 1, "extendStatus": "active", "statusOperators": {}}
            for number, name in enumerate(self._approved(), start=1)
        ]
        return reply({str(row["id"] - 1): row for row in signs} | {"totalCount": len(signs)})

    def _send(self, body: Doc) -> web.Response:
        problems = self._problems(body)
        if problems:
            return reply(problems, "Validation error.", success=False, status=400)
        facts = body["_facts"]
        if self.faults.take(["no_credits"], facts) or self._rest() < PRICE:
            return web.json_response({"success": False, "data": None, "result": "no credits"}, status=402)
        if fault := self.faults.take(["reject"], facts):
            return web.json_response(
                {"result": "reject", "reason": fault.reason or "incorrect text"}, status=400
            )
        numbers = body["numbers"] if body.get("numbers") else [body["number"]]
        with self.store.transaction():
            sent = [public(self._put(str(number), body)) for number in numbers]
        return reply(sent if body.get("numbers") else sent[0])

    def _put(self, number: str, body: Doc) -> Doc:
        facts = body["_facts"] | {"number": number}
        fate = next((kind for kind in ("undelivered", "stuck") if self.faults.take([kind], facts)), None)
        now = int(self.clock.now().timestamp())
        message = {
            "id": len(self.store.table("messages")) + 1000,
            "from": body["sign"],
            "number": number,
            "text": body["text"],
            "status": 0,
            "extendStatus": STATUS[0],
            "channel": "DIRECT",
            "cost": float(PRICE * parts(body["text"])),
            "dateCreate": now,
            "dateSend": now,
            "_fate": fate,
        }
        self.store.put("messages", str(message["id"]), message)
        return message

    def _status(self, body: Doc) -> web.Response:
        message = self.store.get("messages", str(body.get("id")))
        if message is None:
            return reply(None, "Message not found.", success=False, status=404)
        if message["status"] in (0, 3) and message["_fate"] != "stuck":
            last = 2 if message["_fate"] == "undelivered" else 1
            status = last if message["status"] == 3 else 3
            message = {**message, "status": status, "extendStatus": STATUS[status]}
            if status == last:
                message["dateAnswer"] = int(self.clock.now().timestamp())
            self.store.put("messages", str(message["id"]), message)
        return reply(public(message))

    def _list(self, body: Doc) -> web.Response:
        found = [
            public(row) for row in reversed(self._found(body.get("number"))) if _has(row, body.get("text"))
        ]
        start = (max(1, int(body.get("page", 1))) - 1) * 50
        rows: Doc = {str(place): row for place, row in enumerate(found[start : start + 50])}
        return reply(rows | {"totalCount": len(found)})

    # -- parts ---------------------------------------------------------------------------------------

    def _approved(self) -> list[str]:
        return self.options.sign or ["SMS Aero"]

    def _problems(self, body: Doc) -> dict[str, list[str]]:
        problems = {}
        numbers = body.get("numbers") or [body.get("number", "")]
        if any(not re.fullmatch(r"7\d{10}", str(number)) for number in numbers):
            problems["number"] = ["The number must be 11 digits and begin with 7."]
        if not 2 <= len(str(body.get("text") or "")) <= 640:
            problems["text"] = ["The text must be from 2 to 640 characters."]
        if body.get("sign") not in self._approved():
            problems["sign"] = ["Sign is not found or not approved."]
        return problems

    def _rest(self) -> Decimal:
        spent = sum((Decimal(str(doc["cost"])) for doc in self.store.table("messages").values()), Decimal(0))
        return Decimal(self.options.balance) - spent

    def _found(self, number: str | None) -> list[Doc]:
        cleared = (self.store.get("cleared", "messages") or {"up_to": 0})["up_to"]
        return [
            doc
            for doc in self.store.table("messages").values()
            if number in (None, "", doc["number"]) and doc["id"] > cleared
        ]

    async def messages(self, request: web.Request) -> web.Response:
        return web.json_response({"items": [public(doc) for doc in self._found(request.query.get("number"))]})

    async def clear_messages(self, request: web.Request) -> web.Response:
        """Hidden, not deleted: their ids are never given again."""
        last = max((doc["id"] for doc in self.store.table("messages").values()), default=0)
        self.store.put("cleared", "messages", {"up_to": last})
        return web.json_response({"items": []})

    async def phone(self, request: web.Request) -> web.Response:
        """The latest messages for a human."""
        latest = reversed(self._found(None)[-100:])
        rows = "".join(_bubble(doc) for doc in latest) or "<p>Сообщений пока нет.</p>"
        return page(Path(__file__).parent, "phone", rows=rows)


def reply(data: Any, message: str | None = None, *, success: bool = True, status: int = 200) -> web.Response:
    return web.json_response({"success": success, "data": data, "message": message}, status=status)


def public(doc: Doc) -> Doc:
    return {name: value for name, value in doc.items() if not name.startswith("_")}


def parts(text: str) -> int:
    """How many short messages a text takes: 160/153 characters in Latin, 70/67 with Cyrillic."""
    one, many = (160, 153) if text.isascii() else (70, 67)
    return 1 if len(text) <= one else -(-len(text) // many)


def _has(doc: Doc, text: str | None) -> bool:
    return not text or text in doc["text"]


def _bubble(doc: Doc) -> str:
    head = f"+{doc['number']} · {doc['from']} · {IN_RUSSIAN.get(doc['status'], '')}"
    return f"<article><small>{escape(head)}</small><p>{escape(doc['text'])}</p></article>"


if __name__ == "__main__":
    SmsAero.main()
