"""The page that a letter or SMS of an unpaid renewal leads to: pay, change the card or take it back, no sign-in.

Whoever has the link sees what is bought, what it costs and the end of the card's number, and nothing of the person.
Opening it changes nothing: mail programs open links by themselves.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.billing import invoices, pay_links, trials
from apps.billing.models import (
    RUNNING,
    Collection,
    Invoice,
    InvoicePayment,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.core import addresses, throttle
from apps.core.errors import Refused
from apps.payments import methods, payments
from apps.payments.models import Payment, PaymentMethod, RefusalHow
from apps.storefronts import ways
from apps.storefronts.pages import page, show
from apps.storefronts.ways import Way

TRIES = throttle.Limit("pay-link", 10, timedelta(hours=1))
_S = SubscriptionState


@dataclass(frozen=True, slots=True)
class Stands:
    """What a link shows: `stage` is open, charging, waiting, paid, closed, over or card."""

    stage: str
    subscription: Subscription
    invoice: Invoice | None
    payment: Payment | None

    @property
    def method(self) -> PaymentMethod | None:
        """The card that is charged by itself, if there is one."""
        method = self.subscription.method
        return method if method is not None and method.is_active else None

    @property
    def ways(self) -> list[Way]:
        """How the invoice may be paid; of one that was begun the gateway's page is open already."""
        return ways.of_invoice(self.invoice) if self.stage == "open" and self.invoice is not None else []

    @property
    def to_save(self) -> list[Way]:
        """What may be saved."""
        return ways.to_save(self.subscription) if self.may_bind else []

    @property
    def may_bind(self) -> bool:
        """Whether a card may be saved without paying anything now."""
        return (
            self.stage in {"card", "paid"}
            and self.subscription.collection == Collection.CHARGE
            and self.subscription.state in RUNNING
        )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def pay_link(request: Any, token: str) -> HttpResponse:
    try:
        link = pay_links.read(token)
    except pay_links.Forged:
        return _refused(
            request, 404, _("Ссылка не подходит"), _("Откройте её из последнего сообщения целиком.")
        )
    except pay_links.Expired:
        text = _("Откройте ссылку из последнего сообщения или войдите в личный кабинет.")
        return _refused(request, 410, _("Срок ссылки прошёл"), text)
    stands = _stand(link)
    if stands is None:
        return _refused(request, 404, _("Ссылка не подходит"), _("Такого счёта у нас нет."))
    if request.method == "POST":
        return _act(request, stands)
    answer = show(request, "pay_link.html", {"stands": stands, "subscription": stands.subscription})
    answer["X-Robots-Tag"] = "noindex"
    return answer


def _stand(link: pay_links.Link) -> Stands | None:
    if link.invoice_id is not None:
        invoice = Invoice.objects.select_related("subscription__method").filter(pk=link.invoice_id).first()
        subscription = invoice.subscription if invoice else None
    else:
        found = Subscription.objects.select_related("method")
        subscription = found.filter(pk=link.subscription_id).first() if link.subscription_id else None
        invoice = (
            subscription.invoices.filter(state=InvoiceState.OPEN).order_by("-pk").first()
            if subscription
            else None
        )
    if subscription is None:
        return None
    payment = _under_way(invoice) if invoice else None
    return Stands(_stage(subscription, invoice, payment), subscription, invoice, payment)


def _under_way(invoice: Invoice) -> Payment | None:
    links = InvoicePayment.objects.select_related("payment").filter(invoice=invoice, failed=False)
    found = links.first()
    return found.payment if found else None


def _stage(subscription: Subscription, invoice: Invoice | None, payment: Payment | None) -> str:
    if invoice is not None and invoice.state in {InvoiceState.PAID, InvoiceState.REFUNDED}:
        return "paid"
    if subscription.state in {_S.ENDED, _S.CANCELLED}:
        return "over"
    if invoice is None:
        return "card"
    if invoice.state != InvoiceState.OPEN:
        return "closed"
    if payment is None:
        return "open"
    if payment.is_charge or payment.is_paid:
        return "charging"
    return "waiting"


def _act(request: Any, stands: Stands) -> HttpResponse:
    wanted = request.POST.get("do", "")
    if wanted == "refuse" and stands.method is not None:
        methods.refuse_method(
            stands.method,
            actor="customer",
            how=RefusalHow.LINK,
            ip=addresses.of(request),
            agent=request.headers.get("User-Agent", ""),
        )
        return redirect(request.path)
    payment = _start(request, stands, wanted)
    if payment is None:
        return redirect(request.path)
    payment = payments.send(payment.pk)
    if payment.confirmation_url:
        return HttpResponseRedirect(payment.confirmation_url)
    if not payment.is_open:
        raise Refused(
            "gateway_unavailable", _("Банк сейчас не отвечает. Попробуйте через несколько минут."), 503
        )
    return show(
        request, "pay_link.html", {"stands": _again(stands, payment), "subscription": stands.subscription}
    )


def _start(request: Any, stands: Stands, wanted: str) -> Payment | None:
    """The payment that the gateway's page is for; the one under way where there is one."""
    back = request.build_absolute_uri(request.path)
    if wanted == "pay" and stands.invoice is not None and stands.stage in {"open", "waiting"}:
        _count(stands)
        with transaction.atomic():
            chosen = ways.chosen(request.POST, stands.ways) if stands.stage == "open" else ""
            return invoices.pay(stands.invoice, return_url=back, instrument=chosen)
    if wanted == "bind" and stands.may_bind:
        _count(stands)
        chosen = ways.chosen(request.POST, stands.to_save)
        return trials.bind(subscription=stands.subscription, return_url=back, instrument=chosen)
    return None


def _count(stands: Stands) -> None:
    message = _("Слишком много попыток. Подождите %(minutes)d мин.")
    throttle.take([(TRIES, str(stands.subscription.pk))], code="throttled", message=message)


def _again(stands: Stands, payment: Payment) -> Stands:
    return Stands("waiting", stands.subscription, stands.invoice, payment)


def _refused(request: Any, status: int, title: str, message: str) -> HttpResponse:
    return show(request, "refused.html", {"title": title, "message": message}, status=status)
