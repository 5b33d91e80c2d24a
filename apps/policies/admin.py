"""Console: texts of messages, VAT rates, numbering."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from apps import journal
from apps.core import clock, console
from apps.core.money import Money
from apps.policies import messages
from apps.policies.fiscal import FiscalRule
from apps.policies.models import MessageTemplate, NumberSequence, VatRate
from apps.policies.refunding import RefundLimit, RefundReason

# What staff call the kinds of documents that have numbers.
DOCUMENTS = {
    "credit_note": _("Корректировка счёта"),
    "invoice": _("Счёт"),
    "order": _("Заказ"),
    "payment_order": _("Платёжное поручение"),
    "refund": _("Возврат"),
    "settlement": _("Взаиморасчёты"),
}


class Journalled(console.ConsoleAdmin):
    """Every change of a policy is in the journal, with the names of what was changed."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        journal.record(
            f"{obj._meta.model_name}.{'changed' if change else 'created'}",
            obj._meta.label,
            obj.pk,
            actor=request.user.get_username(),
            data={"changed": form.changed_data},
        )


@console.register(MessageTemplate, sites=(console.operator_site,))
class MessageTemplateAdmin(Journalled):
    """Staff's own texts."""

    list_display = ("type_title", "channel", "language", "is_active")
    list_filter = ("channel", "language", "is_active")
    readonly_fields = ("placeholders",)
    fields = ("type", "channel", "language", "is_active", "placeholders", "subject", "body_text", "body_html")

    @display(description=_("сообщение"))
    def type_title(self, template: MessageTemplate) -> Any:
        known = messages.TYPES.get(template.type)
        return known.title if known else template.type

    @display(description=_("подстановки"))
    def placeholders(self, template: MessageTemplate) -> Any:
        known = messages.TYPES.get(template.type)
        found = known.placeholders.items() if known else ()
        return format_html_join("", "<div><code>${}</code> {}</div>", found) or "—"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "type":
            choices = [(known.code, known.title) for known in messages.TYPES.values()]
            return forms.ChoiceField(
                label=db_field.verbose_name, choices=choices, widget=UnfoldAdminSelectWidget()
            )
        return super().formfield_for_dbfield(db_field, request, **options)


@console.register(VatRate, sites=(console.operator_site,))
class VatRateAdmin(Journalled):
    """Rates by day: one that has begun stands for good, a new one gets a new row."""

    change_roles = ("finance",)
    list_display = ("name", "code", "percent", "valid_from")
    list_filter = ("code",)

    def has_change_permission(self, request: HttpRequest, obj: VatRate | None = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and not (obj and obj.is_past(clock.today()))

    def has_delete_permission(self, request: HttpRequest, obj: VatRate | None = None) -> bool:
        return self.has_change_permission(request, obj)


class DocumentFilter(admin.SimpleListFilter):
    """By kind of document."""

    title, parameter_name = _("вид документа"), "document"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(DOCUMENTS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[NumberSequence]) -> QuerySet[NumberSequence]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@console.register(NumberSequence, sites=(console.operator_site,))
class NumberSequenceAdmin(console.ReadOnlyAdmin):
    """What number was given out last."""

    list_display = fields = ("document", "legal_entity", "partner", "year", "last")
    readonly_fields = ("document",)
    list_filter = (DocumentFilter, "year", "legal_entity")
    list_select_related = ("legal_entity", "partner")

    @display(description=_("вид документа"), ordering="kind")
    def document(self, sequence: NumberSequence) -> str:
        return str(DOCUMENTS.get(sequence.kind, sequence.kind))


@console.register(FiscalRule, sites=(console.operator_site,))
class FiscalRuleAdmin(Journalled):
    """Who makes the receipts of a seller, from a day on: one that has begun stands for good."""

    change_roles = ("finance",)
    list_display = ("legal_entity", "valid_from", "maker", "connection", "taxation", "method")
    list_filter = ("legal_entity", "maker")
    list_select_related = ("legal_entity", "connection")
    empty_hint = _("Без правила чеки продавца делает не платформа: его банк, его касса или партнёр.")

    def has_change_permission(self, request: HttpRequest, obj: FiscalRule | None = None) -> bool:
        stands = obj is not None and obj.valid_from <= clock.today()
        return super().has_change_permission(request, obj) and not stands


@console.register(RefundReason, sites=(console.operator_site,))
class RefundReasonAdmin(Journalled):
    """What staff choose from when money goes back, and within how many days."""

    change_roles = ("finance",)
    list_display = ("title", "code", "term_days", "position", "is_active")
    list_filter = ("is_active",)
    empty_hint = _(
        "Пока действуют шесть готовых причин: refused, not-delivered, quality, wrong-charge, goodwill, other. "
        "Причина с таким кодом заменит готовую; выключенная — уберёт."
    )


@console.register(RefundLimit, sites=(console.operator_site,))
class RefundLimitAdmin(Journalled):
    """How much one person gives back alone; only administrators say so."""

    change_roles = ()
    list_display = ("role", "shown_one", "shown_day")
    empty_hint = _(
        "Без строки роль возвращает сколько угодно. Добавьте строку — выше неё нужен второй сотрудник."
    )

    @display(description=_("один возврат"))
    def shown_one(self, row: RefundLimit) -> str:
        return _limit(row.one)

    @display(description=_("за день"))
    def shown_day(self, row: RefundLimit) -> str:
        return _limit(row.day)

    def has_delete_permission(self, request: HttpRequest, obj: RefundLimit | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: RefundLimit) -> None:
        journal.record(
            "refundlimit.changed",
            obj._meta.label,
            obj.pk,
            actor=request.user.get_username(),
            data={"deleted": obj.role},
        )
        super().delete_model(request, obj)


def _limit(amount: Decimal | None) -> str:
    return str(_("без ограничения")) if amount is None else str(Money(amount))
