"""What every partner has from the first minute: a channel for the storefront and one for its own systems."""

from apps.channels.models import Channel, Kind

WEB, API = "web", "api"


def create_defaults() -> tuple[Channel, Channel]:
    """The channels «Витрина» and «API» of the current partner; makes those that are missing."""
    web, _is_new = Channel.objects.get_or_create(code=WEB, defaults={"name": "Витрина", "kind": Kind.WEB})
    api, _is_new = Channel.objects.get_or_create(code=API, defaults={"name": "API", "kind": Kind.API})
    return web, api
