"""Console: the one queue of what waits for a person."""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.core import clock, console, links
from apps.core.models import WorkItem
from apps.core.tenancy import current_partner_id


class KindFilter(admin.SimpleListFilter):
    """By what it is about."""

    title, parameter_name = _("вид"), "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = model_admin.get_queryset(request).order_by("kind").values_list("kind", flat=True).distinct()
        return [(kind, links.title(kind)) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WorkItem]) -> QuerySet[WorkItem]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class PartnerFilter(admin.SimpleListFilter):
    """By partner, on the operator's console."""

    title, parameter_name = _("партнёр"), "partner"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        if request.tenant is not None:
            return []
        waiting = model_admin.get_queryset(request).order_by().values_list("partner_id", flat=True).distinct()
        named = apps.get_model("partners.Partner").objects.filter(pk__in=[key for key in waiting if key])
        return [(str(partner.pk), partner.name) for partner in named]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WorkItem]) -> QuerySet[WorkItem]:
        value = self.value() or ""
        return queryset.filter(partner_id=int(value)) if value.isdecimal() else queryset


class AgeFilter(admin.SimpleListFilter):
    """By how long it has been waiting."""

    title, parameter_name = _("ждёт"), "age"
    HOURS = {"1": _("больше часа"), "24": _("больше суток"), "168": _("больше недели")}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(self.HOURS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[WorkItem]) -> QuerySet[WorkItem]:
        if self.value() not in self.HOURS:
            return queryset
        return queryset.filter(opened_at__lt=clock.wall() - timedelta(hours=int(self.value() or 0)))


class OwnerFilter(admin.SimpleListFilter):
    """Mine, nobody's, or everybody's."""

    title, parameter_name = _("кто занимается"), "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("mine", _("я")), ("nobody", _("никто"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WorkItem]) -> QuerySet[WorkItem]:
        if self.value() == "mine":
            return queryset.filter(owner_id=request.user.pk)
        return queryset.filter(owner=None) if self.value() == "nobody" else queryset


@console.register(WorkItem, sites=(console.operator_site, console.partner_site))
class WorkItemAdmin(console.ReadOnlyAdmin):
    """What closes by itself once the object is in order; staff take it and open the object."""

    list_display = ("what", "reason", "partner", "age", "deadline_at", "owner")
    list_display_links = None
    list_filter = (KindFilter, PartnerFilter, AgeFilter, OwnerFilter)
    list_select_related = ("owner",)
    ordering = ("opened_at",)
    actions = ("take_all",)
    actions_row = ("take", "give_back")

    def get_queryset(self, request: Any) -> QuerySet[WorkItem]:
        # Annotated: a join is not possible without a foreign key, and a query per row is one too many.
        theirs = apps.get_model("partners.Partner").objects.filter(pk=OuterRef("partner_id"))
        found: QuerySet[WorkItem] = super().get_queryset(request)
        if request.tenant is not None:
            found = found.filter(partner_id=request.tenant.pk)
        return found.annotate(
            partner_name=Subquery(theirs.values("name")[:1]), partner_slug=Subquery(theirs.values("slug")[:1])
        )

    def get_list_display(self, request: Any) -> tuple[str, ...]:
        return tuple(name for name in self.list_display if request.tenant is None or name != "partner")

    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"title": _("Моя работа"), **(extra_context or {})})

    @display(description=_("что"))
    def what(self, item: Any) -> SafeString | str:
        return item_link(item, item.partner_slug)

    @display(description=_("партнёр"))
    def partner(self, item: Any) -> str:
        return item.partner_name or "—"

    @display(description=_("ждёт"), ordering="opened_at")
    def age(self, item: WorkItem) -> str:
        return timesince(item.opened_at, clock.wall(), depth=1)

    @action(description=_("Взять себе"), url_path="take", permissions=["take"], icon="back_hand")
    def take(self, request: HttpRequest, object_id: int) -> HttpResponse:
        self._take(request, self.get_queryset(request).filter(pk=object_id))
        return redirect(links.list_of(WorkItem))

    @action(description=_("Вернуть в очередь"), url_path="give-back", permissions=["take"], icon="undo")
    def give_back(self, request: HttpRequest, object_id: int) -> HttpResponse:
        mine = self.get_queryset(request).filter(pk=object_id, owner_id=request.user.pk)
        if mine.update(owner=None):
            messages.success(request, _("Задача снова в общей очереди"))
        return redirect(links.list_of(WorkItem))

    @admin.action(description=_("Взять себе"), permissions=["take"])
    def take_all(self, request: HttpRequest, queryset: QuerySet[WorkItem]) -> None:
        self._take(request, queryset)

    def has_take_permission(self, request: Any, object_id: Any = None) -> bool:
        """Everybody who works here."""
        return self.has_view_permission(request)

    def _take(self, request: HttpRequest, queryset: QuerySet[WorkItem]) -> None:
        if not self.has_take_permission(request):
            raise PermissionDenied
        # In one statement, and only what is nobody's: two who click at once do not both get it.
        taken = WorkItem.objects.filter(
            pk__in=list(queryset.values_list("pk", flat=True)), owner=None
        ).update(owner_id=request.user.pk)
        if taken:
            messages.success(request, _("Взято задач: %d") % taken)
        else:
            messages.warning(request, _("Этим уже занимаются"))


def item_link(item: WorkItem, partner_slug: str | None) -> SafeString | str:
    """A link to what the item is about, in its partner's console; plain text where there is no page."""
    slug = partner_slug or "" if current_partner_id() is None else ""
    name, url = links.title(item.kind), links.to(item.kind, item.object_id, slug=slug)
    return links.linked(name, url)
