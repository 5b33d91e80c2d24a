"""Where CPU is set: milliseconds of the processor for each piece of a bench's work, by part, with what it started."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def told(pieces: int, **parts: int | None) -> Iterator[None]:
    """Prints what is spent within it by parts, given their processes' ids, and by a server of this machine."""
    if "CPU" not in os.environ:
        yield
        return
    wanted = {name: pid for name, pid in parts.items() if pid} | {"postgres": _postgres()}
    before = _seconds(wanted)
    yield
    after = _seconds(wanted)
    spent = {name: (after[name] - before[name]) / pieces * 1000 for name in wanted}
    print(
        *(f"{name} {one:.2f}" for name, one in spent.items()), f"all {sum(spent.values()):.2f} ms", flush=True
    )


def _postgres() -> int:
    """The server; what it does for others meanwhile counts as well."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(_stat(cursor.fetchone()[0])[1])


def _seconds(parts: Mapping[str, int]) -> dict[str, float]:
    stats = {int(one.name): _stat(int(one.name)) for one in Path("/proc").iterdir() if one.name.isdigit()}
    return {name: _with_children(pid, stats) for name, pid in parts.items()}


def _with_children(pid: int, stats: Mapping[int, list[str]]) -> float:
    own = sum(map(int, stats.get(pid, [])[11:15])) / TICK
    return own + sum(_with_children(one, stats) for one, stat in stats.items() if stat[1:2] == [str(pid)])


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
