"""Two partners with the same customer, each with something of everything, and words that must not cross over."""

from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from apps.accounts import customers, sign_in
from apps.accounts.models import CustomerSession
from apps.billing.models import Subscription
from apps.callcenters import requests
from apps.callcenters.models import CallList, IncomingCall
from apps.channels.models import ApiKey, Channel, Scope
from apps.core import clock, work
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.orders.models import Fulfilment, Order, Service
from apps.partners.models import Partner
from apps.payments.models import Payment, PaymentMethod
from tests.isolation.routes import CUSTOMER, KEY, STAFF
from tests.orders.shop import Shop


@dataclass
class House:
    """A partner, ids of its things, credentials to it, and the markers planted in it."""

    partner: Partner
    ids: dict[str, Any]
    markers: list[str]
    key: str
    session: str
    staff: Client
    operator: Client
    tables: list[Any] = field(
        default_factory=lambda: [Order, Subscription, Payment, PaymentMethod, Service, Message]
    )

    def state(self) -> list[Any]:
        """What the house has: the same before and after, nothing was changed."""
        with in_partner(self.partner):
            return [list(table.objects.order_by("pk").values()) for table in self.tables]

    def client(self, who: str, at: Partner) -> Client:
        """Somebody with this house's credentials, at a partner's host."""
        made = Client(SERVER_NAME=at.host, raise_request_exception=False)
        if who == KEY:
            made.defaults["HTTP_AUTHORIZATION"] = f"Bearer {self.key}"
        elif who == CUSTOMER:
            made.cookies[sign_in.COOKIE] = self.session
        elif who == STAFF:
            made.cookies = self.staff.cookies.copy()
        return made


def furnish(shop: Shop, marker: str, staff: Client, operator: Client) -> House:
    """A sale of everything under the marker, for a customer whom the other house has too."""
    partner = shop.partner
    with in_partner(partner):
        offer = shop.offer(delivery="key", keys=3)
        product = offer.tariff.product
        product.name = {"ru": f"Товар {marker}"}
        product.save()
        customer = customers.register(
            phone="+79161112233", email="ivan@example.ru", external_id="A-1", name=f"Иван {marker}"
        )
        order = shop.order(offer, customer=customer, channel_code="web")
        payment = shop.pay(order)
        key, text = ApiKey.issue(Channel.objects.get(code="api"), Scope.values, name=f"Ключ {marker}")
        service = Service.objects.get()
        ids = {
            "slug": partner.slug,
            "offer": offer.pk,
            "product": product.code,
            "customer": customer.pk,
            "order": order.pk,
            "subscription": order.subscription_id,
            "invoice": order.invoice_id,
            "payment": payment.pk,
            "method": PaymentMethod.objects.get().pk,
            "fulfilment": Fulfilment.objects.get().pk,
            "message": Message.objects.order_by("pk").first().pk,
            "connection": payment.connection_id,
        }
        work.open("orders.Fulfilment", ids["fulfilment"], f"Разобраться {marker}")
        _call_centre(customer, payment.connection, marker)
        session = sign_in._open(customer)
        assert CustomerSession.objects.exists()
    # The same address is known here and there, and is no secret; these are.
    markers = [marker, order.number, service.key, key.prefix]
    return House(partner, ids, markers, text, session, staff, operator)


def _call_centre(customer: Any, connection: Any, marker: str) -> None:
    now = clock.wall()
    CallList.objects.create(name=f"Список {marker}", created_at=now, created_by="admin")
    requests.open_request(customer=customer, subject=f"Вопрос {marker}", text="Где ключ?")
    IncomingCall.objects.create(
        call_id="1",
        phone=customer.phone,
        customer=customer,
        connection=connection,
        state="ringing",
        started_at=now,
    )
