"""For each lock that sales do not meet: two at once are right with it, and what goes wrong without it."""

import re
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apps.accounts import customers, sign_in
from apps.accounts.models import SignInCode
from apps.catalog.models import Category, Product, Tariff, TariffVersion
from apps.core import clock
from apps.core.errors import Refused
from apps.core.tenancy import in_public
from apps.journal import idempotency
from apps.journal.models import IdempotentAnswer
from apps.partners.models import Partner
from apps.providers import services
from tests.conftest import _numbers
from tests.orders.races import race, without_lock

both = pytest.mark.parametrize("locked", [True, False])


def refusal(got: Any) -> str:
    return got.code if isinstance(got, Refused) else ""


@both
def test_one_code_signs_in_once(partner: Partner, monkeypatch: pytest.MonkeyPatch, locked: bool) -> None:
    customers.register(email="anna@example.ru", name="Анна")
    monkeypatch.setattr("apps.accounts.sign_in.secrets.randbelow", lambda _limit: 123_456)
    sign_in.request_code("anna@example.ru")
    if not locked:
        without_lock(monkeypatch, SignInCode)
    enter = partial(sign_in.verify, "anna@example.ru", "123456")
    seen = race(monkeypatch, partner, enter, (sign_in, "_customer"), enter)
    assert seen.overtook is not locked
    assert isinstance(seen.first, str)
    assert refusal(seen.second) == ("wrong_code" if locked else "")


@both
def test_tries_at_once_are_each_counted(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    sign_in.request_code("anna@example.ru")
    if not locked:
        without_lock(monkeypatch, SignInCode)
    guess = partial(sign_in.verify, "anna@example.ru", "wrong")
    race(monkeypatch, partner, guess, (sign_in, "_customer"), guess)
    assert SignInCode.objects.get().attempts == (2 if locked else 1)


@both
def test_the_last_code_of_an_hour_is_sent_once(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    for _ in range(sign_in.CODES_AN_HOUR - 1):
        sign_in.request_code("anna@example.ru")
    if not locked:
        monkeypatch.setattr(sign_in, "_lock", lambda digest: None)
    ask = partial(sign_in.request_code, "anna@example.ru")
    seen = race(monkeypatch, partner, ask, (sign_in, "_code_hash"), ask)
    assert refusal(seen.second) == ("too_many_codes" if locked else "")
    assert SignInCode.objects.count() == sign_in.CODES_AN_HOUR + (0 if locked else 1)


@both
def test_a_dead_request_is_taken_over_once(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    long_ago = clock.wall() - idempotency.STUCK - timedelta(seconds=1)
    dead = IdempotentAnswer.objects.create(scope="1", key="k", fingerprint="f", created_at=long_ago)
    if not locked:
        without_lock(monkeypatch, IdempotentAnswer)
    again = partial(idempotency.begin, scope="1", key="k", fingerprint="f")
    seen = race(monkeypatch, partner, again, (idempotency, "_is_over"), again)
    assert seen.overtook is not locked
    assert isinstance(seen.first, IdempotentAnswer)
    assert refusal(seen.second) == ("idempotency_in_progress" if locked else "")
    # The dead one was only slow, and answers in nobody's place.
    idempotency.finish(dead, status=500, body={})
    idempotency.forget(dead)
    assert IdempotentAnswer.objects.get().status is None


def tariff() -> Tariff:
    code = f"LOCK-{next(_numbers)}"
    category, _is_new = Category.objects.get_or_create(code="locks", defaults={"name": {"ru": "Замки"}})
    product = Product.objects.create(
        code=code,
        name={"ru": code},
        category=category,
        provider=services.ensure("Замки"),
        delivery="account",
        vat_code="standard",
    )
    return Tariff.objects.create(product=product, code=code, name={"ru": "Базовый"})


@both
def test_two_versions_at_once_get_a_number_each(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    with in_public():
        sold = tariff()
    if not locked:
        without_lock(monkeypatch, Tariff)
    publish = partial(sold.publish, period_count=1, period_unit="month")
    seen = race(
        monkeypatch,
        partner,
        partial(publish, price=Decimal(10)),
        (TariffVersion, "full_clean"),
        partial(publish, price=Decimal(20)),
    )
    numbers = sorted(sold.versions.values_list("number", flat=True))
    assert numbers == ([1, 2] if locked else [1])
    assert isinstance(seen.first, TariffVersion) is locked
    sold.refresh_from_db()
    assert sold.current == seen.second


def test_the_table_of_races_names_tests_that_there_are() -> None:
    root = Path(__file__).parents[2]
    named = set(re.findall(r"`(test_\w+)`", (root / "docs/races.md").read_text()))
    written = {
        name for file in root.glob("tests/**/test_*.py") for name in _DEFINED.findall(file.read_text())
    }
    assert len(named) > 60
    assert named - written == set()


_DEFINED = re.compile(r"^def (test_\w+)", re.M)
