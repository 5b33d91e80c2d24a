"""Tells an account what has become of an activation: signed, repeated until it is taken, twice where it duplicates."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import aiohttp

from apps.sandbox.store import Doc

SIGNATURE = "X-Signature"
"""Hex HMAC-SHA256 of the body by the account's token."""
TRIES = 8


class Callbacks:
    """Posts in the background; what was told is kept for a look."""

    def __init__(self) -> None:
        self.told: list[Doc] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, url: str, token: str, body: Doc, *, copies: int = 1, after: float = 0.0) -> None:
        """Sends a body to an address after so many seconds, in so many copies."""
        content = json.dumps(body, ensure_ascii=False).encode()
        signature = hmac.new(token.encode(), content, hashlib.sha256).hexdigest()
        for _ in range(copies):
            task = asyncio.get_running_loop().create_task(self._send(url, content, signature, after))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, url: str, content: bytes, signature: str, after: float) -> None:
        await asyncio.sleep(after)
        headers = {"Content-Type": "application/json", SIGNATURE: signature}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            for number in range(TRIES):
                status: Any
                try:
                    async with session.post(url, data=content, headers=headers) as answer:
                        status = answer.status
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    status = type(error).__name__
                self.told.append({"url": url, "status": status, "at": time.time()})
                if status in range(200, 300):
                    return
                await asyncio.sleep(0.5 * 2**number)
