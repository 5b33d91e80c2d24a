"""One subscription in the cabinet: what is charged next, and all that its customer may do with it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts import contacts, customers
from apps.billing import changes, history, pauses, phases, promos, seats, transfers, trials
from apps.billing.models import LIVE, Collection, PhaseKind, Subscription, SubscriptionState
from apps.billing.preview import Preview, preview
from apps.catalog.models import Offer
from apps.core import clock, throttle
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import current_partner
from apps.orders import asking, inquiries
from apps.orders.models import ENDED_STATES, Service
from apps.storefronts import addon_offers, ways
from apps.storefronts.cabinet_forms import (
    AskedForm,
    HolderForm,
    PauseForm,
    PromoForm,
    QuantityForm,
    TransferForm,
)
from apps.storefronts.pages import show
from apps.storefronts.views.cabinet import mine, own, posted, shown, unpaid

ACTOR = "customer"
_S = SubscriptionState


def _back(row: Subscription) -> HttpResponse:
    return redirect("storefronts:subscription", row.pk)


def _done(request: Any, row: Subscription, text: str) -> HttpResponse:
    messages.success(request, text, extra_tags="good")
    return _back(row)


def _got(request: Any, subscription_id: UUID) -> Subscription:
    found = Subscription.objects.select_related("method", "parent").prefetch_related("services")
    return get_object_or_404(found.exclude(state=_S.PENDING), **mine(request, subscription_id))


@require_safe
@own
def subscription(request: Any, subscription_id: UUID) -> HttpResponse:
    row = _got(request, subscription_id)
    return show(request, "subscription.html", _context(row))


def _context(row: Subscription, **forms: Any) -> dict[str, Any]:
    today = clock.today()
    coming = [one for one in phases.to_come(row, today) if one.kind == PhaseKind.CHANGE]
    may_change = row.state in {_S.TRIAL, _S.ACTIVE} and not row.cancel_at_period_end
    return {
        "subscription": shown(row),
        "next": _next(row),
        "unpaid": [(one, ways.of_invoice(one)) for one in unpaid(row)],
        "to_save": ways.to_save(row),
        "discounts": [one for one in row.discounts.all() if one.end_date is None or one.end_date > today],
        "coming": coming[0] if coming else None,
        "waiting": changes.waiting_for(row.pk),
        "must_choose": trials.waits(row),
        "may_bind": row.collection == Collection.CHARGE and (row.is_live or trials.waits(row)),
        "may_change": may_change and not row.parent_id,
        "may_pause": row.state == _S.ACTIVE and not row.cancel_at_period_end and not row.parent_id,
        "is_paused": row.state == _S.PAUSED,
        "seats": _seats(row) if row.quantity > 1 or seats.held(row) else [],
        "addons": list(row.addons.filter(state__in=[*LIVE, _S.PAUSED])),
        "more": addon_offers.of(row) if may_change and not row.parent_id else [],
        "asked": [
            (one, inquiries.is_question(found[0].code))
            for one in shown(row).shown_services
            if (found := asking.questions(one))
        ],
        "promo_form": PromoForm(),
        **forms,
    }


@dataclass(frozen=True, slots=True)
class _Next:
    """The next charge: the invoice as it will be, and whether anything will be charged by itself."""

    seen: Preview
    card: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its lines in words."""
        return [
            {
                "name": one.name,
                "quantity": one.quantity,
                "start": one.start,
                "last": one.end - timedelta(days=1),
                "amount": Money(one.amount, self.seen.currency),
                "discount": Money(one.discount, self.seen.currency) if one.discount else None,
            }
            for one in self.seen.lines
        ]

    @property
    def from_balance(self) -> Money | None:
        """What the balance pays of it."""
        return Money(self.seen.balance_used, self.seen.currency) if self.seen.balance_used else None


def _next(row: Subscription) -> _Next | None:
    seen = preview(row.parent or row)
    if seen.date is None or not seen.lines:
        return None
    payer = row.parent or row
    method = payer.method if payer.method_id else None
    return _Next(seen, method.title if method is not None and method.is_active else "")


def _seats(row: Subscription) -> list[dict[str, Any]]:
    held = {one.position: one for one in seats.held(row)}
    return [{"position": number, "seat": held.get(number)} for number in range(1, row.quantity + 1)]


@require_safe
@own
def story(request: Any, subscription_id: UUID) -> HttpResponse:
    """«За что списали»: what was agreed, billed, charged and given back, the latest first."""
    row = _got(request, subscription_id)
    told = [
        one
        for one in history.of(row)
        if one.kind in {"terms", "invoice", "payment", "refund", "credit", "deed"}
    ]
    return show(request, "story.html", {"subscription": row, "moments": told})


