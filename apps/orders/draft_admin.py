"""Console: «Новый заказ» for a customer on the phone: put together, seen with its total, placed and paid by a link."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from apps.accounts import customers
from apps.accounts.models import Customer
from apps.catalog import halts, parameters, regions
from apps.catalog.halts import Halt
from apps.catalog.models import Offer, Product
from apps.core import clock, console
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders import drafting, letters, scheduling
from apps.orders.models import Order, OrderState
from apps.orders.placing import Wanted
from apps.orders.rules import Declared

ROWS = 5
"""Products that one draft of the console holds."""


def _label(offer: Offer, halt: Halt | None) -> str:
    """What the partner sells, with its price, and why not just now or when it comes."""
    named = f"{offer.tariff.product}, {offer.tariff.name} · {offer.money}"
    return f"{named} · {_told(halt)}" if halt else named


def _told(halt: Halt) -> str:
    """What buyers are told, with what it means: a text of staff's own may not say it."""
    if not halt.message:
        return halt.words
    if halt.is_closed:
        return gettext("Временно не продаётся: «{words}»").format(words=halt.words)
    promised = replace(halt, message="").words
    return f"{promised}: «{halt.words}»"


class Quantity(forms.IntegerField):
    """Beside its product, not under it."""

    is_beside = True


class DraftForm(forms.Form):
    """Who, what, how many; and what the chosen products ask, once they are chosen."""

    contact = forms.CharField(
        label=_("Клиент: почта или телефон"),
        max_length=200,
        help_text=_("Нового клиента заведём по этому контакту"),
        widget=UnfoldAdminTextInputWidget,
    )
    name = forms.CharField(label=_("Имя"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget)

    def __init__(
        self, data: Any = None, *, draft: Order | None = None, customer: Customer | None = None
    ) -> None:
        super().__init__(data, initial=_initial(draft, customer))
        # What the page has asked already: only then is an empty field an answer, and wrong.
        self.fields["asked"] = forms.CharField(required=False, widget=forms.HiddenInput)
        self.questions: list[str] = []
        self.customer = draft.customer if draft else customer
        self.chosen: list[Product] = []
        self.halted: dict[str, str] = {}
        self.scheduled_at = draft.scheduled_at if draft else None
        if self.customer is not None:
            del self.fields["contact"], self.fields["name"]
        offers = Offer.objects.listed(current_partner().pk)
        # Read once for all rows.
        self.offers = {one.pk: one for one in offers}
        self.halts = halts.explain(self.offers.values())
        labels = [(one.pk, _label(one, self.halts.get(one.pk))) for one in self.offers.values()]
        for number in range(1, ROWS + 1):
            label = _("Продукт") if number == 1 else _("Ещё продукт")
            self.fields[f"offer_{number}"] = field = forms.ModelChoiceField(
                offers, label=label, required=number == 1, widget=UnfoldAdminSelectWidget
            )
            field.choices = [("", "---------"), *labels]
            self.fields[f"quantity_{number}"] = Quantity(
                label=_("Количество"),
                required=False,
                min_value=1,
                max_value=99,
                initial=1,
                widget=UnfoldAdminIntegerFieldWidget,
            )
            for one in self._asked(number):
                self._ask(
                    f"answer_{number}_{one.code}",
                    forms.CharField(
                        label=str(one.name),
                        required=one.is_required,
                        help_text=str(one.help) or one.get_kind_display(),
                        widget=UnfoldAdminTextInputWidget,
                    ),
                )
        self._ask_who()
        self.fields["scheduled_date"] = forms.DateField(
            label=_("Исполнить не раньше"),
            required=False,
            help_text=_("Пусто: сразу. Ссылка на оплату уйдёт клиенту утром этого дня"),
            widget=UnfoldAdminSingleDateWidget,
        )
        self.fields["promo_code"] = forms.CharField(
            label=_("Промокод"), required=False, max_length=60, widget=UnfoldAdminTextInputWidget
        )
        if self.is_bound:
            seen = self.data.get("asked", "").split()
            self.new = [one for one in self.questions if one not in seen and one not in self.data]
            # Of each field the last value, as `get` of what was sent.
            self.data = {name: self.data[name] for name in self.data} | {"asked": " ".join(self.questions)}
        else:
            self.new = []
            self.initial["asked"] = " ".join(self.questions)

    def clean(self) -> dict[str, Any]:
        """What is asked for the first time stands empty, and is no mistake yet."""
        for name in self.new:
            self.errors.pop(name, None)
        return super().clean() or self.cleaned_data

    def is_valid(self) -> bool:
        return super().is_valid() and not self.new

    def _ask(self, name: str, field: forms.Field) -> None:
        self.fields[name] = field
        self.questions.append(name)

    def _asked(self, number: int) -> list[Any]:
        """The questions of what is chosen in a row."""
        name = f"offer_{number}"
        chosen = str((self.data.get(name) if self.is_bound else self.initial.get(name)) or "")
        offer = self.offers.get(int(chosen)) if chosen.isdecimal() and len(chosen) < 18 else None
        if offer is None:
            return []
        self.chosen.append(offer.tariff.product)
        if offer.pk in self.halts:
            self.halted[str(offer.tariff.product)] = _told(self.halts[offer.pk])
        return list(offer.questions())

    def _ask_who(self) -> None:
        """What the chosen products want to know of the customer: age and region, as a storefront asks them."""
        self.age = max((one.min_age or 0 for one in self.chosen), default=0)
        if self.age:
            self._ask(
                "adult",
                forms.BooleanField(
                    label=_("Клиенту есть %d лет") % self.age,
                    error_messages={"required": _("Продаётся только с %d лет") % self.age},
                    widget=UnfoldBooleanSwitchWidget,
                ),
            )
        if codes := sorted({code for one in self.chosen for code in one.regions}):
            allowed = [(code, regions.NAMES.get(code, code)) for code in codes]
            self._ask(
                "region",
                forms.ChoiceField(
                    label=_("Регион клиента"),
                    choices=[("", "—"), *allowed, ("other", _("другой"))],
                    widget=UnfoldAdminSelectWidget,
                ),
            )

    def declared(self) -> Declared:
        """What the customer says of themselves; call it when the form is valid."""
        age = self.age if self.cleaned_data.get("adult") else None
        return Declared(age=age, region=self.cleaned_data.get("region", ""))

    def items(self) -> list[Wanted]:
        """What was chosen; call it when the form is valid."""
        given, found = self.cleaned_data, []
        for number in range(1, ROWS + 1):
            offer = given.get(f"offer_{number}")
            if offer is None:
                continue
            prefix = f"answer_{number}_"
            told = {
                name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)
            }
            answers = {code: value for code, value in told.items() if value}
            found.append(Wanted(offer.pk, given.get(f"quantity_{number}") or 1, answers=answers))
        return found

    def begins(self) -> datetime | None:
        """When the order is to be sold, None for at once; call it when the form is valid."""
        day = self.cleaned_data["scheduled_date"]
        if day is None:
            return None
        if self.scheduled_at is not None and clock.local(self.scheduled_at).date() == day:
            # The hour that a partner's system has asked for.
            return self.scheduled_at
        return scheduling.morning(day)

    def notes(self) -> list[str]:
        """What is to be known of what was chosen."""
        found = [f"{product}: {told}" for product, told in self.halted.items()]
        if self.new:
            found.insert(0, gettext("Выбранное кое-что спрашивает: заполните и сохраните ещё раз."))
        return found

    def who(self) -> Customer:
        """The customer, registered where nobody has the contact yet. Raises Refused as `customers.register`."""
        if self.customer is not None:
            return self.customer
        contact = self.cleaned_data["contact"].strip()
        key = "email" if "@" in contact else "phone"
        return customers.register(**{key: contact}, name=self.cleaned_data["name"], verified=True)


