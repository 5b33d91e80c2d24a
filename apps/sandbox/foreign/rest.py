"""REST and JSON: each request signed by HMAC-SHA256 over time, method, path and body; made once for an externalId."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from apps.sandbox.store import Doc

if TYPE_CHECKING:
    from apps.sandbox.foreign.__main__ import Foreign

FRESH_SECONDS = 300
STATES = {"active": "ACTIVE", "pending": "PROCESSING", "canceled": "TERMINATED", "suspended": "PAUSED"}
STATES |= {"failed": "REJECTED"}
Act = Callable[["Foreign", web.Request, Doc, Doc], web.Response]


def add_routes(service: "Foreign", router: web.UrlDispatcher) -> None:
    def route(method: str, path: str, operation: str, act: Act) -> None:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            content = await request.read()
            facts: Doc = {"operation": operation, "protocol": "rest"}
            try:
                body = json.loads(content or b"{}")
            except ValueError:
                return error(400, "BAD_JSON", "The body is not JSON")
            facts["ref"] = body.get("externalId") or request.match_info.get("external", "")

            def done() -> web.Response:
                if not _is_signed(service, request, content):
                    return error(401, "BAD_SIGNATURE", "The signature does not match")
                return act(service, request, body, facts)

            return await service.under_faults(request, facts, done, _lie)

        router.add_route(method, f"/rest/v2{path}", endpoint)

    route("GET", "/ping", "ping", lambda _s, _r, _b, _f: web.json_response({"pong": True}))
    route("POST", "/orders", "create", _create)
    route("GET", "/orders/by-external/{external}", "get", _get)
    route("POST", "/orders/{number}/prolong", "prolong", _prolong)
    route("POST", "/orders/{number}/pause", "pause", _moved("suspended"))
    route("POST", "/orders/{number}/resume", "resume", _moved("active"))
    route("DELETE", "/orders/{number}", "terminate", _moved("canceled"))
    router.add_get("/rest/openapi.json", _openapi)


async def _openapi(_request: web.Request) -> web.Response:
    text = (Path(__file__).parent / "openapi.json").read_text(encoding="utf-8")
    return web.Response(text=text, content_type="application/json")


def error(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"error": {"code": code, "text": text}}, status=status)


def _lie() -> web.Response:
    return web.json_response({"error": {"code": "INTERNAL", "text": "Something went wrong"}})


def _is_signed(service: "Foreign", request: web.Request, content: bytes) -> bool:
    moment = request.headers.get("X-Timestamp", "")
    if not moment.isdigit() or abs(time.time() - int(moment)) > FRESH_SECONDS:
        return False
    message = "\n".join([moment, request.method, request.raw_path]).encode() + b"\n" + content
    wanted = hmac.new(service.secret.encode(), message, hashlib.sha256).hexdigest()
    given = request.headers.get("X-Signature", "")
    return request.headers.get("X-Client") == service.login and hmac.compare_digest(wanted, given)


def told(doc: Doc) -> dict[str, Any]:
    is_active = doc["state"] == "active"
    return {
        "order": {
            "id": doc["number"],
            "externalId": doc["ref"],
            "state": STATES[doc["state"]],
            "activationCode": doc["key"] if is_active else None,
            "link": f"https://rest.example/a/{doc['number']}" if is_active else None,
            "validTo": doc["until"],
        }
    }


def _create(service: "Foreign", _request: web.Request, body: Doc, facts: Doc) -> web.Response:
    missing = [name for name in ("externalId", "product", "validTo") if not body.get(name)]
    if missing:
        return error(422, "VALIDATION", f"Required: {', '.join(missing)}")
    if known := service.found("rest", ref=body["externalId"]):
        return web.json_response(told(known))
    planned = service.planned(facts)
    if planned and planned.kind == "out_of_stock":
        return error(409, "OUT_OF_STOCK", "No codes left")
    if planned and planned.kind == "refuse":
        return error(422, "REFUSED", planned.reason or "Refused")
    state = planned.kind if planned else "active"
    made = service.make(
        "rest",
        body["externalId"],
        until=body["validTo"],
        product=body["product"],
        options=body.get("options") or {},
        state=state,
    )
    return web.json_response(told(made), status=201)


def _get(service: "Foreign", request: web.Request, _body: Doc, _facts: Doc) -> web.Response:
    doc = service.found("rest", ref=request.match_info["external"])
    return web.json_response(told(doc)) if doc else error(404, "NOT_FOUND", "No such order")


def _prolong(service: "Foreign", request: web.Request, body: Doc, _facts: Doc) -> web.Response:
    doc = service.found("rest", number=request.match_info["number"])
    if doc is None:
        return error(404, "NOT_FOUND", "No such order")
    if not body.get("prolongationId") or not body.get("validTo"):
        return error(422, "VALIDATION", "Required: prolongationId, validTo")
    if body["prolongationId"] not in doc["changes"]:
        until = max(doc["until"], body["validTo"])
        doc = service.change(doc, until=until, changes=[*doc["changes"], body["prolongationId"]])
    return web.json_response(told(doc))


def _moved(state: str) -> Act:
    def act(service: "Foreign", request: web.Request, _body: Doc, _facts: Doc) -> web.Response:
        doc = service.found("rest", number=request.match_info["number"])
        if doc is None:
            return error(404, "NOT_FOUND", "No such order")
        if doc["state"] == "canceled" and state != "canceled":
            return error(409, "TERMINATED", "The order is terminated")
        return web.json_response(told(service.change(doc, state=state)))

    return act
