"""A customer's own documents: as PDFs, by e-mail, and the account for a period."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts import customers
from apps.billing import mailing, statements
from apps.billing.document_api import pdf_answer
from apps.billing.models import CreditNote
from apps.billing.paperwork import Document
from apps.billing.statement_api import as_file
from apps.core import clock, spans
from apps.storefronts.pages import show
from apps.storefronts.views.cabinet import own


@require_safe
@own
def document(request: Any, document_id: UUID) -> HttpResponse:
    return pdf_answer(get_object_or_404(Document, pk=document_id, customer=request.customer))


@require_safe
@own
def credit_note(request: Any, note_id: UUID) -> HttpResponse:
    return pdf_answer(get_object_or_404(CreditNote, pk=note_id, customer=request.customer))


@require_POST
@own
def send(request: Any, document_id: UUID) -> HttpResponse:
    """An own invoice, credit note, act or receipt goes to the own mailbox: once an hour, however often pressed."""
    try:
        found = mailing.find(document_id)
    except Document.DoesNotExist:
        raise Http404 from None
    if found.customer_id != request.customer.pk:
        raise Http404
    sent = mailing.send_again(found, key=f"cabinet:{clock.wall():%Y%m%d%H}", actor="customer")
    messages.success(request, _("Документ уходит на %s") % sent.to, extra_tags="good")
    return redirect("storefronts:cabinet")


@require_POST
@own
def by_mail(request: Any) -> HttpResponse:
    """Whether documents come by e-mail from now on."""
    wants = request.POST.get("wants") == "yes"
    customers.update(request.customer, actor="customer", wants_documents=wants)
    told = (
        _("Новые документы будут приходить на почту.") if wants else _("Документы больше не придут на почту.")
    )
    messages.success(request, told, extra_tags="good")
    return redirect("storefronts:account")


@require_safe
@own
def account(request: Any) -> HttpResponse:
    """The account for a period on the screen, and as a file with `?format=xlsx` or `pdf`."""
    form = spans.SpanForm(request.GET)
    found: list[statements.Statement] = []
    if form.is_valid():
        found = statements.of(request.customer, **form.cleaned_data)
        if (ending := request.GET.get("format")) in {"xlsx", "pdf"}:
            return as_file(found, ending)
    asked = request.GET.copy()
    asked.pop("format", None)
    context = {
        "form": form,
        "query": asked.urlencode(),
        "statements": [(one, statements.above(one)[2:]) for one in found],
        "is_company": request.customer.is_company,
        "by_itself": mailing.address_of(request.customer.pk),
    }
    return show(request, "account.html", context, status=400 if form.errors else 200)
