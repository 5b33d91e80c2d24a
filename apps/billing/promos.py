"""Promo codes: looked at, redeemed once within limits and budget, released where nothing came of the purchase."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps import journal
from apps.accounts.models import Customer
from apps.billing import discounts, subscriptions
from apps.billing.models import RUNNING, Subscription
from apps.billing.promotion_models import PromoCode, PromoRedemption, Promotion, RedemptionState
from apps.catalog.models import Offer
from apps.core import clock
from apps.core.errors import Refused
from apps.core.money import Money

ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Without what people mistake for something else: I and 1, O and 0, L."""
LENGTH = 8
LARGEST_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class Given:
    """What a code gives on an offer today: on `quantity` pieces, for one whole period."""

    code: PromoCode
    gross: Money
    discount: Money

    @property
    def promotion(self) -> Promotion:
        """Whose code it is."""
        return self.code.promotion

    @property
    def price(self) -> Money:
        """What a period costs with it."""
        return Money(self.gross.amount - self.discount.amount, self.gross.currency)

    @property
    def cost(self) -> Decimal:
        """What it takes of the budget: the discount of all its periods."""
        return self.discount.amount * (self.promotion.periods or 1)


def normalised(text: str) -> str:
    """As codes are kept: people type spaces and small letters."""
    return "".join(text.split()).upper()[:40]


def look(
    text: str,
    *,
    offer: Offer,
    customer: Customer | None = None,
    quantity: int = 1,
    channel_code: str = "",
    is_new: bool = True,
) -> Given:
    """What a code would give; takes nothing. Who is not known yet is checked at the order.

    Raises Refused: `promo_unknown` (404), `promo_not_valid`, `promo_not_for_this`, `promo_used`, `promo_spent`.
    """
    given = _given(_found(text), offer, quantity)
    _check(given, offer, channel_code, is_new)
    _check_limits(given, customer)
    return given


def redeem(
    text: str,
    *,
    subscription: Subscription,
    offer: Offer,
    quantity: int = 1,
    channel_code: str = "",
    is_new: bool = True,
) -> PromoRedemption:
    """Takes a code for a subscription, in the caller's transaction, on today's terms. Raises Refused as `look`.

    The promotion's row is locked to the end of that transaction: nobody is let in over a limit or the budget.
    """
    code = _found(text)
    promotion = Promotion.objects.select_for_update(no_key=True).get(pk=code.promotion_id)
    code.refresh_from_db()
    code.promotion = promotion
    given = _given(code, offer, quantity)
    _check(given, offer, channel_code, is_new)
    _check_limits(given, subscription.customer)
    _count(code, promotion, 1, given.cost)
    return PromoRedemption.objects.create(
        promotion=promotion,
        code=code,
        customer=subscription.customer,
        subscription=subscription,
        percent=promotion.percent,
        amount=promotion.amount,
        periods=promotion.periods,
        cost=given.cost,
        state=RedemptionState.RESERVED,
        created_at=clock.now(),
    )


def apply(*, subscription: Subscription, code: str, actor: str = "") -> PromoRedemption:
    """A code for a subscription that runs: from the next period to be billed on.

    Raises Refused as `look`, and `subscription_not_live`, `promo_has_one`.
    """
    with transaction.atomic():
        subscription = subscriptions.locked(subscription.pk)
        if subscription.state not in RUNNING or subscription.cancel_at_period_end or subscription.parent_id:
            raise Refused("subscription_not_live", _("Промокод вводят для действующей подписки"))
        if discounts.has_one(subscription, subscription.billed_until or clock.today()):
            raise Refused("promo_has_one", _("У этой подписки уже есть скидка"))
        redemption = redeem(
            code,
            subscription=subscription,
            offer=Offer.objects.get(pk=subscription.offer_id),
            quantity=subscription.quantity,
            channel_code=subscription.channel_code,
            is_new=False,
        )
        discounts.apply(redemption, subscription, None)
        data = {"code": redemption.code.code}
        journal.record("subscription.promo", subscriptions.KIND, subscription.pk, actor=actor, data=data)
    return redemption


def release(subscription: Subscription) -> None:
    """Nothing was bought after all: the code may be used again, its money is free."""
    for redemption in subscription.redemptions.filter(state=RedemptionState.RESERVED):
        promotion = Promotion.objects.select_for_update(no_key=True).get(pk=redemption.promotion_id)
        redemption.refresh_from_db(fields=["state"])
        if redemption.state != RedemptionState.RESERVED:
            continue
        redemption.state = RedemptionState.RELEASED
        redemption.save(update_fields=["state"])
        _count(PromoCode.objects.get(pk=redemption.code_id), promotion, -1, -redemption.cost)


