"""The cabinet's page on which a customer changes phone or e-mail, by two codes."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.accounts import contact_change, contacts
from apps.accounts import sign_in as accounts
from apps.core.errors import Refused
from apps.storefronts.forms import CodesForm, NewContactForm
from apps.storefronts.pages import show
from apps.storefronts.views.cabinet import TEN_MINUTES, own

CONTACT = "armor_new_contact"


@require_http_methods(["GET", "HEAD", "POST"])
@own
def change(request: Any) -> HttpResponse:
    """What to change to, and where the proof of the old one goes."""
    customer = request.customer
    known = [
        (one, contacts.masked(getattr(customer, one))) for one in ("phone", "email") if getattr(customer, one)
    ]
    form = NewContactForm(known, request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            sent_to = contact_change.begin(customer, given["contact"], proof=given.get("proof") or "")
        except Refused as refused:
            form.refuse(refused)
            return show(request, "contacts.html", {"form": form, "known": known}, status=refused.status)
        response = redirect("storefronts:contact_codes")
        kept = f"{given['contact'].strip()}|{sent_to}"
        response.set_signed_cookie(
            CONTACT, kept, max_age=TEN_MINUTES, httponly=True, samesite="Lax", salt=_salt(request)
        )
        return response
    status = 400 if form.errors else 200
    return show(request, "contacts.html", {"form": form, "known": known}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@own
def codes(request: Any) -> HttpResponse:
    """Both codes; then the customer is signed in anew, and only here."""
    kept = request.get_signed_cookie(CONTACT, "", max_age=TEN_MINUTES, salt=_salt(request))
    contact, _bar, sent_to = kept.partition("|")
    if not contact:
        return redirect("storefronts:contacts")
    form, status = CodesForm(request.POST or None), 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                customer = contact_change.finish(request.customer, contact, **form.cleaned_data)
            except Refused as refused:
                form.refuse(refused)
                status = refused.status
            else:
                response = redirect("storefronts:cabinet")
                accounts.start(response, customer)
                response.delete_cookie(CONTACT, samesite="Lax")
                messages.success(request, _("Готово: контакт изменён"))
                return response
    told = {"form": form, "is_codes": True, "contact": contact, "sent_to": sent_to}
    return show(request, "contacts.html", told, status=status)


def _salt(request: Any) -> str:
    return f"contacts:{request.customer.pk}"
