"""Scene «Пятница, вечер» by its buttons, in a real browser, with workers that really die.

ORDERS makes it as long as on stage: `make soak` does. With ARMOR_SHOTS set to a folder, the screens are kept there.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.connectors.models import Connection
from apps.core import audit
from apps.core.tenancy import in_partner
from apps.demo import friday
from apps.orders.models import Order, Service
from apps.sandbox.control import Control
from armor.processes import die_with_parent
from tests.conftest import eventually
from tests.ground.test_broker import _park
from tests.orders.shop import Shop
from tests.test_browser_walk import _sign_in, page, site

__all__ = ["page", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
ORDERS = int(os.environ.get("FRIDAY_ORDERS", "40"))
SECONDS = 600_000


class Supervisor:
    """Keeps the two workers running, whoever kills them; `fallen` are those that were killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fallen = folder / "run", list[int]()
        self.folder.mkdir()
        self._env = {**os.environ, "DJANGO_SETTINGS_MODULE": "armor.settings", "ARMOR_LEASE_SECONDS": "10"}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Supervisor":
        self._thread.start()
        return self

    def __exit__(self, *_what: object) -> None:
        self._ending.set()
        self._thread.join()
        for process in self._running.values():
            process.kill()
            process.wait()

    def _watch(self) -> None:
        while not self._ending.wait(0.2):
            for part in ("worker", "lanes"):
                process = self._running.get(part)
                if process is not None and process.poll() is None:
                    continue
                if process is not None:
                    self.fallen.append(process.pid)
                self._running[part] = self._start(part)

    def _start(self, part: str) -> subprocess.Popen[bytes]:
        words = ["-m", "tests.demo.hand", part, "celery", "worker"]
        with (self.folder / f"{part}.log").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, *words],
                env=self._env,
                stdout=said,
                stderr=said,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        (self.folder / f"{part}.pid").write_text(str(process.pid))
        return process


@pytest.fixture
def workers(shop: Shop, settings: Any, tmp_path: Path) -> Iterator[Supervisor]:
    settings.VAR_DIR = tmp_path
    back = _park(shop.partner)
    with Supervisor(tmp_path) as supervisor:
        yield supervisor
    back()


def keep(page: Any, name: str) -> None:
    """The screen, on a desktop and on a phone, light and dark."""
    if folder := os.environ.get("ARMOR_SHOTS"):
        for width, scheme in ((1280, "light"), (390, "light"), (1280, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", scheme == "dark")
            page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate("() => document.documentElement.classList.remove('dark')")


def test_friday_night(
    shop: Shop,
    page: Any,
    site: str,
    workers: Supervisor,
    yookassa: Control,
    provider_sim: Control,
    settings: Any,
) -> None:
    settings.SANDBOX_URLS = {
        "yookassa": yookassa.base_url,
        "provider": provider_sim.base_url,
        "smsaero": "",
        "mailbox": "",
    }
    gateway = Connection.objects.get(partner=shop.partner, kind="payment")
    yookassa.add_shop(shop.partner.slug, "secret", f"{site}/hooks/{gateway.pk}/")
    _sign_in(page, site)
    page.set_default_timeout(SECONDS)
    page.goto(f"{site}/admin/demo/sandboxpartner/?partner={shop.partner.slug}")
    page.get_by_role("link", name="Пятница, вечер").click()
    page.goto(f"{page.url}&orders={ORDERS}")
    page.get_by_role("button", name=f"{ORDERS} заказ").click()
    page.get_by_text("Толпа пошла").wait_for()
    page.get_by_role("button", name="Выключить одного").click()
    page.get_by_text("выключен", exact=True).wait_for()
    # Nine of ten go on; the tenth's sales close, and who has paid already waits.
    page.get_by_text("закрыты", exact=True).wait_for()
    keep(page, "friday-off")
    page.get_by_role("button", name="Убить обработчик").click()
    page.get_by_text("Убиты процессы").wait_for()
    eventually(lambda: len(workers.fallen) == 2)
    delivered = f"#friday-live h2:text-matches('Выдано ([1-9][0-9]*) из {ORDERS}')"
    page.locator(delivered).wait_for()
    keep(page, "friday-killed")
    page.get_by_role("button", name="Поставщик вернулся").click()
    page.locator("#friday-agrees").wait_for()
    keep(page, "friday-agrees")
    gaps = page.locator("[data-gap]").all_inner_texts()
    assert [one.replace("\N{NO-BREAK SPACE}", " ") for one in gaps] == ["0,00 ₽", "0,00 ₽"]
    _nothing_lost_or_doubled(shop, provider_sim)


def _nothing_lost_or_doubled(shop: Shop, provider: Control) -> None:
    with in_partner(shop.partner):
        orders = Order.objects.filter(request_key__startswith=friday.PREFIX)
        assert list(orders.values_list("state", flat=True)) == ["completed"] * ORDERS
        wanted = sorted(str(one) for one in Service.objects.values_list("request_id", flat=True))
        made = [
            one["request_id"]
            for stand in friday.STANDS
            for one in provider.register(account=stand.account)["activations"]
        ]
        assert sorted(one for one in made if one in set(wanted)) == wanted
        assert sum(float(one["amount"]) for one in shop.charges()) == sum(float(one.total) for one in orders)
        assert [str(one) for one in audit.run([shop.partner.pk])] == []