def make(
    *, promotion: Promotion, count: int = 0, prefix: str = "", text: str = "", actor: str = ""
) -> Sequence[PromoCode]:
    """One code for everybody (`text`), or `count` unique ones, each good for once. Raises Refused:
    `bad_count`, `promo_taken`, `bad_code`."""
    if not re.fullmatch(r"[\w-]*", text + prefix):
        raise Refused("bad_code", _("В коде бывают буквы, цифры и дефис"), status=400)
    if text:
        codes = [_shared(promotion, normalised(text))]
    elif not 0 < count <= LARGEST_BATCH:
        raise Refused("bad_count", _("Сколько кодов: от 1 до 100 000"), status=400)
    else:
        codes = _batch(promotion, count, normalised(prefix)[:20])
    data = {"codes": len(codes), "code": codes[0].code}
    journal.record("promotion.codes", "billing.Promotion", promotion.pk, actor=actor, data=data)
    return codes


def _shared(promotion: Promotion, text: str) -> PromoCode:
    if not 3 <= len(text) <= 40:
        raise Refused("bad_code", _("Код: от 3 до 40 знаков"), status=400)
    if PromoCode.objects.filter(code=text).exists():
        raise Refused("promo_taken", _("Такой код уже есть"))
    return PromoCode.objects.create(promotion=promotion, code=text)


def _batch(promotion: Promotion, count: int, prefix: str) -> list[PromoCode]:
    """In one go; those few that are there already, by chance, are made anew."""
    made: list[PromoCode] = []
    with transaction.atomic():
        while len(made) < count:
            texts = {prefix + _random() for _one in range(count - len(made))}
            taken = set(PromoCode.objects.filter(code__in=texts).values_list("code", flat=True))
            fresh = [PromoCode(promotion=promotion, code=text, limit=1) for text in texts - taken]
            made += PromoCode.objects.bulk_create(fresh, batch_size=5000)
    return made


def _random() -> str:
    return "".join(secrets.choice(ALPHABET) for _place in range(LENGTH))


def _found(text: str) -> PromoCode:
    code = PromoCode.objects.select_related("promotion").filter(code=normalised(text)).first()
    if code is None:
        raise Refused("promo_unknown", _("Такого промокода нет: проверьте, нет ли опечатки"), status=404)
    return code


def _given(code: PromoCode, offer: Offer, quantity: int) -> Given:
    gross = offer.unit_price * quantity
    less = discounts.off(gross, code.promotion.percent, code.promotion.amount)
    currency = offer.current_version().currency
    return Given(code, Money(gross, currency), Money(less, currency))


def _check(given: Given, offer: Offer, channel_code: str, is_new: bool) -> None:
    promotion, today = given.promotion, clock.today()
    if not promotion.is_active or not _is_within(promotion, today):
        raise Refused("promo_not_valid", _("Этот промокод сейчас не действует"))
    if promotion.tariff_ids and offer.tariff_id not in promotion.tariff_ids:
        raise Refused("promo_not_for_this", _("Этот промокод не для этого тарифа"))
    if promotion.channel_codes and channel_code not in promotion.channel_codes:
        raise Refused("promo_not_for_this", _("Этот промокод здесь не действует"))
    if promotion.is_new_only and not is_new:
        raise Refused("promo_not_for_this", _("Этот промокод только для новых покупок"))


def _is_within(promotion: Promotion, today: date) -> bool:
    begun = promotion.valid_from is None or promotion.valid_from <= today
    return begun and (promotion.valid_until is None or today <= promotion.valid_until)


def _check_limits(given: Given, customer: Customer | None) -> None:
    code, promotion = given.code, given.promotion
    if code.limit is not None and code.used >= code.limit:
        raise Refused("promo_used", _("Этот промокод уже использован"))
    if promotion.total_limit is not None and promotion.used >= promotion.total_limit:
        raise Refused("promo_spent", _("Этот промокод закончился"))
    if promotion.budget is not None and promotion.spent + given.cost > promotion.budget:
        raise Refused("promo_spent", _("Этот промокод закончился"))
    if customer is not None and promotion.per_customer is not None:
        mine = promotion.redemptions.filter(customer=customer).exclude(state=RedemptionState.RELEASED)
        if mine.count() >= promotion.per_customer:
            raise Refused("promo_used", _("Вы уже использовали этот промокод"))


def _count(code: PromoCode, promotion: Promotion, times: int, cost: Decimal) -> None:
    promotion.used, promotion.spent = promotion.used + times, promotion.spent + cost
    promotion.save(update_fields=["used", "spent"])
    code.used += times
    code.save(update_fields=["used"])


def in_words(promotion: Promotion, currency: str) -> str:
    """«−30 %, периодов: 3», «−100 ₽ навсегда»."""
    less = (
        f"−{promotion.percent.normalize():f} %"
        if promotion.percent
        else f"−{Money(promotion.amount, currency)}"
    )
    if promotion.periods is None:
        return str(_("{less} навсегда")).format(less=less)
    if promotion.periods == 1:
        return str(_("{less} на первый период")).format(less=less)
    return str(_("{less}, периодов: {count}")).format(less=less, count=promotion.periods)
