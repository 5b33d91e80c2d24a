"""Console: promo codes with their limits, batches and export; offers to those who leave, and why they leave."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.postgres.forms import SimpleArrayField
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
)

from apps.billing import promos, retention
from apps.billing.promotion_models import LeavingAnswer, PromoCode, PromoRedemption, Promotion, RetentionOffer
from apps.catalog.models import Offer
from apps.core import clock, console
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner

CURRENCY = "RUB"


def _tariffs() -> list[tuple[int, str]]:
    """What the partner offers, on sale or not: a campaign may be prepared before."""
    offers = Offer.objects.filter(partner_id=current_partner().pk).select_related("tariff__product")
    return sorted({(one.tariff_id, str(one.tariff)) for one in offers}, key=lambda pair: pair[1])


class WithTariffs(forms.ModelForm):
    """Chooses tariffs by name; none chosen means all."""

    tariff_ids = forms.TypedMultipleChoiceField(
        label=_("Только тарифы"),
        coerce=int,
        required=False,
        help_text=_("Ничего не выбрано: для всех"),
        widget=UnfoldAdminSelectMultipleWidget,
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["tariff_ids"].choices = _tariffs()  # type: ignore[attr-defined]


class PromotionForm(WithTariffs):
    """A promotion; new ones may be given their code at once."""

    channel_codes = SimpleArrayField(
        forms.CharField(max_length=40),
        label=_("Только каналы"),
        required=False,
        help_text=_("Коды каналов через запятую: web, api. Пусто: во всех"),
        widget=UnfoldAdminTextInputWidget,
    )
    text = forms.CharField(
        label=_("Код"),
        required=False,
        max_length=40,
        help_text=_("Один на всех. Пачку уникальных кодов выпускают потом, кнопкой «Выпустить коды»"),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = Promotion
        fields = (
            "name",
            "percent",
            "amount",
            "periods",
            "valid_from",
            "valid_until",
            "tariff_ids",
            "channel_codes",
            "is_new_only",
            "per_customer",
            "total_limit",
            "budget",
            "is_active",
        )

    def clean_text(self) -> str:
        text = promos.normalised(self.cleaned_data["text"])
        if text and not re.fullmatch(r"[\w-]{3,40}", text):
            raise forms.ValidationError(_("Код: от 3 до 40 букв, цифр и дефисов"))
        if text and PromoCode.objects.filter(code=text).exists():
            raise forms.ValidationError(_("Такой код уже есть"))
        return text

    def clean(self) -> dict[str, Any]:
        """What is used already stays within what is allowed: the columns are not in the form, so nobody else looks."""
        cleaned = super().clean() or self.cleaned_data
        for name, taken in (("total_limit", self.instance.used), ("budget", self.instance.spent)):
            if cleaned.get(name) is not None and cleaned[name] < taken:
                self.add_error(name, _("Столько уже использовано: меньше поставить нельзя"))
        return cleaned


class CodesForm(forms.Form):
    """How many, and how they begin."""

    count = forms.IntegerField(
        label=_("Сколько уникальных кодов"),
        min_value=1,
        max_value=promos.LARGEST_BATCH,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    beginning = forms.CharField(
        label=_("С чего начинаются (необязательно)"),
        required=False,
        max_length=20,
        widget=UnfoldAdminTextInputWidget,
    )


class RedemptionInline(console.ReadOnlyInline):
    """Who has used it, the latest first."""

    model = PromoRedemption
    fields = ("created_at", "code", "customer", "subscription", "cost", "state")
    tab = True
    per_page = 20
    ordering = ("-id",)
    verbose_name_plural = _("Использования")


@console.register(Promotion, sites=(console.partner_site,))
class PromotionAdmin(console.ConsoleAdmin):
    """Campaigns: what a code gives, to whom, how often and for how much money."""

    empty_hint = _("Скидка процентом или суммой: один код на всех или тысяча разных, в пределах бюджета.")
    form = PromotionForm
    list_display = (
        "name",
        "shown_size",
        "shown_codes",
        "shown_used",
        "shown_spent",
        "valid_until",
        "is_active",
    )
    list_filter = ("is_active", "valid_until")
    search_fields = ("name", "codes__code")
    readonly_fields = ("shown_used", "shown_spent")
    inlines = (RedemptionInline,)
    actions_detail = ("make_codes", "export")
    fieldsets = (
        (None, {"fields": ("name", "text", "percent", "amount", "periods", "is_active")}),
        (
            _("Кому и когда"),
            {"fields": ("valid_from", "valid_until", "tariff_ids", "channel_codes", "is_new_only")},
        ),
        (
            _("Сколько"),
            {"fields": ("per_customer", "total_limit", "shown_used", "budget", "shown_spent")},
        ),
    )

    @display(description=_("скидка"))
    def shown_size(self, row: Promotion) -> str:
        return promos.in_words(row, CURRENCY)

    @display(description=_("коды"))
    def shown_codes(self, row: Promotion) -> str:
        count = row.codes.count()
        return str(row.codes.all()[0]) if count == 1 else str(count)

    @display(description=_("использован"))
    def shown_used(self, row: Promotion) -> str:
        return f"{row.used} / {row.total_limit}" if row.total_limit is not None else str(row.used)

    @display(description=_("занято бюджета"))
    def shown_spent(self, row: Promotion) -> str:
        spent = Money(row.spent, CURRENCY)
        return f"{spent} / {Money(row.budget, CURRENCY)}" if row.budget is not None else str(spent)

    def save_model(self, request: Any, obj: Promotion, form: Any, change: bool) -> None:
        if not change:
            obj.created_at, obj.actor = clock.now(), request.user.get_username()
        super().save_model(request, obj, form, change)
        if text := form.cleaned_data.get("text"):
            promos.make(promotion=obj, text=text, actor=request.user.get_username())

    def has_codes_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may make and take away codes: they are money."""
        return bool(request.rights.may("manager"))

    @action(description=_("Выпустить коды"), url_path="codes", permissions=["codes"])
    def make_codes(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Promotion, pk=object_id)
        form = CodesForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made = promos.make(
                    promotion=row,
                    count=form.cleaned_data["count"],
                    prefix=form.cleaned_data["beginning"],
                    actor=request.user.get_username(),
                )
            except Refused as refusal:
                messages.error(request, str(refusal.message))
            else:
                messages.success(request, _("Выпущено кодов: %d. Их можно выгрузить файлом.") % len(made))
            return redirect(reverse("admin:billing_promotion_change", args=[row.pk]))
        return console.form_page(self, request, form, _("Выпустить уникальные коды"))

    @action(description=_("Выгрузить коды"), url_path="export", permissions=["codes"])
    def export(self, request: HttpRequest, object_id: UUID) -> StreamingHttpResponse:
        row = get_object_or_404(Promotion, pk=object_id)
        answer = StreamingHttpResponse(_lines(row), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="codes-{row.pk}.csv"'
        return answer


def _lines(row: Promotion) -> Iterator[bytes]:
    """The file as it grows: a batch may be a hundred thousand codes."""
    yield "﻿".encode() + _csv([str(_("Код")), str(_("Использован")), str(_("Раз"))])
    for code, used, limit in row.codes.order_by("id").values_list("code", "used", "limit").iterator(5000):
        yield _csv([code, used, "" if limit is None else limit])


def _csv(cells: list[Any]) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerow(cells)
    return out.getvalue().encode()


class RetentionForm(WithTariffs):
    """What is offered, and to whom."""

    class Meta:
        model = RetentionOffer
        fields = ("name", "kind", "percent", "periods", "pause_days", "tariff_ids", "sort", "is_active")


def _day() -> forms.DateInput:
    return forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class PeriodForm(forms.Form):
    """Days of a report, both included."""

    since = forms.DateField(label=_("С"), required=False, widget=_day())
    until = forms.DateField(label=_("По"), required=False, widget=_day())

    def days(self) -> tuple[date, date]:
        """Half-open; the last ninety days where nothing is chosen."""
        chosen = self.cleaned_data if self.is_valid() else {}
        until = chosen.get("until") or clock.today()
        return chosen.get("since") or until - timedelta(days=89), until + timedelta(days=1)


@console.register(RetentionOffer, sites=(console.partner_site,))
class RetentionOfferAdmin(console.ConsoleAdmin):
    """The first that suits a subscription is shown beside «Отменить»."""

    form = RetentionForm
    list_display = ("__str__", "shown_gift", "shown_taken", "sort", "is_active")
    list_filter = ("is_active", "kind")
    empty_hint = _("Одно предложение рядом с кнопкой отмены: скидка на несколько периодов или пауза.")
    actions_list = ("report",)

    @display(description=_("что даём"))
    def shown_gift(self, row: RetentionOffer) -> str:
        if row.kind == RetentionOffer.Kind.PAUSE:
            return str(_("пауза, дней: {days}")).format(days=row.pause_days)
        text = str(_("скидка {percent} %, периодов: {periods}"))
        return text.format(percent=f"{row.percent.normalize():f}", periods=row.periods)

    @display(description=_("остались"))
    def shown_taken(self, row: RetentionOffer) -> str:
        asked = row.answers.count()
        return f"{row.answers.filter(stayed=True).count()} / {asked}"

    @action(description=_("Почему уходят"), url_path="report", permissions=["view"])
    def report(self, request: HttpRequest) -> HttpResponse:
        form = PeriodForm(request.GET or None)
        since, until = form.days()
        shown = {
            **self.admin_site.each_context(request),
            "title": _("Почему уходят и что удерживает"),
            "opts": self.opts,
            "form": form,
            "report": retention.report(since, until),
            "since": since,
            "last": until - timedelta(days=1),
        }
        return TemplateResponse(request, "billing/leaving.html", shown)


@console.register(LeavingAnswer, sites=(console.partner_site,))
class LeavingAnswerAdmin(console.ReadOnlyAdmin):
    """Each answer of somebody who was about to leave."""

    list_display = ("at", "subscription", "reason", "offer", "stayed")
    list_filter = ("stayed", "reason", "at")
    list_select_related = ("subscription", "offer")
