"""CPU seconds by part, of processes and all that they started: where CPU is set, a bench prints them for each piece."""

import os
from collections.abc import Mapping
from pathlib import Path

from django.db import connection

TICK = os.sysconf("SC_CLK_TCK")


def postgres() -> int:
    """The server's process id; it must be on this machine, and serve nobody else meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(_stat(cursor.fetchone()[0])[1])


def seconds(parts: Mapping[str, int]) -> dict[str, float]:
    """So far, by part: the process id that each has."""
    stats = {int(one.name): _stat(int(one.name)) for one in Path("/proc").iterdir() if one.name.isdigit()}
    return {name: _with_children(pid, stats) for name, pid in parts.items()}


def tell(before: Mapping[str, float], after: Mapping[str, float], pieces: int) -> None:
    """Prints milliseconds for each piece."""
    spent = {name: (after[name] - before[name]) / pieces * 1000 for name in before}
    print(
        *(f"{name} {one:.2f}" for name, one in spent.items()), f"all {sum(spent.values()):.2f} ms", flush=True
    )


def _with_children(pid: int, stats: Mapping[int, list[str]]) -> float:
    found = stats.get(pid) or ["0"] * 20
    own = sum(map(int, found[11:15])) / TICK
    return own + sum(
        _with_children(one, stats) for one, stat in stats.items() if stat and int(stat[1]) == pid
    )


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
