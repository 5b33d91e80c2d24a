"""Two partners with the same customers, each with something of everything, and words that must not cross over."""

import os
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from apps.accounts import companies, customers, sign_in
from apps.accounts.models import Customer, CustomerSession
from apps.billing import credits, outside, partner_reports, promos
from apps.billing.dunning_models import Dunning, ParkedBill
from apps.billing.mass.models import MassAction
from apps.billing.models import Subscription
from apps.billing.moving.models import BaseBatch, BaseImport, ShadowRun
from apps.billing.outside_refund_models import OutsideRefund
from apps.billing.paperwork import ChargeRequest, Document, OutsidePayment
from apps.billing.promotion_models import LeavingAnswer, Promotion, RetentionOffer
from apps.callcenters import lists, requests
from apps.callcenters.incoming import KIND
from apps.callcenters.models import IncomingCall
from apps.catalog import plans
from apps.catalog.models import Offer, ProductParameter
from apps.catalog.plans import Step as PlanStep
from apps.channels.models import ApiKey, Channel, Scope
from apps.connectors.models import Connection, GatewayReference
from apps.core import clock, due, work
from apps.core.fields import Translated
from apps.core.ids import uuid7
from apps.core.money import Money
from apps.core.tasks import run_once
from apps.core.tenancy import in_partner, in_public
from apps.notifications.models import Message
from apps.orders import tasks
from apps.orders.bulk_models import BulkOrder
from apps.orders.models import Fulfilment, Order, Service
from apps.orders.task_models import Task
from apps.partners.models import Partner, StaffRole
from apps.payments import disputes, evidence, payments
from apps.payments.bank_payout_models import BankPayout
from apps.payments.dispute_models import Dispute
from apps.payments.models import Payment, PaymentMethod, Refund
from apps.payments.receipt_models import Receipt
from apps.policies.dunning_models import DunningResult, version_for
from apps.providers.models import OpenRequest, Provider, RequestDeed
from apps.providers.portal import letters
from apps.providers.portal.models import ProviderRequest, RequestLetter
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from apps.storefronts.models import Checkout, Storefront
from tests.conftest import make_partner
from tests.isolation.routes import CUSTOMER, KEY, STAFF
from tests.orders.shop import Shop, open_shop

MARKERS = "Заря7Q", "Кедр9W"
_numbers = count(1)


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
        default_factory=lambda: [
            *(Order, Subscription, Payment, PaymentMethod, Service, Message, Storefront),
            *(Refund, Dispute, BankPayout, OutsideRefund),
        ]
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


def open_house(
    marker: str, gateway: Simulator, provider: Simulator, mailbox: Simulator, *, keys: int = 3
) -> House:
    """A partner that has sold, with one member of staff of its own and one of the platform's."""
    made = make_partner(
        slug=f"house-{os.getpid()}-{next(_numbers)}", is_sandbox=True, tagline={"ru": f"Слоган {marker}"}
    )
    with in_partner(made):
        shop = open_shop(
            made, Control(gateway.url), Control(provider.url), mailbox, partial(_deliver, made), _stay
        )
        return _furnish(shop, marker, keys)


def sign_in_staff(at: Partner | None, *, of: Partner | None) -> Client:
    """A member of staff signed in at a host, with the administrator's role of a partner or of the platform."""
    host = at.host if at else "localhost"
    with in_public():
        name = f"{host}-{'own' if of else 'operator'}-{User.objects.count()}"
        user = User.objects.create(username=name, is_staff=True)
        StaffRole.objects.create(user=user, partner=of, role="admin")
        client = Client(SERVER_NAME=host, raise_request_exception=False)
        client.force_login(user)
        session = client.session
        session["host"] = host
        session.save()
    client.user = user  # type: ignore[attr-defined]
    return client


def _stay(partner: Partner, moment: Any) -> None:
    raise AssertionError("Time stands still here")


def _deliver(partner: Partner) -> int:
    with in_public():
        while run_once(partner_id=partner.pk):
            pass
    return 0


