"""The fixture of a shop, for the tests of orders and of billing."""

from collections.abc import Callable
from datetime import datetime

import pytest

from apps.partners.models import Partner
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.orders.shop import Shop, open_shop


@pytest.fixture
def shop(
    sandbox_partner: Partner,
    yookassa: Control,
    provider_sim: Control,
    mailbox: Control,
    mailbox_process: Simulator,
    deliver: Callable[[], int],
    move_clock: Callable[[Partner, datetime], None],
) -> Shop:
    """A sandbox partner's shop, current for the test."""
    return open_shop(sandbox_partner, yookassa, provider_sim, mailbox_process, deliver, move_clock)
