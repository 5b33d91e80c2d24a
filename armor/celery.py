"""The Celery application: a waker. Messages may be lost, late or double; nothing depends on one."""

import os
from typing import Any

from celery import Celery, Task

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")


class CleanTask(Task):
    """Every task starts and ends in the public schema, with no connection held."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from django.db import close_old_connections

        from apps.core.tenancy import forget_partner

        forget_partner()
        try:
            return self.run(*args, **options)
        finally:
            forget_partner()
            close_old_connections()


app = Celery("armor", task_cls=CleanTask)
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.on_configure.connect
def _configure(sender: Celery, **_: Any) -> None:
    from django.conf import settings

    url = settings.BROKER_URL
    sender.conf.update(
        broker_url=url or "memory://",
        broker_connection_retry_on_startup=True,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        timezone=settings.TIME_ZONE,
        beat_scheduler=settings.CELERY_BEAT_SCHEDULER,
        beat_schedule={
            "tick": {"task": "core.tick", "schedule": 5.0, "options": {"expires": 60}},
            "nightly audit": {"task": "core.audit", "schedule": _nightly()},
            "housekeeping": {"task": "core.housekeeping", "schedule": 3600.0},
        },
    )
    if url.startswith("pgmq"):
        sender.conf.broker_transport_options = {
            # Given in full, for pgmq would otherwise take the database of DATABASE_URL.
            "conn_string": "postgresql" + url.removeprefix("pgmq"),
            "init_extension": False,
            # Its notifications re-create a trigger at every connection, and deadlock when several connect at once.
            "use_notify": False,
            "visibility_timeout": 60,
            "polling_interval": 0.25,
            "wait_time_seconds": 0,
            "pool_size": 4,
        }


def _nightly() -> Any:
    from celery.schedules import crontab

    return crontab(hour=4, minute=10)


app.autodiscover_tasks()