def _initial(draft: Order | None, customer: Customer | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if draft is None:
        return found
    found["promo_code"] = draft.asked.get("promo_code", "")
    if draft.scheduled_at is not None:
        found["scheduled_date"] = clock.local(draft.scheduled_at).date()
    for one in draft.items.all():
        found[f"offer_{one.position}"] = one.offer_id
        found[f"quantity_{one.position}"] = one.quantity
        for code, value in one.answers.items():
            found[f"answer_{one.position}_{code}"] = parameters.in_words(value)
        told = one.terms.get("declared", {})
        found |= {"adult": bool(told.get("age")), "region": told.get("region", "")} if told else {}
    return found


class Drafts:
    """Buttons of an order that is a draft, and the page on which one is made."""

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """Who sells to customers by hand; an order of a customer is begun on the list of orders, not inline."""
        return obj is None and bool(request.rights.may("manager", "support"))

    def has_draft_permission(self, request: Any, object_id: Any = None) -> bool:
        """Only a draft has these buttons."""
        if not request.rights.may("manager", "support"):
            return False
        return object_id is None or Order.objects.filter(pk=object_id, state=OrderState.DRAFT).exists()

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._draft(request, None, _("Новый заказ"))

    @action(description=_("Изменить черновик"), url_path="edit-draft", permissions=["draft"])
    def edit_draft(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return self._draft(request, get_object_or_404(Order, pk=object_id), _("Изменить черновик"))

    @action(description=_("Оформить"), url_path="place-draft", permissions=["draft"])
    def place_draft(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Shows to the kopeck what it comes to, and who is sent the link."""
        order = get_object_or_404(Order.objects.select_related("customer"), pk=object_id)
        page = redirect(reverse("admin:orders_order_change", args=[order.pk]))
        try:
            if request.method == "POST":
                placed = drafting.place(order, actor=_who(request))
                sent = placed.invoice is not None and letters.is_to_be_paid(placed.invoice)
                if placed.scheduled_at is not None:
                    done: Any = _("Заказ принят: исполним {at}").format(at=_day_of(placed))
                elif sent:
                    done = _("Заказ оформлен, ссылка на оплату отправлена")
                else:
                    done = _("Заказ оформлен")
                messages.success(request, done)
                return page
            total = drafting.total(order)
        except Refused as refusal:
            messages.error(request, str(refusal.message))
            return page
        notes = _lines(order)
        to = order.customer.email or order.customer.phone
        if order.scheduled_at is None:
            notes.extend(_late(order))
            notes.append(str(_("К оплате сейчас: {total}").format(total=total)))
            link = _("Ссылка на оплату уйдёт: {to}")
        else:
            notes.append(str(_("Исполним: {at}").format(at=_day_of(order))))
            notes.append(str(_("К оплате в этот день: {total}").format(total=total)))
            link = _("Ссылка на оплату уйдёт в этот день: {to}")
        if total.amount and to:
            notes.append(str(link.format(to=to)))
        title = _("Оформить заказ")
        return console.form_page(self, request, forms.Form(), title, notes=notes, press=_("Оформить"))

    @action(description=_("Удалить черновик"), url_path="drop-draft", permissions=["draft"])
    def drop_draft(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        order = get_object_or_404(Order, pk=object_id)
        if request.method == "POST":
            try:
                drafting.drop(order, actor=_who(request))
            except Refused as refusal:
                messages.error(request, str(refusal.message))
            else:
                messages.success(request, _("Черновик удалён"))
            return redirect(reverse("admin:orders_order_changelist"))
        notes = _lines(order)
        notes.append(str(_("В списке заказов его не будет, след останется в журнале.")))
        title = _("Удалить черновик")
        return console.form_page(self, request, forms.Form(), title, notes=notes, press=_("Удалить"))

    def _draft(self, request: Any, draft: Order | None, title: Any) -> HttpResponse:
        known = None
        wanted = request.GET.get("customer", "")
        if draft is None and wanted:
            known = get_object_or_404(Customer, pk=_uuid(wanted), erased_at=None)
        form = DraftForm(request.POST or None, draft=draft, customer=known)
        if request.method == "POST" and form.is_valid():
            asked = {"promo_code": form.cleaned_data["promo_code"].strip(), "declared": form.declared()}
            items, who, at = form.items(), _who(request), form.begins()
            try:
                if draft is None:
                    how = replace(drafting.BY_LINK, **asked)
                    # What is refused registers nobody.
                    with transaction.atomic():
                        made = drafting.save(
                            customer=form.who(), items=items, how=how, scheduled_at=at, actor=who
                        )
                else:
                    asked["scheduled_at"] = at
                    made = drafting.change(draft, items=items, asked=asked, actor=who)
            except Refused as refusal:
                form.add_error(None, str(refusal.message))
            else:
                messages.success(request, _("Черновик сохранён: проверьте сумму и оформите"))
                return redirect(reverse("admin:orders_order_change", args=[made.pk]))
        about = str(form.customer) if form.customer is not None else ""
        press = _("Сохранить черновик")
        return console.form_page(self, request, form, title, about=about, notes=form.notes(), press=press)


@action(description=_("Новый заказ"), url_path="new-order", permissions=["view"])
def order_for_customer(self: Any, request: Any, object_id: UUID) -> HttpResponse:
    """Begins an order for this customer."""
    if not request.rights.may("manager", "support"):
        raise PermissionDenied
    person = get_object_or_404(Customer, pk=object_id)
    return redirect(f"{reverse('admin:orders_order_add')}?customer={person.pk}")


def _lines(order: Order) -> list[str]:
    return [f"{one.position}. {one.name} × {one.quantity}: {one.money}" for one in order.items.all()]


def _late(order: Order) -> list[str]:
    """What of it is delivered late just now, and by when."""
    chosen = Offer.objects.listed(current_partner().pk).filter(pk__in=order.items.values("offer"))
    offers = {one.pk: one for one in chosen}
    return [
        f"{offers[key].tariff.product}: {_told(halt)}" for key, halt in halts.explain(offers.values()).items()
    ]


def _day_of(order: Order) -> str:
    return f"{clock.local(order.scheduled_at):%d.%m.%Y %H:%M}" if order.scheduled_at else ""


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _who(request: Any) -> str:
    return str(request.user.get_username())
