"""What goes to PostgreSQL as one array comes there as it was, and moments come back as they are."""

import datetime as dt
import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from django.db import connection

from apps.core import bulk, clock
from apps.notifications.models import Message
from apps.partners.models import Partner


class Word(StrEnum):
    ONE = "one"


def _back(kind: str, values: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT unnest(%s::{kind}[])", [bulk.array(values)])
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("text", ["", "NULL", None, 'a "b" \\ {c, d}', "line\nbreak\ttab", "Привет", Word.ONE]),
        ("bigint", [0, -1, 2**62, None]),
        ("numeric", [Decimal("149.00"), Decimal("-0.01"), None]),
        ("boolean", [True, False, None]),
        ("uuid", [uuid.UUID(int=7), None, uuid.uuid4()]),
        ("date", [dt.date(2026, 2, 28), None]),
        ("timestamptz", [dt.datetime(2026, 3, 1, 12, 30, 0, 5, tzinfo=dt.UTC), None]),
        ("bigint", []),
    ],
)
def test_an_array_comes_as_it_was(kind: str, values: list[Any]) -> None:
    assert _back(kind, values) == values


def test_what_has_no_text_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match="array"):
        bulk.array([object()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01 12:30:00+00", dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)),
        ("2026-03-01 12:30:00.000005+00", dt.datetime(2026, 3, 1, 12, 30, 0, 5, tzinfo=dt.UTC)),
        ("2026-03-01 12:30:00.5+00", dt.datetime(2026, 3, 1, 12, 30, 0, 500000, tzinfo=dt.UTC)),
        ("2026-03-01 15:30:00+03", dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)),
        ("0044-03-15 00:00:00+00", dt.datetime(44, 3, 15, tzinfo=dt.UTC)),
    ],
)
def test_a_moment_is_read_as_it_is(text: str, expected: dt.datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz, NULL::timestamptz", [text])
        read, nothing = cursor.fetchone()
    assert (read, read.utcoffset(), nothing) == (expected, dt.timedelta(0), None)


@pytest.mark.parametrize("text", ["infinity", "0044-03-15 00:00:00+00 BC"])
def test_a_moment_that_python_does_not_have_is_an_error(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        with pytest.raises(Exception, match="timestamp"):
            cursor.fetchone()


def test_of_new_rows_those_that_are_there_already_are_left_out(partner: Partner) -> None:
    def message(key: str, text: str) -> Message:
        return Message(
            key=key,
            type="code",
            channel="email",
            to="a@example.ru",
            text=text,
            html="",
            created_at=clock.now(),
        )

    first = message("one", "Первое")
    assert bulk.insert_new(Message, [first]) == [first.pk]
    odd = 'Кавычка ", черта \\ и {скобка}\n\tстрока, NULL'
    again, second = message("one", "Второе"), message("two", odd)
    second.attachments = [{"source": "x", "name": odd}]
    assert bulk.insert_new(Message, [again, second, message("two", "Третье")]) == [second.pk]
    assert dict(Message.objects.values_list("key", "text")) == {"one": "Первое", "two": odd}
    assert Message.objects.get(key="two").attachments == second.attachments
