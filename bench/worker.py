"""A process that does what is due, as one of Celery's would. Imports nothing of Django's before it is set up."""

import resource
from typing import Any


def work(go: Any, done: Any) -> None:
    """Each time it is told to go, works until nothing is due, and answers with the most memory it has held, in MiB."""
    import django

    django.setup()
    from apps.core import due

    due.waiting()
    done.put(0.0)
    while go.get() is not None:
        while rows := due.claim(20):
            for row in rows:
                due.run(row)
        done.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
