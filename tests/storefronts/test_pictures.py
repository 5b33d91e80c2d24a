"""A product's picture: uploaded in the console, shown in the window of who sells it, named in the feed."""

import io
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from apps.catalog.models import ProductPicture
from apps.core.tenancy import in_public
from apps.partners.models import StaffRole
from tests.conftest import HostClient, make_partner
from tests.storefronts.test_console import fields


def png(colour: str, size: int = 40) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def manager():
    """A manager of the platform, signed in at its console."""
    client = HostClient(SERVER_NAME=settings.PUBLIC_HOST)
    with in_public():
        user = User.objects.create_user(f"pictures-{uuid4()}", is_staff=True)
        StaffRole.objects.create(user=user, partner=None, role="manager")
        client.force_login(user)
        session = client.session
        session["host"] = settings.PUBLIC_HOST
        session.save()
    return client


def test_from_the_console_to_window_and_feed(shop, manager, client_for):
    address = f"/admin/catalog/product/{shop.product.pk}/change/"
    form = {name: value for name, value in fields(manager.get(address)).items() if name != "picture_file"}
    for inline in ("parameters", "documents"):
        form |= {f"{inline}-TOTAL_FORMS": 0, f"{inline}-INITIAL_FORMS": 0}
    for bad in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG nothing", bytes(1001 * 1024)):
        refused = manager.post(address, form | {"picture_file": SimpleUploadedFile("a.png", bad)})
        assert refused.status_code == 200
        assert "picture_file" in refused.context["adminform"].form.errors
    assert not ProductPicture.objects.filter(product=shop.product).exists()

    window = client_for(shop.partner)
    page = f"/product/{shop.product.code}/"
    assert window.get(page + "picture").status_code == 404
    assert "<picture>" not in window.get("/feeds/web.yml").content.decode()

    sent = manager.post(address, form | {"picture_file": SimpleUploadedFile("a.png", png("red"))})
    assert sent.status_code == 302, sent.context and sent.context["errors"]
    picture = ProductPicture.objects.get(product=shop.product)
    versioned = f"{page}picture?v={picture.version}"
    for shown in ("/", page, f"/checkout/{shop.offer.pk}/"):
        assert versioned in window.get(shown).content.decode()
    got = window.get(versioned)
    assert (got.content, got["Content-Type"]) == (png("red"), "image/png")
    assert "immutable" in got["Cache-Control"]
    assert "sandbox" in got["Content-Security-Policy"]
    assert "immutable" not in window.get(page + "picture?v=older")["Cache-Control"]

    feed = ElementTree.fromstring(window.get("/feeds/web.yml").content)
    pictures = [offer.findtext("picture") for offer in feed.findall("shop/offers/offer")]
    assert pictures == [f"http://{shop.partner.host}{versioned}"] * 2

    # Who does not sell it does not show it.
    assert client_for(make_partner()).get(versioned).status_code == 404
    with in_public():
        ProductPicture.put(shop.product, png("blue"), "image/png")
    assert versioned not in window.get(page).content.decode()


def test_lists_do_not_carry_the_bytes(shop, client_for, django_assert_max_num_queries):
    with in_public():
        ProductPicture.put(shop.product, png("red"), "image/png")
    with django_assert_max_num_queries(40) as asked:
        client_for(shop.partner).get("/")
    assert not [query for query in asked if '"content"' in query["sql"]]
