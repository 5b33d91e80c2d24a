"""A service that is down is left alone by all processes, tried by one call at a time, and staff sees it."""

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from apps.connectors import breaker, departures, http
from apps.connectors.base import ConnectorError
from apps.connectors.models import Connection
from apps.core import clock, due
from apps.core.models import Due
from apps.core.tenancy import in_public
from apps.journal.models import Entry


def refused(connection, path, server, method="POST"):
    with pytest.raises(ConnectorError) as caught:
        http.request(connection, method, f"{server.url}/{path}")
    return caught.value


@pytest.fixture
def down(connection, server):
    """A connection whose breaker this process has opened."""
    for _call in range(breaker.FAILURES):
        refused(connection, "500", server)
    return Connection.objects.get(pk=connection.pk)


def pause_is_over(connection):
    at = clock.wall() - timedelta(milliseconds=1)
    Connection.objects.filter(pk=connection.pk).update(next_try_at=at)
    breaker.forget()


def test_what_one_process_finds_out_all_know(down, server):
    assert down.opened_at
    assert (down.is_well, down.last_error) == (False, "Сбой у сервиса (500)")
    breaker.forget()  # from here on this is another process, that has seen nothing fail
    error = refused(down, "ok", server)
    assert (error.code, error.retry, error.left) == ("breaker", True, False)
    assert len(server.seen) == breaker.FAILURES


def test_a_process_that_works_hears_of_it_within_a_second(connection, server, monkeypatch):
    http.request(connection, "POST", f"{server.url}/ok")
    now = clock.wall()
    Connection.objects.filter(pk=connection.pk).update(opened_at=now, next_try_at=now + timedelta(seconds=5))
    http.request(connection, "POST", f"{server.url}/ok")  # it has looked just now
    later = breaker.time.monotonic() + breaker.LOOK_SECONDS
    monkeypatch.setattr(breaker.time, "monotonic", lambda: later)
    assert refused(connection, "ok", server).code == "breaker"


def test_it_is_switched_off_for_those_who_hold_the_row_already(connection, server, monkeypatch):
    http.request(connection, "POST", f"{server.url}/ok")
    Connection.objects.filter(pk=connection.pk).update(is_enabled=False)
    later = breaker.time.monotonic() + breaker.LOOK_SECONDS
    monkeypatch.setattr(breaker.time, "monotonic", lambda: later)
    assert "выключено" in str(refused(connection, "ok", server))
    assert len(server.seen) == 1


def test_a_call_costs_no_query_while_all_is_well(connection):
    breaker.enter(connection)
    breaker.succeeded(connection)
    with CaptureQueriesContext(database) as spent:
        for _call in range(100):
            breaker.enter(connection)
            breaker.succeeded(connection)
    assert len(spent) <= 1  # a look, should the second have passed


def _race(connection, workers=8):
    """How many of many processes come through at once."""
    start, through = threading.Barrier(workers), []

    def worker():
        try:
            known = breaker._Known()
            known.opened_at = known.next_try_at = clock.wall() - timedelta(seconds=1)
            start.wait(10)
            if breaker._take_turn(connection.pk, known):
                through.append(1)
        finally:
            database.close()

    threads = [threading.Thread(target=worker) for _number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return len(through)


def test_half_open_lets_one_call_of_all_processes_try(down):
    pause_is_over(down)
    assert _race(down) == 1


def test_without_the_claim_all_would_try(down, monkeypatch):
    pause_is_over(down)
    monkeypatch.setattr(breaker.Connection, "objects", _Unconditional(Connection.objects), raising=False)
    assert _race(down) > 1


class _Unconditional:
    """The update without its condition, as it would be without a claim."""

    def __init__(self, rows):
        self.rows = rows

    def filter(self, *, pk, **_condition):
        return self.rows.filter(pk=pk)


def test_the_call_that_tries_closes_it_for_all_or_leaves_it_open(down, server):
    opened = down.opened_at
    pause_is_over(down)
    assert refused(down, "500", server).unknown
    down.refresh_from_db()
    assert (down.opened_at, down.next_try_at > clock.wall()) == (opened, True)
    assert refused(down, "ok", server).code == "breaker"
    pause_is_over(down)
    assert http.request(down, "POST", f"{server.url}/ok").status_code == 200
    down.refresh_from_db()
    assert (down.opened_at, down.next_try_at, down.is_well) == (None, None, True)


def test_a_service_that_is_back_is_found_without_a_buyer(down, server):
    with in_public():
        planned = Due.objects.get(kind=breaker.PROBE, object_id=UUID(int=down.pk), partner_id=None)
        assert planned.due_at > clock.wall()
        Connection.objects.filter(pk=down.pk).update(config={**down.config, "url": "http://127.0.0.1:9"})
        breaker.forget()
        with pytest.raises(due.Retry) as again:
            breaker.probe(down.pk)
        assert again.value.at > clock.wall()
        Connection.objects.filter(pk=down.pk).update(config=down.config)
        breaker.probe(down.pk)
        down.refresh_from_db()
        assert down.opened_at is None
        breaker.probe(down.pk)  # there is nothing to find out any more


def test_staff_closes_it_and_the_next_failure_is_the_first(down, server):
    with in_public():
        assert breaker.close(down, actor="anna")
        assert not breaker.close(down, actor="anna")
        told = Entry.objects.filter(action="connection.breaker-closed", object_id=str(down.pk))
        assert list(told.values_list("actor", flat=True)) == ["anna"]
    assert refused(down, "500", server).unknown
    down.refresh_from_db()
    assert down.is_well


def test_a_trial_of_other_settings_says_nothing_of_these(down, server):
    with breaker.trial():
        http.request(down, "POST", f"{server.url}/ok")
    down.refresh_from_db()
    assert not down.is_well
    breaker.close(down, actor="anna")
    with breaker.trial():
        for _call in range(breaker.FAILURES):
            refused(down, "500", server)
    down.refresh_from_db()
    assert down.is_well


def test_what_may_have_left_this_machine_is_counted(connection, server):
    before = departures.made()
    nowhere = type("Nowhere", (), {"url": "http://127.0.0.1:9"})
    error = refused(connection, "", nowhere)
    assert (error.left, departures.made()) == (False, before)
    for path in ("429", "500"):
        assert refused(connection, path, server).left
    assert departures.made() == before + 2
