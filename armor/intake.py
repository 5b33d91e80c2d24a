"""The ASGI entry of the process that takes incoming messages: `gunicorn armor.intake --worker-class=asgi`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
django.setup()

from apps.connectors.intake import Intake  # noqa: E402 - nothing of ours is there before

application = Intake()
