"""A registered receipt, sent to the customer once more by ourselves: its fiscal attributes, and the link to it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps import journal, notifications
from apps.core.errors import Refused
from apps.notifications.models import Message
from apps.payments.cash_register import Operation
from apps.payments.receipt_models import Receipt, ReceiptState
from apps.payments.receipts import KIND


def can_send(made: Receipt) -> bool:
    """Whether it is registered, and nothing stands in its place."""
    return made.state == ReceiptState.REGISTERED and not Receipt.objects.filter(replaces=made.pk).exists()


def send(receipt_id: UUID, *, actor: str, key: UUID) -> Message:
    """To the customer's e-mail, else by SMS; once for each `key`.

    Raises Refused: `receipt_not_there`, `no_contact`.
    """
    with transaction.atomic():
        made = Receipt.locked(receipt_id)
        if not can_send(made):
            raise Refused(
                "receipt_not_there", _("Выслать можно только пробитый чек, который ничем не заменён")
            )
        name = f"fiscal_receipt:{made.pk}:{key}"
        if sent := Message.objects.filter(key=name).first():
            return sent
        customer = made.payment.customer
        message: Message | None = notifications.send(
            "fiscal_receipt",
            to_email=customer.email,
            to_phone=customer.phone,
            customer_id=customer.pk,
            context=_context(made, customer.language),
            key=name,
            language=customer.language,
        )
        if message is None:
            raise Refused("no_contact", _("У клиента нет ни почты, ни телефона"))
        journal.record("receipt.sent", KIND, made.pk, actor=actor, data={"channel": message.channel})
    return message


def _context(made: Receipt, language: str) -> dict[str, Any]:
    fiscal, url = made.fiscal, str(made.fiscal.get("url", ""))
    with translation.override(language):
        is_sale = made.operation == Operation.SELL
        kind = gettext("Приход") if is_sale else gettext("Возврат прихода")
    return {
        "receipt_kind": kind,
        "amount": made.money,
        "product": ", ".join(line["name"] for line in made.lines),
        "fn": fiscal.get("fn") or "—",
        "fd": fiscal.get("document") or "—",
        "fpd": fiscal.get("attribute") or "—",
        "receipt_date": _moment(str(fiscal.get("registered_at", ""))),
        "receipt_url": url if url.startswith("https://") else "",
    }


def _moment(text: str) -> datetime | str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return found if found.tzinfo else ""
