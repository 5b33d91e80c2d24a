"""API requests prove themselves by a key: `Authorization: Bearer armor_<prefix>_<secret>`."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.channels.models import ApiKey


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.auth` to the ApiKey; there is no user. A key is worth nothing at another partner's host."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        scheme, _space, key = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return None
        found = ApiKey.find(key.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise AuthenticationFailed(_("Ключ API неизвестен или отозван"))
        found.note_use()
        return None, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the API page describes the key."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "armor_<prefix>_<secret>",
            "description": str(_("Ключ API канала продаж. Выдаётся в консоли: Интеграции → Ключи API.")),
        }
