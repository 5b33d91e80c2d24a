"""Run the ATOL Online simulator: `python -m apps.sandbox.atol --port 9109 --state var/sandbox`."""

import argparse
import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.atol import rules
from apps.sandbox.notices import Notices
from apps.sandbox.service import Service, json_body
from apps.sandbox.store import Doc

TOKEN_SECONDS = 24 * 3600
WORK_SECONDS = 0.05
"""How long a register takes for a receipt."""


class Callbacks(Notices):
    """The report of a receipt, sent to the address that came with it."""

    def body(self, event: str, doc: Doc, altered: Doc) -> Doc:
        return {**report(doc), "external_id": doc["external_id"], **altered}

    def address(self, shop: str, doc_id: str) -> str | None:
        found: str | None = (self._store.get("receipts", doc_id) or {}).get("callback_url")
        return found or None


class Atol(Service):
    """Groups of registers: tokens, receipts, reports, callbacks."""

    name = "atol"
    fault_kinds = ("fail", "pending", "no_webhook", "duplicate_webhook", "late_webhook")

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.callbacks = Callbacks(self.store, self.faults)
        self.tokens: dict[str, tuple[str, float]] = {}
        receipts = self.store.table("receipts").values()
        self.waiting = {doc["id"] for doc in receipts if doc["status"] == "wait"}
        for given in options.group:
            code, login, password, inn = given.split(":")
            self._put_group(code, {"login": login, "password": password, "inn": inn})

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--group", action="append", default=[], metavar="CODE:LOGIN:PASSWORD:INN")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        base = "/possystem/v5"
        router.add_post(f"{base}/getToken", self.get_token)
        router.add_get(base + "/{group}/report/{uuid}", self._endpoint("report", self._report))
        for operation in rules.OPERATIONS:
            address = f"{base}/{{group}}/{operation}"
            router.add_post(address, self._endpoint(operation, self._taker(operation)))
        router.add_put("/_control/shops/{id}", self.put_group)
        router.add_get("/_control/webhooks", self.show_callbacks)
        router.add_post("/_control/webhooks/resend", self.resend)
        router.add_post("/_control/settle/{id}", self.settle)

    async def started(self) -> None:
        self.callbacks.start()
        self._worker = asyncio.get_running_loop().create_task(self._work_forever())

    async def _work_forever(self) -> None:
        while True:
            await asyncio.sleep(WORK_SECONDS)
            for one in list(self.waiting):
                doc = self.store.table("receipts")[one]
                if not doc["_held"] and doc["_ready_at"] <= time.time():
                    self._finish(dict(doc), doc["_reason"])

    def refusal(self, status: int) -> web.Response:
        return web.json_response({"error": error(1, "Сервис недоступен", "system")}, status=status)

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        group = query.get("shop")
        rows = [doc for doc in self.store.table("receipts").values() if group in (None, doc["_shop"])]
        return {"receipts": [{k: v for k, v in doc.items() if not k.startswith("_")} for doc in rows]}

    # -- the API -------------------------------------------------------------------------------------

    async def get_token(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        facts = {"operation": "getToken", "account": str(body.get("login", ""))}

        def act(_entry: Entry) -> web.Response:
            for code, group in self.store.table("groups").items():
                if (group["login"], group["password"]) == (body.get("login"), body.get("pass")):
                    token = uuid.uuid4().hex
                    self.tokens[token] = (code, time.time() + TOKEN_SECONDS)
                    return web.json_response({"error": None, "token": token, "timestamp": self._now()})
            told = error(12, "Неверный логин или пароль", "system")
            return web.json_response({"error": told, "timestamp": self._now()}, status=401)

        return await self.serve(request, facts, act)

    def _endpoint(self, operation: str, act: Callable[[str, Doc, Doc], web.Response]) -> Callable[..., Any]:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            group = request.match_info["group"]
            body = await json_body(request) if request.method == "POST" else dict(request.match_info)
            facts: Doc = {"operation": operation, "account": group, "shop": group}
            facts["external_id"] = body.get("external_id")

            def answer(_entry: Entry) -> web.Response:
                known, until = self.tokens.get(request.headers.get("Token", ""), ("", 0.0))
                if known != group or until < time.time():
                    told = error(11, "Неверный или просроченный токен", "system")
                    return self._failed(told, 401)
                return act(group, body, facts)

            return await self.serve(request, facts, answer)

        return endpoint

    def _taker(self, operation: str) -> Callable[[str, Doc, Doc], web.Response]:
        def take(group: str, body: Doc, facts: Doc) -> web.Response:
            inn = self.store.table("groups")[group]["inn"]
            is_correction = operation.endswith("_correction")
            if wrong := rules.problem(body, inn=inn, is_correction=is_correction):
                return self._failed(error(32, f"Ошибка валидации JSON: {wrong}", "system"), 400)
            number = f"{group}/{body['external_id']}"
            if known := self.store.get("numbers", number):
                told = error(33, f"Документ с external_id {body['external_id']} уже есть", "system")
                return self._failed(told, 400, known["uuid"])
            planned = self.faults.take(["fail", "pending"], facts)
            receipt = body["correction" if is_correction else "receipt"]
            doc = {
                "id": str(uuid.uuid4()),
                "uuid": "",
                "external_id": body["external_id"],
                "operation": operation,
                "status": "wait",
                "receipt": receipt,
                "callback_url": (body.get("service") or {}).get("callback_url", ""),
                "payload": None,
                "error": None,
                "_shop": group,
                "_held": bool(planned and planned.kind == "pending"),
                "_reason": planned.reason or "ФН исчерпан" if planned and planned.kind == "fail" else "",
                "_ready_at": time.time() + WORK_SECONDS,
            }
            doc["uuid"] = doc["id"]
            with self.store.transaction():
                self.store.put("receipts", doc["id"], doc)
                self.store.put("numbers", number, {"uuid": doc["id"]})
            self.waiting.add(doc["id"])
            answer = {"uuid": doc["id"], "timestamp": self._now(), "error": None, "status": "wait"}
            return web.json_response(answer)

        return take

    def _report(self, group: str, body: Doc, facts: Doc) -> web.Response:
        doc = self.store.get("receipts", body["uuid"])
        if doc is None or doc["_shop"] != group:
            return self._failed(error(30, "Чек не найден", "system"), 400)
        return web.json_response(report(doc))

    def _failed(self, told: Doc, status: int, known: str = "") -> web.Response:
        answer = {"uuid": known or None, "timestamp": self._now(), "error": told, "status": "fail"}
        return web.json_response(answer, status=status)

    def _finish(self, doc: Doc, reason: str) -> None:
        self.waiting.discard(doc["id"])
        if reason:
            doc |= {"status": "fail", "error": error(5, reason, "driver")}
        else:
            number = len(self.store.table("fiscal")) + 1
            self.store.put("fiscal", str(number), {"uuid": doc["id"]})
            doc |= {"status": "done", "payload": self._payload(doc, number)}
        with self.store.transaction():
            self.store.put("receipts", doc["id"], doc)
            self.callbacks.happened("report", doc)

    def _payload(self, doc: Doc, number: int) -> Doc:
        return {
            "total": doc["receipt"]["total"],
            "fns_site": "www.nalog.gov.ru",
            "fn_number": "9999078902004339",
            "shift_number": number // 1000 + 1,
            "receipt_datetime": self._now(),
            "fiscal_receipt_number": number % 1000,
            "fiscal_document_number": number,
            "ecr_registration_number": "0000000003028049",
            "fiscal_document_attribute": 2_500_000_000 + number,
            "ofd_inn": "7709364346",
            "ofd_receipt_url": f"https://ofd.example/rec/{doc['id']}",
        }

    def _now(self) -> str:
        return f"{self.clock.now():%d.%m.%Y %H:%M:%S}"

    # -- control -------------------------------------------------------------------------------------

    def _put_group(self, code: str, given: Doc) -> None:
        new = {name: str(given[name]) for name in ("login", "password", "inn")}
        if self.store.get("groups", code) != new:
            self.store.put("groups", code, new)

    async def put_group(self, request: web.Request) -> web.Response:
        self._put_group(request.match_info["id"], await json_body(request))
        return web.json_response({"id": request.match_info["id"]})

    async def show_callbacks(self, request: web.Request) -> web.Response:
        return web.json_response({"items": self.callbacks.as_json()})

    async def resend(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        doc = dict(self.store.table("receipts")[str(body.get("payment_id"))])
        altered = body.get("altered")
        sent = [self.callbacks.tell("report", doc, altered=altered) for _ in range(int(body.get("times", 1)))]
        return web.json_response({"items": sent}, status=201)

    async def settle(self, request: web.Request) -> web.Response:
        """End a receipt that a `pending` fault left waiting: {"reason"} fails it."""
        doc = dict(self.store.table("receipts")[request.match_info["id"]])
        self._finish(doc, (await json_body(request)).get("reason") or "")
        return web.json_response({"id": doc["id"]})


def error(code: int, text: str, kind: str) -> Doc:
    return {"error_id": str(uuid.uuid4()), "code": code, "text": text, "type": kind}


def report(doc: Doc) -> Doc:
    """What `report` answers, and a callback brings."""
    told = doc["error"] if doc["status"] != "wait" else error(34, "Чек ещё не готов", "system")
    return {
        "uuid": doc["uuid"],
        "error": told,
        "status": doc["status"],
        "payload": doc["payload"],
        "group_code": doc["_shop"],
        "daemon_code": "prod-agent-1",
        "device_code": "KSR13.11-3-1",
        "callback_url": doc["callback_url"],
    }


if __name__ == "__main__":
    Atol.main()
