"""What a purchase costs this buyer: now, at the first charge and after; said before anything is paid."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from django.utils.translation import gettext as _

from apps.accounts import companies
from apps.accounts.models import Customer
from apps.billing import paying, promos, trials
from apps.billing.periods import period_end
from apps.catalog import periods
from apps.catalog.models import Offer, TariffVersion
from apps.catalog.models.offers import Payer
from apps.core import clock
from apps.core.money import Money
from apps.payments.gateway import Instrument
from apps.storefronts import ways
from apps.storefronts.words import every_period

AS_COMPANY = "company"
"""How a link asks for the checkout of a company: `?as=company`."""


@dataclass(frozen=True)
class Quote:
    """An offer to one buyer: with its trial, where it was not had yet, and what a promo code takes off."""

    offer: Offer
    is_trial: bool
    given: promos.Given | None = None
    by_invoice: bool = False
    """For a company: it pays by bank, no card of its is charged."""

    @property
    def version(self) -> TariffVersion:
        """The terms it is sold by."""
        return self.offer.current_version()

    @property
    def first_price(self) -> Money:
        """Of the first paid period."""
        return self.given.price if self.given else self.offer.money

    @property
    def due_now(self) -> Money:
        """What is paid on the gateway's page; nothing where a card is only saved."""
        return (
            Money(self.first_price.amount * 0, self.first_price.currency)
            if self.is_trial
            else self.first_price
        )

    @property
    def is_charged(self) -> bool:
        """Whether money will be taken without another word: a trial without a card asks again at its end."""
        if self.by_invoice:
            return False
        if self.offer.payer in ways.BY_PARTNER:
            return True
        needs = self.version.trial_needs_method and self.offer.payer == Payer.CHARGE
        return not self.is_trial or needs

    @cached_property
    def ways(self) -> list[ways.Way]:
        """How the buyer may pay, the usual way first; nothing where nothing will be charged."""
        return ways.of_offer(self.offer, self.due_now, by_invoice=self.by_invoice) if self.is_charged else []

    @property
    def saves_card(self) -> bool:
        """Whether a card is saved by a rouble that goes back."""
        return self.is_charged and not self.due_now.amount

    @property
    def trial_end(self) -> date:
        """The first paid day."""
        return clock.today() + timedelta(days=self.version.trial_days if self.is_trial else 0)

    @property
    def next_charge(self) -> date:
        """The day of the first charge without the buyer."""
        start, version = self.trial_end, self.version
        if self.is_trial:
            return start
        return period_end(anchor=start, start=start, count=version.period_count, unit=version.period_unit)

    @property
    def discounted(self) -> str:
        """«104,30 ₽ каждый месяц (3 месяца), затем 149 ₽ каждый месяц»; empty without a promo code."""
        if self.given is None:
            return ""
        terms = {
            "first": self.given.price,
            "price": self.offer.money,
            "every": every_period(self.version),
            "span": self._span(),
        }
        if self.given.promotion.periods is None:
            return _("%(first)s %(every)s") % terms
        if self.given.promotion.periods == 1:
            return _("%(first)s за первый период, затем %(price)s %(every)s") % terms
        return _("%(first)s %(every)s (%(span)s), затем %(price)s %(every)s") % terms

    def _span(self) -> str:
        """«3 месяца»: for how long the code takes something off."""
        version, times = self.version, self.given.promotion.periods if self.given else 0
        return periods.in_words((times or 0) * version.period_count, version.period_unit)

    @property
    def next_amount(self) -> Money:
        """What the first charge without the buyer will be."""
        promotion = self.given.promotion if self.given else None
        still = promotion is not None and (
            self.is_trial or promotion.periods is None or promotion.periods > 1
        )
        return self.first_price if still else self.offer.money


def quote(
    offer: Offer,
    buyer: Customer | None,
    *,
    promo_code: str = "",
    channel_code: str = "",
    with_trial: bool = True,
    by_invoice: bool = False,
) -> Quote:
    """What the offer costs `buyer` (None: not known yet) today. Raises Refused for a code that gives nothing."""
    version = offer.current_version()
    is_trial = with_trial and bool(version.trial_days)
    if by_invoice and version.trial_needs_method:
        # It begins with a card, and here there is none.
        is_trial = False
    if is_trial and buyer is not None and trials.had(buyer, offer.tariff.product_id):
        is_trial = False
    given = (
        promos.look(promo_code, offer=offer, customer=buyer, channel_code=channel_code)
        if promo_code.strip()
        else None
    )
    return Quote(offer, is_trial, given, by_invoice)


def by_invoice(offer: Offer, buyer: Customer | None, asked: str) -> bool:
    """Whether the buyer pays as a company: it is one, the product or the offer wants one, or it is `asked` for."""
    if offer.payer not in {Payer.CHARGE, Payer.INVOICE}:
        return False
    return needs_company(offer) or asked == AS_COMPANY or (buyer is not None and bool(companies.of(buyer.pk)))


def needs_company(offer: Offer) -> bool:
    """Whether only companies may buy it."""
    return offer.payer == Payer.INVOICE or offer.tariff.product.companies_only


def in_trial_words(shown: Quote, way: str = "") -> str:
    """What the trial is here: until when, and what it takes to begin for who pays by `way` afterwards."""
    terms = {
        "days": periods.in_words(shown.version.trial_days, "day"),
        "date": f"{shown.trial_end:%d.%m.%Y}",
    }
    if shown.by_invoice:
        return _("%(days)s бесплатно, до %(date)s. К концу пришлём счёт.") % terms
    if not shown.is_charged:
        return _("%(days)s бесплатно и без карты, до %(date)s. Потом выберете, как платить.") % terms
    if way == paying.PARTNER or shown.offer.payer in ways.BY_PARTNER:
        return _("%(days)s бесплатно, до %(date)s. Отмените раньше, и ничего не спишем.") % terms
    if way == Instrument.SBP:
        return (
            _(
                "%(days)s бесплатно, до %(date)s. Чтобы привязать счёт, банк спишет через СБП "
                "10\N{NO-BREAK SPACE}₽ и сразу вернёт. Отмените раньше, и ничего не спишем."
            )
            % terms
        )
    return (
        _(
            "%(days)s бесплатно, до %(date)s. Чтобы привязать карту, банк спишет 1\N{NO-BREAK SPACE}₽ и сразу вернёт. "
            "Отмените раньше, и ничего не спишем."
        )
        % terms
    )
