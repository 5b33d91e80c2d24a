"""Several simulators in one process, for the demo: `python -m apps.sandbox tbank:9106 atol:9109 --state var/sandbox`.

Each is what it is alone: its own port, journal and clock. Five of them take little more memory than one.
"""

import argparse
import asyncio
from importlib import import_module
from pathlib import Path

from apps.sandbox.service import Service, end_at_once


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m apps.sandbox")
    parser.add_argument("simulators", nargs="+", metavar="NAME:PORT")
    parser.add_argument("--state", type=Path, required=True, help="directory of the journals")
    given = parser.parse_args()
    asyncio.run(_run([one.split(":") for one in given.simulators], given.state))


async def _run(wanted: list[list[str]], state: Path) -> None:
    end_at_once()
    for name, port in wanted:
        service = _service(name)
        await service.open(service.options_of(["--port", port, "--state", str(state)]))
    await asyncio.Event().wait()


def _service(name: str) -> type[Service]:
    module = import_module(f"apps.sandbox.{name}.__main__")
    found = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Service) and one.name == name
    ]
    if not found:
        raise LookupError(f"{name} is no simulator")
    return found[0]


if __name__ == "__main__":
    main()
