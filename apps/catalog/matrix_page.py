"""The matrix on screen: rows of tariffs, columns of partners and their channels, and the diff before saving."""

from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from apps.catalog import matrix
from apps.catalog.lifecycle import ARCHIVED, DRAFT
from apps.catalog.models import Category, Offer, Payer, Tariff
from apps.core.errors import Refused
from apps.partners.models import Partner

ROWS, COLUMNS = 30, 6


@dataclass(frozen=True, slots=True)
class Column:
    """A partner, in all its channels or in one."""

    partner: Partner
    channel_code: str

    @property
    def key(self) -> str:
        """In the address and in the page."""
        return f"{self.partner.pk}:{self.channel_code}"

    @property
    def title(self) -> str:
        """What stands above it."""
        return f"{self.partner} · {self.channel_code}" if self.channel_code else str(self.partner)


@dataclass(slots=True)
class Cell:
    """What a partner offers of a tariff in a channel; `offer` is None where it does not."""

    column: Column
    offer: Offer | None

    @property
    def note(self) -> str:
        """What is not plain, in a few characters: days and payer."""
        offer = self.offer
        if offer is None:
            return ""
        parts = []
        if offer.on_sale_from:
            parts.append(_("с %s") % f"{offer.on_sale_from:%d.%m.%y}")
        if offer.on_sale_until:
            parts.append(_("по %s") % f"{offer.on_sale_until:%d.%m.%y}")
        if offer.payer != Payer.CHARGE:
            parts.append(str(Payer(offer.payer).label))
        return ", ".join(parts)


@dataclass(slots=True)
class Row:
    """A tariff with its cells."""

    tariff: Tariff
    cells: list[Cell] = field(default_factory=list)


def page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Shows the matrix; what is posted is shown as a diff, and saved when that is confirmed."""
    if request.method == "POST" and model_admin.has_change_permission(request):
        return _posted(model_admin, request)
    return _table(model_admin, request)


def _posted(model_admin: Any, request: HttpRequest) -> HttpResponse:
    text, back = request.POST.get("changes", ""), request.get_full_path()
    try:
        edits = matrix.parse(text)
        if "confirm" in request.POST:
            count = matrix.save(edits, actor=request.user.get_username())
            messages.success(request, _("Записано изменений: %d") % count)
            return redirect(back)
        changes = matrix.compare(edits)
    except ValidationError as error:
        for reason in error.messages:
            messages.error(request, reason)
        return _table(model_admin, request, kept=text)
    except Refused as refused:
        messages.error(request, str(refused.message))
        return redirect(back)
    if not changes:
        messages.info(request, _("Ничего не изменилось"))
        return redirect(back)
    context = {"changes": changes, "text": text, "back": back}
    return _render(model_admin, request, "catalog/matrix_diff.html", _("Что изменится"), context)


def _table(model_admin: Any, request: HttpRequest, *, kept: str = "") -> HttpResponse:
    columns = _columns(request)
    pages = Paginator(_tariffs(request), ROWS)
    shown = pages.get_page(request.GET.get("page"))
    standing = {
        (one.tariff_id, one.partner_id, one.channel_code): one
        for one in Offer.objects.filter(
            tariff__in=[tariff.pk for tariff in shown],
            partner__in={column.partner.pk for column in columns},
        )
    }
    rows = [
        Row(
            tariff,
            [
                Cell(column, standing.get((tariff.pk, column.partner.pk, column.channel_code)))
                for column in columns
            ],
        )
        for tariff in shown
    ]
    context = {
        "rows": rows,
        "columns": columns,
        "pages": shown,
        "kept": kept,
        "payers": Payer.choices,
        "categories": Category.objects.all(),
        "partners": Partner.objects.all(),
        "chosen": {column.partner.pk for column in columns},
        "asked": request.GET,
        "may_change": model_admin.has_change_permission(request),
        "most_columns": COLUMNS,
    }
    return _render(model_admin, request, "catalog/matrix.html", _("Матрица предложений"), context)


def _columns(request: HttpRequest) -> list[Column]:
    asked = [int(text) for text in request.GET.getlist("partner") if text.isdecimal()]
    partners = Partner.objects.filter(pk__in=asked) if asked else Partner.objects.all()
    found = []
    for partner in partners.order_by("name")[:COLUMNS]:
        codes = set(
            Offer.objects.filter(partner=partner)
            .exclude(channel_code="")
            .values_list("channel_code", flat=True)
        )
        added = request.GET.get("channel", "").strip().lower()
        if added and added.isascii() and added.replace("-", "").isalnum():
            codes.add(added[:40])
        found += [Column(partner, code) for code in ("", *sorted(codes))]
    return found


def _tariffs(request: HttpRequest) -> Any:
    rows = Tariff.objects.filter(current__isnull=False).exclude(state__in=[DRAFT, ARCHIVED])
    rows = rows.select_related("product__category", "current").order_by(
        "product__sort", "product__code", "sort", "id"
    )
    if category := request.GET.get("category"):
        rows = rows.filter(product__category__code=category)
    if words := request.GET.get("q", "").strip():
        rows = rows.filter(
            Q(code__icontains=words)
            | Q(name__ru__icontains=words)
            | Q(product__code__icontains=words)
            | Q(product__name__ru__icontains=words)
        )
    on_sale = request.GET.get("on")
    if on_sale in {"yes", "no"}:
        sold = Offer.objects.filter(is_on_sale=True).values("tariff")
        rows = rows.filter(pk__in=sold) if on_sale == "yes" else rows.exclude(pk__in=sold)
    return rows


def _render(
    model_admin: Any, request: HttpRequest, template: str, title: str, context: dict[str, Any]
) -> TemplateResponse:
    site = model_admin.admin_site
    frame = {**site.each_context(request), "title": title, "opts": model_admin.opts}
    return TemplateResponse(request, template, {**frame, **context})
