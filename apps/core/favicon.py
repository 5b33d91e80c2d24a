"""`/favicon.ico` of the platform's host: the shield of the console's heading."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

SHIELD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
    '<path fill="#7c3aed" d="M12 1.5 3.5 5v6c0 5.3 3.6 10 8.5 11.5 4.9-1.5 8.5-6.2 8.5-11.5V5z"/></svg>'
)


@require_safe
@cache_control(max_age=86400, public=True)
def favicon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SHIELD, content_type="image/svg+xml")
