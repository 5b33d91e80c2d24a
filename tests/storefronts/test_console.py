"""The partner's staff dress their storefront and hand out keys in the console."""

import re

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.channels.models import ApiKey, Channel
from apps.storefronts.models import Storefront
from tests.conftest import staff_client

__all__ = ["staff_client"]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)


def fields(page):
    """What the console's form would send unchanged."""
    form = page.context["adminform"].form
    values = {}
    for name in form.fields:
        value = form[name].value()
        if isinstance(value, dict):
            values |= {f"{name}_0": value.get("ru", ""), f"{name}_1": value.get("en", "")}
        elif value is not None and name != "logo_file":
            values[name] = value
    return {name: "" if value is None else value for name, value in values.items()}


def test_a_manager_changes_colour_and_logo(partner, staff_client, client_for):
    storefront = Storefront.objects.get()
    console = staff_client(partner, role="manager", of=partner)
    address = f"/admin/storefronts/storefront/{storefront.pk}/change/"
    form = fields(console.get(address))
    wrong = console.post(address, form | {"logo_file": SimpleUploadedFile("a.png", b"<html>not a picture")})
    assert "PNG, JPEG, WebP" in wrong.content.decode()
    sent = form | {"colour": "#be123c", "logo_file": SimpleUploadedFile("a.png", PIXEL)}
    assert console.post(address, sent).status_code == 302
    shop = client_for(partner)
    logo = shop.get("/logo")
    assert logo["Content-Type"] == "image/png"
    assert logo.content == PIXEL
    assert "#be123c" in shop.get("/theme.css").content.decode()
    assert client_for(partner).get(address).status_code == 302  # nobody else


def test_a_key_is_shown_once_and_revoked(partner, staff_client):
    console = staff_client(partner, role="manager", of=partner)
    channel = Channel.objects.get(code="api")
    sent = {"channel": str(channel.pk), "name": "Сайт", "scopes": ["offers:read"]}
    answer = console.post("/admin/channels/apikey/add/", sent, follow=True)
    [plaintext] = re.findall(r"armor_[0-9a-f]{10}_[0-9a-f]{48}", answer.content.decode())
    key = ApiKey.find(plaintext)
    assert key is not None
    for address in (
        "/admin/channels/apikey/",
        f"/admin/channels/apikey/{key.pk}/change/",
        "/admin/channels/channel/",
    ):
        page = console.get(address)
        assert page.status_code == 200
        assert plaintext not in page.content.decode()
    console.post("/admin/channels/apikey/", {"action": "revoke", "_selected_action": [str(key.pk)]})
    assert ApiKey.find(plaintext) is None
    assert console.get(f"/admin/channels/channel/{channel.pk}/change/").status_code == 200
