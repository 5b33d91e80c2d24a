"""A fixture: staff who are signed in at a console."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from apps.core.tenancy import in_public
from apps.partners.models import Partner, StaffRole

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@pytest.fixture
def staff(client_for: Callable[..., Client]) -> Callable[..., Client]:
    """staff(partner, role): a client signed in at the partner's console, or (None) at the operator's."""

    def make(partner: Partner | None = None, role: str = "admin", **options: Any) -> Client:
        with in_public():
            user = User.objects.create(username=f"colleague-{next(_numbers)}", is_staff=True)
            StaffRole.objects.create(user=user, partner=options.get("works_at", partner), role=role)
            client = client_for(partner)
            # Signed in as the console would do it, without the time that hashing a password takes.
            client.force_login(user)
            session = client.session
            session["host"] = partner.host if partner else settings.PUBLIC_HOST
            session.save()
        client.user = user
        return client

    return make
