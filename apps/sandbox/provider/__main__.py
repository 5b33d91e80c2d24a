"""Run the provider simulator: `python -m apps.sandbox.provider --port 9103 --state var/sandbox`."""

import argparse
import asyncio
import json
import time
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

from aiohttp import web

from apps.sandbox.access import Entry
from apps.sandbox.clock import stamp
from apps.sandbox.provider.callbacks import Callbacks
from apps.sandbox.provider.modes import Modes
from apps.sandbox.service import Service, json_body
from apps.sandbox.store import Doc

Act = Callable[[str, Doc], web.Response]
TEXTS = {429: "Too many requests", 500: "Internal error", 503: "Service is off", 202: "Accepted"}


class Provider(Service):
    """Activations by the caller's request id: asked twice, made once."""

    name = "provider"
    fault_kinds = ("pending", "out_of_stock", "failed", "refuse", "lie")

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.modes = Modes(self.store)
        self.callbacks = Callbacks()

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--token", action="append", help="accepted Bearer tokens; default: any")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        one = "/v1/activations/{request_id}"
        router.add_post("/v1/activations", self._endpoint("activate", self._activate))
        router.add_get(one, self._endpoint("get_activation", self._get))
        router.add_post(f"{one}/extend", self._endpoint("extend", self._extend))
        router.add_post(f"{one}/cancel", self._endpoint("cancel", self._cancel))
        router.add_post(f"{one}/suspend", self._endpoint("suspend", self._suspend))
        router.add_post(f"{one}/resume", self._endpoint("resume", self._resume))
        router.add_get(
            "/v1/ping", self._endpoint("ping", lambda key, body: web.json_response({"status": "ok"}))
        )
        router.add_post("/_control/activations/{request_id}/finish", self.finish)
        router.add_put("/_control/modes", self._put_mode)
        router.add_get("/_control/modes", self._show_mode)

    def refusal(self, status: int) -> web.Response:
        code = {503: "unavailable", 429: "too_many_requests"}.get(status, "internal")
        refused = error(status, code, TEXTS[status])
        if status == 429:
            refused.headers["Retry-After"] = "1"
        return refused

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        """Activations; with `account` those of one token."""
        rows = [self._settled(key) for key in self.store.table("activations")]
        account = query.get("account")
        return {"activations": [one for one in rows if account in (None, one.get("_account"))]}

    # -- modes ---------------------------------------------------------------------------------------

    async def _before(self, entry: Entry, facts: dict[str, Any]) -> web.Response | None:
        account = facts["account"]
        if pause := self.modes.pause(account):
            entry.fault = "slow"
            await asyncio.sleep(pause)
        if status := self.modes.refusal(account):
            entry.fault = f"http_{status}"
            return self.refusal(status)
        return await super()._before(entry, facts)

    async def _after(
        self, request: web.Request, entry: Entry, facts: dict[str, Any], response: web.Response
    ) -> web.Response:
        if self.modes.strikes(facts["account"], "losing") and request.transport is not None:
            entry.fault, entry.state = "losing", "dropped"
            request.transport.abort()
            return response
        return await super()._after(request, entry, facts, response)

    async def _put_mode(self, request: web.Request) -> web.Response:
        given = await json_body(request)
        return web.json_response(self.modes.put(str(given.pop("account", "")), given))

    async def _show_mode(self, request: web.Request) -> web.Response:
        account = request.query.get("account", "")
        told = [one for one in self.callbacks.told if one["url"] == self.modes.callback_url(account)]
        return web.json_response({**self.modes.of(account), "told": told})

    # -- the API -------------------------------------------------------------------------------------

    def _endpoint(self, operation: str, act: Act) -> Callable[[web.Request], Any]:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            try:
                body = await json_body(request)
            except ValueError:
                return error(422, "invalid", "The body is not a JSON object")
            key = str(request.match_info.get("request_id") or body.get("request_id") or "")
            known = self.store.get("activations", key) or {}
            facts = {"operation": operation, "request_id": key, "sku": body.get("sku") or known.get("sku")}
            facts["customer_ref"] = body.get("customer_ref") or known.get("customer_ref")
            facts["account"] = request.headers.get("Authorization", "").partition(" ")[2]

            def answer(entry: Entry) -> web.Response:
                kind, _, token = request.headers.get("Authorization", "").partition(" ")
                if kind.lower() != "bearer" or not token or token not in (self.options.token or [token]):
                    return error(401, "unauthorized", "Unknown token")
                # A lie is a success with an error inside: of what was done, or of what was not.
                stroke = self.modes.strikes(token, "lying")
                if stroke % 2 or self.faults.take(["lie"], facts, committed=False):
                    return web.json_response({"error": "try later"})
                for _ in range(self.modes.copies(token)):
                    made = act(key, body | {"_facts": facts})
                lied = stroke or self.faults.take(["lie"], facts, committed=True)
                return web.json_response({"error": "try later"}) if lied and made.status < 400 else made

            return await self.serve(request, facts, answer)

        return endpoint

    def _activate(self, key: str, body: Doc) -> web.Response:
        facts = body.pop("_facts")
        problem = _problem(key, body)
        if problem:
            return error(422, "invalid", problem)
        known = self.store.get("activations", key)
        if known is not None:
            if known["_body"] != json.dumps(body, sort_keys=True):
                return error(409, "request_conflict", "This request_id was used with another body")
            return web.json_response(public(self._settled(key)))
        if self.faults.take(["out_of_stock"], facts):
            return error(409, "out_of_stock", "No keys left for this sku")
        if fault := self.faults.take(["refuse"], facts):
            return error(422, fault.reason or "refused", "The activation is refused")
        activation = self._new(key, body) | {"_account": facts["account"]} | self._open_end(facts)
        self.store.put("activations", key, activation)
        self._call_back(activation)
        return web.json_response(public(activation), status=201)

    def _open_end(self, facts: Doc) -> Doc:
        """What is not so of a new activation yet, or never will be."""
        if planned := self.faults.take(["failed"], facts):
            return {"status": "failed", "reason": planned.reason or "rejected"}
        pending = self.faults.take(["pending"], facts)
        seconds = pending.seconds if pending else self.modes.pending(facts["account"])
        if pending is None and seconds is None:
            return {}
        return {"status": "pending"} | ({} if seconds is None else {"_active_at": time.time() + seconds})

    def _call_back(self, activation: Doc) -> None:
        """Tells its account of an activation, when it is there, wherever there is an address for it."""
        token = activation.get("_account", "")
        if (url := self.modes.callback_url(token)) and activation["status"] != "pending":
            self.callbacks.tell(url, token, public(activation), copies=self.modes.copies(token))
        elif url and (at := activation.get("_active_at")):
            done = public(activation | {"status": "active"})
            copies = self.modes.copies(token)
            self.callbacks.tell(url, token, done, copies=copies, after=max(at - time.time(), 0.0))

    def _new(self, key: str, body: Doc) -> Doc:
        code = uuid.uuid4().hex[:16].upper()
        return {
            "id": str(uuid.uuid4()),
            "request_id": key,
            "status": "active",
            "sku": body["sku"],
            "customer_ref": body["customer_ref"],
            "period_end": body["period_end"],
            "parameters": body.get("parameters") or {},
            "key": "-".join(code[place : place + 4] for place in range(0, 16, 4)),
            "url": f"https://provider.example/activate/{code}",
            "instructions": "Откройте ссылку и введите ключ.",
            "created_at": stamp(self.clock.now()),
            "extensions": [],
            "_body": json.dumps(body, sort_keys=True),
        }

    def _get(self, key: str, body: Doc) -> web.Response:
        if self.store.get("activations", key) is None:
            return error(404, "not_found", "This request_id was never received")
        return web.json_response(public(self._settled(key)))

    def _extend(self, key: str, body: Doc) -> web.Response:
        if self.store.get("activations", key) is None:
            return error(404, "not_found", "This request_id was never received")
        activation = self._settled(key)
        facts = body.pop("_facts")
        extension_id, period_end = body.get("extension_id"), body.get("period_end")
        if not extension_id or not _is_date(period_end):
            return error(422, "invalid", "extension_id and period_end are required")
        known = next((row for row in activation["extensions"] if row["extension_id"] == extension_id), None)
        if known is not None:
            if known["period_end"] != period_end:
                return error(409, "request_conflict", "This extension_id was used with another period_end")
            return web.json_response(public(activation))
        if activation["status"] != "active":
            return error(409, "not_active", f"The activation is {activation['status']}")
        if fault := self.faults.take(["refuse"], facts):
            return error(422, fault.reason or "refused", "The extension is refused")
        extensions = [*activation["extensions"], {"extension_id": extension_id, "period_end": period_end}]
        latest = max(activation["period_end"], period_end)
        activation = {**activation, "extensions": extensions, "period_end": latest}
        self.store.put("activations", key, activation)
        return web.json_response(public(activation))

    def _cancel(self, key: str, body: Doc) -> web.Response:
        activation = self.store.get("activations", key)
        if activation is None:
            return error(404, "not_found", "This request_id was never received")
        if activation["status"] != "canceled":
            activation = {**activation, "status": "canceled", "canceled_at": stamp(self.clock.now())}
            self.store.put("activations", key, activation)
        return web.json_response(public(activation))

    def _suspend(self, key: str, body: Doc) -> web.Response:
        return self._pause(key, is_suspended=True)

    def _resume(self, key: str, body: Doc) -> web.Response:
        return self._pause(key, is_suspended=False)

    def _pause(self, key: str, *, is_suspended: bool) -> web.Response:
        if self.store.get("activations", key) is None:
            return error(404, "not_found", "This request_id was never received")
        activation = self._settled(key)
        if activation["status"] != "active":
            return error(409, "not_active", f"The activation is {activation['status']}")
        if activation.get("suspended", False) != is_suspended:
            activation = {**activation, "suspended": is_suspended}
            self.store.put("activations", key, activation)
        return web.json_response(public(activation))

    # -- parts ---------------------------------------------------------------------------------------

    def _settled(self, key: str) -> Doc:
        """The activation, active by now if it was pending for a while only."""
        activation = self.store.table("activations")[key]
        if activation["status"] == "pending" and activation.get("_active_at", float("inf")) <= time.time():
            activation = {**activation, "status": "active"}
            self.store.put("activations", key, activation)
        return activation

    async def finish(self, request: web.Request) -> web.Response:
        """End a pending activation: {"status": "active" | "failed", "reason"}."""
        body = await json_body(request)
        key = request.match_info["request_id"]
        activation = {**self.store.table("activations")[key], "status": body.get("status", "active")}
        if body.get("reason"):
            activation["reason"] = body["reason"]
        self.store.put("activations", key, activation)
        self._call_back(activation)
        return web.json_response(public(activation))


def error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


def public(activation: Doc) -> Doc:
    """What the caller sees; key, address and instructions only of an active one."""
    hidden = () if activation["status"] == "active" else ("key", "url", "instructions")
    return {k: (None if k in hidden else v) for k, v in activation.items() if not k.startswith("_")}


def _problem(key: str, body: Doc) -> str | None:
    missing = [name for name in ("request_id", "sku", "customer_ref", "period_end") if not body.get(name)]
    if missing:
        return f"Required: {', '.join(missing)}"
    if len(key) > 64:
        return "request_id is longer than 64 characters"
    if not isinstance(body.get("parameters", {}), dict):
        return "parameters must be an object"
    return None if _is_date(body["period_end"]) else "period_end must be a day: YYYY-MM-DD"


def _is_date(text: Any) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except (TypeError, ValueError):
        return False


if __name__ == "__main__":
    Provider.main()
