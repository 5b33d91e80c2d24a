"""What every page shares: the storefront, the language, safe headers, and refusals said in plain words."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy as _

from apps.accounts import sign_in
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.partners.models import Partner
from apps.storefronts.models import Language, Storefront

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

# The redirect from «Оплатить» to the gateway counts as a form's destination; simulators speak plain HTTP.
_FORMS = "'self' https:" + (" http:" if settings.ALLOW_PRIVATE_ADDRESSES else "")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; "
    f"form-action {_FORMS}; base-uri 'none'; frame-ancestors 'none'"
)


def page(view: View[P]) -> View[P]:
    """Serves a page of the current partner's storefront as `request.storefront`, in the visitor's language."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        storefront = Storefront.objects.select_related("channel").first()
        if storefront is None:
            raise Http404
        request.storefront = storefront  # type: ignore[attr-defined]
        with translation.override(_language(request, storefront)):
            request.LANGUAGE_CODE = translation.get_language()
            try:
                response = view(request, *args, **kwargs)
            except Refused as refused:
                response = refusal(request, refused)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
        response.headers.setdefault("Cache-Control", "private, no-store")
        patch_vary_headers(response, ["Cookie", "Accept-Language"])
        return response

    return wrapper


def show(
    request: Any, template: str, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """Renders `storefronts/<template>` with what the frame of every page needs."""
    frame = {
        "storefront": request.storefront,
        "customer": sign_in.customer_of(request),
        "languages": settings.LANGUAGES if request.storefront.language == Language.BROWSER else [],
    }
    return render(request, f"storefronts/{template}", {**frame, **(context or {})}, status=status)


def refusal(request: HttpRequest, refused: Refused) -> HttpResponse:
    """The page that says why not; nothing was changed."""
    context = {"status": refused.status, "title": _("Не получилось"), "message": refused.message}
    return show(request, "refused.html", context, status=refused.status)


def sales_are_open(storefront: Storefront) -> bool:
    """Whether anything may be bought here now."""
    stopped = current_partner().status in {Partner.Status.STOPPED, Partner.Status.CLOSED}
    return storefront.is_open and not stopped


def _language(request: HttpRequest, storefront: Storefront) -> str:
    if storefront.language != Language.BROWSER:
        return storefront.language
    asked = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
    if asked in dict(settings.LANGUAGES):
        return asked
    return translation.get_language_from_request(request) or "ru"
