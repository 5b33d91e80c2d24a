"""The auditor finds a purchase that was not what the buyer saw."""

from decimal import Decimal

import pytest

from apps.core import audit
from apps.storefronts.models import Checkout

RULE = "storefronts.sold-as-shown"


@pytest.mark.parametrize("corruption", [{"price": Decimal("1.00")}, {"offer_id": 0}, {"consents": []}])
def test_another_price_offer_or_no_consent_is_found(shop, client_for, gateway, form_of, corruption):
    browser, address = client_for(shop.partner), f"/checkout/{shop.offer.pk}/"
    browser.post(address, form_of(browser.get(address)))
    assert not list(found(shop.partner))
    Checkout.objects.update(**corruption)
    assert list(found(shop.partner))


def found(partner):
    return [one for one in audit.run([partner.pk]) if one.rule == RULE]
