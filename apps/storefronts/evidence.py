"""What the buyer agreed to, on our page or where a partner sold it: word for word, when, from which address."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.billing.models import InvoiceLine, InvoicePayment
from apps.orders.models import Order
from apps.payments import evidence
from apps.payments.evidence import Fact, Section
from apps.payments.models import Payment
from apps.storefronts.models import Checkout

PURPOSES = {
    "recurring": gettext_lazy("Согласие на автоматические списания"),
    "terms": gettext_lazy("Принятие условий продажи"),
    "trial": gettext_lazy("Согласие на пробный период"),
    "invoice": gettext_lazy("Согласие получать счета"),
}


@evidence.source
def of_storefronts(payment: Payment) -> Iterable[Section]:
    """The press of «Оплатить» that the payment, or its subscription, began with."""
    link = InvoicePayment.objects.filter(payment=payment).first()
    if link is None:
        return
    lines = InvoiceLine.objects.filter(invoice=link.invoice_id).exclude(subscription=None)
    mine = Q(order__invoice=link.invoice_id) | Q(
        order__items__subscription__in=lines.values_list("subscription_id", flat=True)
    )
    made = Checkout.objects.filter(mine).distinct().order_by("placed_at")
    mine = Q(invoice=link.invoice_id) | Q(
        items__subscription__in=lines.values_list("subscription_id", flat=True)
    )
    told = Order.objects.filter(mine).exclude(consent={}).distinct().order_by("pk")
    yield Section(
        20,
        _("Согласие покупателя"),
        [*(fact for one in made for fact in _agreed(one)), *map(_passed_on, told)],
        _("Покупка оформлена не на витрине: согласие хранит тот, кто её оформил."),
    )


def _agreed(one: Checkout) -> Iterable[Fact]:
    where = [_("IP-адрес {ip}").format(ip=one.ip) if one.ip else "", one.user_agent]
    for consent in one.consents:
        title = PURPOSES.get(consent["purpose"], _("Согласие"))
        yield Fact(one.placed_at, str(title), [f"«{consent['text']}»", *where])


def _passed_on(order: Order) -> Fact:
    """Who sold it elsewhere has told us of it."""
    given = order.consent
    details = [
        f"«{given['text']}»",
        _("Где дано: {channel}").format(channel=given["channel"]) if given.get("channel") else "",
        _("IP-адрес {ip}").format(ip=given["ip"]) if given.get("ip") else "",
    ]
    return Fact(datetime.fromisoformat(given["at"]), _("Согласие, переданное партнёром с заказом"), details)
