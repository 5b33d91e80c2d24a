"""Lines of the log without secrets, whoever writes them: also in the traceback of what a call outside came to."""

import logging
from typing import Any

from celery import signals

from apps.connectors import masking


class Masked(logging.Filter):
    """Hides secrets and card numbers in a line and its traceback, whatever formats them. Times and ids stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = masking.line(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _plain.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = masking.line(record.exc_text)
        return True


_plain = logging.Formatter()


@signals.after_setup_logger.connect(weak=False)
@signals.after_setup_task_logger.connect(weak=False)
def guard(logger: logging.Logger, **rest: Any) -> None:
    """A worker makes its own handlers: they hide the same."""
    for handler in logger.handlers:
        handler.addFilter(Masked())
