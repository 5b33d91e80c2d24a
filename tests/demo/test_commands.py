"""The demonstration's commands, each a process of its own, on a database of their own and real simulators."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings

from apps.sandbox.process import Simulator

SIMULATORS = ("yookassa", "smsaero", "provider", "mailbox")
OTHERS = ("tbank", "cloudpayments", "robokassa", "atol", "partner")
"""In one process, as in `make run`."""


LIVES = """
import json
from apps.billing.models import Subscription
from apps.billing.paperwork import Document
from apps.billing.promotion_models import LeavingAnswer, Promotion
from apps.catalog.models import PriceChange
from apps.core import clock
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.payments.models import Payment
from apps.payments.receipt_models import Receipt
from apps.settlements.models import BankLine, Difference, GatewayDay
with in_partner(Partner.objects.get(slug="sever")):
    trials = Subscription.objects.filter(state="trial").values_list("anchor_date", flat=True)
    print(json.dumps({
        "states": sorted(set(Subscription.objects.values_list("state", flat=True))),
        "trials_end_in_days": sorted((day - clock.today()).days for day in trials),
        "promo_codes_used": sum(Promotion.objects.values_list("used", flat=True)),
        "acts_of_companies": Document.objects.filter(kind="act", customer__company__isnull=False).count(),
        "stayed": LeavingAnswer.objects.filter(stayed=True).count(),
        "price_changes": PriceChange.objects.filter(published_at=None).count(),
        "receipts": sorted(set(Receipt.objects.values_list("state", flat=True))),
        "lines": sorted(set(BankLine.objects.values_list("state", flat=True))),
        "differences": sorted(set(Difference.objects.values_list("kind", "entry"))),
        "days": sorted(GatewayDay.objects.values_list("state", flat=True)),
    }))
"""


@dataclass(frozen=True)
class Manage:
    """manage.py in an environment of its own."""

    environment: dict[str, str]

    @property
    def logins(self) -> str:
        """What the seed wrote down for people."""
        return (Path(self.environment["ARMOR_VAR"]) / "demo-logins.txt").read_text()

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "manage.py", *words]
        return subprocess.run(
            command, cwd=settings.BASE_DIR, env=self.environment, capture_output=True, text=True, timeout=300
        )


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of the simulators that share a process."""
    command = [sys.executable, "-m", "apps.sandbox", *(f"{name}:0" for name in OTHERS)]
    command += ["--state", str(tmp_path_factory.mktemp("others"))]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _name in OTHERS]
        yield {words[0]: words[2] for words in lines}
        process.terminate()


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    yookassa_process: Simulator,
    smsaero_process: Simulator,
    provider_process: Simulator,
    mailbox_process: Simulator,
    others: dict[str, str],
) -> Iterator[Manage]:
    """Runs manage.py beside the suite's own database, so that nobody else meets the demonstration's connections."""
    server, name = os.environ["TEST_DATABASE_URL"], f"armor_demo_{uuid4().hex[:8]}"
    processes = (yookassa_process, smsaero_process, provider_process, mailbox_process)
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(urlsplit(server)._replace(path="/" + name)),
        "BROKER_URL": "",
        "ARMOR_VAR": str(tmp_path_factory.mktemp("var")),
        "ARMOR_SMTP_PORT": str(mailbox_process.smtp_port),
        **{f"ARMOR_{key.upper()}_URL": one.url for key, one in zip(SIMULATORS, processes, strict=True)},
        **{f"ARMOR_{key.upper()}_URL": url for key, url in others.items()},
    }
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{os.environ["ARMOR_TEST_TEMPLATE"]}"')
        yield Manage(environment)
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_seed_gives_a_lived_in_platform_and_changes_nothing_the_second_time(run: Manage) -> None:
    first = run("seed_demo", "--sales", "1", "--days", "33")
    assert first.returncode == 0, first.stderr[-3000:]
    assert "27 тарифов" in first.stdout
    assert "«Песочница»: оплачено заказов — 1" in first.stdout
    logins = run.logins
    assert "admin / admin-demo-password" in logins
    assert logins.count("Ключ API") == 4
    shown = run("shell", "-c", LIVES)
    assert shown.returncode == 0, shown.stderr[-3000:]
    seen = json.loads(shown.stdout.splitlines()[-1])
    # One of each kind, for whoever looks around.
    assert {"trial", "active", "paused", "past_due", "cancelled"} <= set(seen["states"])
    assert seen["trials_end_in_days"][0] <= 3 < seen["trials_end_in_days"][-1]
    assert seen["promo_codes_used"] >= 2
    assert seen["acts_of_companies"] >= 1
    assert seen["stayed"] == 1
    assert seen["price_changes"] == 1
    # Receipts are on, a bank statement is there with what nobody knows, and of a gateway's two days one agrees.
    assert "registered" in seen["receipts"] or "queued" in seen["receipts"]
    assert {"payout", "spent", "unidentified"} <= set(seen["lines"])
    assert {("fee", "payment"), ("missing_here", "refund")} <= {tuple(one) for one in seen["differences"]}
    assert seen["days"] == ["closed", "open"]
    second = run("seed_demo")
    assert second.returncode == 0, second.stderr[-3000:]
    assert "партнёр" not in second.stdout
    assert "оплачено" not in second.stdout
    assert run.logins == logins
    audited = run("audit")
    assert audited.returncode == 0, audited.stderr[-3000:]


def test_simulated_months_leave_nothing_that_does_not_hold(run: Manage) -> None:
    done = run("simulate", "--partners", "1", "--customers", "3", "--months", "2", "--seed", "7")
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert summary["customers"] == 3
    assert summary["orders"] >= 2
    assert summary["renewals"] >= 1
    assert summary["ours"] == summary["register"] != "0"
    assert summary["violations"] == []
    assert summary["open"] == 0


def test_a_simulation_that_sold_nothing_proves_nothing(run: Manage) -> None:
    done = run("simulate", "--partners", "1", "--customers", "0", "--months", "1")
    assert done.returncode == 1
    assert "Nothing was sold" in done.stderr
