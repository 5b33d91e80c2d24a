"""The product's own web server and worker, watched: `tests.isolation.programs` in place of `armor`."""

from armor.celery import app
from armor.wsgi import application
from tests.isolation import spied

__all__ = ["app", "application"]
spied.start()
