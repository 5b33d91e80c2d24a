"""What the customer is told about products, composed here and handed down to be sent."""

import hashlib
from collections.abc import Iterable

from django.utils import translation
from django.utils.translation import gettext_lazy as _

from apps import notifications
from apps.billing import pay_links, paying
from apps.billing.models import Collection, Invoice, InvoiceState
from apps.catalog.models import PlanStep
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.notifications.models import Message
from apps.orders.models import Fulfilment, Order, Service
from apps.orders.task_models import Task
from apps.policies.models import Channel
from apps.providers.portal.models import ProviderRequest


def delivered(service: Service, fulfilment: Fulfilment) -> None:
    """«Доступ к продукту»: the key, link or instructions; again when a renewal brings a new key."""
    customer = service.customer
    _access(service, email=customer.email, phone=customer.phone, key=f"key_delivered:{fulfilment.pk}")


def again(service: Service, *, channel: str, key: str) -> Message | None:
    """The same by the channel that is chosen; None where the customer has no such contact. Once for each `key`."""
    customer = service.customer
    email, phone = (customer.email, "") if channel == Channel.EMAIL else ("", customer.phone)
    return _access(service, email=email, phone=phone, key=key)


def _access(service: Service, *, email: str, phone: str, key: str) -> Message | None:
    customer = service.customer
    return notifications.send(
        "key_delivered",
        to_email=email,
        to_phone=phone,
        customer_id=customer.pk,
        context={
            "product": service.name,
            "key": service.key,
            "url": service.url,
            "instructions": service.instructions,
            "period_end": f"{service.active_until:%d.%m.%Y}" if service.active_until else "",
        },
        key=key,
        language=customer.language,
    )


def is_to_be_paid(invoice: Invoice) -> bool:
    """Whether it waits for the customer, who pays by card."""
    return invoice.state == InvoiceState.OPEN and invoice.collection == Collection.CHARGE


def order_to_pay(order: Order) -> Message | None:
    """«Ваш заказ ждёт оплаты»: what staff have ordered for the customer, and the link to pay it by."""
    customer, invoice = order.customer, order.invoice
    assert invoice is not None
    return notifications.send(
        "order_to_pay",
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={
            "product": order.name,
            "amount": str(invoice.due_money),
            "pay_url": pay_links.to_pay(invoice),
            "due_date": f"{paying.last_day(invoice):%d.%m.%Y}",
        },
        key=f"order_to_pay:{order.pk}",
        language=customer.language,
    )


_WHY = {
    "price_changed": _("цена с тех пор изменилась"),
    "offer_stopped": _("продукт так и не вернулся в продажу"),
    "sold_out": _("продукт закончился, и нового не поступило"),
    "offer_closed": _("этот продукт больше не продаётся"),
    "sales_stopped": _("продажи остановлены"),
    "no_connection": _("сейчас его нельзя оплатить"),
}
"""What is said to who is at a page, said to who is not."""


def order_rejected(order: Order, refusal: Refused) -> Message | None:
    """«Заказ не будет исполнен»: what was ordered for a later day could not be sold then, and why."""
    customer = order.customer
    with translation.override(customer.language):
        reason = str(_WHY.get(refusal.code, refusal.message))
    return notifications.send(
        "order_rejected",
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={"product": order.name, "order_number": order.number, "reason": reason},
        key=f"order_rejected:{order.pk}",
        language=customer.language,
    )


def step(fulfilment: Fulfilment, task: Task, step: PlanStep) -> None:
    """What a plan has the customer told on the way."""
    customer = fulfilment.service.customer
    with translation.override(customer.language):
        text = str(step.text)
    notifications.send(
        "fulfilment_step",
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={"product": fulfilment.service.name, "text": text},
        key=f"fulfilment_step:{task.pk}",
        language=customer.language,
    )


def information_required(fulfilment: Fulfilment, names: Iterable[str], *, reminder: int = 0) -> None:
    """«Нужны данные»: what is waited for, and where to tell it; once for each set of questions and `reminder`."""
    customer, wanted = fulfilment.service.customer, ", ".join(names)
    asked = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    notifications.send(
        "information_required",
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={
            "product": fulfilment.service.name,
            "asked": wanted,
            "ask_url": _ask_url(fulfilment),
        },
        key=f"information_required:{fulfilment.pk}:{asked}{f':{reminder}' if reminder else ''}",
        language=customer.language,
    )


def provider_question(fulfilment: Fulfilment, asked: ProviderRequest, *, reminder: int = 0) -> None:
    """«Нужен ваш ответ»: what the provider asks, and where to answer it; once for each asking and `reminder`."""
    customer = fulfilment.service.customer
    # A sandbox's clock stands: other words of the same moment are another question.
    words = hashlib.sha256(asked.customer_question.encode()).hexdigest()[:12]
    asking = f"{asked.customer_asked_at:%Y%m%d%H%M%S%f}-{words}"
    notifications.send(
        "provider_question",
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={
            "product": fulfilment.service.name,
            "question": asked.customer_question,
            "ask_url": _ask_url(fulfilment),
        },
        key=f"provider_question:{asked.pk}:{asking}{f':{reminder}' if reminder else ''}",
        language=customer.language,
    )


def _ask_url(fulfilment: Fulfilment) -> str:
    return current_partner().url(f"/cabinet/services/{fulfilment.service_id}/data/")
