"""Staff add a provider, make a pool and load keys; no page shows a key."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.core.tenancy import in_public
from apps.providers.models import ActivationKey, KeyPool, Provider


@pytest.fixture
def staff(operator, client_for):
    client = client_for()
    with in_public():
        client.force_login(User.objects.create_superuser(f"admin-{uuid4()}"))
    session = client.session
    session["host"] = client.defaults["SERVER_NAME"]
    session.save()
    return client


def address(name, *args):
    return reverse(f"admin:providers_{name}", urlconf="armor.urls_public", args=args)


def test_provider_pool_and_keys(staff):
    name, sku = f"Новый {uuid4()}", f"NEW-{uuid4()}"
    assert name in staff.get(address("provider_add"), {"name": name}).content.decode()
    assert staff.post(address("provider_add"), {"name": name, "promise_hours": 24}).status_code == 302
    provider = Provider.objects.get(name=name)
    assert provider.code.startswith("novyy-")
    form = {"provider": provider.pk, "sku": sku, "low_stock": 2, "renewal": "new_key"}
    form |= {"instructions_0": "Введите ключ", "instructions_1": ""}
    assert staff.post(address("keypool_add"), form).status_code == 302
    pool = KeyPool.objects.get(sku=sku)
    load = address("keypool_load_keys", pool.pk)
    assert "Вставьте ключи" in staff.post(load, {}).content.decode()
    file = SimpleUploadedFile("keys.csv", f"key\n{sku}-1\n{sku}-2\n{sku}-1\n".encode())
    page = staff.post(load, {"file": file}, follow=True).content.decode()
    assert "Добавлено ключей: 2" in page
    assert "повторяет строку 2" in page
    assert staff.post(load, {"text": f"{sku}-3"}).status_code == 302
    key = ActivationKey.objects.filter(pool=pool).first()
    for page in (
        staff.get(address("keypool_changelist")),
        staff.get(address("activationkey_changelist")),
        staff.get(address("activationkey_change", key.pk)),
        staff.get(address("provider_changelist")),
    ):
        assert page.status_code == 200
        assert key.value not in page.content.decode()
    assert staff.post(address("activationkey_delete", key.pk), {"post": "yes"}).status_code == 403