def _letter(partner: Partner, provider: Provider, connection: Connection) -> tuple[UUID, UUID]:
    """A request that waits for a provider, and a letter about it that has not left."""
    now = clock.now()
    request = ProviderRequest.objects.create(
        pk=uuid7(),
        provider=provider,
        partner_id=partner.pk,
        connection=connection,
        kind="provision",
        request_id=uuid7(),
        created_at=now,
    )
    letter = RequestLetter.objects.create(
        id=uuid7(), request=request, kind="asked", wanted_at=now, answer_by=now
    )
    for kind, key in ((letters.SEND, letter.pk), (letters.REMIND, request.pk)):
        due.schedule(kind, key, now + timedelta(days=30), wall=True)
    return request.pk, letter.pk


def _furnish(shop: Shop, marker: str, keys: int) -> House:
    """A sale of everything under the marker, for a customer whom the other house has too."""
    partner = shop.partner
    offer = shop.offer(delivery="key", keys=keys)
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
        "partner": partner.pk,
        "entity": partner.legal_entity_id,
        "offer": offer.pk,
        "product": product.code,
        "product_id": product.pk,
        "customer": customer.pk,
        "order": order.pk,
        "subscription": order.item.subscription_id,
        "invoice": order.invoice_id,
        "payment": payment.pk,
        "method": PaymentMethod.objects.get().pk,
        "fulfilment": Fulfilment.objects.get().pk,
        "connection": payment.connection_id,
        "tariff": offer.tariff_id,
        "pool": product.provider.key_pools.get().pk,
    }
    ids["asked_by_letter"], ids["letter"] = _letter(partner, product.provider, payment.connection)
    work.open("orders.Fulfilment", ids["fulfilment"], f"Разобраться {marker}")
    ids["list"] = _call_centre(customer, payment.connection, marker)
    _consent_and_refund(shop, order, payment, marker)
    ids["receipt"] = _receipts(payment, marker)
    ids["dispute"] = _disputed(payment, marker)
    ids["refund"] = payment.refunds.order_by("pk")[0].pk
    ids["promo_code"], ids["service"] = _given_away(order, marker), service.pk
    ids["message"] = Message.objects.order_by("pk").first().pk
    ids |= _documents(shop, marker)
    ids |= _moved_in(order, marker)
    ids |= _planned(shop, marker)
    _owed_once(partner, order, marker)
    ids["deed"] = _hangs(shop, marker)
    session = sign_in._open(customer)
    assert CustomerSession.objects.exists()
    # The same address is known here and there, and is no secret; these are.
    markers = [marker, order.number, service.key, key.prefix]
    staff, operator = sign_in_staff(partner, of=partner), sign_in_staff(None, of=None)
    return House(partner, ids, markers, text, session, staff, operator)


def _planned(shop: Shop, marker: str) -> dict[str, Any]:
    """What is done by hand, with a file to it; and what its customer is asked about first."""
    by_hand, asked = shop.offer(), shop.offer()
    call = PlanStep("manual", Translated(ru=f"Позвонить {marker}"), minutes=60)
    plans.save(by_hand.tariff.product, [call, PlanStep("provision", Translated(ru="Выдать"))])
    shop.buy(Offer.objects.get(pk=by_hand.pk))
    task = Task.objects.get(state="waiting")
    note = tasks.attach(task.fulfilment, name="word.txt", content=marker.encode(), actor="admin", task=task)
    ProductParameter.objects.create(
        product=asked.tariff.product,
        code="policy",
        name={"ru": f"Полис {marker}"},
        kind="int",
        asked_at="fulfilment",
        is_required=True,
    )
    shop.buy(asked)
    waits = Fulfilment.objects.get(state="info_needed")
    return {"note_file": note.pk, "asked_service": waits.service_id}


def _hangs(shop: Shop, marker: str) -> Any:
    """A deed of the board about what waits for staff, which nobody agreed to."""
    row = OpenRequest.objects.filter(partner_id=shop.partner.pk)[0]
    deed = RequestDeed.objects.create(
        partner_id=shop.partner.pk,
        kind="retry",
        reason=marker,
        state="dropped",
        size=1,
        asked_by=marker,
        created_at=clock.now(),
    )
    deed.rows.create(
        partner_id=row.partner_id,
        request_id=row.request_id,
        number=row.number,
        state="refused",
        result=marker,
    )
    return deed.pk


