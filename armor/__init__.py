"""The project: settings, hosts, processes."""

from armor.celery import app as celery_app

__all__ = ["celery_app"]
