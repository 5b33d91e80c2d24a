"""Asynchronous: 202 at once, the work after it, then a signed callback; the state may be asked meanwhile. OAuth 2.0."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from yarl import URL

from apps.sandbox.store import Doc

if TYPE_CHECKING:
    from apps.sandbox.foreign.__main__ import Foreign

TRIES = 10
TOKEN_SECONDS = 600
Act = Callable[["Foreign", web.Request, Doc, Doc], web.Response]
_tasks: set[asyncio.Task[None]] = set()


def add_routes(service: "Foreign", router: web.UrlDispatcher) -> None:
    def route(method: str, path: str, operation: str, act: Act) -> None:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            content = await request.read()
            try:
                body = json.loads(content or b"{}")
            except ValueError:
                return _problem(400, "The body is not JSON")
            facts: Doc = {"operation": operation, "protocol": "async", "ref": body.get("clientRef", "")}

            def done() -> web.Response:
                given = request.headers.get("Authorization", "").removeprefix("Bearer ")
                if given not in service.tokens:
                    return _problem(401, "No such token")
                return act(service, request, body, facts)

            return await service.under_faults(request, facts, done, _lie)

        router.add_route(method, f"/async/api{path}", endpoint)

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        wanted = base64.b64encode(f"{service.login}:{service.secret}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return web.json_response({"error": "invalid_client"}, status=401)
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        made = {"access_token": service.token(), "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
        return web.json_response(made)

    router.add_post("/async/oauth/token", token)
    route("POST", "/subscriptions", "subscribe", _subscribe)
    route("GET", "/subscriptions/{number}", "state", _state)
    route("PUT", "/subscriptions/{number}/term", "term", _term)
    route("POST", "/subscriptions/{number}/close", "close", _close)


def _problem(status: int, text: str) -> web.Response:
    return web.json_response({"fault": text}, status=status)


def _lie() -> web.Response:
    return web.json_response({"fault": "busy"})


def told(doc: Doc) -> dict[str, Any]:
    words = {"active": "ready", "pending": "in_progress", "canceled": "closed", "failed": "declined"}
    found = {"jobId": doc["number"], "clientRef": doc["ref"], "status": words[doc["state"]]}
    if doc["state"] == "active":
        found |= {"license": {"code": doc["key"], "page": f"https://async.example/{doc['number']}"}}
    return found


def _subscribe(service: "Foreign", _request: web.Request, body: Doc, facts: Doc) -> web.Response:
    if not body.get("clientRef") or not body.get("plan"):
        return _problem(422, "clientRef and plan are required")
    if known := service.found("async", ref=body["clientRef"]):
        return web.json_response(told(known), status=202)
    planned = service.planned(facts)
    if planned and planned.kind in {"out_of_stock", "refuse"}:
        return _problem(409, planned.reason or planned.kind)
    end = "failed" if planned and planned.kind == "failed" else "active"
    seconds = service.options.work_seconds
    if planned and planned.kind == "pending":
        seconds = planned.seconds if planned.seconds is not None else 1e9
    made = service.make(
        "async",
        body["clientRef"],
        until=body.get("until", ""),
        product=body["plan"],
        state="pending",
        end=end,
        done_at=time.time() + seconds,
        callback=body.get("callbackUrl", ""),
    )
    _work(service, made)
    return web.json_response(told(made), status=202)


def _state(service: "Foreign", request: web.Request, _body: Doc, _facts: Doc) -> web.Response:
    given = request.match_info["number"]
    doc = service.found("async", number=given) or service.found("async", ref=given)
    return web.json_response(told(doc)) if doc else _problem(404, "No such subscription")


def _term(service: "Foreign", request: web.Request, body: Doc, _facts: Doc) -> web.Response:
    doc = service.found("async", number=request.match_info["number"])
    if doc is None:
        return _problem(404, "No such subscription")
    return web.json_response(told(service.change(doc, until=body.get("until", ""))))


def _close(service: "Foreign", request: web.Request, _body: Doc, _facts: Doc) -> web.Response:
    doc = service.found("async", number=request.match_info["number"])
    if doc is None:
        return _problem(404, "No such subscription")
    return web.json_response(told(service.change(doc, state="canceled")))


async def go_on(service: "Foreign") -> None:
    """What a restart interrupted is finished."""
    for doc in list(service.store.table("made").values()):
        if doc["protocol"] == "async" and doc["state"] == "pending":
            _work(service, doc)


def _work(service: "Foreign", doc: Doc) -> None:
    task = asyncio.get_running_loop().create_task(_worked(service, doc["number"]))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _worked(service: "Foreign", number: str) -> None:
    doc = service.store.table("made")[number]
    await asyncio.sleep(max(0.0, doc["done_at"] - time.time()))
    doc = service.store.table("made")[number]
    if doc["state"] != "pending":
        return
    doc = service.change(doc, state=doc["end"])
    facts = {"operation": "webhook", "protocol": "async", "ref": doc["ref"]}
    if not doc["callback"] or service.faults.take(["no_webhook"], facts):
        return
    if late := service.faults.take(["late_webhook"], facts):
        await asyncio.sleep(late.seconds or 5.0)
    if service.faults.take(["forge_webhook"], facts):
        await _tell(service, doc, b"forged-secret")
    twice = service.faults.take(["duplicate_webhook"], facts)
    for _ in range(twice.copies if twice else 1):
        await _tell(service, doc, service.callback_secret.encode())


async def _tell(service: "Foreign", doc: Doc, secret: bytes) -> None:
    content = json.dumps({"event": "subscription.changed", **told(doc)}).encode()
    signature = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    headers = {"Content-Type": "application/json", "X-Hub-Signature": f"sha256={signature}"}
    url = URL(doc["callback"])
    if (url.host or "").endswith("localhost"):
        headers["Host"] = url.authority
        url = url.with_host("127.0.0.1")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for number in range(TRIES):
            try:
                async with session.post(url, data=content, headers=headers, allow_redirects=False) as answer:
                    status: Any = answer.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status = type(error).__name__
            key = f"{doc['number']}-{len(service.store.table('callbacks'))}"
            service.store.put("callbacks", key, {"number": doc["number"], "status": status})
            if status == 200:
                return
            await asyncio.sleep(0.2 * 2**number)
