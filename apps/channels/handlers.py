"""A new partner begins with channels."""

from typing import Any

from apps.channels.services import create_defaults
from apps.partners.models import Partner
from apps.partners.services import on_create


@on_create
def channels(partner: Partner, **brand: Any) -> None:
    create_defaults()
