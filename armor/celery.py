"""The Celery application: a waker. Messages may be lost, late or double; nothing depends on one."""

import os
from typing import Any

from celery import Celery, Task
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
# Celery throws away what Django's checks find, and they load every page of the web: a third of the time of a start.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
TRANSPORT_ALIASES["pgmq"] = "armor.queue:Transport"
PATIENCE = 2
"""Seconds for which whoever has something to say waits for a broker that does not answer."""


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
        broker_transport_options=_transport(url),
        broker_connection_timeout=PATIENCE,
        broker_connection_retry_on_startup=True,
        # The worker looks for a lost broker for ever, rather than end after some hours.
        broker_connection_max_retries=None,
        task_default_queue=settings.BROKER_QUEUE,
        # A worker that is told of no queue does both; where lanes have one of their own, no other work waits for them.
        task_queues=[
            Queue(name, Exchange(name), routing_key=name)
            for name in (settings.BROKER_QUEUE, settings.BROKER_LANES_QUEUE)
        ],
        task_routes={"core.lanes": {"queue": settings.BROKER_LANES_QUEUE}},
        # The tables are what must survive; a message need not be written to the broker's disk.
        task_default_delivery_mode="transient",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        timezone=settings.TIME_ZONE,
        beat_scheduler=settings.CELERY_BEAT_SCHEDULER,
        beat_schedule={
            "tick": {"task": "core.tick", "schedule": 5.0, "options": {"expires": 60}},
            "lanes": {"task": "core.lanes", "schedule": 5.0, "options": {"expires": 60}},
            "nightly audit": {"task": "core.audit", "schedule": _nightly()},
            "housekeeping": {"task": "core.housekeeping", "schedule": 3600.0},
            "board": {"task": "orders.look_at_board", "schedule": 300.0, "options": {"expires": 300}},
            "gateways' yesterday": {"task": "settlements.morning", "schedule": _early()},
        },
    )


def _transport(url: str) -> dict[str, Any]:
    """One more try at once, then an error: by default a page would wait for many of them."""
    options: dict[str, Any] = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    if url.startswith("redis"):
        options |= {"socket_connect_timeout": PATIENCE, "socket_timeout": 30, "socket_keepalive": True}
    if url.startswith("pgmq"):
        options |= {
            # Given in full, for pgmq would otherwise take the database of DATABASE_URL.
            "conn_string": "postgresql" + url.removeprefix("pgmq"),
            "init_extension": False,
            # Its notifications re-create a trigger at every connection, and deadlock when several connect at once.
            "use_notify": False,
            "visibility_timeout": 60,
            "polling_interval": 0.25,
            "wait_time_seconds": 0,
            "pool_size": 4,
            "pool_timeout": PATIENCE,
        }
    return options


def _nightly() -> Any:
    from celery.schedules import crontab

    return crontab(hour=4, minute=10)


def _early() -> Any:
    """Before the morning comes in any zone of the country: each gateway's own is planned then."""
    from celery.schedules import crontab

    return crontab(hour=0, minute=5)


app.autodiscover_tasks()
