"""The WSGI entry for gunicorn."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "armor.settings")
application = get_wsgi_application()
# Their pages are loaded with the process, not while the first visitor waits.
for urls in (settings.ROOT_URLCONF, settings.PUBLIC_SCHEMA_URLCONF):
    get_resolver(urls).url_patterns  # noqa: B018 - it is read once
