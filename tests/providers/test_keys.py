"""A key is loaded once and sold once, whoever asks at the same time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from apps.connectors.base import ConnectorError
from apps.core import audit
from apps.core.models import WorkItem
from apps.core.tenancy import in_partner, in_public
from apps.providers import audits, keys, services
from apps.providers.base import ProvisionRequest, Status
from apps.providers.models import ActivationKey, KeyPool, fingerprint
from apps.providers.portal.models import DefectiveKey
from tests.providers import connector_for

FREE, SOLD = ActivationKey.State.FREE, ActivationKey.State.SOLD


def pool_of(count: int, **options) -> KeyPool:
    """A pool with so many keys and a code of its own."""
    with in_public():
        sku = f"KEY-{uuid4()}"
        pool = KeyPool.objects.create(provider=services.ensure("Щит Лабс"), sku=sku, low_stock=2, **options)
        keys.load(pool=pool, content="\n".join(f"{sku}-{number}" for number in range(count)))
    return pool


def product(pool: KeyPool, delivery: str = "key") -> SimpleNamespace:
    return SimpleNamespace(delivery=delivery, provider=pool.provider)


def request_for(pool: KeyPool) -> ProvisionRequest:
    return ProvisionRequest(uuid4(), pool.sku, "customer", date(2027, 1, 1))


def in_threads(count: int, partner, act) -> list:
    """What `act` gave in so many threads that start together, each with a connection of its own."""
    start = threading.Barrier(count)

    def run(number):
        try:
            start.wait(60)
            with in_partner(partner):
                return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_sixteen_buyers_at_once_get_sixteen_keys(partner):
    """KEYS says how many there are; the soak sells 10,000."""
    count = int(os.environ.get("KEYS", "150"))
    pool = pool_of(count)

    def buy():
        try:
            return keys.take(pool=pool, request_id=uuid4())
        finally:
            # As a worker after each task: there are fewer connections than buyers.
            connection.close()

    def buy_while_there_are_any(_number):
        return list(iter(buy, None))

    taken = in_threads(16, partner, buy_while_there_are_any)
    sold = [key.pk for batch in taken for key in batch]
    assert len(sold) == len(set(sold)) == count
    assert set(pool.keys.values_list("state", "partner_id")) == {(SOLD, partner.pk)}
    assert len(set(pool.keys.values_list("request_id", flat=True))) == count
    assert list(audits.key_sold_once()) == list(audits.test_keys_apart()) == []


def test_one_request_asked_by_many_gets_one_key(partner):
    pool, request_id = pool_of(20), uuid4()
    taken = in_threads(8, partner, lambda _n: keys.take(pool=pool, request_id=request_id).value)
    assert len(set(taken)) == 1
    assert pool.keys.filter(state=SOLD).count() == 1


def test_without_the_lock_two_buyers_choose_the_same_key_and_the_database_refuses_one(partner):
    pool = pool_of(5)
    both_have_read = threading.Barrier(2)

    def take_blindly(_number):
        key = pool.keys.filter(state=FREE).order_by("pk").first()
        both_have_read.wait(60)
        key.state, key.request_id, key.sold_at = SOLD, uuid4(), key.loaded_at
        try:
            key.save(update_fields=["state", "request_id", "sold_at"])
        except IntegrityError as error:
            return str(error)
        return key.pk

    first, second = sorted(in_threads(2, partner, take_blindly), key=lambda given: isinstance(given, str))
    assert second.startswith(f"Activation key {first} has been sold")


def test_pool_supplies_renews_and_warns(partner):
    pool = pool_of(4, instructions={"ru": "Введите ключ в программе"})
    connector = connector_for(product(pool))
    asked = request_for(pool)
    given = connector.provision(asked)
    assert (given.status, given.instructions) == (Status.ACTIVE, "Введите ключ в программе")
    assert given.key.startswith(pool.sku)
    assert connector.provision(asked) == connector.fetch(asked.request_id) == given
    assert connector.fetch(uuid4()) is None
    warning = WorkItem.objects.filter(kind=keys.LOW_STOCK, object_id=pool.work_id)
    assert not warning.exists()
    extension = uuid4()
    renewed = connector.extend(asked.request_id, extension_id=extension, period_end=date(2027, 2, 1))
    assert renewed.key != given.key
    again = connector.extend(asked.request_id, extension_id=extension, period_end=date(2027, 2, 1))
    assert again == renewed
    assert "осталось 2" in warning.get().reason
    pool.renewal = "same_key"
    pool.save()
    same = connector.extend(asked.request_id, extension_id=uuid4(), period_end=date(2027, 3, 1))
    assert same == given
    assert connector.cancel(asked.request_id).status == Status.CANCELED
    assert connector.fetch(asked.request_id).status == Status.CANCELED
    for _ in range(2):
        connector.provision(request_for(pool))
    with pytest.raises(ConnectorError) as refused:
        connector.provision(request_for(pool))
    assert (refused.value.retry, refused.value.unknown, refused.value.code) == (True, False, "out_of_stock")
    with in_public():
        keys.load(pool=pool, content=f"{pool.sku}-x;a\n{pool.sku}-y;b\n{pool.sku}-z;c")
    assert not warning.exists()


def test_sandbox_takes_test_keys_only(sandbox_partner):
    real = pool_of(3)
    connector = connector_for(product(real))
    with pytest.raises(ConnectorError, match="Нет свободных ключей"):
        connector.provision(request_for(real))
    with in_public():
        test = KeyPool.objects.create(provider=real.provider, sku=real.sku, is_test=True)
        keys.load(pool=test, content=f"{real.sku}-test")
    assert connector.provision(request_for(real)).key == f"{real.sku}-test"


def test_duplicates_are_named_and_the_rest_is_loaded(operator):
    pool, other = pool_of(1), pool_of(1)
    known, text = (
        f"{other.sku}-0",
        f"Ключ;Куплен\n{pool.sku}-А1;2026\n\n  {other.sku}-0 ;2026\n{pool.sku}-А1;2027\n",
    )
    loaded = keys.load(pool=pool, content=text.encode("cp1251"))
    assert loaded.added == 1
    assert [str(row) for row in loaded.rejected] == [
        f"Строка 4, ключ …{known[-4:]}: уже загружен, пул {other}",
        "Строка 5, ключ …0-А1: повторяет строку 2".replace("0-А1", f"{pool.sku}-А1"[-4:]),
    ]
    stored = pool.keys.order_by("pk").last()
    assert stored.value == f"{pool.sku}-А1"
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM providers_activationkey WHERE id = %s", [stored.pk])
        assert pool.sku not in cursor.fetchone()[0]


def test_the_database_keeps_what_was_sold(partner):
    pool = pool_of(2)
    key = keys.take(pool=pool, request_id=uuid4())
    row, other = ActivationKey.objects.filter(pk=key.pk), pool.keys.get(state=FREE)
    for change in (
        {"state": FREE, "request_id": None, "sold_at": None},
        {"request_id": uuid4()},
        {"partner_id": 1},
        {"fingerprint": fingerprint("other")},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            row.update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        row.delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        ActivationKey.objects.filter(pk=other.pk).update(state=SOLD)
    with pytest.raises(IntegrityError), transaction.atomic():
        ActivationKey.objects.filter(pk=other.pk).update(fingerprint=key.fingerprint)
    with pytest.raises(IntegrityError), transaction.atomic():
        pool.delete()


def sold_twice(key, other):
    ActivationKey.objects.filter(pk=other.pk).update(
        state=SOLD, request_id=key.request_id, sold_at=key.sold_at
    )


def free_again(key, other):
    ActivationKey.objects.filter(pk=key.pk).update(state=FREE)


def to_nobody(key, other):
    ActivationKey.objects.filter(pk=key.pk).update(request_id=None)


def loaded_twice(key, other):
    ActivationKey.objects.filter(pk=other.pk).update(value=key.value)


def to_a_live_partner(key, other):
    KeyPool.objects.filter(pk=key.pool_id).update(is_test=True)


def defective_unclaimed(key, other):
    ActivationKey.objects.filter(pk=key.pk).update(state=ActivationKey.State.DEFECTIVE)


def claimed_and_sold(key, other):
    DefectiveKey.objects.create(
        provider=key.pool.provider,
        partner_id=key.partner_id,
        service_id=uuid4(),
        request_id=key.request_id,
        replacement_id=uuid4(),
        sku=key.pool.sku,
        key=key.value,
        reason="used",
        reported_at=key.sold_at,
    )


CORRUPTIONS = [
    ("providers.key-sold-once", sold_twice),
    ("providers.key-sold-once", free_again),
    ("providers.key-sold-once", to_nobody),
    ("providers.key-loaded-once", loaded_twice),
    ("providers.test-keys-apart", to_a_live_partner),
    ("providers.defective-is-claimed", defective_unclaimed),
    ("providers.defective-is-claimed", claimed_and_sold),
]


def test_auditor_finds_each_planted_corruption(partner):
    pool = pool_of(2)
    key = keys.take(pool=pool, request_id=uuid4())
    for rule, corrupt in CORRUPTIONS:
        check = audit.RULES[rule].check
        with transaction.atomic():
            _without_guards()
            assert list(check()) == []
            corrupt(key, pool.keys.exclude(pk=key.pk).get())
            assert list(check()) != [], corrupt
            transaction.set_rollback(True)


def _without_guards() -> None:
    """Drops, until the rollback, what would keep the corruption from being planted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            ALTER TABLE providers_activationkey DISABLE TRIGGER USER;
            ALTER TABLE providers_activationkey DROP CONSTRAINT providers_key_sold_to_one;
            ALTER TABLE providers_activationkey DROP CONSTRAINT providers_activationkey_request_id_key;
            """
        )
