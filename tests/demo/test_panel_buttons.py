"""Buttons of «Пульт демонстрации» that reach further: a worker is killed, a webhook comes once more."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.connectors.models import Connection, InboundMessage
from apps.core.tenancy import in_partner
from apps.orders.models import Order, Service
from apps.partners.models import Partner
from tests.conftest import eventually
from tests.demo.test_panel import press, staff
from tests.orders.shop import Shop
from tests.storefronts.conftest import site
from tests.test_crash_points import hurry_public

__all__ = ["site", "staff"]


@pytest.fixture
def program(settings: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """program(*words): a process with these words on its command line, noted as the worker under watch."""
    started = []

    def start(*words: str) -> Any:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)", *words])
        started.append(process)
        settings.VAR_DIR = tmp_path
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "worker.pid").write_text(str(process.pid))
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_worker_is_killed_and_nothing_else(staff: Any, sandbox_partner: Partner, program: Any) -> None:
    browser = staff("manager")
    worker = program("-m", "celery", "worker")
    assert f"Воркер (процесс {worker.pid}) убит" in press(browser, sandbox_partner, "kill_worker")
    assert worker.wait(10) == -signal.SIGKILL
    # The number went to another program meanwhile.
    other = program("something", "else")
    assert "Воркер под присмотром не найден" in press(browser, sandbox_partner, "kill_worker")
    assert other.poll() is None


def test_a_webhook_comes_once_more_and_changes_nothing(
    staff: Any, shop: Shop, site: Any, yookassa: Any, provider_sim: Any, settings: Any
) -> None:
    settings.SANDBOX_URLS = {
        "yookassa": yookassa.base_url,
        "provider": provider_sim.base_url,
        "smsaero": "",
        "mailbox": "",
    }
    shop.buy(shop.offer())
    gateway = Connection.objects.get(partner=shop.partner, kind="payment")
    web = site(shop.partner).replace(f"{shop.partner.slug}.", "", 1)
    yookassa.add_shop(shop.partner.slug, "secret", f"{web}/hooks/{gateway.pk}/")
    assert "Уведомлений отправлено повторно: 1" in press(staff("manager"), shop.partner, "webhook")

    def came() -> bool:
        hurry_public()
        return InboundMessage.objects.filter(connection=gateway, state="done").exists()

    eventually(came)
    with in_partner(shop.partner):
        shop.deliver()
        assert [order.state for order in Order.objects.all()] == ["completed"]
        assert Service.objects.count() == 1
    assert len(shop.charges()) == 1
