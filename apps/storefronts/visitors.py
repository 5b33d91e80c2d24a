"""What a browser is remembered by: what it bought, and the channel that sent it here. Signed, per partner."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.accounts import sign_in
from apps.channels.models import Channel
from apps.core.tenancy import current_partner_id
from apps.orders.models import Order
from apps.storefronts.models import Storefront

PURCHASES, SOURCE = "armor_purchases", "armor_source"
MONTH = 30 * 24 * 3600
REMEMBERED = 20


def bought_here(request: HttpRequest) -> list[str]:
    """Ids of the orders made in this browser at the current partner, newest first."""
    found = request.get_signed_cookie(PURCHASES, "", salt=_salt(PURCHASES), max_age=MONTH)
    return found.split(".") if found else []


def remember_purchase(request: HttpRequest, response: HttpResponse, order: Order) -> None:
    """From now on this browser may see the order."""
    orders = [str(order.pk), *(known for known in bought_here(request) if known != str(order.pk))]
    _set(response, PURCHASES, ".".join(orders[:REMEMBERED]))


def may_see(request: HttpRequest, order: Order) -> bool:
    """Whether the order was made in this browser, or belongs to whom is signed in."""
    if str(order.pk) in bought_here(request):
        return True
    customer = sign_in.customer_of(request)
    return customer is not None and customer.pk == order.customer_id


def remember_source(request: HttpRequest, response: HttpResponse) -> None:
    """Keeps the channel that a link names by `?channel=`, where there is such a channel."""
    if (channel := _named(request.GET.get("channel", ""))) is not None:
        _set(response, SOURCE, channel.code)


def source(request: HttpRequest, storefront: Storefront) -> Channel:
    """The channel that sends the buyer here: this very link's, an earlier link's, else the storefront's own.

    What it sells, and at what price, is what pages show and orders take.
    """
    return _named(request.GET.get("channel", "")) or _named(_remembered(request)) or storefront.channel


def _remembered(request: HttpRequest) -> str:
    return request.get_signed_cookie(SOURCE, "", salt=_salt(SOURCE), max_age=MONTH) or ""


def _named(code: str) -> Channel | None:
    if not code or not code.isascii() or "\0" in code:
        return None
    return Channel.objects.filter(code=code[:40], is_active=True).first()


def _set(response: HttpResponse, name: str, value: str) -> None:
    response.set_signed_cookie(
        name,
        value,
        salt=_salt(name),
        max_age=MONTH,
        httponly=True,
        samesite="Lax",
        secure=bool(settings.SESSION_COOKIE_SECURE),
    )


def _salt(name: str) -> str:
    return f"{name}:{current_partner_id()}"
