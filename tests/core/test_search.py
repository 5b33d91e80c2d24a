"""The search box finds a person however the phone is typed, and holds no personal data."""

import uuid

import pytest

from apps.core import search
from apps.core.models import SearchKey
from apps.partners.models import Partner


@pytest.mark.parametrize("typed", ["+7 916 123-45-67", "89161234567", "9161234567", "7 (916) 123-45-67"])
def test_a_phone_is_found_however_it_is_typed(partner: Partner, typed: str) -> None:
    identity = uuid.uuid4()
    search.index("tests.person", identity, ["+79161234567", "Ivan@Example.ru", ""])
    assert search.find(typed).filter(object_id=identity).get().partner_id == partner.pk
    assert search.find(" ivan@example.RU").filter(object_id=identity).exists()
    assert not search.find("").exists()
    search.forget("tests.person", identity)
    assert not search.find(typed).filter(object_id=identity).exists()


def test_no_personal_data_is_stored(partner: Partner) -> None:
    search.index("tests.person", uuid.uuid4(), ["+79161234567"])
    assert b"9161234567" not in bytes(SearchKey.objects.latest("id").digest)
