"""Posting to the ledger, in the transaction of the document that it is about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.core import bulk, clock, gather
from apps.core.tenancy import current_partner
from apps.ledger.models import Account, Owner, Sale, Transfer
from apps.partners import books

__all__ = ["Account", "Owner", "Posting", "Sale", "post"]


_DIMENSIONS = (
    "debit",
    "credit",
    "amount",
    "currency",
    "owner",
    "kind",
    "seller_id",
    "connection_id",
    "customer_id",
    "subscription_id",
    "channel_id",
    "product_id",
    "tariff_version_id",
    "provider_id",
    "vat_rate",
)
_dimensions = attrgetter(*_DIMENSIONS)
_DOCUMENT = ["partner", "is_sandbox", "document_kind", "occurred_at", "recorded_at"]
_ACCOUNTS, _OWNERS, _SALES = ({str(one) for one in kind.values} for kind in (Account, Owner, Sale))
_FIELDS = [
    "document_id",
    "posting",
    "business_date",
    *(name.removesuffix("_id") if name in {"seller_id", "connection_id"} else name for name in _DIMENSIONS),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One transfer of a document: `amount` in `currency` onto `debit`, from `credit`.

    `name` tells the postings of one document apart (`"line-1"`, `"fee"`): a document posts each name once.
    `vat_rate` is in per cent, None is «без НДС».
    """

    debit: str
    credit: str
    amount: Decimal
    name: str
    currency: str = "RUB"
    owner: str = Owner.OPERATOR
    kind: str = ""
    seller_id: int | None = None
    connection_id: int | None = None
    customer_id: UUID | None = None
    subscription_id: UUID | None = None
    channel_id: UUID | None = None
    product_id: int | None = None
    tariff_version_id: int | None = None
    provider_id: int | None = None
    vat_rate: Decimal | None = None


def post(
    document_kind: str,
    document_id: UUID,
    postings: Iterable[Posting],
    *,
    occurred_at: datetime,
    business_date: date,
) -> None:
    """Writes a document's transfers for the current partner, in the caller's transaction; zeros are left out.

    `occurred_at` is in UTC, `business_date` a day in the partner's zone; where the seller's books of that day are
    closed, it is their first open day. Raises RuntimeError outside a transaction, NoPartner, ValueError for an
    unknown account or kind, IntegrityError for a negative amount and for a posting that stands there already.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A document and its postings commit in one transaction")
    partner, recorded_at = current_partner(), clock.wall()
    postings = [posting for posting in postings if posting.amount]
    days = {
        seller: _open_day(seller, business_date) for seller in {posting.seller_id for posting in postings}
    }
    document = (partner.pk, partner.is_sandbox, document_kind, occurred_at, recorded_at, document_id)
    for posting in postings:
        _check(posting)
    made = [(*document, one.name, days[one.seller_id], *_dimensions(one)) for one in postings]
    gather.at_end(_write, made)


def _open_day(seller_id: int | None, day: date) -> date:
    return gather.once(("ledger.day", seller_id, day), lambda: books.open_day(seller_id, day))


def _write(transfers: Sequence[tuple[Any, ...]]) -> None:
    bulk.copy(Transfer, [*_DOCUMENT, *_FIELDS], transfers)


def post_many(
    document_kind: str, posted: Iterable[tuple[UUID, Posting]], *, occurred_at: datetime, business_date: date
) -> None:
    """`post` for the transfers of many documents of one kind at once: (document id, posting) each."""
    partner, recorded_at = current_partner(), clock.wall()
    posted = [(document_id, one) for document_id, one in posted if one.amount]
    days = books.open_days({one.seller_id for _document, one in posted}, business_date)
    bulk.copy(
        Transfer,
        _FIELDS,
        [
            (
                document_id,
                one.name,
                days[one.seller_id],
                *_dimensions(one),
            )
            for document_id, one in posted
        ],
        same={
            "partner": partner.pk,
            "is_sandbox": partner.is_sandbox,
            "document_kind": document_kind,
            "occurred_at": occurred_at,
            "recorded_at": recorded_at,
        },
    )


def _check(posting: Posting) -> None:
    """What is written here stays for good, and no statement validates choices. Raises ValueError."""
    if not (posting.debit in _ACCOUNTS and posting.credit in _ACCOUNTS):
        raise ValueError(f"No account {posting.debit} or {posting.credit}")
    if posting.owner not in _OWNERS or (posting.kind and posting.kind not in _SALES):
        raise ValueError(f"No owner {posting.owner} or kind {posting.kind}")
