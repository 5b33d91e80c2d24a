"""Console: orders from a file are looked at, row by row, and then placed in the background."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget

from apps.core import console, links
from apps.core.errors import Refused
from apps.orders import bulk_orders
from apps.orders.bulk_models import BulkOrder, BulkRow, BulkState


class FileForm(forms.Form):
    """A file of orders."""

    file = forms.FileField(label=_("Файл CSV или XLSX"), widget=UnfoldAdminFileFieldWidget)


class RowsOfBulk(console.Belongings):
    """What became of each row; the bad ones say why, and come first."""

    model = BulkRow
    fields = ("line", "shown_offer", "quantity", "scheduled_date", "state", "reason", "shown_order")
    ordering: Any = (Case(When(state=BulkRow.State.REFUSED, then=0), default=1), "line")
    show_change_link = False
    verbose_name_plural = _("Строки")

    @display(description=_("тариф"))
    def shown_offer(self, row: BulkRow) -> str:
        return str(row.offer) if row.offer_id else "—"

    @display(description=_("заказ"))
    def shown_order(self, row: BulkRow) -> Any:
        if row.order_id is None:
            return "—"
        return links.linked(row.order, links.to("orders.Order", row.order_id))

    def get_queryset(self, request: HttpRequest) -> Any:
        found = super().get_queryset(request).select_related("order", "offer__tariff__product")
        return found.prefetch_related("order__items")


@console.register(BulkOrder, sites=(console.partner_site,))
class BulkOrderAdmin(console.ReadOnlyAdmin):
    """Managers load; those who look at orders see how far it is."""

    list_display = ("name", "created_at", "shown_state", "shown_progress", "refused", "actor")
    inlines = (RowsOfBulk,)
    fields = ("name", "shown_state", "shown_progress", "refused", "actor", "created_at", "done_at")
    readonly_fields = ("shown_state", "shown_progress")
    actions_detail = ("start", "again")
    # While its orders are placed the page renews itself.
    change_form_before_template = "orders/bulk_top.html"
    empty_hint = _(
        "Загрузите файл: в строке клиент и тариф. Сначала покажем ошибки, заказы оформятся по кнопке."
    )

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return bool(request.rights.may("manager"))

    def has_start_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may place what was loaded; the button stands where it does something."""
        return self.has_add_permission(request) and _is(object_id, state=BulkState.LOOKED)

    def has_again_permission(self, request: Any, object_id: Any = None) -> bool:
        """The same people, once a file is done and left rows that may go by now."""
        if not self.has_add_permission(request):
            return False
        return object_id is None or (
            bulk_orders.refused_before(BulkOrder(pk=object_id)).exists()
            and _is(object_id, state=BulkState.DONE)
        )

    @display(description=_("состояние"), label={"looked": "warning", "going": "info", "done": "success"})
    def shown_state(self, row: BulkOrder) -> tuple[str, Any]:
        return console.Label(row.state, row.get_state_display())

    @display(description=_("оформлено"))
    def shown_progress(self, row: BulkOrder) -> Any:
        return format_html("{} / {}", row.placed, row.rows)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = FileForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                made = bulk_orders.look(name=file.name, content=_read(file), actor=_who(request))
            except ValueError as error:
                form.add_error("file", str(error))
            else:
                return redirect("admin:orders_bulkorder_change", made.pk)
        notes = [f"{one.heading} — {one.about}" for one in bulk_orders.COLUMNS]
        return console.form_page(
            self, request, form, _("Загрузить заказы"), notes=notes, press=_("Проверить файл")
        )

    @action(description=_("Оформить"), url_path="start", permissions=["start"])
    def start(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        made = get_object_or_404(BulkOrder, pk=object_id)
        if request.method == "POST":
            try:
                bulk_orders.start(made, actor=_who(request))
            except Refused as refusal:
                messages.error(request, str(refusal.message))
            else:
                messages.success(request, _("Заказы оформляются"))
            return redirect("admin:orders_bulkorder_change", made.pk)
        notes = [
            str(_("Оформим заказов: {count}").format(count=made.left)),
            str(_("С ошибкой останутся: {count}").format(count=made.refused)),
        ]
        return console.form_page(
            self, request, forms.Form(), _("Оформить заказы из файла"), notes=notes, press=_("Оформить")
        )

    @action(description=_("Повторить строки с ошибкой"), url_path="again", permissions=["again"])
    def again(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What was not sold when it was placed may be sold by now."""
        made = get_object_or_404(BulkOrder, pk=object_id)
        if request.method == "POST":
            try:
                bulk_orders.again(made, actor=_who(request))
            except Refused as refusal:
                messages.error(request, str(refusal.message))
            else:
                messages.success(request, _("Заказы оформляются"))
            return redirect("admin:orders_bulkorder_change", made.pk)
        ready = bulk_orders.refused_before(made).count()
        notes = [
            str(_("Попробуем ещё раз строк: {count}").format(count=ready)),
            str(
                _("Не прочитано и останется с ошибкой: {count}. Исправьте их и загрузите файлом.").format(
                    count=made.refused - ready
                )
            ),
        ]
        title = _("Повторить строки с ошибкой")
        return console.form_page(self, request, forms.Form(), title, notes=notes, press=_("Повторить"))


def _is(object_id: Any, **wanted: Any) -> bool:
    return object_id is None or BulkOrder.objects.filter(pk=object_id, **wanted).exists()


def _read(file: Any) -> bytes:
    if file.size > bulk_orders.MOST_BYTES:
        raise ValueError(_("Файл больше 30 МБ: разделите его"))
    found: bytes = file.read()
    return found


def _who(request: HttpRequest) -> str:
    return str(request.user.get_username())
