"""Console: what staff do with a subscription in mid-period, each with what it costs shown first; its history."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import Customer
from apps.billing import changes, glance, history, pauses, seats, subscriptions, transfers
from apps.billing.models import Subscription
from apps.catalog.models import Offer
from apps.core import console
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner


class ChangeForm(forms.Form):
    """Another tariff of the same product, another quantity."""

    offer = forms.TypedChoiceField(
        label=_("Тариф"), coerce=int, empty_value=None, required=False, widget=UnfoldAdminSelectWidget
    )
    quantity = forms.IntegerField(
        label=_("Количество"), min_value=1, max_value=changes.LIMIT, widget=UnfoldAdminIntegerFieldWidget
    )
    when = forms.ChoiceField(
        label=_("Когда"),
        choices=[(changes.NOW, _("Сейчас")), (changes.PERIOD_END, _("Когда кончится оплаченное"))],
        widget=UnfoldAdminSelectWidget,
    )
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, row: Subscription, data: Any = None) -> None:
        super().__init__(data, initial={"quantity": row.quantity, "offer": row.offer_id})
        found = Offer.objects.on_sale(current_partner().pk, row.channel_code)
        same = found.filter(tariff__product=row.product_id)
        self.offers = {offer.pk: offer for offer in same}
        choices: list[tuple[Any, str]] = [(row.offer_id, f"{row.name} ({_('как сейчас')})")]
        choices += [(key, f"{one}, {one.money}") for key, one in self.offers.items() if key != row.offer_id]
        self.fields["offer"].choices = choices  # type: ignore[attr-defined]

    def wanted(self) -> dict[str, Any]:
        """The arguments of a change."""
        given = self.cleaned_data
        return {
            "offer": self.offers.get(given["offer"]),
            "quantity": given["quantity"],
            "when": given["when"],
        }


class DayForm(forms.Form):
    """A day, or none."""

    day = forms.DateField(required=False, widget=UnfoldAdminSingleDateWidget)

    def __init__(self, label: Any, *args: Any) -> None:
        super().__init__(*args)
        self.fields["day"].label = label


class TermForm(DayForm):
    """A last day, or after how many periods."""

    periods = forms.IntegerField(
        label=_("Или через сколько периодов после оплаченного (пауза не считается)"),
        required=False,
        min_value=1,
        max_value=subscriptions.MOST_PERIODS,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def clean(self) -> dict[str, Any]:
        """One of the two, or neither."""
        given = super().clean() or {}
        if given.get("day") and given.get("periods"):
            raise forms.ValidationError(_("Заполните что-то одно: день или число периодов"))
        return given


class TransferForm(forms.Form):
    """To whom: an e-mail, a phone or the partner's own id."""

    customer = forms.CharField(
        label=_("Клиент: e-mail, телефон или номер у партнёра"), widget=UnfoldAdminTextInputWidget
    )


