"""A line of the log tells what went wrong and no secret: neither do the errors behind it."""

import io
import logging
from collections.abc import Iterator

import pytest
from celery import signals

from apps.connectors import masking
from apps.connectors.base import ConnectorError
from armor.logs import Masked

SECRET = "planted-live-Qm7Zx-w0rd"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger as a worker sets it up: with a handler of its own."""
    stream = io.StringIO()
    made = logging.getLogger("tests.masked")
    made.propagate, made.handlers = False, [logging.StreamHandler(stream)]
    signals.after_setup_logger.send(sender=None, logger=made)
    masking.guard([SECRET])
    yield made, stream
    masking.guard([])
    made.handlers = []


def test_no_secret_in_a_line_or_in_its_traceback(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        try:
            raise ValueError(f"Invalid header value {SECRET!r}")
        except ValueError as error:
            raise ConnectorError(f"Not sent: {SECRET}") from error
    except ConnectorError:
        logger.exception("%s of %s failed: token=%s, card %s", "a", 5, "abc-123", "5555555555554477")
    told = stream.getvalue()
    assert "Invalid header value" in told
    assert "Traceback" in told
    assert "a of 5 failed" in told
    assert [word for word in (SECRET, "abc-123", "4477") if word in told] == []


def test_times_ids_and_percents_stay(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    said = "2026-11-28 05:24:16 payment 01a2209d-52db-7ece-b828-1af1076a6b81: 100 % of 1764301585000"
    logger.warning(said)
    logger.warning("100 %%, %s", "5%")
    assert stream.getvalue().splitlines() == [said, "100 %, 5%"]


def test_the_platform_s_own_handler_hides_them_too() -> None:
    assert [one for handler in logging.root.handlers for one in handler.filters if isinstance(one, Masked)]
