"""The project: settings, hosts, processes."""

import gc

# Looking for garbage among what is only being loaded takes a quarter of the time in which a process starts.
gc.set_threshold(50_000, 20, 20)

from armor.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
