"""What benches start beside them: the web server as production runs it, and workers."""

import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from armor.ports import free_port
from armor.programs import Program, accepts
from armor.supervisor import intake_program, web_program

PATIENCE = 300.0
"""Seconds after which what has not happened never will."""


def workers(stack: ExitStack, *functions: Callable[[Any, Any], None]) -> list[int]:
    """Processes of `bench.worker`'s functions that are ready, until the stack is left; their ids."""
    context = multiprocessing.get_context("spawn")
    stop, ready = context.Event(), context.Queue()
    started = [context.Process(target=one, args=(ready, stop)) for one in functions]
    stack.callback(lambda: [one.join(20) for one in started])
    stack.callback(stop.set)
    for one in started:
        one.start()
    for _ in started:
        ready.get(timeout=PATIENCE)
    return [one.pid or 0 for one in started]


def web(stack: ExitStack) -> tuple[int, int]:
    """The web server as production runs it, all its processes loaded: its port and its process's id."""
    return _started(stack, web_program, _have_answered)


def intake(stack: ExitStack) -> tuple[int, int]:
    """The process that takes messages as production runs it: its port and its process's id."""
    return _started(stack, intake_program, _is_there)


def _started(
    stack: ExitStack, program: Callable[[int], Program], is_ready: Callable[[int, int], bool]
) -> tuple[int, int]:
    port = free_port()
    env = os.environ | {"ARMOR_PORT": str(port)}
    process = subprocess.Popen(list(program(port).command), env=env, cwd=Path(__file__).parent.parent)
    stack.callback(lambda: process.wait(20))
    stack.callback(process.terminate)
    until = time.monotonic() + 60
    while not (accepts(port) and is_ready(process.pid, port)):
        if time.monotonic() > until or process.poll() is not None:
            raise RuntimeError("The server did not start")
        time.sleep(0.1)
    return port, process.pid


def _is_there(_master: int, port: int) -> bool:
    return httpx.post(f"http://localhost:{port}/hooks/0/", timeout=60).status_code == 404


def _have_answered(master: int, port: int) -> bool:
    """Whether each of its processes has: the first loads the product before it, and has threads from then on."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: httpx.get(f"http://localhost:{port}/admin/login/", timeout=60), range(16)))
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return all(len(os.listdir(f"/proc/{one}/task")) > 1 for one in children)
