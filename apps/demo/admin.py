"""Console: «Пульт демонстрации», one page of buttons for sandbox partners."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _

from apps.core import console
from apps.core.errors import Refused
from apps.demo import controls, friday, friday_board, panel
from apps.demo.models import SandboxPartner


@console.register(SandboxPartner, sites=(console.operator_site,))
class PanelAdmin(console.ReadOnlyAdmin):
    """The list of sandboxes is the panel itself."""

    view_roles = ("manager",)
    change_roles = ("manager",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        sandboxes = list(SandboxPartner.objects.select_related("legal_entity").order_by("pk"))
        slug = request.POST.get("partner") or request.GET.get("partner")
        chosen = next((one for one in sandboxes if one.slug == slug), None)
        if request.method == "POST":
            return self.press(request, chosen)
        chosen = chosen or (sandboxes[0] if sandboxes else None)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Пульт демонстрации"),
            "sandboxes": sandboxes,
            "chosen": chosen,
            **(panel.state(chosen) if chosen else {}),
        }
        return TemplateResponse(request, "demo/panel.html", context)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.friday)
        return [path("friday/", view, name="demo_sandboxpartner_friday"), *super().get_urls()]

    def friday(self, request: Any) -> HttpResponse:
        """Scene «Пятница, вечер»; `part` is what changes of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sandboxes = SandboxPartner.objects.order_by("pk")
        slug = request.POST.get("partner") or request.GET.get("partner")
        chosen = sandboxes.filter(slug=slug).first() if slug else sandboxes.first()
        if request.method == "POST":
            return self.press(request, chosen)
        if chosen is None:
            raise Http404
        wanted = request.GET.get("orders", "")
        orders = int(wanted) if wanted.isdigit() and len(wanted) < 6 else friday.ORDERS
        context = {"chosen": chosen, "board": friday_board.of(chosen), "orders": orders}
        if request.GET.get("part"):
            return TemplateResponse(request, "demo/friday_live.html", context)
        context |= {**self.admin_site.each_context(request), "title": _("Пятница, вечер")}
        return TemplateResponse(request, "demo/friday.html", context)

    def press(self, request: Any, chosen: SandboxPartner | None) -> HttpResponse:
        """A button: does it, says what came of it, and comes back."""
        if chosen is None:
            messages.error(request, _("Такой песочницы нет"))
            return redirect(request.path)
        try:
            said = controls.press(
                request.POST.get("do", ""), chosen, request.POST, actor=request.user.get_username()
            )
            messages.success(request, said)
        except Refused as refused:
            messages.error(request, str(refused.message))
        return redirect(f"{request.path}?partner={chosen.slug}")

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return request.rights.may(*self.view_roles)
