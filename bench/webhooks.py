"""The bench of webhooks: so many a second are accepted as production takes them, read, and settled.

Each tells of a payment that the gateway has taken; it is read there, as ever, and settled in its lane. The
process that takes them, one general worker, one lanes' process, the gateway's simulator and who posts share the machine
with PostgreSQL. The floor is the pace at which they come: a ratio of 1 means that the last is settled as it comes.
MESSAGES says how many, PACE how many a second: with more than the platform can take, `per_second` is what it does take.
"""

import json
import multiprocessing
import os
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from apps.core import clock, models
from apps.core.tenancy import in_partner
from apps.payments.models import Payment
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from bench import programs, spent, worker
from bench.charging import Charger, Till, check, tills_at

PER_SECOND = int(os.environ.get("PACE", "300"))
PATIENCE = 300.0
"""Seconds after which what is not settled never will be."""


def webhook_intake() -> dict[str, float]:
    """300 a second, ten seconds' worth of them."""
    count = int(os.environ.get("MESSAGES", "3000"))
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="armor-bench-"))
        simulator = stack.enter_context(Simulator("yookassa", state=folder))
        tills = tills_at(Control(simulator.url), 30, latency=0)
        bodies = _pending(tills, count)
        port, intake = programs.intake(stack)
        url = f"http://localhost:{port}/hooks/{tills[0].connection.pk}/"
        reader, lanes = programs.workers(stack, worker.read_messages, worker.keep_lanes)
        context = multiprocessing.get_context("spawn")
        answered = context.Queue()
        poster = context.Process(target=worker.tell, args=(url, bodies, PER_SECOND, answered))
        with spent.told(len(bodies), intake=intake, reader=reader, lanes=lanes, simulator=simulator.pid):
            poster.start()
            began, ended, accepted, wait = answered.get(timeout=PATIENCE)
            _until_settled(tills)
            took, told = time.time() - began, ended - began
        poster.join(20)
        if accepted != len(bodies):
            raise RuntimeError(f"{accepted} of {len(bodies)} were accepted")
        check(tills)
    least = len(bodies) / PER_SECOND
    return {
        "seconds": took,
        "per_second": len(bodies) / took,
        "floor_seconds": least,
        "ratio": took / least,
        "peak_mib": 0.0,
        "accepted_seconds": told,
        "accepted_p95_seconds": wait,
    }


def _pending(tills: list[Till], count: int) -> list[bytes]:
    """Messages about so many payments that the gateway has taken since, and that nobody has told us of."""
    gateway, shop = tills[0].gateway, tills[0].connection.config["shop_id"]
    gateway.fault("no_webhook", times=10**9, match={"shop": shop})
    gateway.fault("pending", times=10**9, match={"operation": "create_payment", "shop": shop})
    with Charger() as charger:
        for till in tills:
            till.write(count // len(tills))
        charger.charge()
    bodies = []
    for till in tills:
        with in_partner(till.partner):
            for key, gateway_id in Payment.objects.filter(state="pending").values_list("pk", "gateway_id"):
                gateway.settle(gateway_id)
                thing = {"id": gateway_id, "metadata": {"payment": str(key)}}
                bodies.append(json.dumps({"event": "payment.succeeded", "object": thing}).encode())
    # Nobody is to find out by looking.
    models.Due.objects.filter(kind="payments.sweep").update(due_at=clock.wall() + timedelta(hours=1))
    return bodies


def _until_settled(tills: list[Till]) -> None:
    until = time.monotonic() + PATIENCE
    for till in tills:
        with in_partner(till.partner):
            while left := Payment.objects.filter(state="pending").count():
                if time.monotonic() > until:
                    raise RuntimeError(f"{left} payments are not settled")
                time.sleep(0.05)
