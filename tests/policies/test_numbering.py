"""Numbers have no gaps and no doubles, however many allot them at once."""

import threading

import pytest
from django.db import connection, transaction

from apps.policies import numbering
from apps.policies.models import NumberSequence

WORKERS, EACH = 6, 5


def test_numbers_follow_on_per_kind_and_year_and_a_rollback_gives_them_back(partner):
    def allot(kind="invoice", year=2026, count=1):
        return numbering.allot(
            kind, legal_entity_id=partner.legal_entity_id, partner_id=partner.pk, year=year, count=count
        )

    prefix = f"{partner.legal_entity_id}-{partner.pk}"
    with transaction.atomic():
        assert allot() == [f"I26-{prefix}-000001"]
        assert allot(count=3)[-1] == f"I26-{prefix}-000004"
        assert allot("order") == [f"O26-{prefix}-000001"]
        assert allot(year=2027) == [f"I27-{prefix}-000001"]
    with transaction.atomic():
        allot(count=10)
        transaction.set_rollback(True)
    with transaction.atomic():
        assert allot() == [f"I26-{prefix}-000005"]
        assert allot(count=0) == []
    with pytest.raises(RuntimeError, match="gaps"):
        allot()


def race(partner, allot):
    """What all workers together were given, each in transactions of its own, one in three rolled back."""
    start, given, failures = threading.Barrier(WORKERS), [], []

    def work():
        try:
            start.wait(60)
            for turn in range(EACH):
                with transaction.atomic():
                    numbers = allot(partner)
                    if turn % 3 == 2:
                        transaction.set_rollback(True)
                    else:
                        given.extend(numbers)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _worker in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    return given


def locked(partner):
    return numbering.allot("invoice", legal_entity_id=None, partner_id=partner.pk, year=2026)


def test_race_with_the_lock_leaves_neither_gap_nor_double(partner):
    given = race(partner, locked)
    assert sorted(given) == [f"I26-0-{partner.pk}-{n:06d}" for n in range(1, len(given) + 1)]
    assert len(given) == WORKERS * 4


def test_race_without_the_lock_gives_a_number_twice(partner):
    with transaction.atomic():
        locked(partner)
    met = threading.Barrier(WORKERS)

    def unlocked(partner):
        sequence = NumberSequence.objects.get(partner=partner, kind="invoice", year=2026)
        met.wait(60)  # everybody has read before anybody writes
        NumberSequence.objects.filter(pk=sequence.pk).update(last=sequence.last + 1)
        return [sequence.last + 1]

    given = race(partner, unlocked)
    assert len(set(given)) < len(given)
