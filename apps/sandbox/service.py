"""What all simulators share: command line, control API, and requests served through planned faults."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

from aiohttp import web

from apps.sandbox.access import AccessLog, Entry
from apps.sandbox.clock import Clock, moment, stamp
from apps.sandbox.faults import Fault, Faults
from apps.sandbox.lies import Lies
from apps.sandbox.store import Store

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HOLD_SECONDS = 600.0


class Service:
    """A simulator. Subclasses name themselves, add routes and faults of their own, and keep a register."""

    name = ""
    fault_kinds: tuple[str, ...] = ()
    shared_kinds: tuple[str, ...] = (
        "delay",
        "drop_answer",
        "hold",
        "http_500",
        "http_429",
        "http_202",
        "http_503",
    )

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.store = Store(options.state / f"{self.name}.jsonl")
        self.clock = Clock(self.store)
        self.faults = Faults(self.shared_kinds + self.fault_kinds)
        self.log = AccessLog()
        self.lies = Lies(self.store)
        self._released = asyncio.Event()

    # -- what a simulator fills in -------------------------------------------------------------------

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Command-line options beyond the shared ones."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        raise NotImplementedError

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        """What really happened here: the truth that a client's books are compared with."""
        raise NotImplementedError

    def refusal(self, status: int) -> web.Response:
        """The protocol's own form of 202, 429, 500 and 503."""
        return web.json_response({"code": status}, status=status)

    async def started(self) -> None:
        """Begin background work; the event loop runs."""

    def clock_moved(self) -> None:
        """Let expire what has expired by the new time."""

    def addresses(self, base_url: str) -> list[str]:
        return [base_url]

    # -- requests under faults -----------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        return self._switched_on("switch")

    def _switched_on(self, whom: str) -> bool:
        return (self.store.get("switch", whom) or {"on": True})["on"]

    def _is_on_for(self, facts: dict[str, Any]) -> bool:
        """A simulator may be off for everybody, or for one account (`facts["account"]`) only."""
        account = facts.get("account")
        return self.is_on and (not account or self._switched_on(f"account:{account}"))

    async def serve(
        self, request: web.Request, facts: dict[str, Any], act: Callable[[Entry], web.Response]
    ) -> web.Response:
        """Answer one API request: faults before it, the act (which commits), faults after it."""
        entry = self.log.open(request, facts)
        status = None
        try:
            response = await self._before(entry, facts)
            if response is None:
                response = act(entry)
                entry.committed = response.status < 400
                response = await self._after(request, entry, facts, response)
            status = response.status
            return response
        finally:
            self.log.close(entry, status)

    async def _before(self, entry: Entry, facts: dict[str, Any]) -> web.Response | None:
        if fault := self.faults.take(["delay"], facts):
            entry.fault = "delay"
            await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
        if fault := self.faults.take(["hold"], facts, before=True):
            await self._hold(entry, fault)
        if not self._is_on_for(facts):
            entry.fault = "off"
            return self.refusal(503)
        if fault := self.faults.take(["http_500", "http_429", "http_503"], facts, committed=False):
            entry.fault = fault.kind
            return self._refused(fault)
        return None

    async def _after(
        self, request: web.Request, entry: Entry, facts: dict[str, Any], response: web.Response
    ) -> web.Response:
        if fault := self.faults.take(["hold"], facts, before=False):
            await self._hold(entry, fault)
        if self.faults.take(["drop_answer"], facts):
            entry.fault, entry.state = "drop_answer", "dropped"
            if request.transport is not None:
                request.transport.abort()
            return response
        fault = self.faults.take(["http_202"], facts)
        fault = fault or self.faults.take(["http_500", "http_429", "http_503"], facts, committed=True)
        if fault and response.status < 400:
            entry.fault = fault.kind
            return self._refused(fault)
        return response

    def _refused(self, fault: Fault) -> web.Response:
        refused = self.refusal(int(fault.kind[5:]))
        if fault.seconds is not None:
            refused.headers["Retry-After"] = str(int(fault.seconds))
        return refused

    async def _hold(self, entry: Entry, fault: Fault) -> None:
        entry.fault, entry.held = "hold", True
        try:
            await asyncio.wait_for(self._released.wait(), fault.seconds or HOLD_SECONDS)
        except TimeoutError:
            pass

    # -- control API ---------------------------------------------------------------------------------

    def _control_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/_control/health", self._health)
        router.add_get("/_control/faults", self._list_faults)
        router.add_post("/_control/faults", self._plan_fault)
        router.add_delete("/_control/faults", self._clear_faults)
        router.add_get("/_control/log", self._show_log)
        router.add_delete("/_control/log", self._clear_log)
        router.add_post("/_control/release", self._release)
        router.add_get("/_control/clock", self._show_clock)
        router.add_put("/_control/clock", self._set_clock)
        router.add_put("/_control/switch", self._switch)
        router.add_get("/_control/register", self._register)
        router.add_post("/_control/chargebacks", self._charge_back)
        router.add_put("/_control/register/{id:.+}", self._misreport)

    async def _health(self, request: web.Request) -> web.Response:
        is_on = self._is_on_for(dict(request.query))
        return web.json_response({"name": self.name, "on": is_on, "now": stamp(self.clock.now())})

    async def _list_faults(self, request: web.Request) -> web.Response:
        return web.json_response({"items": self.faults.as_json()})

    async def _plan_fault(self, request: web.Request) -> web.Response:
        fault = self.faults.plan(await json_body(request))
        return web.json_response({"id": fault.id, "kind": fault.kind, "times": fault.times}, status=201)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear()
        return web.json_response({"items": []})

    async def _show_log(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        since, limit = int(query.pop("since", 0)), int(query.pop("limit", 1000))
        return web.json_response({"items": self.log.as_json(since=since, limit=limit, **query)})

    async def _clear_log(self, request: web.Request) -> web.Response:
        self.log.clear()
        return web.json_response({"items": []})

    async def _release(self, request: web.Request) -> web.Response:
        held = len(self.log.as_json(state="in_flight", held="True"))
        self._released.set()
        self._released = asyncio.Event()
        return web.json_response({"released": held})

    async def _show_clock(self, request: web.Request) -> web.Response:
        return web.json_response({"now": stamp(self.clock.now())})

    async def _set_clock(self, request: web.Request) -> web.Response:
        now = (await json_body(request)).get("now")
        self.clock.set(moment(now) if now else None)
        self.clock_moved()
        return await self._show_clock(request)

    async def _switch(self, request: web.Request) -> web.Response:
        wanted = await json_body(request)
        whom = f"account:{wanted['account']}" if wanted.get("account") else "switch"
        self.store.put("switch", whom, {"on": bool(wanted.get("on", True))})
        return web.json_response({"on": self._switched_on(whom)})

    async def _register(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        told, shop = self.register(query), query.get("shop")
        rows = [one for one in self.store.table("chargebacks").values() if shop in (None, one["shop"])]
        return web.json_response({**told, **({"chargebacks": rows} if rows else {})})

    async def _charge_back(self, request: web.Request) -> web.Response:
        """The payer's bank has taken money of a payment back, whatever the shop says. No API tells of it."""
        body = await json_body(request)
        payment = next(
            (one for one in self.register({})["payments"] if one["id"] == body["payment_id"]), None
        )
        if payment is None or payment["status"] != "succeeded":
            raise ValueError("no such payment that came")
        amount = Decimal(body.get("amount") or payment["amount"])
        if not 0 < amount <= Decimal(payment["amount"]):
            raise ValueError("more than the payment")
        made = {"id": f"cb-{len(self.store.table('chargebacks')) + 1}", "payment_id": payment["id"]}
        made |= {"amount": f"{amount:.2f}", "reason": str(body.get("reason") or "fraud")}
        made |= {"shop": payment["shop"], "at": stamp(self.clock.now())}
        self.store.put("chargebacks", made["id"], made)
        return web.json_response(made, status=201)

    async def _misreport(self, request: web.Request) -> web.Response:
        self.lies.plan(request.match_info["id"], await json_body(request))
        return web.json_response({"id": request.match_info["id"]})

    # -- process -------------------------------------------------------------------------------------

    @classmethod
    def main(cls, argv: list[str] | None = None) -> None:
        """Run until SIGTERM or SIGINT; print one line with the addresses once they answer."""
        asyncio.run(cls._run(cls.options_of(argv)))

    @classmethod
    def options_of(cls, argv: list[str] | None = None) -> argparse.Namespace:
        """The command line, or words in its place, read."""
        parser = argparse.ArgumentParser(prog=f"python -m apps.sandbox.{cls.name}")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
        parser.add_argument("--state", type=Path, required=True, help="directory of the journal")
        parser.add_argument("--exit-with-stdin", action="store_true", help="stop when the starter is gone")
        cls.add_arguments(parser)
        return parser.parse_args(argv)

    @classmethod
    async def _run(cls, options: argparse.Namespace) -> None:
        end_at_once()
        await cls.open(options)
        if options.exit_with_stdin:
            loop = asyncio.get_running_loop()
            loop.add_reader(sys.stdin.fileno(), lambda: os.read(0, 4096) or os._exit(0))
        await asyncio.Event().wait()

    @classmethod
    async def open(cls, options: argparse.Namespace) -> None:
        """Answers from now on, in the running loop, and says so by a line."""
        service = cls(options)
        app = web.Application(middlewares=[_control_errors], client_max_size=32 * 2**20)
        service._control_routes(app.router)
        service.add_routes(app.router)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, options.host, options.port, backlog=2048)
        await service.started()
        await site.start()
        base_url = f"http://{options.host}:{runner.addresses[0][1]}"
        print(f"{cls.name} ready", *service.addresses(base_url), flush=True)


def end_at_once() -> None:
    """At a signal: every commit is already in the journal, so there is nothing to wait for."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 0)


@web.middleware
async def _control_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ValueError, KeyError) as error:
        if not request.path.startswith("/_control/"):
            raise
        return web.json_response({"error": str(error)}, status=400)


async def json_body(request: web.Request) -> dict[str, Any]:
    """The JSON object of the body, {} when empty; ValueError when it is no object."""
    if not await request.read():
        return {}
    match await request.json():
        case dict(body):
            return body
    raise ValueError("the body must be a JSON object")


def page(folder: Path, name: str, **values: str) -> web.Response:
    """An HTML page from a file with $names; the caller has escaped the values."""
    text = (folder / "pages" / f"{name}.html").read_text(encoding="utf-8")
    return web.Response(text=Template(text).substitute(values), content_type="text/html", charset="utf-8")
