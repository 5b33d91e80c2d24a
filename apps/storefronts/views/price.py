"""The page that a letter about a new price leads to: the customer agrees, or is not renewed. Needs no sign-in."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from apps.billing import price_changes
from apps.core import addresses, clock
from apps.storefronts.pages import page, show


@require_http_methods(["GET", "HEAD", "POST"])
@page
def price(request: Any, token: str) -> HttpResponse:
    consent = price_changes.of_link(token)
    if consent is None:
        raise Http404
    if request.method == "POST":
        price_changes.answer(
            consent.pk,
            agrees=request.POST.get("answer") == "yes",
            ip=addresses.of(request),
            user_agent=request.headers.get("User-Agent", ""),
        )
        return redirect(request.path)
    subscription = consent.subscription
    context = {
        "consent": consent,
        "subscription": subscription,
        "is_open": consent.state == consent.State.WAITING and clock.today() < consent.deadline,
    }
    return show(request, "price.html", context)
