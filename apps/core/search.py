"""One search box over all partners: HMACs of what people search by, never the text itself."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Exists, Model, OuterRef, QuerySet

from apps.core import bulk
from apps.core.models import SearchKey
from apps.core.tenancy import current_partner

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
    SearchKey.objects.bulk_create(
        [
            SearchKey(digest=digest(value), partner_id=current_partner().pk, kind=kind, object_id=object_id)
            for value in {normalised(value): value for value in values if value and value.strip()}.values()
        ],
        ignore_conflicts=True,
    )


def index_many(kind: str, found_by: Sequence[tuple[UUID, str]]) -> None:
    """`index` for many objects at once, by one value each."""
    given = [(digest(value), object_id) for object_id, value in found_by if value.strip()]
    if given:
        digests, keys = zip(*given, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(_INDEX, [current_partner().pk, kind, list(digests), bulk.array(keys)])


_INDEX = """
INSERT INTO public.core_searchkey (partner_id, kind, digest, object_id)
SELECT %s, %s, digest, object_id FROM unnest(%s::bytea[], %s::uuid[]) AS given (digest, object_id)
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


def unfindable(kind: str, rows: QuerySet[_M]) -> QuerySet[_M]:
    """Those of the current partner's rows that no text finds."""
    keys = SearchKey.objects.filter(partner_id=current_partner().pk, kind=kind, object_id=OuterRef("pk"))
    return rows.filter(~Exists(keys))


def find(text: str) -> QuerySet[SearchKey]:
    """What in any partner carries exactly this phone, e-mail, number or id; newest first."""
    if not text.strip():
        return SearchKey.objects.none()
    return SearchKey.objects.filter(digest=digest(text)).order_by("-id")
