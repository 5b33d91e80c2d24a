"""Tests of partners' schemas: each is made as the product makes it."""

import pytest

from apps.partners import schemas
from tests import recycled


@pytest.fixture(autouse=True)
def _made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "build", recycled.ANEW)
