"""The two houses, furnished once for a module."""

from typing import Any

import pytest

from apps.sandbox.process import Simulator
from tests.isolation.houses import MARKERS, House, open_house

Pair = tuple[House, House]


@pytest.fixture(scope="module")
def houses(
    operator: Any,
    yookassa_process: Simulator,
    provider_process: Simulator,
    mailbox_process: Simulator,
) -> Pair:
    """Two partners that sell to the same person."""
    outside = yookassa_process, provider_process, mailbox_process
    first, second = (open_house(marker, *outside) for marker in MARKERS)
    return first, second


@pytest.fixture(params=["B at A", pytest.param("A at B", marks=pytest.mark.soak)])
def own_and_other(request: pytest.FixtureRequest, houses: Pair) -> Pair:
    """Whose host it is, and who should have no business there."""
    own, other = houses
    return (own, other) if request.param == "B at A" else (other, own)
