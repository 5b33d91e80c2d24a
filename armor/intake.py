"""The ASGI entry of the process that takes incoming messages: `gunicorn armor.intake --worker-class=asgi`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
# A sender is told within seconds that the database is away or hangs, and comes again.
os.environ.setdefault("ARMOR_DB_WAIT", "3")
os.environ.setdefault("PGOPTIONS", "-c statement_timeout=10s")
django.setup()

from apps.connectors.intake import Intake  # noqa: E402 - nothing of ours is there before

application = Intake()
