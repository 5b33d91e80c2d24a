"""Many threads over a small pool never see another partner's rows; a build without the partner's path does.

ISOLATION_OPERATIONS=100000 is what `make soak` runs.
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from apps.accounts.customers import register
from apps.accounts.models import Customer
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from tests.conftest import make_partner

OPERATIONS = int(os.environ.get("ISOLATION_OPERATIONS", "4000"))
THREADS = 16


@pytest.fixture(scope="module")
def pair(operator: Any) -> tuple[Partner, Partner]:
    """Two partners with the same customer, whose name tells whose it is."""
    partners = make_partner(), make_partner()
    for partner in partners:
        with in_partner(partner):
            register(phone="+79161234567", email="ivan@example.ru", external_id="A-1", name=partner.slug)
    return partners


def read(partner: Partner) -> str:
    with in_partner(partner):
        return Customer.objects.get(external_id="A-1").name


def read_in_transaction(partner: Partner) -> str:
    with in_partner(partner), transaction.atomic():
        return Customer.objects.get(external_id="A-1").name


def read_without_the_path(partner: Partner) -> str:
    """The control build: the unit of work forgets to set whose data it is about."""
    if random.random() < 0.5:
        connection.set_tenant(partner)
    return Customer.objects.get(external_id="A-1").name


def leaks(
    pair: tuple[Partner, Partner], reads: list[Callable[[Partner], str]], operations: int
) -> Counter[str]:
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def work(number: int) -> None:
        chance = random.Random(number)
        connection.set_tenant(pair[number % 2])
        for _ in range(operations // THREADS):
            partner, way = chance.choice(pair), chance.choice(reads)
            answer = way(partner)
            with lock:
                seen["leak" if answer != partner.slug else "right"] += 1
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def test_no_thread_sees_another_partners_customer(pair: tuple[Partner, Partner]) -> None:
    seen = leaks(pair, [read, read_in_transaction], OPERATIONS)
    assert seen["leak"] == 0
    assert seen["right"] == OPERATIONS // THREADS * THREADS


def test_the_control_build_leaks(pair: tuple[Partner, Partner]) -> None:
    assert leaks(pair, [read_without_the_path], 800)["leak"] > 0
