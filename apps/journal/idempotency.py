"""Keeps the answer to a request for its repetitions."""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from apps.core import clock
from apps.core.errors import Refused
from apps.journal.models import IdempotentAnswer

LIFETIME = timedelta(hours=24)
STUCK = timedelta(minutes=2)
"""After this a request without an answer is taken for dead, and its repetition runs anew."""


def begin(*, scope: str, key: str, fingerprint: str) -> IdempotentAnswer:
    """The kept answer (its `status` set), or a fresh one that the caller must `finish` or `forget`.

    Raises Refused: 422 for the same key with another body, 409 while the first request still runs.
    """
    now = clock.wall()
    try:
        with transaction.atomic():
            return IdempotentAnswer.objects.create(
                scope=scope, key=key, fingerprint=fingerprint, created_at=now
            )
    except IntegrityError:
        pass
    with transaction.atomic():
        answer = IdempotentAnswer.objects.select_for_update().filter(scope=scope, key=key).first()
        if answer is None or answer.created_at < now - LIFETIME or _dead(answer, now, fingerprint):
            if answer is not None:
                answer.delete()
            return IdempotentAnswer.objects.create(
                scope=scope, key=key, fingerprint=fingerprint, created_at=now
            )
    if answer.fingerprint != fingerprint:
        raise Refused("idempotency_mismatch", _("Этот ключ уже был с другим запросом"), 422)
    if answer.status is None:
        raise Refused("idempotency_in_progress", _("Первый запрос с этим ключом ещё выполняется"))
    return answer


def _dead(answer: IdempotentAnswer, now: Any, fingerprint: str) -> bool:
    same = answer.fingerprint == fingerprint
    return same and answer.status is None and answer.created_at < now - STUCK


def finish(answer: IdempotentAnswer, *, status: int, body: Any) -> None:
    """Keeps the answer."""
    import json

    from rest_framework.utils.encoders import JSONEncoder

    plain = json.loads(json.dumps(body, cls=JSONEncoder))
    IdempotentAnswer.objects.filter(pk=answer.pk).update(status=status, body=plain)


def forget(answer: IdempotentAnswer) -> None:
    """Lets the next repetition run anew: the first one failed."""
    answer.delete()
