"""A spy in a process of the product: each connection that leaves the pool must be about nobody.

`ISOLATION_SEEN` is the file that says what was seen, a word a line. With `ISOLATION_FORGETS=1` the process is the
control build: half of the time it forgets to say whose data a unit of work is about, and so do its connections.
"""

import os
import random
from functools import cache
from typing import Any
from uuid import UUID

from django_tenants.postgresql_backend.base import DatabaseWrapper
from psycopg_pool import ConnectionPool

from apps.core import due
from armor.database import base

CLEAN = '"$user", public'
PROBE = "isolation.probe"
SHARED = "A-"
"""How the outside ids of the customers begin whom both partners have."""
_take, _set = ConnectionPool.getconn, DatabaseWrapper.set_tenant


def start() -> None:
    """Watches the pool of this process, and has its worker take probes."""
    ConnectionPool.getconn = take  # type: ignore[method-assign]
    due.task(PROBE)(probe)
    if os.environ.get("ISOLATION_FORGETS") == "1":
        forget_from_now()


def forget_from_now() -> None:
    """Makes this process the control build."""
    DatabaseWrapper.set_tenant = forget
    base.forget_schema = lambda _connection: None


@cache
def _file() -> int:
    return os.open(os.environ["ISOLATION_SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(word: str) -> None:
    """Says what was seen; lines of several processes do not mix."""
    os.write(_file(), f"{word}\n".encode())


def take(self: Any, timeout: float | None = None) -> Any:
    """Takes a connection, and looks whose data it would show."""
    taken = _take(self, timeout)
    path = taken.execute("SHOW search_path").fetchone()[0]
    if not taken.autocommit:
        taken.rollback()
    note("pool.clean" if path == CLEAN else "pool.dirty")
    return taken


def forget(self: Any, tenant: Any, include_public: bool = True) -> None:
    """Stays, half of the time, at the partner of whoever worked here before."""
    if getattr(self.tenant, "pk", None) is None or random.random() < 0.5:
        _set(self, tenant, include_public)


def probe(customer_id: UUID) -> None:
    """A task that looks up, as a careless one would, customers by what both partners know."""
    from apps.accounts.models import Customer

    found = set(Customer.objects.filter(external_id__startswith=SHARED).values_list("pk", flat=True))
    note("worker.right" if customer_id in found else "worker.leak")
