"""Keys of encryption change while everybody reads and writes; afterwards the old one is needed for nothing."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from apps.accounts import customers
from apps.connectors.models import Connection
from apps.core import clock, fields, rotation
from apps.core.tenancy import in_partner, in_public
from apps.partners.models import Partner
from apps.payments.models import PaymentMethod

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def keys(settings: Any) -> Iterator[list[str]]:
    """The keys that other tests have written with; all goes back to them at the end."""
    before = list(settings.ENCRYPTION_KEYS)
    yield before
    settings.ENCRYPTION_KEYS = [*before, NEW, OLD]
    call_command("reencrypt")


@pytest.fixture
def methods(settings: Any, keys: list[str], partner: Partner) -> list[PaymentMethod]:
    """Written with the old key."""
    settings.ENCRYPTION_KEYS = [OLD, *keys]
    customer = customers.register(phone="+79161234567")
    return [
        PaymentMethod.objects.create(
            customer=customer, connection_id=1, token=f"token-{n}-0", title="•• 4477", created_at=clock.now()
        )
        for n in range(40)
    ]


def raw(table: str, column: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} WHERE {column} <> ''")
        return [text for [text] in cursor.fetchall()]


class Busy:
    """Reads and writes all the time, as the platform does; what it was not given back as written is in `wrong`."""

    def __init__(self, partner: Partner, mine: list[PaymentMethod]) -> None:
        self.partner, self.mine = partner, mine
        self.last = {one.pk: one.token for one in mine}
        self.rounds, self.wrong, self.ends = 0, list[str](), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        try:
            with in_partner(self.partner):
                while not self.ends.is_set():
                    self.turn()
        except Exception as error:
            self.wrong.append(repr(error))
        finally:
            connection.close()

    def turn(self) -> None:
        self.rounds += 1
        for row in PaymentMethod.objects.filter(pk__in=self.last):
            if row.token != self.last[row.pk]:
                self.wrong.append(f"{row.token} is not {self.last[row.pk]}")
        one = self.mine[self.rounds % len(self.mine)]
        with transaction.atomic():
            row = PaymentMethod.objects.select_for_update().get(pk=one.pk)
            row.token = f"{row.token.rpartition('-')[0]}-{self.rounds}"
            row.save()
        self.last[one.pk] = row.token


def test_an_old_key_is_dropped_while_everybody_reads_and_writes(
    settings: Any, keys: list[str], methods: list[PaymentMethod], partner: Partner, capsys: Any
) -> None:
    with in_public():
        made = Connection.objects.create(
            kind="email",
            connector="apps.notifications.smtp.Smtp",
            name="Почта",
            config={"password": "sesame"},
        )
    settings.ENCRYPTION_KEYS = [NEW, OLD, *keys]
    busy = Busy(partner, methods[:30])
    busy.thread.start()
    try:
        call_command("reencrypt", "--batch", "7", "--pause", "0.01")
    finally:
        busy.ends.set()
        busy.thread.join()
    assert busy.wrong == []
    assert busy.rounds > 3
    told = capsys.readouterr().out
    assert "the others can be dropped" in told
    assert int(told.split(" of them")[0].rpartition(" ")[2]) > 10
    settings.ENCRYPTION_KEYS = [NEW]
    assert {one.pk: one.token for one in PaymentMethod.objects.filter(pk__in=busy.last)} == busy.last
    assert {one.token for one in PaymentMethod.objects.filter(pk__in=[one.pk for one in methods[30:]])} == {
        f"token-{n}-0" for n in range(30, 40)
    }
    assert all(map(rotation.is_newest, raw("payments_paymentmethod", "token")))
    with in_public():
        assert Connection.objects.get(pk=made.pk).config == {"password": "sesame"}
        assert all(map(rotation.is_newest, raw("connectors_connection", "config")))
    call_command("reencrypt")
    assert " 0 of them" in capsys.readouterr().out


def test_a_write_that_comes_between_reading_and_writing_wins(
    settings: Any, keys: list[str], methods: list[PaymentMethod], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD, *keys]
    true = rotation._write

    def late(column: rotation.Column, fresh: Any) -> int:
        if column.table == "payments_paymentmethod":
            PaymentMethod.objects.filter(pk=methods[0].pk).update(token="newer")
        return true(column, fresh)

    monkeypatch.setattr(rotation, "_write", late)
    call_command("reencrypt")
    assert PaymentMethod.objects.get(pk=methods[0].pk).token == "newer"


def test_a_row_that_somebody_holds_keeps_the_old_key_needed(
    settings: Any,
    keys: list[str],
    methods: list[PaymentMethod],
    partner: Partner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD, *keys]
    monkeypatch.setattr(rotation, "ROUNDS", 2)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with in_partner(partner), transaction.atomic():
                PaymentMethod.objects.select_for_update().get(pk=methods[0].pk)
                held.set()
                done.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        with pytest.raises(CommandError, match="keep the old ones"):
            call_command("reencrypt")
    finally:
        done.set()
        thread.join()
    call_command("reencrypt")
    settings.ENCRYPTION_KEYS = [NEW]
    assert PaymentMethod.objects.get(pk=methods[0].pk).token == "token-0-0"


def test_what_no_key_reads_is_told_of_and_left_alone(
    settings: Any, keys: list[str], methods: list[PaymentMethod], capsys: Any
) -> None:
    settings.ENCRYPTION_KEYS = [NEW, *keys]
    with pytest.raises(CommandError, match="keep the old ones"):
        call_command("reencrypt")
    assert "40 of an unknown key" in capsys.readouterr().err
    settings.ENCRYPTION_KEYS = [OLD, *keys]
    assert PaymentMethod.objects.get(pk=methods[3].pk).token == "token-3-0"


def test_every_encrypted_column_is_gone_through_and_its_table_lets_it_change(
    settings: Any, partner: Partner
) -> None:
    theirs = rotation.columns(settings.TENANT_APPS)
    found = {str(one) for one in (*rotation.columns(settings.SHARED_APPS), *theirs)}
    assert {"connectors_connection.config", "payments_paymentmethod.token"} <= found
    assert {"providers_activationkey.value", "connectors_inboundmessage.body"} <= found
    assert {one.column for one in Connection._meta.fields if isinstance(one, fields.EncryptedField)} == {
        "config"
    }
    # What refuses a change does so for other columns only: whoever adds one here has looked.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND t.tgtype & 16 = 16 "
            "AND n.nspname IN ('public', current_schema()) AND c.relname = ANY(%s)",
            [[one.partition(".")[0] for one in found]],
        )
        assert {name for [name] in cursor.fetchall()} == {"providers_key_sold_once"}
