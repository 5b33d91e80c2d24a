"""The one refusal of the business, and the pages and problem documents that show it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _


class Refused(Exception):
    """What was asked for cannot be done. `message` is for people, `code` for machines; nothing was changed."""

    def __init__(self, code: str, message: Any, status: int = 409, **extra: Any) -> None:
        super().__init__(code)
        self.code, self.message, self.status, self.extra = code, message, status, extra

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def problem_document(status: int, code: str, detail: Any, **extra: Any) -> dict[str, Any]:
    """A problem document (RFC 9457)."""
    return {
        "type": f"/api/docs/problems#{code}",
        "title": code,
        "status": status,
        "detail": str(detail),
        **extra,
    }


def answer(request: HttpRequest, status: int, code: str, message: Any) -> HttpResponse:
    """A page for people, problem+json for the API."""
    if request.path.startswith(("/api/", "/hooks/")):
        body = problem_document(status, code, message)
        return JsonResponse(body, status=status, content_type="application/problem+json")
    return render(request, "error.html", {"status": status, "message": message}, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 400, "bad_request", _("Запрос не получилось разобрать"))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 403, "forbidden", _("Недостаточно прав для этой страницы"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, 404, "not_found", _("Такой страницы нет. Проверьте адрес."))


def failed(request: HttpRequest) -> HttpResponse:
    return answer(
        request, 500, "failed", _("Что-то сломалось у нас. Деньги не списаны дважды; мы уже смотрим.")
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return answer(request, 403, "csrf", _("Страница устарела. Обновите её и повторите."))
