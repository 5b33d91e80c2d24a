"""Keeps the answer to a request for its repetitions."""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
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
    while True:
        try:
            with transaction.atomic():
                return IdempotentAnswer.objects.create(
                    scope=scope, key=key, fingerprint=fingerprint, created_at=now
                )
        except IntegrityError:
            pass
        with transaction.atomic():
            answer = IdempotentAnswer.objects.select_for_update().filter(scope=scope, key=key).first()
            if answer is not None and _is_over(answer, now, fingerprint):
                # The same row, so that of two who find it only one takes it over.
                answer.fingerprint, answer.created_at, answer.status, answer.body = (
                    fingerprint,
                    now,
                    None,
                    None,
                )
                answer.save(force_update=True)
                return answer
        if answer is not None:
            break
        # The first request has failed and forgotten it meanwhile.
    if answer.fingerprint != fingerprint:
        raise Refused("idempotency_mismatch", _("Этот ключ уже был с другим запросом"), 422)
    if answer.status is None:
        raise Refused("idempotency_in_progress", _("Первый запрос с этим ключом ещё выполняется"))
    return answer


def _is_over(answer: IdempotentAnswer, now: Any, fingerprint: str) -> bool:
    """Too old, or its request died."""
    is_dead = answer.fingerprint == fingerprint and answer.status is None and answer.created_at < now - STUCK
    return is_dead or answer.created_at < now - LIFETIME


def finish(answer: IdempotentAnswer, *, status: int, body: Any) -> None:
    """Keeps the answer."""
    import json

    from rest_framework.utils.encoders import JSONEncoder

    plain = json.loads(json.dumps(body, cls=JSONEncoder))
    _still(answer).update(status=status, body=plain)


def forget(answer: IdempotentAnswer) -> None:
    """Lets the next repetition run anew: the first one failed."""
    _still(answer).delete()


def _still(answer: IdempotentAnswer) -> QuerySet[IdempotentAnswer]:
    """Unless somebody has taken us for dead and answers in our place."""
    return IdempotentAnswer.objects.filter(pk=answer.pk, created_at=answer.created_at)
