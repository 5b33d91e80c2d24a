"""Console: «Пульт исполнения» of the platform over all partners, and a partner's own."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import formats
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from apps.catalog.models import Product
from apps.core import clock, console, links
from apps.orders.control import board, deed_pages, deeds, timeline
from apps.orders.models import ENDED_STATES, OPEN_STATES, Fulfilment, Order
from apps.partners.models import Partner
from apps.providers.models import OpenRequest, Provider

PAGE = 50
SECONDS = 5
"""How often the page asks for news."""
LONG = 60
"""Seconds from money to product that are more than customers wait for."""
COLOURS = {
    "queued": "info",
    "in_progress": "info",
    "retry": "warning",
    "unknown": "warning",
    "needs_staff": "danger",
}
ICONS = {
    "queued": "hourglass_top",
    "in_progress": "sync",
    "retry": "replay",
    "unknown": "help",
    "needs_staff": "person_alert",
    "info_needed": "edit_note",
    "held": "pause_circle",
    "compensating": "undo",
}


@console.register(OpenRequest, sites=(console.operator_site, console.partner_site))
class BoardAdmin(console.ReadOnlyAdmin):
    """The board in place of a list of rows."""

    def get_queryset(self, request: Any) -> QuerySet[OpenRequest]:
        found: QuerySet[OpenRequest] = super().get_queryset(request)
        return found if request.tenant is None else found.filter(partner_id=request.tenant.pk)

    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked, partner = chosen(request), request.tenant
        found = board.board(asked)
        rows = asked.rows()
        page = Paginator(board.with_owner(rows), PAGE).get_page(request.GET.get("page"))
        query = request.GET.copy()
        for name in ("part", "page"):
            query.pop(name, None)
        context = {
            "title": _("Пульт исполнения"),
            "opts": self.opts,
            "board": found,
            "columns": [
                _column(one, request)
                for one in found.columns
                if one.count or one.state in board.ALWAYS or one.state == asked.state
            ],
            "bands": [words for _code, words, _until in board.BANDS],
            "lanes": [_lane(one, request) for one in found.lanes],
            "pages": page,
            "rows": [_row(one, partner) for one in board.shown(page)],
            "total": board.total(rows),
            "notices": board.notices() if partner is None else [],
            "waiting": self._waiting(asked, partner),
            "now": clock.local(clock.wall()),
            "seconds": SECONDS,
            "partner": partner,
            "asked": asked,
            "query": query.urlencode(),
            "is_filtered": bool(query),
        }
        if "part" in request.GET:
            return TemplateResponse(request, "orders/board_part.html", context)
        context |= {
            **self.admin_site.each_context(request),
            "choices": _choices(request),
            "deeds": deed_pages.offered(request),
            "act_url": links.page("providers_openrequest_act"),
        }
        return TemplateResponse(request, "orders/board.html", context)

    def get_urls(self) -> list[URLPattern]:
        act = path("act/", self.admin_site.admin_view(self.act), name="providers_openrequest_act")
        return [act, *super().get_urls()]

    def act(self, request: Any) -> HttpResponse:
        """What to do with the chosen rows: first what it comes to, then the reason, then it is done."""
        if request.method != "POST":
            return redirect("admin:providers_openrequest_changelist")
        return deed_pages.ask(self, request, chosen(request))

    def _waiting(self, asked: board.Filter, partner: Partner | None) -> list[dict[str, Any]]:
        if asked.state not in board.IN_LANES or asked.owner_id or asked.number:
            return []
        found = board.first_in_lanes(asked, PAGE)
        named = Partner.objects.in_bulk({one.partner_id for one in found if one.partner_id})
        return [
            {
                "partner": named.get(one.partner_id or 0),
                "age": timesince(one.due_at, clock.wall(), depth=1),
                "url": _way(one.object_id, named.get(one.partner_id or 0), partner),
            }
            for one in found
        ]


def chosen(request: Any) -> board.Filter:
    """What the address asks for; a partner's console never asks for another's."""
    given = request.GET if request.method == "GET" else request.POST

    def number(name: str) -> int | None:
        text = given.get(name, "")
        return int(text) if text.isdecimal() and len(text) < 18 else None

    states, ages = {one.value for one in OPEN_STATES}, {code for code, _words, _until in board.BANDS}
    return board.Filter(
        partner_id=request.tenant.pk if request.tenant is not None else number("partner"),
        provider_id=number("provider"),
        product_id=number("product"),
        state=given["state"] if given.get("state") in states else "",
        age=given["age"] if given.get("age") in ages else "",
        owner_id=request.user.pk if given.get("mine") else None,
        number=given.get("q", "").strip()[:40],
    )


def _choices(request: Any) -> dict[str, Any]:
    """What the filters offer: of what is open, not of all there is."""
    here = OpenRequest.objects.order_by()
    if request.tenant is not None:
        here = here.filter(partner_id=request.tenant.pk)

    def named(model: Any, name: str) -> list[Any]:
        keys = list(here.filter(**{f"{name}__isnull": False}).values_list(name, flat=True).distinct())
        return sorted(model.objects.filter(pk__in=keys), key=str)

    return {
        "partners": named(Partner, "partner_id") if request.tenant is None else [],
        "providers": named(Provider, "provider_id"),
        "products": named(Product, "product_id"),
        "states": [(state.value, state.label) for state in OPEN_STATES],
        "ages": [(code, words) for code, words, _until in board.BANDS],
    }


def _with(request: Any, **changed: str) -> str:
    """The address of this page with other filters."""
    query = request.GET.copy()
    for name in ("part", "page"):
        query.pop(name, None)
    for name, value in changed.items():
        query[name] = value
        if not value:
            del query[name]
    return f"?{query.urlencode()}"


def _column(one: board.Column, request: Any) -> dict[str, Any]:
    is_chosen = request.GET.get("state") == one.state
    most = max(one.bands) or 1
    return {
        "column": one,
        "icon": ICONS.get(one.state, "pause_circle"),
        "colour": COLOURS.get(one.state, "warning"),
        "is_chosen": is_chosen,
        "url": _with(request, state="" if is_chosen else one.state, age=""),
        "age": timesince(one.oldest, clock.wall(), depth=1) if one.oldest else "",
        "bands": [
            {
                "words": words,
                "count": count,
                "height": round(100 * count / most),
                "url": _with(request, state=one.state, age=code),
                "is_chosen": is_chosen and request.GET.get("age") == code,
            }
            for (code, words, _until), count in zip(board.BANDS, one.bands, strict=True)
        ],
    }


def _lane(one: board.Lane, request: Any) -> dict[str, Any]:
    connection, now = one.connection, clock.wall()
    stands = "none" if connection is None else "ok"
    if connection is not None and not connection.is_enabled:
        stands = "off"
    elif connection is not None and connection.opened_at:
        stands = "open"
    return {
        "lane": one,
        "stands": stands,
        "since": timesince(connection.opened_at, now, depth=1) if connection and connection.opened_at else "",
        "next": clock.local(connection.next_try_at) if connection and connection.next_try_at else None,
        # What a provider said to one partner is not for another.
        "error": connection.last_error if connection and request.tenant is None and stands == "open" else "",
        "age": timesince(one.oldest, now, depth=1) if one.oldest else "",
        "url": _with(request, provider=str(one.provider.pk)) if one.provider else "",
        "page": links.to("connectors.Connection", connection.pk)
        if connection and request.tenant is None
        else "",
        "late": _seconds(one.late) if one.late is not None else "",
        "is_late": (one.late or 0) > LONG,
        "retry": one.states["retry"],
        "unknown": one.states["unknown"],
        "staff": one.states["needs_staff"],
        "other": one.asked
        + sum(v for k, v in one.states.items() if k not in {"retry", "unknown", "needs_staff"}),
    }


def _seconds(seconds: float) -> str:
    """How long, in the unit that says most."""
    if seconds < 10:
        return gettext("{count} с").format(count=formats.number_format(round(seconds, 1), 1))
    if seconds < 90:
        return gettext("{count} с").format(count=round(seconds))
    if seconds < 5400:
        return gettext("{count} мин").format(count=round(seconds / 60))
    return gettext("{count} ч").format(count=round(seconds / 3600))


def _row(one: board.Shown, here: Partner | None) -> dict[str, Any]:
    row, now = one.row, clock.wall()
    return {
        "one": one,
        "row": row,
        "colour": COLOURS.get(row.state, "warning"),
        "age": timesince(row.opened_at, now, depth=1),
        "since": timesince(row.since, now, depth=1),
        "next_at": clock.local(row.next_at) if row.next_at else None,
        "is_due": bool(row.next_at and row.next_at <= now),
        "promised": clock.local(row.deadline_at) if row.deadline_at else None,
        "is_late": bool(row.deadline_at and row.deadline_at <= now),
        "url": _way(row.request_id, one.partner, here),
    }


def _way(fulfilment_id: UUID, partner: Partner | None, here: Partner | None) -> str:
    """The timeline of the order that a fulfilment is of."""
    if here is not None:
        return links.page("orders_fulfilment_way", fulfilment_id)
    return links.page("orders_fulfilment_way", fulfilment_id, slug=partner.slug) if partner else ""


@action(description=_("Путь заказа"), url_path="way", permissions=["view"], icon="timeline")
def way(self: Any, request: Any, object_id: UUID) -> HttpResponse:
    """Everything that happened to an order, or to what a renewal entitles to, in one list; and what happens next."""
    if not self.has_view_permission(request):
        raise PermissionDenied
    order, invoice, fulfilment = _asked(self.model, object_id)
    found = timeline.of(order, invoice)
    open_ids = {one.fulfilment.pk for one in found.next}
    rows = OpenRequest.objects.filter(partner_id=request.tenant.pk, request_id__in=open_ids)
    context = {
        **self.admin_site.each_context(request),
        "title": _("Путь заказа {number}").format(number=_number(order, invoice)),
        "opts": self.opts,
        "way": found,
        "order": order,
        "order_url": links.to("orders.Order", order.pk) if order else "",
        "customer": order.customer if order else invoice.customer if invoice else None,
        "invoice": found.invoice,
        "invoice_url": links.to("billing.Invoice", found.invoice.pk) if found.invoice else "",
        "subscription_url": _subscription(found),
        "steps": [_step(one) for one in found.next],
        "rows": list(rows),
        "services": _services(found, may_act=request.rights.may(*deeds.SUPPORT)),
        "deeds": deed_pages.offered(request),
        "act_url": links.page("providers_openrequest_act"),
        "board_url": links.list_of(OpenRequest),
        "chosen": fulfilment,
        "colours": COLOURS,
    }
    return TemplateResponse(request, "orders/way.html", context)


def _asked(model: Any, object_id: UUID) -> tuple[Order | None, Any, Fulfilment | None]:
    if model is Order:
        return (
            get_object_or_404(Order.objects.select_related("customer", "invoice"), pk=object_id),
            None,
            None,
        )
    rows = Fulfilment.objects.select_related("order__customer", "invoice__customer")
    one = get_object_or_404(rows, pk=object_id)
    return one.order, one.invoice, one


def _number(order: Order | None, invoice: Any) -> str:
    return str(order.number if order else invoice.number if invoice else "—")


def _subscription(found: timeline.Way) -> str:
    for one in found.fulfilments:
        return links.to("billing.Subscription", one.service.subscription_id)
    return ""


def _services(found: timeline.Way, *, may_act: bool) -> list[dict[str, Any]]:
    """What was given, and what may be done with it from here."""
    named = {one.service_id: one.service for one in found.fulfilments}
    return [
        {
            "one": one,
            "url": links.to("orders.Service", one.pk),
            "replace": links.page("orders_service_replace_service_key", one.pk)
            if may_act and one.key and one.state not in ENDED_STATES
            else "",
            "again": links.page("orders_service_send_service_again", one.pk)
            if may_act and one.activated_at and one.state not in ENDED_STATES
            else "",
        }
        for one in named.values()
    ]


def _step(one: timeline.Next) -> dict[str, Any]:
    return {
        "one": one,
        "colour": COLOURS.get(one.fulfilment.state, "warning"),
        "at": clock.local(one.at) if one.at else None,
        "is_due": bool(one.at and one.at <= clock.wall()),
        "url": links.to("orders.Fulfilment", one.fulfilment.pk),
    }
