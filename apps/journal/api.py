"""Idempotent API methods: a repeated request is answered as the first time and done once."""

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core import faults
from apps.core.api import problem
from apps.core.errors import Refused
from apps.journal import idempotency


def idempotent(method: Callable[..., Response]) -> Callable[..., Response]:
    """Answers a repeated request with the same `Idempotency-Key` as the first time, and does it once.

    The same key with another body is 422; a key whose first request still runs is 409. The key is optional, lives
    24 hours, and belongs to one API key.
    """

    @wraps(method)
    def wrapper(view: Any, request: Request, *args: Any, **options: Any) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return method(view, request, *args, **options)
        if len(key) > 255 or not key.isprintable():
            raise Refused("idempotency_key", _("Ключ идемпотентности: до 255 печатных знаков"), 400)
        body = json.dumps(request.data, sort_keys=True, ensure_ascii=False, default=_said)
        fingerprint = hashlib.sha256(f"{request.method} {request.path}\n{body}".encode()).hexdigest()
        answer = idempotency.begin(scope=f"{request.auth.pk}", key=key, fingerprint=fingerprint)
        if answer.status is not None:
            return Response(answer.body, status=answer.status, headers={"Idempotent-Replayed": "true"})
        faults.at("journal.begun-not-done")
        try:
            response = method(view, request, *args, **options)
        except Exception as error:
            refusal = problem(error, {"view": view, "request": request})
            if refusal is None or refusal.status_code >= status.HTTP_500_INTERNAL_SERVER_ERROR:
                idempotency.forget(answer)
            else:
                idempotency.finish(answer, status=refusal.status_code, body=refusal.data)
            raise
        faults.at("journal.done-not-kept")
        idempotency.finish(answer, status=response.status_code, body=response.data)
        return response

    # The API's description tells of the header wherever it is honoured.
    wrapper.is_idempotent = True  # type: ignore[attr-defined]
    return wrapper


def _said(value: Any) -> str:
    """What JSON has no word for; of a file, all that is in it."""
    if not isinstance(value, UploadedFile):
        return str(value)
    digest = hashlib.sha256()
    for chunk in value.chunks():
        digest.update(chunk)
    value.seek(0)
    return f"{value.name} {digest.hexdigest()}"
