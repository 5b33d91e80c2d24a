"""System checks at start: every app is wholly public or wholly the partner's."""

from typing import Any

from django.conf import settings
from django.core import checks

TWINS = {"apps.journal"}
"""In both kinds of schema on purpose: a change is recorded where it was made."""


@checks.register
def one_kind_of_schema(**_options: Any) -> list[checks.CheckMessage]:
    """An app in both lists would make twin tables, of which the partner's hide the public ones."""
    both = set(settings.SHARED_APPS) & set(settings.TENANT_APPS)
    told = [(app, "is in SHARED_APPS and in TENANT_APPS: twin tables") for app in sorted(both - TWINS)]
    told += [(app, "must be in SHARED_APPS and in TENANT_APPS") for app in sorted(TWINS - both)]
    told += [
        (app, "is not ours, and so public: it must not be in TENANT_APPS")
        for app in settings.TENANT_APPS
        if not app.startswith("apps.")
    ]
    return [checks.Error(f"{app} {what}", id="partners.E001") for app, what in told]
