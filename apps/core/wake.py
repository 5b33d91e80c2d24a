"""Tells a worker, after commit, that something waits. Losing the message costs seconds: beat looks as well."""

import logging

from django.db import transaction

log = logging.getLogger(__name__)


def after_commit() -> None:
    """Wakes a worker once the current transaction is committed, once per transaction."""
    connection = transaction.get_connection()
    if any(function is _wake for _, function, *_ in connection.run_on_commit):
        return
    transaction.on_commit(_wake, robust=True)


def _wake() -> None:
    from django.conf import settings

    if not settings.BROKER_URL:
        return
    from apps.core.tasks import work

    try:
        work.apply_async(retry=False)
    except Exception as error:  # the broker only wakes: what is true stands in the tables
        log.warning("The broker did not take the wake-up: %s", error)
