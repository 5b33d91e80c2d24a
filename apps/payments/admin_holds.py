"""Console: «Списать» and «Отпустить» on the page of a payment whose money is held."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from apps.core import console
from apps.core.errors import Refused
from apps.core.forms import MoneyField
from apps.core.money import Money
from apps.payments import payments
from apps.payments.models import Payment


class CaptureForm(forms.Form):
    """How much of what is held is taken; the rest is let go."""

    amount = MoneyField(label=_("Сумма"))


class HoldActions:
    """Actions of an admin of payments; both are for those who may move money."""

    def has_held_permission(self, request: Any, object_id: Any = None) -> bool:
        """Money people, and only where something is held and nothing decided yet."""
        if not self.has_money_permission(request):  # type: ignore[attr-defined]
            return False
        held = Payment.objects.filter(pk=object_id, state="authorized", second_stage="")
        return object_id is None or held.exists()

    @action(description=_("Списать"), url_path="capture", permissions=["held"])
    def capture(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        payment = self._of(request, object_id)
        form = CaptureForm(request.POST or None, initial={"amount": payment.amount})
        if request.method == "POST" and form.is_valid():
            amount = Money(form.cleaned_data["amount"], payment.currency)
            try:
                payments.capture(payment.pk, amount, actor=request.user.get_username())
                return self._told(request, payment)
            except Refused as refusal:
                form.add_error("amount", str(refusal.message))
        title, note = _("Списать удержанное"), _("Удержано %s. Остаток вернётся клиенту сам.") % payment.money
        return console.form_page(self, request, form, title, notes=[note], press=_("Списать"))

    @action(description=_("Отпустить"), url_path="release", permissions=["held"])
    def release(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        payment = self._of(request, object_id)
        if request.method == "POST":
            try:
                payments.release(payment.pk, actor=request.user.get_username())
            except Refused as refusal:
                messages.error(request, str(refusal.message))
                return redirect("admin:payments_payment_change", payment.pk)
            return self._told(request, payment)
        note = _("Клиенту станут доступны все %s. Списать их потом будет нельзя.") % payment.money
        title = _("Отпустить удержанное")
        return console.form_page(self, request, forms.Form(), title, notes=[note], press=_("Отпустить"))

    def _of(self, request: HttpRequest, object_id: UUID) -> Payment:
        if not self.has_money_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        return get_object_or_404(Payment, pk=object_id)

    def _told(self, request: HttpRequest, payment: Payment) -> HttpResponse:
        """At once what the gateway says; where it says nothing yet, it is asked until it does."""
        payment = payments.settle(payment.pk)
        messages.info(request, _("Состояние платежа: %s") % payment.get_state_display())
        return redirect("admin:payments_payment_change", payment.pk)
