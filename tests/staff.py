"""A fixture: staff who are signed in at a console."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
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
            user = User.objects.create_user(f"staff-{next(_numbers)}", password=PASSWORD, is_staff=True)
            StaffRole.objects.create(user=user, partner=options.get("works_at", partner), role=role)
            client = client_for(partner)
            client.post("/admin/login/", {"username": user.username, "password": PASSWORD})
        client.user = user
        return client

    return make
