"""Buying: the checkout form, the way to the gateway and back, and the page that shows the key."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts import companies, sign_in
from apps.accounts.models import Customer
from apps.billing import paying
from apps.catalog import halts
from apps.catalog.models import Offer
from apps.catalog.models.offers import Payer
from apps.core import addresses, clock, throttle
from apps.core.errors import Refused
from apps.core.tenancy import current_partner
from apps.orders.models import Order
from apps.storefronts import purchases, visitors, ways
from apps.storefronts.forms import CheckoutForm
from apps.storefronts.pages import page, sales_are_open, show
from apps.storefronts.quotes import AS_COMPANY, Quote, by_invoice, in_trial_words, needs_company, quote
from apps.storefronts.words import every_period

GUESSES = throttle.Limit("promo", 20, timedelta(hours=1))


@require_http_methods(["GET", "HEAD", "POST"])
@page
def checkout(request: Any, offer_id: int) -> HttpResponse:
    channel_code = visitors.source(request, request.storefront).code
    offer = Offer.objects.listed(current_partner().pk, channel_code).filter(pk=offer_id).first()
    if offer is None:
        known = Offer.objects.filter(partner_id=current_partner().pk, pk=offer_id).exists()
        if not known:
            raise Http404
        raise Refused("not_on_sale", _("Этот тариф больше не продаётся. Выберите другой."))
    if not sales_are_open(request.storefront):
        closed = str(request.storefront.closed_text) or _("Продажи временно закрыты. Загляните позже.")
        raise Refused("sales_closed", closed)
    halts.check(offer)
    buyer = sign_in.customer_of(request)
    as_company = by_invoice(offer, buyer, request.GET.get("as", ""))
    if request.method == "POST":
        return _ordered(request, offer, buyer, channel_code, as_company)
    response = _form_page(request, CheckoutForm(quote(offer, buyer, by_invoice=as_company), buyer))
    visitors.remember_source(request, response)
    return response


def _ordered(
    request: Any, offer: Offer, buyer: Customer | None, channel_code: str, as_company: bool
) -> HttpResponse:
    """The order of a filled form, or the form again: with what is wrong, or with a sum that was not shown yet."""
    asked = {
        "promo_code": request.POST.get("promo", "")[:60],
        "channel_code": channel_code,
        "with_trial": request.POST.get("trial") != "0",
        "by_invoice": as_company,
    }
    try:
        _may_guess(request, asked["promo_code"])
        shown = quote(offer, buyer, **asked)
    except Refused as refused:
        plain = quote(offer, buyer, with_trial=asked["with_trial"], by_invoice=as_company)
        form = CheckoutForm(plain, buyer, request.POST).renewed()
        form.refuse(refused)
        return _form_page(request, form, status=refused.status)
    form = CheckoutForm(shown, buyer, request.POST)
    if "apply" in request.POST:
        return _form_page(request, form.renewed())
    if not form.is_valid():
        if form.has_error(ways.FIELD):
            problem = form.errors[ways.FIELD][0]
            form = form.renewed()
            form.add_error(ways.FIELD, problem)
        return _form_page(request, form, status=400)
    try:
        order = _buy(request, form)
    except Refused as refused:
        if refused.code == "price_changed":
            form = form.renewed()
        elif refused.code == "trial_used":
            form = form.renewed(quote(offer, buyer, **(asked | {"with_trial": False})))
        form.refuse(refused)
        return _form_page(request, form, status=refused.status)
    response = redirect("storefronts:pay", order.pk)
    visitors.remember_purchase(request, response, order)
    return response


def _may_guess(request: Any, code: str) -> None:
    """Codes are not found by trying: so many an hour from one address."""
    if code:
        message = _("Слишком много промокодов подряд. Попробуйте через %(minutes)d мин.")
        throttle.take([(GUESSES, addresses.of(request) or "")], code="promo_throttled", message=message)


def _buy(request: Any, form: CheckoutForm) -> Order:
    given, texts = form.cleaned_data, consent_texts(form.quote, form.way)
    typed = {name: given[name] for name in ("phone", "email", "name") if name in given}
    return purchases.buy(
        request_key=given["request_key"],
        offer=form.offer,
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
        promo_code=given["promo"],
        trial=form.quote.is_trial,
        company=form.company(),
        instrument=form.instrument,
        return_url=f"{request.scheme}://{request.get_host()}/thanks/{{order}}/",
    )


def _usual(shown: Quote) -> str:
    return paying.PARTNER if shown.offer.payer in ways.BY_PARTNER else ""


def consent_texts(shown: Quote, way: str = "") -> dict[str, str]:
    """What stands beside the boxes for who pays by `way`, word for word; kept with the purchase."""
    terms = {
        "price": shown.discounted or f"{shown.offer.money} {every_period(shown.version)}",
        "date": f"{shown.trial_end:%d.%m.%Y}",
    }
    accepted = {"terms": _("Принимаю условия продажи.")}
    if shown.by_invoice:
        text = _("Согласны получать счёт — %(price)s, пока не отменим подписку.")
        return {"invoice": text % terms, **accepted}
    if not shown.is_charged:
        text = _("Пробный период до %(date)s без карты: потом выберу, как платить, иначе ничего не спишут.")
        return {"trial": text % terms, **accepted}
    date = terms["date"] if shown.is_trial else ""
    text = ways.consent(way or _usual(shown), terms["price"], date)
    return {"recurring": text, **accepted}


def _form_page(request: Any, form: CheckoutForm, status: int = 200) -> HttpResponse:
    shown, texts = form.quote, consent_texts(form.quote, form.way)
    context = {
        "offer": form.offer,
        "halt": halts.explain([form.offer]).get(form.offer.pk),
        "version": form.version,
        "product": form.offer.tariff.product,
        "form": form,
        "buyer": form.buyer,
        "quote": shown,
        "ways": shown.ways,
        "way": form.way,
        "agreed_to": form.way,
        "by_way": _by_way(shown),
        "recurring_text": texts.get("recurring") or texts.get("invoice", ""),
        "kinds": _kinds(request, form),
        "terms_text": texts["terms"],
        "due_now": shown.due_now,
        "button": (
            _("Попробовать бесплатно")
            if shown.is_trial
            else _("Получить счёт на %(price)s") % {"price": shown.due_now}
            if shown.by_invoice and shown.due_now.amount
            else _("Оплатить %(price)s") % {"price": shown.due_now}
            if shown.due_now.amount
            else _("Оформить")
        ),
        "trial": in_trial_words(shown, form.way) if shown.is_trial else "",
        "later": _later(shown),
    }
    return show(request, "checkout.html", context, status=status)


def _by_way(shown: Quote) -> list[dict[str, str]]:
    """What the page says that differs by the way to pay; nothing where there is no choice."""
    if len(shown.ways) < 2:
        return []
    return [
        {
            "code": one.code,
            "agree": consent_texts(shown, one.code)["recurring"],
            "trial": in_trial_words(shown, one.code) if shown.is_trial else "",
        }
        for one in shown.ways
    ]


def _kinds(request: Any, form: CheckoutForm) -> list[dict[str, Any]]:
    """Who may buy: a person or a company; nothing where there is no choice."""
    offer, buyer = form.offer, form.buyer
    if offer.payer != Payer.CHARGE or needs_company(offer) or (buyer is not None and companies.of(buyer.pk)):
        return []
    channel = request.GET.get("channel", "")
    links = {"": _("Для себя"), AS_COMPANY: _("Для организации")}
    return [
        {
            "title": title,
            "is_on": (kind == AS_COMPANY) == form.quote.by_invoice,
            "query": urlencode(
                {name: value for name, value in (("as", kind), ("channel", channel)) if value}
            ),
        }
        for kind, title in links.items()
    ]


def _later(shown: Quote) -> str:
    """What comes after today, in one sentence."""
    if shown.by_invoice:
        text = _(
            "Оплата переводом с расчётного счёта. Затем счёт %(every)s: %(price)s, заранее на почту; "
            "по окончании периода — акт."
        )
        return text % {"price": shown.next_amount, "every": every_period(shown.version)}
    if not shown.is_charged:
        return _("Без вашего выбора потом ничего не спишем.")
    terms = {
        "price": shown.next_amount,
        "date": f"{shown.next_charge:%d.%m.%Y}",
        "every": every_period(shown.version),
    }
    if shown.is_trial:
        text = _("Первое списание — %(price)s %(date)s, затем %(every)s. Предупредим за три дня.")
    else:
        text = _("Следующее списание — %(price)s %(date)s, затем %(every)s. Предупредим за три дня.")
    return text % terms


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
        "promised_at": _promised(order) if stands.stage == "preparing" else None,
        "services": purchases.services_of(order) if stands.stage == "ready" else [],
    }


def _promised(order: Order) -> datetime | None:
    """By when it is delivered, where the buyer was told that it takes longer; in the partner's zone."""
    promised = [one.terms["promised_at"] for one in order.items.all() if "promised_at" in one.terms]
    return clock.local(max(map(datetime.fromisoformat, promised))) if promised else None


def _own(request: Any, order_id: UUID) -> Order:
    """The order, for the browser that bought it or its customer; to all others there is none."""
    order = get_object_or_404(Order.objects.select_related("invoice"), pk=order_id)
    if not visitors.may_see(request, order):
        raise Http404
    return order
