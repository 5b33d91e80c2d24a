"""Buying: the checkout form, the way to the gateway and back, and the page that shows the key."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts import sign_in
from apps.billing import periods
from apps.catalog.models import Offer
from apps.core import addresses, clock
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders.models import Order
from apps.storefronts import purchases, visitors
from apps.storefronts.forms import CheckoutForm
from apps.storefronts.pages import page, sales_are_open, show
from apps.storefronts.words import every_period, in_trial_words


@require_http_methods(["GET", "HEAD", "POST"])
@page
def checkout(request: Any, offer_id: int) -> HttpResponse:
    channel_code = visitors.source(request, request.storefront).code
    offer = Offer.objects.on_sale(current_partner().pk, channel_code).filter(pk=offer_id).first()
    if offer is None:
        known = Offer.objects.filter(partner_id=current_partner().pk, pk=offer_id).exists()
        if not known:
            raise Http404
        raise Refused("not_on_sale", _("Этот тариф больше не продаётся. Выберите другой."))
    if not sales_are_open(request.storefront):
        closed = str(request.storefront.closed_text) or _("Продажи временно закрыты. Загляните позже.")
        raise Refused("sales_closed", closed)
    buyer = sign_in.customer_of(request)
    if request.method != "POST":
        return _form_page(request, offer, CheckoutForm(offer, buyer))
    form = CheckoutForm(offer, buyer, request.POST)
    if not form.is_valid():
        return _form_page(request, offer, form, status=400)
    try:
        order = _buy(request, offer, form)
    except Refused as refused:
        if refused.code == "price_changed":
            form = form.renewed()
        form.refuse(refused)
        return _form_page(request, offer, form, status=refused.status)
    response = redirect("storefronts:pay", order.pk)
    visitors.remember_purchase(request, response, order)
    return response


def _buy(request: Any, offer: Offer, form: CheckoutForm) -> Order:
    given, texts = form.cleaned_data, consent_texts(offer)
    typed = {name: given[name] for name in ("phone", "email", "name") if name in given}
    return purchases.buy(
        request_key=given["request_key"],
        offer=offer,
        channel=visitors.source(request, request.storefront),
        customer=form.buyer,
        contacts=purchases.Contacts(**typed, language=request.LANGUAGE_CODE),
        agreed=purchases.Agreed(
            price=form.shown_price(),
            currency=form.version.currency,
            consents=[{"purpose": purpose, "text": text} for purpose, text in texts.items()],
            ip=addresses.of(request),
            user_agent=request.headers.get("User-Agent", ""),
        ),
        declared=form.declared(),
        answers=form.answers(),
        return_url=f"{request.scheme}://{request.get_host()}/thanks/{{order}}/",
    )


def consent_texts(offer: Offer) -> dict[str, str]:
    """What stands beside the boxes, word for word; kept with the purchase."""
    terms = {"price": offer.money, "every": every_period(offer.current_version())}
    return {
        "recurring": _(
            "Согласен на автоматическое списание %(price)s %(every)s с сохранённой карты, пока не отменю подписку."
        )
        % terms,
        "terms": _("Принимаю условия продажи."),
    }


def _form_page(request: Any, offer: Offer, form: CheckoutForm, status: int = 200) -> HttpResponse:
    version, texts = form.version, consent_texts(offer)
    anchor = clock.today() + periods.timedelta(days=version.trial_days)
    following = periods.period_end(
        anchor=anchor, start=anchor, count=version.period_count, unit=version.period_unit
    )
    later = {"price": offer.money, "date": f"{following:%d.%m.%Y}", "every": every_period(version)}
    context = {
        "offer": offer,
        "version": version,
        "product": offer.tariff.product,
        "form": form,
        "buyer": form.buyer,
        "recurring_text": texts["recurring"],
        "terms_text": texts["terms"],
        "due_now": offer.money,
        "button": _("Оплатить %(price)s") % later,
        "trial": in_trial_words(version.trial_days, anchor) if version.trial_days else "",
        "later": _("Следующее списание — %(price)s %(date)s, затем %(every)s. Предупредим за три дня.")
        % later,
    }
    return show(request, "checkout.html", context, status=status)


@require_safe
@page
def pay(request: Any, order_id: UUID) -> HttpResponse:
    """On to the gateway as soon as it has given its page; until then, a page that waits."""
    order = _own(request, order_id)
    stands = purchases.progress(order)
    if stands.stage == "unpaid":
        return HttpResponseRedirect(stands.payment_url)
    if stands.stage != "paying":
        return redirect("storefronts:thanks", order.pk)
    return show(request, "thanks.html", _context(order, stands) | {"waiting_for": "?for=payment"})


@require_safe
@page
def thanks(request: Any, order_id: UUID) -> HttpResponse:
    order = _own(request, order_id)
    return show(request, "thanks.html", _context(order, purchases.progress(order)))


@require_safe
@page
def state(request: Any, order_id: UUID) -> HttpResponse:
    """The part of the page that changes, for the browser that asks again and again."""
    order = _own(request, order_id)
    stands = purchases.progress(order)
    response = render(request, "storefronts/state.html", _context(order, stands))
    if stands.is_settled:
        response["X-Settled"] = "yes"
    if request.GET.get("for") == "payment" and stands.stage != "paying":
        response["X-Next"] = reverse("storefronts:pay", args=[order.pk])
    return response


def _context(order: Order, stands: purchases.Progress) -> dict[str, Any]:
    return {
        "order": order,
        "stage": stands.stage,
        "payment_url": stands.payment_url,
        "reason": stands.reason,
        "is_settled": stands.is_settled,
        "services": purchases.services_of(order) if stands.stage == "ready" else [],
    }


def _own(request: Any, order_id: UUID) -> Order:
    """The order, for the browser that bought it or its customer; to all others there is none."""
    order = get_object_or_404(Order.objects.select_related("invoice", "subscription"), pk=order_id)
    if not visitors.may_see(request, order):
        raise Http404
    return order
