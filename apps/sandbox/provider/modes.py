"""How a provider behaves towards each of its accounts until told otherwise: well, or badly in one of the usual ways."""

import math
import time
from collections import deque
from typing import Any

from apps.sandbox.store import Doc, Store

USUAL: dict[str, dict[str, float]] = {
    "synchronous": {},
    "asynchronous": {"seconds": 1.0},
    "slow": {"seconds": 3.0},
    "flapping": {"up": 2.0, "down": 2.0},
    "lying": {"every": 2},
    "duplicating": {},
    "losing": {"every": 2},
    "rate_limiting": {"per_second": 2.0},
}
"""Each mode and what it takes, with what that is unless said: seconds, requests a second, each so-many-th request."""


class Modes:
    """The mode of each account (a token); it may be changed at any moment, and outlives a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._met: dict[str, int] = {}
        self._begun: dict[str, deque[float]] = {}

    def put(self, account: str, given: dict[str, Any]) -> Doc:
        """From now on the account meets this mode. ValueError for an unknown one, or what it does not take."""
        name = given.get("mode", "synchronous")
        if name not in USUAL:
            raise ValueError(f"mode must be one of: {', '.join(USUAL)}")
        options = {key: value for key, value in given.items() if key not in ("mode", "callback_url")}
        if unknown := set(options) - set(USUAL[name]):
            raise ValueError(f"{name} takes no {', '.join(sorted(unknown))}")
        mode = {"mode": name, **USUAL[name], **{key: float(value) for key, value in options.items()}}
        if any(not 0 < value < math.inf for key, value in mode.items() if key != "mode"):
            raise ValueError("a number above nothing")
        mode |= {
            "since": time.time(),
            "callback_url": given.get("callback_url") or self.callback_url(account),
        }
        self._store.put("modes", account, mode)
        self._met.pop(account, None)
        return mode

    def of(self, account: str) -> Doc:
        """What holds of an account."""
        return self._store.get("modes", account) or {"mode": "synchronous", "callback_url": ""}

    def callback_url(self, account: str) -> str:
        """Where it is told of what has become of an activation; empty: it asks."""
        return str(self.of(account)["callback_url"])

    def pause(self, account: str) -> float:
        """Seconds for which each request waits."""
        mode = self.of(account)
        return float(mode["seconds"]) if mode["mode"] == "slow" else 0.0

    def refusal(self, account: str) -> int | None:
        """The status by which a request is refused before anything is done."""
        mode = self.of(account)
        if mode["mode"] == "flapping":
            place = (time.time() - mode["since"]) % (mode["up"] + mode["down"])
            return 503 if place >= mode["up"] else None
        if mode["mode"] == "rate_limiting" and not self._is_within(account, mode["per_second"]):
            return 429
        return None

    def pending(self, account: str) -> float | None:
        """Seconds after which an activation is there that was only taken on; None: it is there at once."""
        mode = self.of(account)
        return float(mode["seconds"]) if mode["mode"] == "asynchronous" else None

    def copies(self, account: str) -> int:
        """How often it does and tells each thing."""
        return 2 if self.of(account)["mode"] == "duplicating" else 1

    def strikes(self, account: str, name: str) -> int:
        """Counts a request of an account in this mode: the number of its stroke where it is struck, else 0."""
        mode = self.of(account)
        if mode["mode"] != name:
            return 0
        self._met[account] = self._met.get(account, 0) + 1
        strokes, rest = divmod(self._met[account], max(int(mode["every"]), 1))
        return 0 if rest else strokes

    def _is_within(self, account: str, per_second: float) -> bool:
        now, begun = time.monotonic(), self._begun.setdefault(account, deque())
        # At least one a second may be begun, or one in so many seconds.
        window, most = (1.0, int(per_second)) if per_second >= 1 else (1.0 / per_second, 1)
        while begun and now - begun[0] >= window:
            begun.popleft()
        if len(begun) >= most:
            return False
        begun.append(now)
        return True
