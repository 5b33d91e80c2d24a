"""Console: what stands on a customer's balance goes back in money, from the page of the customer's account."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from apps.billing import outside_refunds, payouts
from apps.billing.accounts_of import CustomerAccount
from apps.billing.outside_refund_models import OutsideWay
from apps.billing.paperwork import OutsidePayment
from apps.core import console
from apps.core.errors import Refused
from apps.core.forms import MoneyField
from apps.core.ids import uuid7
from apps.core.money import Money


class PayoutForm(forms.Form):
    """How much, and why. The key makes a second press the same payout."""

    amount = MoneyField(label=_("Сумма"))
    reason = forms.CharField(label=_("Причина"), max_length=200, widget=UnfoldAdminTextInputWidget)
    is_by_bank = forms.BooleanField(
        label=_("Переводом по реквизитам, а не через партнёра"),
        help_text=_("Если партнёр отказал или вернуть сам не может."),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, seen: payouts.Look, **options: Any) -> None:
        super().__init__(*args, **options)
        if not any(_is_by_partner(way) for way in seen.ways):
            del self.fields["is_by_bank"]


def _is_by_partner(way: payouts.Way) -> bool:
    payment = way.payment
    return isinstance(payment, OutsidePayment) and OutsideWay.PARTNER in outside_refunds.ways_of(payment)


class PayoutPages:
    """«Вернуть с баланса», mixed into the ModelAdmin of accounts."""

    def has_money_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who may move money: finance, and administrators."""
        return bool(request.rights.may("finance"))

    @action(description=_("Вернуть с баланса"), url_path="pay-out", permissions=["money"])
    def pay_out(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        if not self.has_money_permission(request):
            raise PermissionDenied
        customer = get_object_or_404(CustomerAccount, pk=object_id)
        seen = payouts.look(customer.pk)
        initial = {"amount": seen.possible.amount, "key": uuid7()}
        form = PayoutForm(request.POST or None, initial=initial, seen=seen)
        if request.method == "POST" and form.is_valid() and _paid_out(request, customer, seen, form):
            return redirect(reverse("admin:billing_customeraccount_change", args=[customer.pk]))
        title = _("Вернуть с баланса: %s") % customer
        page: Any = self
        return console.form_page(page, request, form, title, notes=notes_of(seen))


def notes_of(seen: payouts.Look) -> list[str]:
    """What stands on the balance, by which payments it goes back, and what cannot."""
    notes = [str(_("На балансе %s.")) % seen.on_balance]
    for way in seen.ways:
        notes.append(_told(way))
    if not seen.ways:
        notes.append(str(_("Вернуть тем же путём нечего.")))
    if seen.rest.amount and seen.on_balance.amount:
        rest = _("%s тем же путём не вернуть: они пойдут в следующие счета.")
        notes.append(str(rest) % seen.rest)
    return notes


def _told(way: payouts.Way) -> str:
    if isinstance(way.payment, OutsidePayment):
        told = {
            "sum": way.money,
            "day": f"{way.payment.paid_date:%d.%m.%Y}",
            "payment": way.payment.total,
            "way": outside_refunds.ways_of(way.payment)[0].label,
        }
        return str(_("%(sum)s вернутся по поступлению от %(day)s на %(payment)s: %(way)s.")) % told
    told = {"sum": way.money, "day": f"{way.payment.created_at:%d.%m.%Y}", "payment": way.payment.money}
    return str(_("%(sum)s вернутся по платежу от %(day)s на %(payment)s.")) % told


def _paid_out(request: Any, customer: CustomerAccount, seen: payouts.Look, form: PayoutForm) -> bool:
    given = form.cleaned_data
    try:
        payouts.pay_out(
            customer_id=customer.pk,
            amount=Money(given["amount"], seen.on_balance.currency),
            reason=given["reason"],
            actor=request.user.get_username(),
            key=f"console:{given['key']}",
            is_by_bank=given.get("is_by_bank", False),
        )
    except Refused as refusal:
        form.add_error("amount", str(refusal.message))
        return False
    messages.success(request, _("Деньги сняты с баланса и возвращаются клиенту"))
    return True
