"""An app is in one kind of schema: a list that says otherwise is refused at start."""

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.checks.registry import registry

from apps.partners.checks import one_kind_of_schema


def test_our_lists_pass() -> None:
    assert one_kind_of_schema in registry.get_checks()
    assert [found for found in run_checks() if found.id == "partners.E001"] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda shared, tenant: tenant.append("apps.ledger"), "apps.ledger"),
        (lambda shared, tenant: shared.append("apps.orders"), "apps.orders"),
        (lambda shared, tenant: tenant.append("django.contrib.sessions"), "django.contrib.sessions"),
        (lambda shared, tenant: shared.remove("apps.journal"), "apps.journal"),
    ],
)
def test_an_app_in_the_wrong_list_is_named(settings: Any, change: Any, named: str) -> None:
    settings.SHARED_APPS, settings.TENANT_APPS = [*settings.SHARED_APPS], [*settings.TENANT_APPS]
    change(settings.SHARED_APPS, settings.TENANT_APPS)
    assert named in " ".join(found.msg for found in one_kind_of_schema())
