"""API of the provider: whether a customer, a service or a key has the right to the product now."""

import hashlib
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.providers.portal.access import IsProvider, ProviderKeyAuthentication
from apps.providers.portal.models import Entitlement, key_digest

MOST = 100
EXAMPLE = {
    "entitled": True,
    "services": [
        {
            "service": "01938e2b-0c22-7e10-9d55-7f8a9b0c1d2e",
            "request_id": "01938e2b-0c22-7e10-9d55-800000000001",
            "customer_ref": "01938e2a-5c1f-7b3e-9a51-2f6f0c9d4e11",
            "state": "active",
            "active_until": "2026-12-27",
            "version": 3,
        }
    ],
}


class Question(serializers.Serializer[Any]):
    """By what is asked: exactly one."""

    service = serializers.UUIDField(required=False, help_text=_("Номер услуги"))
    request_id = serializers.UUIDField(required=False, help_text=_("Номер запроса, по которому её выдали"))
    customer_ref = serializers.UUIDField(required=False, help_text=_("customer_ref из запроса"))
    key_sha256 = serializers.RegexField(
        r"^[0-9a-fA-F]{64}$", required=False, help_text=_("SHA-256 ключа без пробелов по краям, hex")
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError(
                _("Нужно ровно одно: service, request_id, customer_ref или key_sha256")
            )
        return attrs

    def wanted(self) -> Q:
        """Which rows answer it; call it when the question is valid."""
        [(name, value)] = self.validated_data.items()
        if name == "key_sha256":
            return Q(key_digest=key_digest(value))
        return Q(**{{"service": "service_id", "customer_ref": "customer_id"}.get(name, name): value})


class RightSerializer(serializers.ModelSerializer[Entitlement]):
    """A service that was given out; `state` is TMF637's, and only `active` gives the right."""

    service = serializers.UUIDField(source="service_id")
    customer_ref = serializers.UUIDField(source="customer_id")

    class Meta:
        model = Entitlement
        fields = tuple(EXAMPLE["services"][0])  # type: ignore[index]
        read_only_fields = fields


class AnswerSerializer(serializers.Serializer[Any]):
    """`entitled` is true where at least one of `services` gives the right now."""

    entitled = serializers.BooleanField()
    services = RightSerializer(many=True)


class EntitlementView(APIView):
    """Has it the right?"""

    authentication_classes = (ProviderKeyAuthentication,)
    permission_classes = (IsProvider,)

    @extend_schema(
        tags=["entitlements"],
        summary=_("Есть ли право на услугу"),
        description=_(
            "Ответ верен на миг вопроса: после отключения услуги «да» не бывает. Храните его с ETag и спрашивайте "
            "с If-None-Match: 304 — ничего не изменилось. Чужая или никогда не выданная услуга — 404."
        ),
        parameters=[Question],
        responses=AnswerSerializer,
        examples=[OpenApiExample("entitled", value=EXAMPLE, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        question = Question(data=request.query_params)
        question.is_valid(raise_exception=True)
        key: Any = request.auth
        rows = list(
            Entitlement.objects.filter(question.wanted(), provider_id=key.provider_id).order_by("service_id")[
                :MOST
            ]
        )
        if not rows:
            raise NotFound(_("Такой услуги этого поставщика нет"))
        tag = _tag(rows)
        # It may be kept, and is to be asked about each time: a «yes» of a minute ago is none.
        headers = {
            "ETag": tag,
            "Cache-Control": "private, no-cache",
            "Vary": "Authorization, Accept-Language",
        }
        if tag in request.headers.get("If-None-Match", ""):
            return Response(status=304, headers=headers)
        told = {"entitled": any(row.is_entitled for row in rows), "services": rows}
        return Response(AnswerSerializer(told).data, headers=headers)


def _tag(rows: list[Entitlement]) -> str:
    """What changes with each change of any of the rows, and with which they are."""
    text = ";".join(f"{row.service_id}:{row.version}" for row in rows)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
