"""Who asks at the provider's API: a key, and so one provider."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.providers.portal.models import ProviderKey


class ProviderKeyAuthentication(BaseAuthentication):
    """Sets `request.auth` to the ProviderKey; there is no user."""

    def authenticate(self, request: Request) -> tuple[None, ProviderKey] | None:
        scheme, _space, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return None
        found = ProviderKey.find(text.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise AuthenticationFailed(_("Ключ API неизвестен или отозван"))
        found.note_use()
        return None, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="provider"'


class IsProvider(BasePermission):
    """Any live key of a provider; what it sees is its provider's own."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, ProviderKey)


class ProviderKeyScheme(OpenApiAuthenticationExtension):
    """How the API page describes the key."""

    target_class = ProviderKeyAuthentication
    name = "providerKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "armor_<prefix>_<secret>",
            "description": str(_("Ключ API поставщика. Выдаёт платформа: Поставщики → Ключи API.")),
        }
