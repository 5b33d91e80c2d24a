"""«Пульт демонстрации»: buttons move the clock and break things outside, for those who may, in sandboxes only."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from apps.core import due
from apps.core.tenancy import in_public
from apps.demo import panel
from apps.demo.connect import LIVE_TOKEN, TEST_TOKEN
from apps.journal.models import Entry
from apps.partners.models import Partner, StaffRole
from apps.sandbox.control import Control

PAGE = "/admin/demo/sandboxpartner/"


@pytest.fixture
def staff(client_for: Any, operator: Any) -> Any:
    """A browser of a member of the platform's staff with a role."""

    def sign_in(role: str) -> Any:
        with in_public():
            name = f"{role}-{User.objects.count()}"
            user = User.objects.create_user(name, password="a-long-password", is_staff=True)
            StaffRole.objects.create(user=user, partner=None, role=role)
            browser = client_for()
            browser.post("/admin/login/", {"username": name, "password": "a-long-password", "next": PAGE})
            return browser

    return sign_in


def press(browser: Any, partner: Partner, button: str, **fields: str) -> str:
    answer = browser.post(PAGE, {"partner": partner.slug, "do": button, **fields}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_day_passes_at_a_button(staff: Any, sandbox_partner: Partner) -> None:
    before = sandbox_partner.clock_at
    page = press(staff("manager"), sandbox_partner, "day")
    sandbox_partner.refresh_from_db()
    assert before
    assert sandbox_partner.clock_at == before + timedelta(days=1)
    assert "Часы партнёра:" in page
    with in_public():
        assert Entry.objects.filter(action="demo.day", object_id=str(sandbox_partner.pk)).count() == 1


def test_the_clock_never_goes_back(staff: Any, sandbox_partner: Partner) -> None:
    before = sandbox_partner.clock_at
    browser = staff("manager")
    assert "только вперёд" in press(browser, sandbox_partner, "to_date", date="2020-01-01")
    assert "Укажите дату" in press(browser, sandbox_partner, "to_date", date="завтра")
    sandbox_partner.refresh_from_db()
    assert sandbox_partner.clock_at == before


def answered(provider: Control, *tokens: str) -> list[int]:
    """What the provider says to each account."""
    url = f"{provider.base_url}/v1/ping"
    return [
        httpx.get(
            url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, verify=False
        ).status_code
        for token in tokens
    ]


def test_every_kind_of_due_work_has_a_name() -> None:
    assert set(panel.KINDS) == set(due.kinds())


def test_faults_reach_the_simulator(
    staff: Any, sandbox_partner: Partner, yookassa: Any, provider_sim: Any, settings: Any
) -> None:
    # The others are not there: the page does without them.
    settings.SANDBOX_URLS = {"yookassa": yookassa.base_url, "provider": provider_sim.base_url}
    browser = staff("manager")
    assert "отказ банка" in press(browser, sandbox_partner, "decline")
    assert [fault["kind"] for fault in yookassa.faults()] == ["decline"]
    press(browser, sandbox_partner, "provider_off")
    # Only for sandboxes: what live partners sell goes on.
    assert provider_sim.health(account=TEST_TOKEN)["on"] is False
    assert provider_sim.health(account=LIVE_TOKEN)["on"] is True
    assert answered(provider_sim, TEST_TOKEN, LIVE_TOKEN) == [503, 200]
    press(browser, sandbox_partner, "clear")
    assert yookassa.faults() == []
    assert answered(provider_sim, TEST_TOKEN, LIVE_TOKEN) == [200, 200]
    assert "ещё нет завершённых платежей" in press(browser, sandbox_partner, "webhook")
    assert "Воркер под присмотром не найден" in press(browser, sandbox_partner, "kill_worker")


def test_only_for_managers_and_only_sandboxes(staff: Any, client_for: Any, partner: Partner) -> None:
    assert client_for().get(PAGE).status_code == 302
    assert staff("support").get(PAGE).status_code == 403
    assert staff("support").post(PAGE, {"partner": partner.slug, "do": "day"}).status_code == 403
    page = press(staff("manager"), partner, "day")
    assert "Такой песочницы нет" in page
    partner.refresh_from_db()
    assert partner.clock_at is None
