"""One planted corruption for each rule of orders."""

from apps.accounts.models import Customer
from apps.billing.models import Subscription
from apps.core import audit, clock
from apps.core.models import Due
from apps.orders.models import Fulfilment, Order, Service
from apps.sandbox.control import Control
from tests.orders.shop import Shop


def test_each_rule_finds_its_corruption(shop: Shop, provider_sim: Control) -> None:
    offer = shop.offer()
    one, two = shop.buy(offer), shop.buy(offer)
    provider_sim.switch(on=False)
    shop.buy(offer)
    awaiting = shop.order(offer)
    assert list(audit.run([shop.partner.pk])) == []

    Fulfilment.objects.filter(order__subscription=one).delete()
    Service.objects.filter(subscription=two).update(state="off")
    Due.objects.filter(partner_id=shop.partner.pk, kind="orders.fulfil").delete()
    Order.objects.filter(pk=awaiting.pk).update(total=1)
    Customer.objects.filter(pk=two.customer_id).update(erased_at=clock.now())
    found = {violation.rule for violation in audit.run([shop.partner.pk])}
    assert {rule for rule in audit.RULES if rule.startswith("orders.")} <= found
    assert Subscription.objects.count() == 4
