"""A subscription passes to another customer: its terms and history with it, the saved card not."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.billing import adjusting, subscriptions
from apps.billing.models import RUNNING, Subscription
from apps.core import due, events
from apps.core.errors import Refused


def transfer(*, subscription: Subscription, to: Customer, actor: str = "") -> Subscription:
    """`to` has it, and its add-ons, from now on; nobody's card is charged until they save one of their own.

    What was paid stays paid; documents and payments stay whose they were. Raises Refused:
    `subscription_not_live`, `is_addon`, `same_customer`, `customer_erased`, `invoice_open`.
    """
    with transaction.atomic():
        # Customers first, as ordering and erasure lock them.
        to = Customer.objects.select_for_update(no_key=True).get(pk=to.pk)
        subscription = subscriptions.locked(subscription.pk)
        _check(subscription, to)
        was = subscription.customer_id
        for one in [subscription, *subscriptions.locked_addons(subscription)]:
            subscriptions.drop_change(one)
            one.customer_id, one.method_id = to.pk, None
            one.save(update_fields=["customer", "method"])
            due.cancel(subscriptions.NOTICE, one.pk)
            data = {"from": str(was), "to": str(to.pk)}
            journal.record("subscription.transferred", subscriptions.KIND, one.pk, actor=actor, data=data)
            events.publish("billing.SubscriptionTransferred", one.pk, customer_id=to.pk)
    return subscription


def _check(subscription: Subscription, to: Customer) -> None:
    if subscription.state not in RUNNING:
        raise Refused("subscription_not_live", _("Эта подписка уже не действует"))
    if subscription.parent_id:
        raise Refused("is_addon", _("Дополнение передают вместе с основной подпиской"))
    if subscription.customer_id == to.pk:
        raise Refused("same_customer", _("Подписка и так у этого клиента"))
    if to.erased_at:
        raise Refused("customer_erased", _("Данные этого клиента стёрты"))
    adjusting.must_be_settled(subscription)
