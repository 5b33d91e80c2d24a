"""Console: in which steps a product is given out, and what is promised to the customer."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.catalog import plans
from apps.catalog.admin.pages import actor_of
from apps.catalog.models import PlanStep, Product, StepKind, Undo
from apps.core.errors import Refused
from apps.core.fields import Translated
from apps.partners.models import StaffRole

BLANK = 2
"""Empty steps at the end of the form: whoever needs more saves, and has two again."""


def _minutes(label: Any, help_text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        required=False,
        min_value=1,
        max_value=plans.MOST_MINUTES,
        help_text=help_text,
        widget=UnfoldAdminIntegerFieldWidget,
    )


class PromiseForm(forms.Form):
    """What the customer is told."""

    promised_minutes = _minutes(
        _("Выдаём за, минут"),
        _("Обещание клиенту. Прежде чем срок выйдет, дежурные узнают. Пусто: ничего не обещаем"),
    )


class StepForm(forms.Form):
    """One step; without a kind it is left out."""

    kind = forms.ChoiceField(
        label=_("Что делается"),
        required=False,
        choices=[("", _("— шага нет —")), *StepKind.choices],
        widget=UnfoldAdminSelectWidget,
    )
    name_ru = forms.CharField(
        label=_("Название"), required=False, max_length=120, widget=UnfoldAdminTextInputWidget
    )
    name_en = forms.CharField(
        label=_("Название по-английски"), required=False, max_length=120, widget=UnfoldAdminTextInputWidget
    )
    provider = forms.ChoiceField(
        label=_("У какого поставщика"),
        required=False,
        help_text=_("Для регистрации у другого поставщика"),
        widget=UnfoldAdminSelectWidget,
    )
    minutes = _minutes(_("Срок, минут"), _("Прежде чем он выйдет, дежурные узнают"))
    duty = forms.ChoiceField(
        label=_("Кто дежурит"),
        required=False,
        choices=[("", _("Менеджеры и поддержка")), *StaffRole.Role.choices],
        widget=UnfoldAdminSelectWidget,
    )
    undo = forms.ChoiceField(
        label=_("Чем отменяется"),
        required=False,
        choices=Undo.choices,
        help_text=_("Если заказ исполнить не удалось"),
        widget=UnfoldAdminSelectWidget,
    )
    text_ru = forms.CharField(
        label=_("Текст"),
        required=False,
        max_length=2000,
        help_text=_("Что сделать, а в письме — что прочтёт клиент"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    text_en = forms.CharField(
        label=_("Текст по-английски"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = PlanStep._meta.get_field("provider")
        known = field.related_model.objects.order_by("name").values_list("pk", "name")
        self.fields["provider"].choices = [("", "—"), *known]  # type: ignore[attr-defined]

    def step(self) -> plans.Step | None:
        """What was written, when the form is valid; None where it is left out."""
        given = self.cleaned_data
        if not given.get("kind"):
            return None
        texts = {
            what: Translated(
                {lang: given[f"{what}_{lang}"] for lang in ("ru", "en") if given[f"{what}_{lang}"]}
            )
            for what in ("name", "text")
        }
        return plans.Step(
            kind=given["kind"],
            minutes=given["minutes"],
            duty=given["duty"],
            provider_id=int(given["provider"]) if given["provider"] else None,
            undo=given["undo"] or Undo.NOTHING,
            **texts,
        )


def _known(step: PlanStep) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "name_ru": step.name.get("ru", ""),
        "name_en": step.name.get("en", ""),
        "provider": step.provider_id or "",
        "minutes": step.minutes,
        "duty": step.duty,
        "undo": step.undo,
        "text_ru": step.text.get("ru", ""),
        "text_en": step.text.get("en", ""),
    }


def _forms(product: Product, data: Any) -> list[StepForm]:
    if data is not None:
        count = min(int(data["steps"]), plans.MOST_STEPS + BLANK) if data.get("steps", "").isdecimal() else 0
        return [StepForm(data, prefix=f"step-{number}") for number in range(count)]
    saved = list(product.plan.steps.order_by("position")) if product.plan else []
    known = [_known(one) for one in saved]
    return [
        StepForm(initial=known[number] if number < len(known) else None, prefix=f"step-{number}")
        for number in range(len(known) + BLANK)
    ]


@action(description=_("План исполнения"), url_path="plan", permissions=["change"])
def edit_plan(self: Any, request: HttpRequest, object_id: int) -> HttpResponse:
    """Steps from the first to the last; saved, they are the plan of orders to come."""
    product = get_object_or_404(Product.objects.select_related("plan"), pk=object_id)
    data = request.POST if request.method == "POST" else None
    promise = PromiseForm(data, initial={"promised_minutes": product.promised_minutes})
    rows = _forms(product, data)
    # All of them, so that each says what is wrong with it.
    if data is not None and all([promise.is_valid(), *(one.is_valid() for one in rows)]):
        steps = [step for one in rows if (step := one.step())]
        try:
            plans.save(product, steps, actor=actor_of(request), **promise.cleaned_data)
        except Refused as refusal:
            promise.add_error(None, str(refusal.message))
        else:
            messages.success(request, _("Новые заказы пойдут по этому плану, прежние — как начаты"))
            return redirect(
                "admin:catalog_product_plan" if "more" in request.POST else "admin:catalog_product_change",
                object_id,
            )
    context = {
        **self.admin_site.each_context(request),
        "title": _("План исполнения: %s") % product,
        "opts": self.opts,
        "product": product,
        "promise": promise,
        "rows": rows,
    }
    return TemplateResponse(request, "catalog/plan.html", context)
