"""The auditor finds a purchase that was not what the buyer saw."""

from decimal import Decimal

import pytest

from apps.core import audit
from apps.storefronts.models import Checkout

CORRUPTIONS = [
    ("storefronts.sold-as-shown", {"price": Decimal("1.00")}),
    ("storefronts.sold-as-shown", {"offer_id": 0}),
    ("storefronts.sold-as-shown", {"consents": []}),
]


@pytest.mark.parametrize(("rule", "corruption"), CORRUPTIONS)
def test_another_price_offer_or_no_consent_is_found(shop, client_for, gateway, form_of, rule, corruption):
    browser, address = client_for(shop.partner), f"/checkout/{shop.offer.pk}/"
    browser.post(address, form_of(browser.get(address)))
    assert not found(shop.partner, rule)
    Checkout.objects.update(**corruption)
    assert found(shop.partner, rule)


def found(partner, rule):
    return [one for one in audit.run([partner.pk]) if one.rule == rule]
