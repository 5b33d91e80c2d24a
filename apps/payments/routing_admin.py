"""Console: which gateway takes a new payment, as a table of rules, and a page that says who would take one and why."""

from typing import Any

from django import forms
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from apps import journal
from apps.catalog.models import Offer, Product, Tariff
from apps.core import console
from apps.core.errors import Refused
from apps.core.forms import MoneyField
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import Partner
from apps.payments import routing
from apps.payments.gateway import Instrument
from apps.policies.routes import PaymentRoute, RouteShare, check_shares

ANY = _("любой")
INSTRUMENTS = [
    ("", _("чем угодно")),
    (Instrument.BANK_CARD, _("банковская карта")),
    (Instrument.SBP, _("СБП")),
]


def _choice(label: Any, empty: Any, choices: Any = (), coerce: Any = int) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label=label,
        coerce=coerce,
        empty_value=None if coerce is int else "",
        required=False,
        choices=[("", empty), *choices],
        widget=UnfoldAdminSelectWidget,
    )


def _fill(form: forms.BaseForm) -> None:
    """The catalogue by its names: a rule keeps numbers only."""
    products = Product.objects.order_by("code")
    form.fields["product_id"].choices = [("", ANY), *((one.pk, str(one)) for one in products)]  # type: ignore[attr-defined]
    tariffs = Tariff.objects.select_related("product").order_by("code")
    form.fields["tariff_id"].choices = [  # type: ignore[attr-defined]
        ("", ANY),
        *((one.pk, f"{one.code} · {one}") for one in tariffs),
    ]


class RouteForm(forms.ModelForm):
    product_id = _choice(_("Продукт"), ANY)
    tariff_id = _choice(_("Тариф"), ANY)
    instrument = _choice(_("Чем платят"), INSTRUMENTS[0][1], INSTRUMENTS[1:], str)

    class Meta:
        model = PaymentRoute
        fields = (
            "name",
            "position",
            "is_active",
            "partner",
            "product_id",
            "tariff_id",
            "offer_id",
            "instrument",
            "currency",
            "amount_from",
            "amount_to",
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _fill(self)

    def clean(self) -> dict[str, Any]:
        """An offer there is, of the partner where one is named."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("offer_id"):
            offer = Offer.objects.filter(pk=given["offer_id"]).first()
            if offer is None:
                self.add_error("offer_id", _("Такого предложения нет"))
            elif given.get("partner") and offer.partner_id != given["partner"].pk:
                self.add_error("offer_id", _("Это предложение другого партнёра"))
        return given


class Shares(BaseInlineFormSet):
    """The connections of a rule make sense together, or are sent back."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        rows = [form.cleaned_data for form in self.forms if form.cleaned_data]
        check_shares([(row["connection"], row["percent"]) for row in rows if not row.get("DELETE")])


class ShareInline(console.ConsoleInline):
    model, formset, extra = RouteShare, Shares, 1
    change_roles = ("finance",)
    fields = ("connection", "percent", "position")

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


class TryForm(forms.Form):
    """A payment that somebody might make."""

    partner = forms.ModelChoiceField(
        Partner.objects.all(), label=_("Партнёр"), widget=UnfoldAdminSelectWidget
    )
    product_id = _choice(_("Продукт"), ANY)
    tariff_id = _choice(_("Тариф"), ANY)
    offer_id = forms.IntegerField(
        label=_("Номер предложения"), required=False, min_value=1, widget=UnfoldAdminIntegerFieldWidget
    )
    instrument = _choice(_("Чем платят"), INSTRUMENTS[0][1], INSTRUMENTS[1:], str)
    amount = MoneyField(label=_("Сумма, ₽"))

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _fill(self)


@console.register(PaymentRoute, sites=(console.operator_site,))
class PaymentRouteAdmin(console.ConsoleAdmin):
    """Rules in the order in which they are read."""

    change_roles = ("finance",)
    view_roles = ("manager", "finance")
    form = RouteForm
    inlines = (ShareInline,)
    list_display = ("position", "name", "conditions", "goes_to", "is_active")
    list_display_links = ("name",)
    list_filter = ("is_active", "partner")
    list_select_related = ("partner",)
    actions_list = ("try_it",)
    empty_hint = _(
        "Пока правил нет: платёж берёт своё подключение партнёра, а если его нет — подключение платформы."
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("shares__connection")

    @display(description=_("какие платежи"))
    def conditions(self, route: PaymentRoute) -> str:
        product = route.product_id and Product.objects.filter(pk=route.product_id).first()
        tariff = route.tariff_id and Tariff.objects.filter(pk=route.tariff_id).first()
        told = [
            route.partner,
            product,
            tariff,
            self._offer(route),
            dict(INSTRUMENTS).get(route.instrument, route.instrument) if route.instrument else "",
            route.currency,
            _("от %s") % Money(route.amount_from) if route.amount_from is not None else "",
            _("до %s") % Money(route.amount_to) if route.amount_to is not None else "",
        ]
        return " · ".join(str(one) for one in told if one) or str(_("все"))

    def _offer(self, route: PaymentRoute) -> str:
        found = Offer.objects.select_related("tariff__product").filter(pk=route.offer_id or 0).first()
        if found is None:
            return ""
        return " ".join(filter(None, (f"№ {found.pk}", str(found), found.channel_code)))

    @display(description=_("куда"))
    def goes_to(self, route: PaymentRoute) -> str:
        return " · ".join(
            f"{one.connection} {one.percent} %" if one.percent else f"{one.connection} ({_('запасное')})"
            for one in route.shares.all()
        )

    @action(description=_("Проверить"), url_path="try", permissions=["view"])
    def try_it(self, request: HttpRequest) -> HttpResponse:
        """Who would take a payment, and why. Nothing is made."""
        form = TryForm(request.POST or None)
        notes = _explain(form.cleaned_data) if request.method == "POST" and form.is_valid() else []
        about = _("Скажет, какой шлюз возьмёт такой платёж и почему. Платёж не создаётся.")
        return console.form_page(
            self, request, form, _("Куда уйдёт платёж"), notes=notes, about=about, press=_("Проверить")
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        route = form.instance
        shares = {str(one.connection_id): one.percent for one in route.shares.all()}
        journal.record(
            f"paymentroute.{'changed' if change else 'created'}",
            "policies.PaymentRoute",
            route.pk,
            actor=request.user.get_username(),
            data={"changed": form.changed_data, "shares": shares},
        )


def _explain(given: dict[str, Any]) -> list[str]:
    asked = routing.Asked(
        partner=given["partner"],
        money=Money(given["amount"]),
        product_id=given["product_id"],
        tariff_id=given["tariff_id"],
        offer_id=given["offer_id"],
        instrument=given["instrument"],
    )
    try:
        with in_public():
            choice = routing.choose(asked, uuid7())
    except Refused as error:
        return [str(error)]
    told = [
        str(_("«%(rule)s» не решает: %(why)s") % {"rule": rule, "why": why}) for rule, why in choice.passed
    ]
    if choice.route is None:
        return [*told, str(_("Правила нет: обычное подключение «%s»") % choice.connection)]
    told.append(str(_("Решает правило «%s»") % choice.route))
    whole = sum(one.percent for one in choice.candidates if not one.why_not)
    for one in choice.candidates:
        part = one.percent * 100 // whole if whole and not one.why_not else 0
        why = one.why_not or one.away or _("%s %% платежей") % part
        told.append(f"{one.connection}: {why}")
    return told
