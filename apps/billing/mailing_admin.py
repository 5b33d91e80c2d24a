"""Console: a document goes to the customer's mailbox; where it went stands on its page."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminEmailInputWidget

from apps.billing import mailing
from apps.core import clock, console
from apps.core.errors import Refused
from apps.core.ids import uuid7


class WhereForm(forms.Form):
    """Where to; the hidden key makes a second press the same letter."""

    to = forms.EmailField(label=_("Куда отправить"), widget=UnfoldAdminEmailInputWidget)
    key = forms.CharField(max_length=60, widget=forms.HiddenInput)


class MailingPages:
    """Mixed into the ModelAdmins of invoices, credit notes, acts and receipts."""

    @display(description=_("письма"))
    def letters(self, row: Any) -> str:
        """Every letter it went out with, each leading to the log of messages."""
        found = [
            (
                reverse("admin:notifications_message_change", args=[one.pk]),
                f"{clock.local(one.created_at):%d.%m.%Y %H:%M}",
                one.to,
                one.get_state_display(),
            )
            for one in mailing.letters_of(row)
        ]
        return format_html_join(mark_safe("<br>"), '<a href="{}">{}</a> {} — {}', found) or "—"

    def has_mail_permission(self, request: Any, object_id: Any = None) -> bool:
        """Who writes to customers."""
        return bool(request.rights.may("manager", "support", "finance"))

    @action(description=_("Отправить на почту"), url_path="send", permissions=["mail"], icon="mail")
    def send(self: Any, request: HttpRequest, object_id: UUID) -> HttpResponse:
        row = get_object_or_404(self.model, pk=object_id)
        known = mailing.address_of(row.customer_id) or row.customer.email
        form = WhereForm(request.POST or None, initial={"to": known, "key": str(uuid7())})
        if request.method == "POST" and form.is_valid():
            try:
                sent = mailing.send_again(row, actor=request.user.get_username(), **form.cleaned_data)
            except Refused as refused:
                form.add_error("to", str(refused.message))
            else:
                messages.success(request, _("Документ уходит на %s") % sent.to)
                return redirect(reverse(f"admin:billing_{self.opts.model_name}_change", args=[row.pk]))
        return console.form_page(self, request, form, _("Отправить документ на почту"))
