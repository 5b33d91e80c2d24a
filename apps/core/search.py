"""One search box over all partners: HMACs of what people search by, never the text itself."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, Model, OuterRef, QuerySet

from apps.core import bulk, gather
from apps.core.models import SearchKey
from apps.core.tenancy import current_partner, plain_cursor

_M = TypeVar("_M", bound=Model)
_LIKE_A_PHONE = re.compile(r"[+\d\s()\-]{10,20}")


def normalised(text: str) -> str:
    """Phones as +7…, e-mails and numbers in lower case without spaces."""
    text = text.strip().lower()
    if _LIKE_A_PHONE.fullmatch(text) and 10 <= len(digits := re.sub(r"\D", "", text)) <= 15:
        if len(digits) == 10:
            digits = "7" + digits
        elif len(digits) == 11 and digits[0] == "8":
            digits = "7" + digits[1:]
        return "+" + digits
    return re.sub(r"\s+", "", text)


def digest(text: str) -> bytes:
    """HMAC-SHA256 of the normalised text."""
    return hmac.digest(settings.SEARCH_KEY.encode(), normalised(text).encode(), hashlib.sha256)


def index(kind: str, object_id: UUID, values: Iterable[str]) -> None:
    """Makes the current partner's object findable by each non-empty value."""
    named = {normalised(value): value for value in values if value and value.strip()}
    partner_id = current_partner().pk
    gather.at_end(_write, [(digest(value), partner_id, kind, object_id) for value in named.values()])


def index_many(kind: str, found_by: Sequence[tuple[UUID, str]]) -> None:
    """`index` for many objects at once, by one value each."""
    partner_id = current_partner().pk
    gather.at_end(
        _write,
        [(digest(value), partner_id, kind, object_id) for object_id, value in found_by if value.strip()],
    )


def _write(keys: Sequence[tuple[bytes, int, str, UUID]]) -> None:
    digests, *others = zip(*sorted(keys), strict=True)
    with plain_cursor() as cursor:
        cursor.execute(_INDEX, [list(digests), *(bulk.array(column) for column in others)])


# In the order of the digests: two who index the same at once would wait for each other.
_INDEX = """
INSERT INTO public.core_searchkey (digest, partner_id, kind, object_id)
SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::text[], %s::uuid[])
ON CONFLICT DO NOTHING
"""


def index_new(kind: str, found_by: Iterable[tuple[UUID, str]]) -> None:
    """`index` for many new objects at once, by one value each: IntegrityError where one is there already."""
    bulk.copy(
        SearchKey,
        ["digest", "object_id"],
        [(digest(value), object_id) for object_id, value in found_by],
        same={"partner_id": current_partner().pk, "kind": kind},
    )


def forget(kind: str, object_id: UUID) -> None:
    """Makes the current partner's object unfindable."""
    SearchKey.objects.filter(partner_id=current_partner().pk, kind=kind, object_id=object_id).delete()


def unfindable(kind: str, rows: QuerySet[_M], partner_id: Any) -> QuerySet[_M]:
    """Those of a partner's rows that no text finds; `partner_id` may be an expression."""
    keys = SearchKey.objects.filter(partner_id=partner_id, kind=kind, object_id=OuterRef("pk"))
    return rows.filter(~Exists(keys))


def find(text: str) -> QuerySet[SearchKey]:
    """What in any partner carries exactly this phone, e-mail, number or id; newest first."""
    if not text.strip():
        return SearchKey.objects.none()
    return SearchKey.objects.filter(digest=digest(text)).order_by("-id")
