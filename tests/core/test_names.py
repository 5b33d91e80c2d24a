"""Modules are named by subject: import-linter sees layers, and would let a stray utils.py pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
REFUSED = {"utils", "util", "helpers", "helper", "selectors", "managers", "common", "misc", "dto"}


def nameless(root: Path) -> Iterator[Path]:
    """Modules and packages named by nothing."""
    for part in ("apps", "armor", "bench", "tests"):
        for file in (root / part).rglob("*.py"):
            inside = file.relative_to(root)
            if REFUSED & {*inside.parts[:-1], inside.stem}:
                yield inside


def test_every_module_has_a_subject() -> None:
    assert list(nameless(ROOT)) == []


@pytest.mark.parametrize("stray", ["apps/orders/utils.py", "armor/helpers.py", "apps/core/common/money.py"])
def test_a_stray_module_is_found(tmp_path: Path, stray: str) -> None:
    (tmp_path / stray).parent.mkdir(parents=True)
    (tmp_path / stray).touch()
    assert list(nameless(tmp_path)) == [Path(stray)]