@require_http_methods(["GET", "HEAD", "POST"])
@own
def change(request: Any, subscription_id: UUID) -> HttpResponse:
    """Other tariffs and another quantity, each with what it costs to the kopeck; done when that was seen."""
    row = _got(request, subscription_id)
    form = QuantityForm(row, posted(request))
    if request.method == "POST" and request.POST.get("confirmed"):
        return _changed(request, row)
    wanted: dict[str, Any] | None = None
    if request.method == "POST" and form.is_valid():
        wanted = {"quantity": form.cleaned_data["quantity"]}
    offers = _others(row)
    key = request.GET.get("offer", "")
    if key.isdigit() and int(key) in {one.pk for one in offers}:
        wanted = {"offer": next(one for one in offers if one.pk == int(key))}
    context: dict[str, Any] = {"subscription": row, "offers": offers, "form": form}
    if wanted is not None:
        try:
            context["views"] = _views(row, wanted)
            context["wanted"] = wanted
        except Refused as refused:
            context["problem"] = refused.message
    return show(request, "change.html", context, status=400 if form.errors else 200)


def _others(row: Subscription) -> list[Offer]:
    found = Offer.objects.on_sale(current_partner().pk, row.channel_code)
    return list(found.filter(tariff__product=row.product_id).exclude(pk=row.offer_id))