class HolderForm(forms.Form):
    """Who holds a seat."""

    position = forms.IntegerField(
        label=_("Место (без него первое свободное)"),
        min_value=1,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    name = forms.CharField(label=_("Имя"), required=False, widget=UnfoldAdminTextInputWidget)
    email = forms.EmailField(label=_("E-mail"), required=False, widget=UnfoldAdminTextInputWidget)
    phone = forms.CharField(label=_("Телефон"), required=False, widget=UnfoldAdminTextInputWidget)


class SeatForm(forms.Form):
    """Which seat."""

    position = forms.IntegerField(label=_("Место"), min_value=1, widget=UnfoldAdminIntegerFieldWidget)


class LifecyclePages:
    """Pages of one subscription, mixed into its ModelAdmin."""

    @action(description=_("История"), url_path="history-of", permissions=["view"])
    def history(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(Subscription, pk=object_id)
        site: Any = self.admin_site  # type: ignore[attr-defined]
        shown = {
            **site.each_context(request),
            "title": _("История подписки"),
            "opts": self.opts,  # type: ignore[attr-defined]
            "row": row,
            "moments": history.of(row),
            "seats": seats.held(row),
            "glance": glance.of(row),
            "original": row,
        }
        return TemplateResponse(request, "billing/history.html", shown)

    @action(description=_("Сменить тариф"), url_path="change-terms", permissions=["support"])
    def change(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Asks, shows to the kopeck what it costs, and does it when that was seen."""
        row = get_object_or_404(Subscription, pk=object_id)
        form = ChangeForm(row, request.POST or None)
        notes: list[str] = []
        if request.method == "POST" and form.is_valid():
            wanted = form.wanted()
            if request.POST.get("confirmed"):
                done = _("Сделано: если нужна доплата, изменение вступит в силу после неё")
                return self._do(
                    request,
                    row,
                    lambda: changes.change(subscription=row, actor=_who(request), **wanted),
                    done,
                )
            try:
                notes = _in_words(changes.preview(subscription=row, **wanted))
            except Refused as refusal:
                messages.error(request, str(refusal.message))
            else:
                form = ChangeForm(row, {**request.POST.dict(), "confirmed": "1"})
        title = _("Сменить тариф или количество")
        # What it costs is shown first; then the same button does it.
        press = _("Сменить") if notes else _("Посчитать")
        return console.form_page(self, request, form, title, notes=notes, about=about(row), press=press)

    @action(description=_("Отменить смену тарифа"), url_path="undo-change", permissions=["support"])
    def undo_change(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            forms.Form(request.POST or None),
            _("Отменить запланированную смену"),
            lambda row, _given: changes.undo(subscription=row, actor=_who(request)),
        )

    @action(description=_("Пауза"), url_path="pause", permissions=["support"])
    def pause(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            DayForm(_("Первый день после паузы (без него 180 дней)"), request.POST or None),
            _("Поставить на паузу"),
            lambda row, given: pauses.pause(subscription=row, until=given["day"], actor=_who(request)),
        )

    @action(description=_("Последний день"), url_path="end-date", permissions=["support"])
    def end_date(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            TermForm(_("Первый день без услуги (пусто: без срока)"), request.POST or None),
            _("Назначить последний день"),
            lambda row, given: _set_term(row, actor=_who(request), **given),
        )

    @action(description=_("Передать"), url_path="transfer", permissions=["support"])
    def transfer(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            TransferForm(request.POST or None),
            _("Передать другому клиенту"),
            lambda row, given: transfers.transfer(
                subscription=row, to=_found(given["customer"]), actor=_who(request)
            ),
        )

    @action(description=_("Назначить место"), url_path="assign-seat", permissions=["support"])
    def assign_seat(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            HolderForm(request.POST or None),
            _("Назначить место"),
            lambda row, given: seats.assign(subscription=row, actor=_who(request), **given),
        )

    @action(description=_("Освободить место"), url_path="release-seat", permissions=["support"])
    def release_seat(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._ask(
            request,
            object_id,
            SeatForm(request.POST or None),
            _("Освободить место"),
            lambda row, given: seats.release(subscription=row, actor=_who(request), **given),
        )

    def _ask(
        self,
        request: HttpRequest,
        object_id: UUID,
        form: forms.Form,
        title: Any,
        change: Callable[[Subscription, dict[str, Any]], Any],
    ) -> HttpResponse:
        row = get_object_or_404(Subscription, pk=object_id)
        if request.method == "POST" and form.is_valid():
            return self._do(request, row, lambda: change(row, form.cleaned_data), _("Сделано"))
        return console.form_page(self, request, form, title, about=about(row))

    def _do(
        self, request: HttpRequest, row: Subscription, change: Callable[[], Any], done: Any
    ) -> HttpResponse:
        try:
            change()
        except Refused as refusal:
            messages.error(request, str(refusal.message))
        else:
            messages.success(request, done)
        return redirect(reverse("admin:billing_subscription_change", args=[row.pk]))


def about(row: Subscription) -> str:
    """Which subscription a form is about: whose, in which state, at which price."""
    return f"{row.name} · {row.customer} · {row.state_text} · {row.money}"


def _in_words(view: changes.Preview) -> list[str]:
    lines = [
        f"{row.name}: {charge.start:%d.%m.%Y} – {charge.end - timedelta(days=1):%d.%m.%Y}, "
        f"{Money(charge.amount, view.currency)}"
        for charge, row in view.priced
    ]
    return [
        str(_("С {day}")).format(day=f"{view.start_date:%d.%m.%Y}"),
        *lines,
        str(_("Зачтётся за неиспользованное: {sum}")).format(sum=Money(view.credited, view.currency)),
        str(_("К оплате сейчас: {sum}")).format(sum=view.due),
        str(_("Нажмите ещё раз, чтобы сделать это")),
    ]


def _set_term(row: Subscription, *, day: date | None, periods: int | None, actor: str) -> None:
    if periods:
        subscriptions.set_periods(row, count=periods, actor=actor)
    else:
        subscriptions.set_end_date(row, day=day, actor=actor)


def _found(text: str) -> Customer:
    text = text.strip()
    for field in ("email", "phone", "external_id"):
        found = Customer.objects.filter(**{field: text}, erased_at=None).first()
        if found is not None:
            return found
    raise Refused("customer_not_found", _("Такого клиента нет"), status=404)


def _who(request: HttpRequest) -> str:
    return str(request.user.get_username())
