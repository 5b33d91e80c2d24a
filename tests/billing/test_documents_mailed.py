"""Documents by e-mail: once by themselves, with the PDF, to companies and to who asked; again on demand."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts import customers
from apps.billing import mailing
from apps.billing.models import CreditNote, Invoice
from apps.billing.paperwork import Document, DocumentKind
from apps.channels.models import ApiKey, Channel, Scope
from apps.core import due
from apps.core.errors import Refused
from apps.core.models import Due
from apps.notifications.models import Message
from apps.sandbox.control import Control
from tests.billing.test_by_bank import ROMASHKA, bank, company, order_of
from tests.orders.shop import Shop

BOOKKEEPER = str(ROMASHKA["documents_email"])


def letters(printed: Any) -> list[Message]:
    return mailing.letters_of(printed)


def test_a_company_gets_invoice_act_and_note_once_each_as_pdf(shop: Shop, mailbox: Control) -> None:
    before = len(mailbox.messages(to=BOOKKEEPER))
    invoice = order_of(shop, company(shop)).invoice
    assert invoice is not None
    [letter] = letters(invoice)
    assert (letter.to, letter.state) == (BOOKKEEPER, "sent")
    # The due work again, as after a crash: the same letter.
    mailing.letter_due(invoice.pk)
    shop.deliver()
    [received] = mailbox.messages(to=BOOKKEEPER)[before:]
    assert received["subject"].startswith(f"Счёт № {invoice.number} от ")
    assert f"Оплатить до: {invoice.due_date:%d.%m.%Y}" in received["text"]
    [file] = received["attachments"]
    assert (file["name"], file["type"]) == (f"{invoice.number}.pdf", "application/pdf")
    assert file["bytes"] > 5000

    bank(invoice, "1220.00")
    shop.deliver()
    line = invoice.lines.get()
    from apps.billing import credits

    credits_part = credits.Part(line.pk, line.amount / 10)
    from django.db import transaction

    with transaction.atomic():
        credits.issue(invoice=invoice, parts=[credits_part], reason="correction", key="k1")
    shop.deliver()
    note = CreditNote.objects.get()
    shop.until((line.period_end or invoice.due_date) + timedelta(days=40))
    acts = list(Document.objects.filter(kind=DocumentKind.ACT))
    renewals = [one for one in Invoice.objects.exclude(pk=invoice.pk) if one.number]
    assert acts
    assert renewals
    for printed in (note, *acts, *renewals):
        [letter] = letters(printed)
        assert (letter.to, letter.state) == (BOOKKEEPER, "sent"), printed
    names = [one["attachments"][0]["name"] for one in mailbox.messages(to=BOOKKEEPER)[before:]]
    assert len(names) == len(set(names)) == 2 + len(acts) + len(renewals)


def test_a_person_gets_receipts_who_asked_for_them(shop: Shop) -> None:
    asks, silent = shop.customer("asks"), shop.customer("silent")
    customers.update(asks, actor="anna", wants_documents=True)
    for person in (asks, silent):
        shop.buy(shop.offer(), customer=person)
        shop.deliver()
    [receipt] = Document.objects.filter(customer=asks)
    [letter] = letters(receipt)
    assert (letter.to, [one["name"] for one in letter.attachments]) == (asks.email, [f"{receipt.number}.pdf"])
    assert not letters(Document.objects.get(customer=silent))
    # What a card pays at once is told of by its receipt.
    assert not Message.objects.filter(key__startswith=f"document:{receipt.invoice_id}")


def test_a_void_invoice_and_an_erased_customer_get_no_letter(shop: Shop) -> None:
    customer = company(shop)
    order = order_of(shop, customer)
    Message.objects.all().delete()
    from apps.billing import collecting

    collecting.call_off(order.invoice.pk)
    mailing.letter_due(order.invoice.pk)
    assert not letters(order.invoice)
    customers.erase(customer, actor="anna")
    with pytest.raises(Refused, match="customer_erased"):
        mailing.send_again(order.invoice, key="1", to="x@example.ru", actor="anna")
    assert not Due.objects.filter(kind=mailing.LETTER, partner_id=shop.partner.pk)
    assert due.kinds("billing")


def test_it_is_sent_again_from_console_api_and_cabinet(
    shop: Shop, staff_client: Callable[..., Client], client_for: Callable[..., Client], mailbox: Control
) -> None:
    invoice = order_of(shop, company(shop)).invoice
    assert invoice is not None
    path = f"/admin/billing/invoice/{invoice.pk}/send/"
    staff = staff_client(shop.partner, role="finance")
    assert BOOKKEEPER in staff.get(path).content.decode()
    for _press in range(2):
        answer = staff.post(path, {"to": "chief@romashka.example", "key": "one"})
        assert answer.status_code == 302
    shop.deliver()
    assert len(mailbox.messages(to="chief@romashka.example")) == 1
    shown = staff.get(f"/admin/billing/invoice/{invoice.pk}/change/").content.decode()
    assert "chief@romashka.example" in shown
    assert BOOKKEEPER in shown
    assert staff.post(path, {"to": "nowhere", "key": "two"}).status_code == 200

    _key, secret = ApiKey.issue(Channel.objects.get(code="api"), Scope.values)
    bearer = {"authorization": f"Bearer {secret}"}
    api = client_for(shop.partner)
    address = f"/api/v1/invoices/{invoice.pk}/send/"
    answer = api.post(address, {}, "application/json", headers=bearer)
    assert (answer.status_code, answer.json()["to"]) == (202, BOOKKEEPER)
    assert api.post(address, {"to": "x"}, "application/json", headers=bearer).status_code == 400
    assert len(letters(invoice)) == 3
