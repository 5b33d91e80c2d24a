"""Documents by e-mail: once by themselves, with the PDF, to companies and to who asked; again on demand."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from apps.accounts import customers, sign_in
from apps.billing import collecting, credits, mailing
from apps.billing.models import CreditNote, Invoice
from apps.billing.paperwork import Document, DocumentKind
from apps.channels.models import ApiKey, Channel, Scope
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
    with transaction.atomic():
        part = credits.Part(line.pk, line.amount / 10)
        credits.issue(invoice=invoice, parts=[part], reason="correction", key="k1")
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
    collecting.call_off(order.invoice.pk)
    mailing.letter_due(order.invoice.pk)
    assert not letters(order.invoice)
    customers.erase(customer, actor="anna")
    with pytest.raises(Refused, match="customer_erased"):
        mailing.send_again(order.invoice, key="1", to="x@example.ru", actor="anna")
    assert not Due.objects.filter(kind=mailing.LETTER, partner_id=shop.partner.pk)


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


def test_a_customer_reads_the_account_and_asks_for_letters_in_the_cabinet(
    shop: Shop, client_for: Callable[..., Client]
) -> None:
    row, stranger = shop.buy(shop.offer()), shop.customer("boris")
    shop.deliver()
    mine, other = client_for(shop.partner), client_for(shop.partner)
    mine.cookies[sign_in.COOKIE] = sign_in._open(row.customer)
    other.cookies[sign_in.COOKIE] = sign_in._open(stranger)
    invoice = Invoice.objects.get(subscription=row)
    page = mine.get("/cabinet/account/").content.decode()
    assert f"Счёт {invoice.number}" in page
    assert f"Оплата: {invoice.number}" in page
    assert invoice.number not in other.get("/cabinet/account/").content.decode()
    for ending, begins in (("pdf", b"%PDF"), ("xlsx", b"PK")):
        file = mine.get(f"/cabinet/account/?format={ending}")
        assert file.content.startswith(begins)
        assert ending in file["Content-Disposition"]
    wrong = mine.get("/cabinet/account/?since=2027-01-02&until=2027-01-01")
    assert wrong.status_code == 400
    assert "Начало периода позже конца" in wrong.content.decode()

    assert mine.post("/cabinet/documents/by-mail/", {"wants": "yes"}).status_code == 302
    row.customer.refresh_from_db()
    assert row.customer.wants_documents
    assert f"приходят на {row.customer.email}" in mine.get("/cabinet/account/").content.decode()
    # Pressed twice, it is one letter; a stranger's document is not there.
    for _press in range(2):
        assert mine.post(f"/cabinet/documents/{invoice.pk}/send/").status_code == 302
    assert [one.to for one in letters(invoice)] == [row.customer.email]
    assert other.post(f"/cabinet/documents/{invoice.pk}/send/").status_code == 404
    assert "Прислать счёт на почту" in mine.get("/cabinet/").content.decode()