def _given_away(order: Order, marker: str) -> str:
    """A promo code that was used, and an offer to who would have left."""
    made = Promotion.objects.create(name=f"Скидка {marker}", percent=10, created_at=clock.now())
    promos.make(promotion=made, text=f"CODE-{order.pk.hex[-8:]}")
    code = made.codes.get().code
    with transaction.atomic():
        promos.redeem(code, subscription=order.item.subscription, offer=order.item.offer)
        promos.release(order.item.subscription)
    kept = RetentionOffer.objects.create(
        name={"ru": f"Останьтесь {marker}"}, kind="pause", pause_days=7, tariff_ids=[0]
    )
    LeavingAnswer.objects.create(
        subscription=order.item.subscription, offer=kept, reason="dear", stayed=False, at=clock.now()
    )
    return code


def _owed_once(partner: Partner, order: Order, marker: str) -> None:
    """A debt that was paid in the end, and a bill that a person has declined."""
    now, subscription = clock.now(), order.item.subscription
    debt = Dunning.objects.create(
        subscription=subscription,
        invoice=order.invoice,
        version=version_for(partner.pk, None),
        state="recovered",
        first_class="funds",
        decline_class="funds",
        reason=marker,
        amount=order.invoice.due_money.amount,
        currency=order.invoice.currency,
        started_at=now,
        started_date=clock.today(),
        closed_at=now,
        recovered_by="customer",
    )
    DunningResult.objects.create(
        id=debt.pk,
        partner_id=partner.pk,
        version_id=debt.version_id,
        decline_class=debt.first_class,
        amount=debt.amount,
        currency=debt.currency,
        is_sandbox=partner.is_sandbox,
        started_date=debt.started_date,
        state=debt.state,
        closed_date=debt.started_date,
    )
    ParkedBill.objects.create(
        subscription=subscription,
        state="voided",
        reason=f"Больше обычного {marker}",
        total=Decimal("9000.00"),
        billed_from=clock.today(),
        parked_at=now,
        decided_at=now,
        actor="admin",
        note=f"Ошибка {marker}",
    )


def _moved_in(order: Order, marker: str) -> dict[str, Any]:
    """A base that was looked at, compared and given back, and a mass action that nobody agreed to."""
    now, today = clock.now(), clock.today()
    doubt = [2, "unknown_tariff", f"A-1 {marker}", marker]
    base = BaseImport.objects.create(name=f"{marker}.csv", report={"doubts": [doubt]}, created_at=now)
    difference = [marker, "missing_there", str(today), "1.00", None, None, ""]
    shadow = ShadowRun.objects.create(
        name=f"{marker}.csv",
        start_date=today,
        end_date=today + timedelta(days=30),
        differences=[difference],
        created_at=now,
    )
    left = [[marker, "-"]]
    batch = BaseBatch.objects.create(state="undone", left=left, actor=marker, created_at=now)
    made = MassAction.objects.create(
        kind="extend",
        params={"days": 1},
        reason=marker,
        state="dropped",
        size=1,
        asked_by=marker,
        created_at=now,
    )
    made.rows.create(subscription=order.item.subscription, state="refused", result=marker)
    ordered = BulkOrder.objects.create(name=f"{marker}.csv", state="done", rows=1, placed=1, created_at=now)
    ordered.lines.create(line=2, state="placed", order=order, offer=order.item.offer, reason=marker)
    moved = {"base": base.pk, "shadow": shadow.pk, "batch": batch.pk, "mass": made.pk}
    return {**moved, "bulk_order": ordered.pk}


