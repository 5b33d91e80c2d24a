"""What the API's description says of every operation: its errors, and that it may be repeated safely."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter

from apps.core.problems import CODES

PROBLEM = {
    "type": "object",
    "description": _("Документ об ошибке (RFC 9457). Коды: /api/docs/problems"),
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": _("Объяснение кода")},
        "title": {"type": "string", "description": _("Код для программы")},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": _("Объяснение для человека")},
        "errors": {"type": "object", "additionalProperties": True, "description": _("Что не так в полях")},
    },
    "required": ["type", "title", "status", "detail"],
}
EXAMPLE = {
    "type": "/api/docs/problems#not_authenticated",
    "title": "not_authenticated",
    "status": 401,
    "detail": CODES["not_authenticated"][1],
}
KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description=_("Повтор с ним ничего не делает заново")
)


class Described(AutoSchema):
    """Adds what no operation should have to say of itself."""

    def get_override_parameters(self) -> list[Any]:
        method = getattr(self.view, getattr(self.view, "action", "") or "", None)
        repeatable = getattr(method, "is_idempotent", False)
        return [*super().get_override_parameters(), *([KEY] if repeatable else [])]

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> Any:
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation:
            problem = ResolvedComponent("Problem", ResolvedComponent.SCHEMA, object="Problem", schema=PROBLEM)
            registry.register_on_missing(problem)
            content = {"schema": problem.ref, "examples": {"problem": {"value": EXAMPLE}}}
            operation["responses"]["4XX"] = {
                "description": _("Ошибка: ничего не изменилось"),
                "content": {"application/problem+json": content},
            }
        return operation
