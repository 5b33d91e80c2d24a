"""The customer's cabinet: signing in by a code, subscriptions with their keys, cards, invoices."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts import sign_in as accounts
from apps.billing import adjusting, balances, pauses, pdf, retention, subscriptions, trials
from apps.billing import invoices as billing
from apps.billing.models import (
    RUNNING,
    Collection,
    Invoice,
    InvoicePayment,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.core import addresses, clock
from apps.core.errors import Refused
from apps.core.money import Money
from apps.payments import methods
from apps.payments.models import Payment, PaymentMethod, RefusalHow
from apps.storefronts import ways
from apps.storefronts.cabinet_forms import LeaveForm
from apps.storefronts.forms import CodeForm, ContactForm
from apps.storefronts.pages import page, show

CONTACT, TEN_MINUTES = "armor_contact", 600
LAST_INVOICES = 50
MARKS = {
    SubscriptionState.ACTIVE: "good",
    SubscriptionState.TRIAL: "brand-mark",
    SubscriptionState.PAST_DUE: "warn",
    InvoiceState.PAID: "good",
    InvoiceState.OPEN: "warn",
}


def own(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Only for who is signed in here: `request.customer`; others go to sign in."""

    @page
    @wraps(view)
    def wrapper(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        request.customer = accounts.customer_of(request)
        if request.customer is None:
            return redirect("storefronts:sign_in")
        return view(request, *args, **kwargs)

    return wrapper


@require_http_methods(["GET", "HEAD", "POST"])
@page
def sign_in(request: Any) -> HttpResponse:
    """Asks for phone or e-mail; answers strangers just as it answers customers."""
    form = ContactForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        contact = form.cleaned_data["contact"].strip()
        try:
            accounts.request_code(contact, address=addresses.of(request))
        except Refused as refused:
            form.refuse(refused)
            return show(request, "sign_in.html", {"form": form}, status=refused.status)
        response = redirect("storefronts:code")
        response.set_signed_cookie(CONTACT, contact, max_age=TEN_MINUTES, httponly=True, samesite="Lax")
        return response
    return show(request, "sign_in.html", {"form": form}, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def code(request: Any) -> HttpResponse:
    contact = request.get_signed_cookie(CONTACT, "", max_age=TEN_MINUTES)
    if not contact:
        return redirect("storefronts:sign_in")
    form, status = CodeForm(request.POST or None), 200
    if request.method == "POST" and form.is_valid():
        try:
            token = accounts.verify(contact, form.cleaned_data["code"])
        except Refused as refused:
            form.refuse(refused)
            status = refused.status
        else:
            response = redirect("storefronts:cabinet")
            accounts.remember(response, token)
            response.delete_cookie(CONTACT, samesite="Lax")
            return response
    context = {"form": form, "is_code": True, "contact": contact}
    return show(request, "sign_in.html", context, status=status if status != 200 or not form.errors else 400)


@require_POST
@page
def sign_out(request: Any) -> HttpResponse:
    response = redirect("storefronts:catalogue")
    accounts.leave(request, response)
    return response


@require_safe
@own
def cabinet(request: Any) -> HttpResponse:
    bought = [shown(one) for one in _subscriptions(request)]
    context = {
        "subscriptions": bought,
        "on_balance": balances.of(request.customer.pk),
        "methods": [_used(one, bought) for one in _cards(request)],
        "invoices": [_listed(one) for one in _invoices(request)],
        "may_mail": bool(request.customer.email) or request.customer.is_company,
    }
    return show(request, "cabinet.html", context)


def _subscriptions(request: Any) -> Any:
    return (
        Subscription.objects.filter(customer=request.customer)
        .exclude(state=SubscriptionState.PENDING)
        .select_related("method")
        .prefetch_related("services")
        .order_by("-id")
    )


def shown(subscription: Any) -> Any:
    """A subscription with what the pages say of it beside its own columns."""
    method = subscription.method
    subscription.is_charged = method is not None and method.is_active
    subscription.by_invoice = subscription.collection == Collection.INVOICE
    ending = subscription.is_live and subscription.cancel_at_period_end
    subscription.mark = "warn" if ending else MARKS.get(subscription.state, "")
    subscription.asks = trials.waits(subscription)
    subscription.shown_services = [one for one in subscription.services.all() if not one.is_over]
    return subscription


def _cards(request: Any) -> Any:
    return PaymentMethod.objects.filter(customer=request.customer, is_active=True)


def _used(method: Any, bought: list[Any]) -> Any:
    method.pays_for = [one.name for one in bought if one.is_live and one.method_id == method.pk]
    return method


def _invoices(request: Any) -> Any:
    return (
        Invoice.objects.filter(customer=request.customer)
        .exclude(state=InvoiceState.DRAFT)
        .select_related("subscription")
        .prefetch_related("lines", "payments__payment__method", "documents", "credit_notes")
        .order_by("-id")[:LAST_INVOICES]
    )


def unpaid(subscription: Any) -> list[Any]:
    """Its renewals that wait for money: what a card could not pay, or a bank transfer is awaited for."""
    found = subscription.invoices.filter(state=InvoiceState.OPEN).select_related("subscription")
    found = found.filter(collection__in=[Collection.CHARGE, Collection.INVOICE])
    rows = [
        _listed(one) for one in found.prefetch_related("lines", "payments__payment__method").order_by("id")
    ]
    # What a charge is on its way for is not asked for again.
    past_due = {SubscriptionState.PAST_DUE, SubscriptionState.SUSPENDED}
    return [one for one in rows if not one.may_be_paid or subscription.state in past_due]


def _listed(invoice: Any) -> Any:
    invoice.what = ", ".join(line.description for line in invoice.lines.all())
    paid = [link.payment for link in invoice.payments.all() if not link.failed]
    invoice.by = paid[0].method.title if paid and paid[0].method else ""
    invoice.mark = MARKS.get(invoice.state, "")
    subscription = invoice.subscription
    # A first sale whose card was declined can be paid until its days are over, as a renewal can.
    awaited = subscription is not None and (
        subscription.is_live or subscription.state in {SubscriptionState.PENDING, SubscriptionState.SUSPENDED}
    )
    by_card = invoice.collection == Collection.CHARGE
    invoice.may_be_paid = invoice.state == InvoiceState.OPEN and awaited and by_card
    return invoice


@require_safe
@own
def invoice(request: Any, invoice_id: UUID) -> HttpResponse:
    found = get_object_or_404(Invoice.objects.exclude(state=InvoiceState.DRAFT), **mine(request, invoice_id))
    name = f"invoice-{found.number}.pdf".replace("/", "-").replace('"', "")
    response = HttpResponse(pdf.render(found), content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{name}"'
    return response


def under_way(invoice: Invoice) -> bool:
    """Whether a payment of it has been begun: the gateway's page of that one is what it is paid on."""
    return InvoicePayment.objects.filter(invoice=invoice, failed=False).exists()


@require_POST
@own
def pay_invoice(request: Any, invoice_id: UUID) -> HttpResponse:
    """Pays what a saved card could not: on the gateway's page, and with the card that is used there from then on."""
    found = get_object_or_404(Invoice, **mine(request, invoice_id))
    back = request.build_absolute_uri(reverse("storefronts:cabinet"))
    offered = ways.of_invoice(found) if found.state == InvoiceState.OPEN and not under_way(found) else []
    if ways.must_ask(request.POST, offered) and found.subscription is not None:
        context = {
            "subscription": found.subscription,
            "title": _("Оплатите счёт"),
            "press": _("Оплатить %(sum)s") % {"sum": found.due_money},
            "note": _("Чем заплатите сейчас, с того будут и следующие списания."),
            "ways": offered,
            "action": request.path,
        }
        return show(request, "choose.html", context)
    chosen = ways.chosen(request.POST, offered) if offered else ""
    with transaction.atomic():
        payment = billing.pay(found, return_url=back, instrument=chosen)
    return redirect("storefronts:payment", payment.pk)


@require_safe
@own
def payment(request: Any, payment_id: UUID) -> HttpResponse:
    """On to the gateway's page for a payment as soon as there is one."""
    found = get_object_or_404(Payment, **mine(request, payment_id))
    if not found.is_open:
        return redirect("storefronts:cabinet")
    if found.confirmation_url:
        return HttpResponseRedirect(found.confirmation_url)
    return show(request, "wait.html")


@require_http_methods(["GET", "HEAD", "POST"])
@own
def cancel(request: Any, subscription_id: UUID) -> HttpResponse:
    """Cancelled by one press, with or without a reason; what is offered to who stays stands beside it."""
    found = get_object_or_404(Subscription, **mine(request, subscription_id))
    if found.state not in RUNNING:
        raise Refused("subscription_not_live", _("Эта подписка уже не действует"))
    form = LeaveForm(posted(request))
    if request.method == "POST" and form.is_valid():
        _leave(found, **form.cleaned_data)
        messages.success(request, _("Подписка отменена, списаний больше не будет."), extra_tags="good")
        return redirect("storefronts:cabinet")
    context = {
        "subscription": found,
        "form": form,
        "offer": retention.offer_for(found),
        "stays": found.is_live and found.state != SubscriptionState.PAST_DUE,
        "back_now": _unused(found),
    }
    return show(request, "cancel.html", context, status=400 if form.errors else 200)


def _leave(found: Subscription, *, when: str, reason: str) -> None:
    retention.leave(found, at_period_end=when != "now", reason=reason, actor="customer")


def _unused(found: Subscription) -> Money:
    """What goes back to the card where it is cancelled at once."""
    owed = adjusting.if_ended(found, clock.today())
    return Money(sum((one.amount for one in owed.credits), adjusting.ZERO), found.currency)


@require_POST
@own
def stay(request: Any, subscription_id: UUID) -> HttpResponse:
    """Takes what was offered instead of leaving: one press."""
    found = get_object_or_404(Subscription, **mine(request, subscription_id))
    retention.accept(subscription=found, reason=request.POST.get("reason", ""), actor="customer")
    messages.success(request, _("Спасибо, что остаётесь: предложение действует."), extra_tags="good")
    return redirect("storefronts:subscription", found.pk)


@require_POST
@own
def resume(request: Any, subscription_id: UUID) -> HttpResponse:
    """Takes back a cancellation, or ends a pause."""
    found = get_object_or_404(Subscription, **mine(request, subscription_id))
    if found.state == SubscriptionState.PAUSED:
        pauses.resume(subscription=found, actor="customer")
    else:
        subscriptions.uncancel(found, actor="customer")
    messages.success(request, _("Подписка снова продлевается."), extra_tags="good")
    return redirect("storefronts:subscription", found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@own
def refuse(request: Any, method_id: UUID) -> HttpResponse:
    """«Отказаться от автосписаний»: at once, for good, and no other card takes its place."""
    found = get_object_or_404(PaymentMethod, is_active=True, **mine(request, method_id))
    if request.method == "POST":
        methods.refuse_method(
            found,
            actor="customer",
            how=RefusalHow.CABINET,
            ip=addresses.of(request),
            agent=request.headers.get("User-Agent", ""),
        )
        messages.success(
            request, _("С карты %(card)s больше ничего не спишем.") % {"card": found.title}, extra_tags="good"
        )
        return redirect("storefronts:cabinet")
    context = {
        "title": _("Отказаться от автосписаний?"),
        "lines": [
            _("Карта %(card)s перестанет использоваться сразу и навсегда.") % {"card": found.title},
            _("Подписки проработают до конца оплаченного времени. Другая карта вместо неё не возьмётся."),
        ],
        "button": _("Отказаться от автосписаний"),
    }
    return show(request, "confirm.html", context)


def posted(request: Any) -> Any:
    """What was filled in, be it nothing at all; None where the page is only looked at."""
    return request.POST if request.method == "POST" else None


def mine(request: Any, object_id: UUID) -> dict[str, Any]:
    """Only what belongs to who is signed in."""
    return {"pk": object_id, "customer": request.customer}