def _documents(shop: Shop, marker: str) -> dict[str, Any]:
    """A company with a bill paid in part and corrected; a partner that charges, and one that reports."""
    company = customers.register(external_id="C-1", name=f"Компания {marker}")
    companies.set_company(
        company,
        actor="admin",
        name=f"ООО {marker}",
        inn="7707083893",
        kpp="770701001",
        address=f"Москва {marker}",
        documents_email="buh@example.ru",
    )
    bill = shop.order(shop.offer(), customer=company).invoice
    money = Money(Decimal("10.00"))
    outside.receive(
        invoice_id=bill.pk,
        source="bank",
        amount=money,
        paid_date=clock.today(),
        reference=f"17 {marker}",
        key="one",
        accept_part=True,
    )
    with transaction.atomic():
        note = credits.issue(
            invoice=bill,
            parts=[credits.Part(bill.lines.get().pk, Decimal("10.00"))],
            reason="correction",
            key=f"note {marker}",
        )
    report = partner_reports.load(
        [partner_reports.given(f"X {marker}", "1", f"{clock.today()}")],
        name=f"Отчёт {marker}",
        source="file",
        key="one",
        actor="admin",
    )
    offer = shop.offer()
    offer.payer = "partner_charges"
    offer.save()
    shop.order(offer, customer=company)
    back = OutsideRefund.objects.create(
        outside=OutsidePayment.objects.order_by("pk").first(),
        customer=company,
        amount=1,
        way="partner",
        state="requested",
        reason=f"Возврат {marker}",
        above="лимит",
        created_at=clock.now(),
        key="one",
    )
    work.open("billing.OutsideRefund", back.pk, f"Возврат {marker}")
    return {
        "note": note.pk,
        "document": Document.objects.order_by("pk").first().pk,
        "request": ChargeRequest.objects.get().pk,
        "report": report.pk,
        "outside_refund": back.pk,
    }


def _call_centre(customer: Customer, connection: Any, marker: str) -> Any:
    found = Customer.objects.filter(pk=customer.pk)
    made = lists.create(name=f"Список {marker}", script="", customers=found, actor="admin")
    requests.open_request(customer=customer, subject=f"Вопрос {marker}", text="Где ключ?")
    call = IncomingCall.objects.create(
        call_id="1",
        phone=customer.phone,
        customer=customer,
        connection=connection,
        state="ringing",
        started_at=clock.wall(),
    )
    GatewayReference.allot(connection, KIND, call.pk)
    return made.pk


def _consent_and_refund(shop: Shop, order: Order, payment: Payment, marker: str) -> None:
    """What the customer agreed to, and a part of the money given back."""
    text = f"Согласен {marker}"
    Checkout.objects.create(
        offer=order.item.offer,
        price=order.item.price,
        order=order,
        consents=[{"purpose": purpose, "text": text} for purpose in ("terms", "recurring")],
        placed_at=clock.now(),
    )
    part = Money(Decimal("10.00"), payment.currency)
    payments.refund(payment=payment, amount=part, reason=f"Возврат {marker}", actor="admin")
    shop.deliver()


def _receipts(payment: Payment, marker: str) -> Any:
    """What the customer was given by a cash register: of the payment, and of the part that went back."""
    given = {"payment": payment.amount, "refund": payment.refunds.get().amount}
    for cause, total in given.items():
        number = GatewayReference.allot(payment.connection, "payments.Receipt", payment.pk)
        line = {"name": f"Чек {marker}", "quantity": 1, "vat_rate": None, "vat": "0.00", "agent": None}
        line |= {"price": str(total), "amount": str(total), "method": "full_payment"}
        Receipt.objects.create(
            payment=payment,
            refund=payment.refunds.get() if cause == "refund" else None,
            connection=payment.connection,
            reference=number,
            cause=cause,
            key=f"{cause}:{marker}",
            operation="sell" if cause == "payment" else "sell_refund",
            total=total,
            prepaid=Decimal("0.00"),
            currency=payment.currency,
            lines=[line],
            seller={
                "inn": "7707083893",
                "email": "shop@example.ru",
                "taxation": "osn",
                "place": "shop.example",
            },
            contact="ivan@example.ru",
            business_date=clock.today(),
            state="registered",
            gateway_id=f"{cause}-{number.pk}",
            created_at=clock.now(),
            settled_at=clock.now(),
        )
    return Receipt.objects.get(cause="payment").pk


def _disputed(payment: Payment, marker: str) -> Any:
    """A claim with its evidence, and money on its way by bank details."""
    part = Money(Decimal("10.00"), payment.currency)
    made = disputes.open(
        payment=payment,
        kind="claim",
        amount=part,
        reason=f"Не узнаёт {marker}",
        respond_by=clock.now() + timedelta(days=7),
        gateway_id=f"claim {marker}",
    )
    evidence.make(made.pk, actor="admin")
    payments.refund(
        payment=payment, amount=part, reason=f"Карта закрыта {marker}", actor="admin", route="bank"
    )
    return made.pk
