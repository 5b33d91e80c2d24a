"""Posting to the ledger, in the transaction of the document that it is about."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
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
    made = [
        Transfer(
            partner_id=partner.pk,
            is_sandbox=partner.is_sandbox,
            document_kind=document_kind,
            document_id=document_id,
            posting=posting.name,
            occurred_at=occurred_at,
            business_date=days[posting.seller_id],
            recorded_at=recorded_at,
            **_columns(posting),
        )
        for posting in postings
    ]
    gather.at_end(_write, made)


def _open_day(seller_id: int | None, day: date) -> date:
    return gather.once(("ledger.day", seller_id, day), lambda: books.open_day(seller_id, day))


def _write(transfers: Sequence[Transfer]) -> None:
    Transfer.objects.bulk_create(transfers)


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


def _columns(posting: Posting) -> dict[str, object]:
    # bulk_create validates no choices, and what is written here stays for good.
    columns = asdict(posting)
    del columns["name"]
    columns["debit"], columns["credit"] = Account(posting.debit), Account(posting.credit)
    columns["owner"] = Owner(posting.owner)
    columns["kind"] = Sale(posting.kind) if posting.kind else ""
    return columns
