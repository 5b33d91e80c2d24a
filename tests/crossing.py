"""What the suite leaves to the soak: of gateways in cases, all but one each; and what is marked `soak`."""

import os
from collections import defaultdict
from typing import Any

import pytest


def thinned(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Those that are made and those that are left out, in their order: none with CROSSED=all.

    Left out is what is marked `soak`: one more of what others show already. Of a test that is marked
    `crossed(name, shift=0)` the n-th value of that parameter meets the n-th of all others together, `shift` further
    on; the shorter row begins again.
    """
    if os.environ.get("CROSSED") == "all":
        return items, []
    crossed: dict[tuple[str, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("crossed"):
            crossed[str(item.path), getattr(item, "originalname", item.name)].append(item)
    left = {id(item) for group in crossed.values() for item in _unmet(group)}
    left |= {id(item) for item in items if item.get_closest_marker("soak")}
    return [one for one in items if id(one) not in left], [one for one in items if id(one) in left]


def _unmet(group: list[pytest.Item]) -> list[pytest.Item]:
    mark = group[0].get_closest_marker("crossed")
    assert mark is not None
    over, shift = mark.args[0], mark.kwargs.get("shift", 0)
    rows = [_values(item, [over]) for item in group]
    columns = [_values(item, sorted(set(_params(item)) - {over})) for item in group]
    # In the order in which they stand in the test.
    every_row, every_column = list(dict.fromkeys(rows)), list(dict.fromkeys(columns))
    met = {
        (every_row[n % len(every_row)], every_column[(n + shift) % len(every_column)])
        for n in range(max(len(every_row), len(every_column)))
    }
    return [item for item, *place in zip(group, rows, columns, strict=True) if tuple(place) not in met]


def _values(item: pytest.Item, names: list[str]) -> tuple[str, ...]:
    return tuple(repr(_params(item)[name]) for name in names)


def _params(item: pytest.Item) -> dict[str, Any]:
    return item.callspec.params  # type: ignore[attr-defined, no-any-return]
