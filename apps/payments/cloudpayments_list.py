"""The day's register of CloudPayments: `/v2/payments/list` by pages, with refunds and TotalFee.

Which of a transaction's fields say that it is a refund is [M] of reference/payments.md: any of them is enough.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext_lazy as _

from apps.connectors.base import ConnectorError
from apps.core.money import Money
from apps.payments.gateway import EntryKind, RegisterEntry

Call = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
PATH = "v2/payments/list"
MOST_PAGES = 10_000
BEFORE = timedelta(days=1)
"""By how much earlier a transaction may be made than it is taken: it is listed by the moment it was made."""
DONE = {"Completed"}


def entries(call: Call, since: datetime, until: datetime) -> list[RegisterEntry]:
    """All that was taken or given back in [since, until). Raises ConnectorError."""
    found = [_entry(one) for one in _listed(call, since - BEFORE, until) if one.get("Status") in DONE]
    return [one for one in found if one.at is not None and since <= one.at < until]


def _listed(call: Call, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
    window = {
        "CreatedDateGte": since.astimezone(UTC).isoformat(),
        "CreatedDateLte": until.astimezone(UTC).isoformat(),
        "TimeZone": "UTC",
    }
    for number in range(1, MOST_PAGES):
        answer = call(PATH, {**window, "PageNumber": number})
        if not answer.get("Success"):
            raise ConnectorError(str(answer.get("Message") or _("Отказ без объяснения")), retry=True)
        page = answer.get("Model") or []
        yield from page
        if not page:
            return


def _entry(found: Mapping[str, Any]) -> RegisterEntry:
    try:
        paid = str(found.get("PaymentTransactionId") or found.get("OriginalTransactionId") or "")
        is_refund = bool(paid) or found.get("Type") == 1 or found.get("OperationType") == "Refund"
        moment = found.get("ConfirmDateIso") or found.get("AuthDateIso") or found["CreatedDateIso"]
        number, fee = str(found["TransactionId"]), found.get("TotalFee")
        return RegisterEntry(
            kind=EntryKind.REFUND if is_refund else EntryKind.PAYMENT,
            gateway_id=number,
            payment_gateway_id=paid if is_refund else number,
            amount=Money(_kopecks(found["Amount"]), str(found.get("Currency") or "RUB")),
            fee=None if is_refund or fee is None else _kopecks(fee),
            at=_moment(str(moment)),
            reference=str(found.get("InvoiceId") or "")[:40],
        )
    except (KeyError, ValueError, InvalidOperation) as error:
        raise ConnectorError(_("Непонятный ответ: %r") % error, retry=True) from error


def _kopecks(value: Any) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"))


def _moment(text: str) -> datetime:
    # Their ISO moments are in UTC and do not say so.
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
