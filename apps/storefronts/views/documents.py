"""A customer's own documents as PDFs: acts, receipts, credit notes."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from apps.billing.document_api import pdf_answer
from apps.billing.models import CreditNote
from apps.billing.paperwork import Document
from apps.storefronts.views.cabinet import own


@require_safe
@own
def document(request: Any, document_id: UUID) -> HttpResponse:
    return pdf_answer(get_object_or_404(Document, pk=document_id, customer=request.customer))


@require_safe
@own
def credit_note(request: Any, note_id: UUID) -> HttpResponse:
    return pdf_answer(get_object_or_404(CreditNote, pk=note_id, customer=request.customer))
