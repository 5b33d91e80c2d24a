"""The headless Chromium of the tests: the one that `make test` found, else the machine's."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP *.localhost 127.0.0.1"]


class Kept:
    """A browser of Playwright's that a process starts once: to start it takes the processor five seconds.

    Playwright keeps an event loop in its thread. Outside `lent` nobody is to find it: Django would take every query
    for a blunder, and asyncio would run nothing beside it.
    """

    def __init__(self) -> None:
        self._playwright: Any = None
        self._browser: Any = None
        self._loop: Any = None

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """The browser, for one thread. Skips where ARMOR_NO_BROWSER is 1."""
        if os.environ.get("ARMOR_NO_BROWSER") == "1":
            pytest.skip("NO CHROMIUM WANTED: THE SCREENS WERE NOT TESTED")
        if self._browser is None:
            self._start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
            asyncio._set_running_loop(self._loop)
            try:
                yield self._browser
            finally:
                asyncio._set_running_loop(None)

    def _start(self) -> None:
        from playwright.sync_api import sync_playwright

        found = os.environ.get("ARMOR_CHROMIUM") or shutil.which("chromium")
        assert found, "No Chromium: set ARMOR_CHROMIUM, or ARMOR_NO_BROWSER=1 to go without"
        self._playwright = sync_playwright().start()
        self._loop = asyncio.get_running_loop()
        self._browser = self._playwright.chromium.launch(executable_path=found, args=ARGUMENTS)

    def close(self) -> None:
        if self._browser is not None:
            asyncio._set_running_loop(self._loop)
            self._browser.close()
            self._playwright.stop()
