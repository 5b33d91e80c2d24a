"""The headless Chromium of the tests: the one that `make test` found, else the machine's."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP *.localhost 127.0.0.1"]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's, for one thread. Skips where ARMOR_NO_BROWSER is 1."""
    if os.environ.get("ARMOR_NO_BROWSER") == "1":
        pytest.skip("NO CHROMIUM WANTED: THE SCREENS WERE NOT TESTED")
    from playwright.sync_api import sync_playwright

    found = os.environ.get("ARMOR_CHROMIUM") or shutil.which("chromium")
    assert found, "No Chromium: set ARMOR_CHROMIUM, or ARMOR_NO_BROWSER=1 to go without"
    # Playwright keeps an event loop in this thread; Django would take every query of the test for a blunder.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()
