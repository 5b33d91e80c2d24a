"""How manage.py finds what `make run` has started in this folder: its addresses stand in `<var>/run/environment`."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAMES = ("DATABASE_URL", "BROKER_URL", "ARMOR_PORT", "ARMOR_SMTP_PORT")


@contextmanager
def known(var: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Writes the addresses down for as long as the programs run. They hold passwords: for their owner only."""
    path = _path(var)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    wanted = {name: value for name, value in env.items() if name in NAMES or _is_simulator(name)}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(wanted, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def join(base: Path) -> None:
    """Takes the addresses of what runs in this folder, unless the environment names a database of its own."""
    if os.environ.get("DATABASE_URL"):
        return
    try:
        addresses = json.loads(_path(Path(os.environ.get("ARMOR_VAR") or base / "var")).read_text())
    except OSError:
        return
    for name, value in addresses.items():
        os.environ.setdefault(name, value)


def _path(var: Path) -> Path:
    return var / "run" / "environment"


def _is_simulator(name: str) -> bool:
    return name.startswith("ARMOR_") and name.endswith("_URL")
