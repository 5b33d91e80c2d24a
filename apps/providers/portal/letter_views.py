"""The page that a letter's link opens: one request, decided without signing in."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.core import addresses, throttle
from apps.core.errors import Refused
from apps.core.tenancy import in_partner
from apps.partners.models import Partner
from apps.providers.portal import letters, views
from apps.providers.portal.models import LetterKind, ProviderRequest

GUESSES = throttle.Limit("providers.letter.guess", 30, timedelta(minutes=15))
"""Links that are not ours, from one address."""
ANSWERS = throttle.Limit("providers.letter.answer", 30, timedelta(hours=1))
"""What is sent about one request."""
ANEW = throttle.Limit("providers.letter.anew", 3, timedelta(hours=1))
TOO_MANY = _("Слишком много попыток. Попробуйте через %(minutes)d мин.")


def quiet(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The address is the right to answer: it stands in no cache, no search engine and no other site's log."""

    @never_cache
    @wraps(view)
    def wrapper(*args: Any, **options: Any) -> HttpResponse:
        answer = view(*args, **options)
        answer["Referrer-Policy"] = "no-referrer"
        answer["X-Robots-Tag"] = "noindex, nofollow"
        return answer

    return wrapper


@quiet
@require_http_methods(["GET", "HEAD", "POST"])
def letter_page(request: HttpRequest, token: str) -> HttpResponse:
    """What is asked, and three ways to answer. To look changes nothing: mail servers open links by themselves."""
    try:
        row, to = letters.opened(token)
    except letters.LinkGone as gone:
        return _gone(request, gone.request)
    except (signing.BadSignature, ValueError, TypeError):
        return _never_made(request)
    told: dict[str, Any] = {}
    if request.method == "POST":
        if refusal := _too_many(request, ANSWERS, str(row.pk)):
            return refusal
        done = views.decide(request, row, actor=f"letter:{to}"[:100])
        if done is None:
            return redirect("provider:letter", token)
        told = done
    return render(
        request, "providers/portal/letter.html", views.shown(row) | {"may_decide": row.is_open} | told
    )


def _gone(request: HttpRequest, row: ProviderRequest | None) -> HttpResponse:
    may_ask = row is not None and row.is_open
    if request.method == "POST" and row is not None and row.is_open:
        if refusal := _too_many(request, ANEW, str(row.pk)):
            return refusal
        with in_partner(Partner.objects.get(pk=row.partner_id)), transaction.atomic():
            held = ProviderRequest.objects.select_for_update(of=("self",)).select_related("connection")
            letters.write(held.get(pk=row.pk), LetterKind.REMINDER)
        messages.success(request, _("Новая ссылка отправлена на почту поставщика"))
        may_ask = False
    told = {"title": _("Ссылка больше не действует"), "may_ask": may_ask}
    return render(request, "providers/portal/letter_gone.html", told, status=410)


def _never_made(request: HttpRequest) -> HttpResponse:
    if refusal := _too_many(request, GUESSES, addresses.household(addresses.of(request) or "127.0.0.1")):
        return refusal
    told = {"title": _("Такой ссылки нет"), "is_wrong": True}
    return render(request, "providers/portal/letter_gone.html", told, status=404)


def _too_many(request: HttpRequest, limit: throttle.Limit, value: str) -> HttpResponse | None:
    try:
        throttle.take([(limit, value)], code="too_many_answers", message=TOO_MANY)
    except Refused as refused:
        told = {"title": _("Подождите"), "why": refused.message}
        return render(request, "providers/portal/letter_gone.html", told, status=429)
    return None
