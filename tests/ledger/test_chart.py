"""The chart of accounts is said once: the docs, the console and the ledger agree."""

import re
from pathlib import Path

from apps.ledger.chart import CHART, EVENTS
from apps.ledger.models import Account
from tests.billing import test_hand_computed_month as month

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_account_stands_in_the_chart_and_in_the_docs() -> None:
    text = (DOCS / "ledger.md").read_text()
    assert set(CHART) == set(Account.values)
    assert len({entry.number for entry in CHART.values()}) == len(CHART)
    for account, entry in CHART.items():
        assert f"| {entry.number} | {Account(account).label} |" in text


def test_every_posting_stands_in_the_docs() -> None:
    text = (DOCS / "ledger.md").read_text()
    for event in EVENTS:
        assert f"**{event.title}**" in text
        for rule in event.rules:
            sides = (f"{CHART[side].number} {Account(side).label}" for side in (rule.debit, rule.credit))
            assert f"| {' | '.join(sides)} | {rule.text} |" in text


def test_every_sum_of_the_month_stands_in_its_computation() -> None:
    text = (DOCS / "hand-computed-month.md").read_text()
    told = set(re.findall(r"\d+,\d\d", text))
    rows = [line for lines in month.INVOICES.values() for line in lines]
    rows += [*month.NOTES.values(), *month.MARCH.values()]
    sums = {one.lstrip("-").replace(".", ",") for row in rows for one in row.split() if "." in one}
    assert sums - told == set()
