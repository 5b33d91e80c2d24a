"""Whose data the current thread works on: a partner's schema, or the public one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.db import connection as _connection

if TYPE_CHECKING:
    from apps.partners.models import Partner

connection: Any = _connection
"""Django's connection, with what django-tenants adds to it."""


class NoPartner(RuntimeError):
    """A partner's data was asked for where no partner is current."""


def current_partner_id() -> int | None:
    """The current partner's id; None in the public schema."""
    return getattr(connection.tenant, "pk", None)


def current_partner() -> "Partner":
    """The current partner. Raises NoPartner in the public schema."""
    partner = partner_or_none()
    if partner is None:
        raise NoPartner("No partner is current")
    return partner


def partner_or_none() -> "Partner | None":
    """The current partner; None in the public schema."""
    found = connection.tenant
    return None if getattr(found, "pk", None) is None else found


def partners() -> Any:
    """All partners: core knows of them, though their app stands above it."""
    return apps.get_model("partners.Partner").objects


@contextmanager
def in_partner(partner: "Partner | int") -> Iterator["Partner"]:
    """Works in a partner's schema (given the partner or its id), and goes back to where it was."""
    before = connection.tenant
    if isinstance(partner, int):
        # The public schema is in everybody's search path: going there first would cost a round trip.
        found: Partner = partners().get(pk=partner)
    else:
        found = partner
    connection.set_tenant(found)
    try:
        yield found
    finally:
        connection.set_tenant(before)


@contextmanager
def in_public() -> Iterator[None]:
    """Works in the public schema, and goes back to where it was."""
    before = connection.tenant
    connection.set_schema_to_public()
    try:
        yield
    finally:
        connection.set_tenant(before)


@contextmanager
def plain_cursor() -> Iterator[Any]:
    """The driver's own cursor, which asks for no search path first: for statements that name their schema."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.cursor() as cursor:
        yield cursor


def forget_partner() -> None:
    """Ends a unit of work: back to the public schema, whatever it was."""
    if connection.schema_name != settings.PUBLIC_SCHEMA_NAME:
        connection.set_schema_to_public()
