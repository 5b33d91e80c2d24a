"""Tests find a simulator as it was started, whatever was planned for it, and by whatever hands."""

from datetime import UTC, datetime, timedelta
from typing import Any

from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests import conftest


def test_nothing_planned_is_left_to_the_next_test(yookassa_process: Simulator) -> None:
    other = Control(yookassa_process.url)
    fresh = stands(other)
    for plan in (
        lambda: other.fault("http_500", times=5),
        lambda: other.switch(on=False),
        lambda: other.set_clock(datetime.now(UTC) + timedelta(days=9)),
    ):
        plan()
        assert stands(other) != fresh
        lent = conftest._control(yookassa_process)
        assert stands(next(lent)) == fresh
        plan()
        assert list(lent) == []
        assert stands(other) == fresh
    other.close()


def stands(control: Control) -> tuple[Any, ...]:
    health = control.health()
    is_ahead = datetime.fromisoformat(health["now"]) > datetime.now(UTC) + timedelta(days=1)
    return health["on"], is_ahead, control.faults()
