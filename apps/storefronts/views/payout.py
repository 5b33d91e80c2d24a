"""Where a customer says to which account money is to go that goes back by bank: a link that works once."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from apps.core.errors import Refused
from apps.payments import bank_payouts
from apps.storefronts.forms import AccessibleForm
from apps.storefronts.pages import page, show


class DetailsForm(AccessibleForm):
    """The account, as the customer's bank shows it."""

    name = forms.CharField(label=_("Получатель: фамилия, имя и отчество или организация"), max_length=160)
    account = forms.CharField(label=_("Счёт получателя, 20 цифр"), max_length=30)
    bik = forms.CharField(label=_("БИК банка, 9 цифр"), max_length=12)
    bank = forms.CharField(label=_("Название банка"), max_length=120, required=False)
    inn = forms.CharField(label=_("ИНН, если получатель — организация"), max_length=14, required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def payout(request: Any, token: str) -> HttpResponse:
    found = bank_payouts.of_link(token)
    if found is None:
        raise Http404
    form = DetailsForm(request.POST or None)
    done = request.method == "POST" and form.is_valid() and _taken(found.pk, form)
    answer = show(request, "payout.html", {"payout": found, "form": form, "done": done})
    answer["X-Robots-Tag"] = "noindex"
    return answer


def _taken(payout_id: Any, form: DetailsForm) -> bool:
    try:
        bank_payouts.set_details(payout_id, form.cleaned_data, actor=bank_payouts.CUSTOMER)
    except ValidationError as wrong:
        form.add_error(None, wrong)
    except Refused as refusal:
        form.add_error(None, str(refusal.message))
    else:
        return True
    return False
