"""What every API view shares: scopes, cursor pages, problem+json."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import Refused, problem_document


class HasScope(BasePermission):
    """The key carries the scope that the view names for this method in `required_scopes`."""

    message = _("У ключа нет права на это действие")

    def has_permission(self, request: Request, view: Any) -> bool:
        key: Any = request.auth
        if key is None:
            return False
        if not hasattr(view, (request.method or "").lower()):
            # Nobody answers this method here: let the view say so (405).
            return True
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else request.method
        return view.required_scopes.get(method) in key.scopes


class CursorPages(CursorPagination):
    """Pages by cursor, newest first: UUIDv7 keys are ordered by time."""

    ordering = "-id"
    page_size_query_param = "limit"
    max_page_size = 200


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every error is a problem document."""
    # Imported late: DRF's views read settings that lead back to this module.
    from rest_framework.views import exception_handler

    # Its module reads the settings, which name this one.

    if isinstance(error, Refused):
        return _problem(error.status, error.code, error.message, **error.extra)
    if isinstance(error, Http404):
        error = exceptions.NotFound(_("Такого объекта нет"))
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    extra: dict[str, Any] = {}
    detail: Any = error.detail
    if isinstance(error, exceptions.ValidationError):
        extra, detail = {"errors": error.detail}, _("Проверьте поля запроса")
    code = "invalid" if extra else error.default_code
    answer = _problem(response.status_code, code, detail, **extra)
    for header in ("WWW-Authenticate", "Retry-After", "Allow"):
        if header in response.headers:
            answer[header] = response.headers[header]
    return answer


def _problem(status_code: int, code: str, detail: Any, **extra: Any) -> Response:
    return Response(
        problem_document(status_code, code, detail, **extra),
        status=status_code,
        content_type="application/problem+json",
    )
