"""A process that does due renewals as one of Celery's would; it imports nothing of Django's before that is set up."""

import cProfile
import os
import resource
from typing import Any


def work(go: Any, done: Any) -> None:
    """Each time it is told to go, works until nothing is due, and answers with the most memory it has held, in MiB.

    With PROFILE set to the name of a file, leaves there where its time went.
    """
    import django

    django.setup()
    from apps.core import due

    # What the run plans, the sending of charges, is not measured here, and nobody is there to take them.
    due._CLAIM = due._CLAIM.replace("{partner}", "AND kind = 'billing.renew' {partner}")
    due.waiting()
    profile = cProfile.Profile() if "PROFILE" in os.environ else None
    done.put(0.0)
    while go.get() is not None:
        if profile:
            profile.enable()
        while rows := due.claim(20, lanes=False):
            for row in rows:
                due.run(row)
        if profile:
            profile.disable()
            profile.dump_stats(os.environ["PROFILE"])
        done.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run_lanes(go: Any, done: Any) -> None:
    """The same for lanes: each time it is told to go, calls outside and records until nothing is left."""
    import django

    django.setup()
    from apps.core import lane_runner

    profile = cProfile.Profile() if "PROFILE" in os.environ else None
    done.put(0.0)
    while go.get() is not None:
        if profile:
            profile.enable()
        lane_runner.Runner().run()
        if profile:
            profile.disable()
            profile.dump_stats(os.environ["PROFILE"])
        done.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def read_messages(ready: Any, stop: Any) -> None:
    """A general worker that reads incoming messages until it is stopped; what follows from them is others' work."""
    import django

    django.setup()
    from apps.core import due, tasks

    due.waiting()
    ready.put("reader")
    while not stop.is_set():
        rows, along = due.claim(tasks.ROUND, lanes=False), set[int]()
        for row in rows:
            if row.pk not in along:
                due.run(row, along)
        if len(rows) < tasks.ROUND:
            stop.wait(tasks.PAUSE_SECONDS)


def work_off(ready: Any, stop: Any) -> None:
    """A general worker that does whatever comes until it is stopped, but for the lanes' work."""
    import django

    django.setup()
    from apps.core import due, tasks

    due.waiting()
    ready.put("worker")
    while not stop.is_set():
        tasks._work()
        stop.wait(0.02)


def place_files(ready: Any, stop: Any) -> None:
    """A general worker that places files of orders until it is stopped; what follows from them is others' work."""
    import django

    django.setup()
    from apps.core import due

    due._CLAIM = due._CLAIM.replace("{partner}", "AND kind = 'orders.bulk' {partner}")
    due.waiting()
    ready.put("files")
    while not stop.is_set():
        for row in (rows := due.claim(lanes=False)):
            due.run(row)
        if not rows:
            stop.wait(0.02)


def keep_lanes(ready: Any, stop: Any) -> None:
    """Does the lanes' work until it is stopped, as Celery's process of them is woken."""
    import django

    django.setup()
    from apps.core import due, lane_runner, tasks

    due.waiting()
    ready.put("lanes")
    while not stop.is_set():
        if due.lanes_due():
            lane_runner.Runner(stop).run(stay=tasks.STAY_SECONDS)
        stop.wait(0.02)


def tell(url: str, bodies: list[bytes], per_second: float, answered: Any) -> None:
    """Posts messages at a steady pace; answers with when it began and ended, how many were accepted, the 95th wait.

    Moments are in seconds since 1970. By plain sockets: who posts shares the cores with what is measured.
    """
    import asyncio
    import time
    from urllib.parse import urlsplit

    to = urlsplit(url)
    head = (
        f"POST {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    )
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(number: int, body: bytes) -> tuple[bool, float]:
        await asyncio.sleep(number / per_second)
        began = time.perf_counter()
        while True:
            is_kept = bool(idle)
            reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", to.port)
            try:
                writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
                status, *fields = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                # The server closes what was idle for a while.
                writer.close()
                if not is_kept:
                    return False, time.perf_counter() - began
        found = {name: value.strip() for name, _colon, value in (field.partition(b":") for field in fields)}
        await reader.readexactly(int(found.get(b"content-length", 0)))
        if found.get(b"connection") == b"close":
            writer.close()
        else:
            idle.append((reader, writer))
        return b" 200 " in status, time.perf_counter() - began

    async def all_of_them() -> list[tuple[bool, float]]:
        return await asyncio.gather(*[post(*one) for one in enumerate(bodies)])

    began = time.time()
    told = asyncio.run(all_of_them())
    waits = sorted(seconds for _ok, seconds in told)
    answered.put((began, time.time(), sum(ok for ok, _seconds in told), waits[int(len(waits) * 0.95)]))


def call(url: str, head: str, bodies: list[bytes], clients: int, answered: Any) -> None:
    """Posts JSON over so many connections, each as soon as the one before is answered; `head`: lines of each request.

    Answers with the seconds that all of it took, how many answers there were by status, and each one's wait.
    """
    import asyncio
    import time
    from collections import Counter
    from urllib.parse import urlsplit

    to, left = urlsplit(url), list(reversed(bodies))
    first = f"POST {to.path} HTTP/1.1\r\n{head}\r\nContent-Type: application/json\r\nContent-Length: "
    statuses: Counter[int] = Counter()
    waits: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", to.port)
        while left:
            body = left.pop()
            began = time.perf_counter()
            writer.write(f"{first}{len(body)}\r\n\r\n".encode() + body)
            status, *fields = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            found = dict(field.split(b": ", 1) for field in fields if b": " in field)
            await reader.readexactly(int(found[b"content-length"]))
            waits.append(time.perf_counter() - began)
            statuses[int(status.split()[1])] += 1
            if found.get(b"connection") == b"close":
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", to.port)
        writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*[client() for _ in range(clients)])

    began = time.perf_counter()
    asyncio.run(all_of_them())
    answered.put((time.perf_counter() - began, dict(statuses), waits))