def _views(row: Subscription, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """What it costs now, and what when the paid days are over; only one of them where the other is refused."""
    found, refusal = [], None
    for when in (changes.NOW, changes.PERIOD_END):
        try:
            view = changes.preview(subscription=row, when=when, **wanted)
        except Refused as refused:
            refusal = refused
            continue
        first = next(one for one in view.rows if not one.is_free)
        found.append(
            {
                "when": when,
                "day": view.start_date,
                "price": Money(first.price * first.quantity, view.currency),
                "name": first.name,
                "charged": Money(view.charged, view.currency),
                "credited": Money(view.credited, view.currency),
                "due": view.due,
                "left": Money(max(view.credited - view.charged, changes.ZERO), view.currency),
                "terms": first,
            }
        )
    if not found and refusal is not None:
        raise refusal
    return found


def _changed(request: Any, row: Subscription) -> HttpResponse:
    given = request.POST
    number = given.get("quantity", "")
    offer = next((one for one in _others(row) if str(one.pk) == given.get("offer", "")), None)
    if offer is None and not number.isdigit():
        raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
    wanted = {"offer": offer} if offer is not None else {"quantity": int(number)}
    when = changes.PERIOD_END if given.get("when") == changes.PERIOD_END else changes.NOW
    view = changes.preview(subscription=row, when=when, **wanted)
    if str(view.due.amount) != given.get("due", ""):
        raise Refused("price_changed", _("Сумма изменилась: посмотрите её ещё раз"))
    charged = row.method is not None and row.method.is_active
    page = "" if charged else request.build_absolute_uri(reverse("storefronts:subscription", args=[row.pk]))
    outcome = changes.change(subscription=row, when=when, return_url=page, actor=ACTOR, **wanted)
    if outcome.payment is not None and not charged:
        return redirect("storefronts:payment", outcome.payment.pk)
    texts = {
        "applied": _("Готово: новые условия действуют."),
        "planned": _("Запланировано: новые условия начнутся %(day)s.")
        % {"day": f"{outcome.start_date:%d.%m.%Y}"},
        "waiting": _("Списываем доплату: новые условия начнут действовать сразу после неё."),
    }
    return _done(request, row, texts[outcome.state])


@require_POST
@own
def undo(request: Any, subscription_id: UUID) -> HttpResponse:
    row = _got(request, subscription_id)
    changes.undo(subscription=row, actor=ACTOR)
    return _done(request, row, _("Всё остаётся как сейчас."))


@require_http_methods(["GET", "HEAD", "POST"])
@own
def pause(request: Any, subscription_id: UUID) -> HttpResponse:
    row = _got(request, subscription_id)
    form = PauseForm(posted(request))
    if request.method == "POST" and form.is_valid():
        until = form.cleaned_data["until"]
        pauses.pause(subscription=row, until=until, actor=ACTOR)
        return _done(request, row, _("Подписка на паузе: списаний не будет."))
    unused = pauses.unused(row)
    context = {"subscription": row, "form": form, "unused": unused}
    return show(request, "pause.html", context, status=400 if form.errors else 200)


@require_POST
@own
def bind(request: Any, subscription_id: UUID) -> HttpResponse:
    """On to the gateway's page: a card for this subscription, by a rouble that goes back."""
    row = _got(request, subscription_id)
    page = request.build_absolute_uri(reverse("storefronts:subscription", args=[row.pk]))
    offered = ways.to_save(row)
    if ways.must_ask(request.POST, offered):
        context = {
            "subscription": row,
            "title": _("Чем платить дальше"),
            "press": _("Привязать"),
            "note": _(
                "Для проверки спишем 1\N{NO-BREAK SPACE}₽ с карты или 10\N{NO-BREAK SPACE}₽ через СБП и сразу вернём."
            ),
            "ways": offered,
            "action": request.path,
        }
        return show(request, "choose.html", context)
    chosen = ways.chosen(request.POST, offered)
    payment = trials.bind(subscription=row, return_url=page, instrument=chosen)
    return redirect("storefronts:payment", payment.pk)


@require_POST
@own
def promo(request: Any, subscription_id: UUID) -> HttpResponse:
    row = _got(request, subscription_id)
    form = PromoForm(request.POST)
    if form.is_valid():
        try:
            _may_try("promo", request, 20)
            promos.apply(subscription=row, code=form.cleaned_data["code"], actor=ACTOR)
        except Refused as refused:
            form.add_error("code", str(refused.message))
        else:
            return _done(request, row, _("Промокод применён: скидка — со следующего списания."))
    return show(request, "subscription.html", _context(row, promo_form=form), status=400)


def _may_try(name: str, request: Any, count: int) -> None:
    message = _("Слишком много попыток. Попробуйте через %(minutes)d мин.")
    limit = throttle.Limit(name, count, timedelta(hours=1))
    throttle.take([(limit, str(request.customer.pk))], code="throttled", message=message)


@require_http_methods(["GET", "HEAD", "POST"])
@own
def seat(request: Any, subscription_id: UUID, position: int) -> HttpResponse:
    """Who has a place: gives it, passes it on or frees it."""
    row = _got(request, subscription_id)
    held = next((one for one in seats.held(row) if one.position == position), None)
    if request.method == "POST" and "release" in request.POST:
        seats.release(subscription=row, position=position, actor=ACTOR)
        return _done(request, row, _("Место свободно."))
    form = HolderForm(posted(request))
    if request.method == "POST" and form.is_valid():
        give = seats.replace if held else seats.assign
        give(subscription=row, position=position, actor=ACTOR, **form.cleaned_data)
        return _done(request, row, _("Место назначено."))
    context = {"subscription": row, "form": form, "seat": held, "position": position}
    return show(request, "seat.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@own
def transfer(request: Any, subscription_id: UUID) -> HttpResponse:
    """To another customer, by their phone or e-mail."""
    row = _got(request, subscription_id)
    form = TransferForm(posted(request))
    if request.method == "POST" and form.is_valid():
        _may_try("transfer", request, 5)
        try:
            _passed(row, form.cleaned_data["contact"], request.LANGUAGE_CODE)
        except Refused as refused:
            form.add_error("contact", str(refused.message))
        else:
            messages.success(request, _("Подписка передана."), extra_tags="good")
            return redirect("storefronts:cabinet")
    context = {"subscription": row, "form": form}
    return show(request, "transfer.html", context, status=400 if form.errors else 200)


def _passed(row: Subscription, contact: str, language: str) -> None:
    """Who is not a customer yet becomes one: nobody learns here who is, and a code lets them in."""
    phone, email = contacts.either(contact)
    with transaction.atomic():
        to = customers.register(phone=phone, email=email, language=language)
        transfers.transfer(subscription=row, to=to, actor=ACTOR)


@require_http_methods(["GET", "HEAD", "POST"])
@own
def addon(request: Any, subscription_id: UUID, offer_id: int) -> HttpResponse:
    """An add-on: what it costs up to the next charge, and then with each."""
    row = _got(request, subscription_id)
    offer = next((one.offer for one in addon_offers.of(row) if one.offer.pk == offer_id), None)
    if offer is None:
        raise Refused("offer_closed", _("Это предложение больше не продаётся"), status=404)
    priced = addon_offers.price(row, offer)
    offered = ways.of_offer(offer, priced.due, is_addon=True) if row.collection == Collection.CHARGE else []
    if request.method == "POST":
        order = addon_offers.buy(request, row, offer, priced, ways.chosen(request.POST, offered))
        return redirect("storefronts:pay", order.pk)
    context = {"subscription": row, "offer": offer, "priced": priced, "ways": offered}
    return show(request, "addon.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@own
def asked(request: Any, service_id: UUID) -> HttpResponse:
    """What a product needs to know before, or after, it is given out; or its provider, before it goes on."""
    service = get_object_or_404(Service.objects.exclude(state__in=ENDED_STATES), **mine(request, service_id))
    form = AskedForm(service, posted(request))
    if (late := form.late()) and form.is_inquiry:
        form = form.again(late)
    elif late:
        # Staff have answered for them, or the provider has decided without.
        return _done(request, service.subscription, _("Ответ уже не нужен: поставщик продолжает без него."))
    if not form.fields:
        raise Refused("nothing_asked", _("Здесь ничего не спрашивают"), status=404)
    if request.method == "POST" and form.is_valid():
        asking.tell(service, form.values(), actor=ACTOR)
        told = _("Спасибо, поставщик получил ответ.") if form.is_inquiry else _("Спасибо, записали.")
        return _done(request, service.subscription, told)
    context = {"service": service, "form": form, "subscription": service.subscription}
    return show(request, "asked.html", context, status=400 if form.errors else 200)
