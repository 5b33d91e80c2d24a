"""One customer of each kind, so that a demonstration shows every state there is: trials, promo codes, pause, debt."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from apps.accounts import companies, customers
from apps.accounts.models import Customer
from apps.billing import changes, outside, pauses, promos, retention
from apps.billing.models import Invoice, InvoiceState, Subscription
from apps.billing.paperwork import MoneySource
from apps.billing.promotion_models import Promotion, RetentionOffer
from apps.catalog import price_changes
from apps.catalog.models import Offer, PriceChange, Tariff
from apps.catalog.models.changes import Policy
from apps.core import clock
from apps.core.tenancy import current_partner, in_public
from apps.orders.models import Order

ACTOR = "demo"
LONGEST = timedelta(days=41)
"""How far back the first of them came."""
PROMO = "ОСЕНЬ20"
COMPANY = {
    "name": "ООО «Ромашка»",
    "inn": "7704217370",
    "kpp": "770401001",
    "address": "119019, Москва, ул. Новый Арбат, 11",
    "documents_email": "buh@romashka.example",
    "acts": "period",
}
Buy = Callable[..., Order]
"""Orders for a customer and pays with a card: (customer, offer, ends=…, promo_code=…)."""


@dataclass
class Lives:
    """What happens to them, by day. Those whose tariff the partner does not sell stay away."""

    buy: Buy
    orders: dict[str, Order] = field(default_factory=dict)

    def by_moment(self, now: datetime) -> list[tuple[datetime, Callable[[], None]]]:
        """Moments and what happens at them, the earliest first."""
        days: tuple[tuple[float, Callable[[], None]], ...] = (
            (40.5, self._company_orders),
            (39.4, self._company_pays),
            (14.2, self._company_pays),
            (38.2, self._with_promo_code),
            (33.6, self._who_will_owe),
            (24.3, self._who_will_rest),
            (21.7, self._who_will_change),
            (17.4, self._who_will_leave),
            (12.2, self._trial_ends_soon),
            (9.6, self._changes_tariff),
            (8.1, self._leaves_at_once),
            (5.3, self._rests),
            (2.4, self._trial_begins),
            (3.1, self._stays),
            (1.2, self._with_promo_code_for_a_trial),
        )
        return [(now - timedelta(days=one), step) for one, step in days]

    def _company_orders(self) -> None:
        customer = _person("ООО «Ромашка»", 901, email="buh@romashka.example")
        companies.set_company(customer, actor=ACTOR, **COMPANY)
        self._bought("company", customer, "LEGAL-BIZ")

    def _company_pays(self) -> None:
        order = self.orders.get("company")
        if order is None:
            return
        for invoice in Invoice.objects.filter(subscription=order.item.subscription, state=InvoiceState.OPEN):
            outside.receive(
                invoice_id=invoice.pk,
                source=MoneySource.BANK,
                amount=invoice.due_money,
                paid_date=clock.today(),
                reference=f"П/п № 118-{invoice.pk.hex[-3:]}",
                key=f"demo-{invoice.pk}",
                actor=ACTOR,
            )

    def _with_promo_code(self) -> None:
        self._bought("promo", _person("Кирилл Зайцев", 902), "AVIRUS-M", promo_code=PROMO)

    def _who_will_owe(self) -> None:
        self._bought("owes", _person("Роман Гусев", 903), "AVIRUS-M", ends="declined_later")

    def _who_will_rest(self) -> None:
        self._bought("rests", _person("Юлия Титова", 904), "LEGAL-M")

    def _rests(self) -> None:
        if (row := self._subscription("rests")) is not None:
            pauses.pause(subscription=row, until=clock.today() + timedelta(days=30), actor=ACTOR)

    def _who_will_change(self) -> None:
        self._bought("changes", _person("Людмила Крылова", 905), "KINO-M", trial=False)

    def _changes_tariff(self) -> None:
        row, dearer = self._subscription("changes"), _offer("KINO-M4K")
        if row is not None and dearer is not None:
            changes.change(subscription=row, offer=dearer, actor=ACTOR)

    def _who_will_leave(self) -> None:
        self._bought("leaves", _person("Вадим Лапин", 906), "LEGAL-M")

    def _leaves_at_once(self) -> None:
        if (row := self._subscription("leaves")) is not None:
            retention.leave(row, at_period_end=False, reason="unused", actor=ACTOR)

    def _stays(self) -> None:
        row = self._subscription("changes")
        if row is not None and retention.offer_for(row) is not None:
            retention.accept(subscription=row, reason="dear", actor=ACTOR)

    def _trial_ends_soon(self) -> None:
        self._bought("soon", _person("Полина Зорина", 907), "KINO-M")

    def _trial_begins(self) -> None:
        self._bought("trial", _person("Максим Рябов", 908), "TELEMED-FAMILY")

    def _with_promo_code_for_a_trial(self) -> None:
        self._bought("both", _person("Алина Светлова", 909), "KINO-M", promo_code=PROMO)

    def _bought(self, name: str, customer: Customer, tariff: str, **given: object) -> None:
        if (offer := _offer(tariff)) is not None:
            self.orders[name] = self.buy(customer, offer, **given)

    def _subscription(self, name: str) -> Subscription | None:
        order = self.orders.get(name)
        row = order.item.subscription if order is not None else None
        return row if row is not None and row.is_live else None


def give_away(today_moment: datetime) -> None:
    """Promo codes and what is offered to who would leave; safe to repeat."""
    if Promotion.objects.exists():
        return
    autumn = Promotion.objects.create(
        name="Осень: −20 % на три месяца",
        percent=Decimal(20),
        periods=3,
        budget=Decimal("50000.00"),
        total_limit=500,
        created_at=today_moment,
        actor=ACTOR,
    )
    promos.make(promotion=autumn, text=PROMO, actor=ACTOR)
    gift = Promotion.objects.create(
        name="Подарок: 100 ₽ на первый период",
        amount=Decimal("100.00"),
        periods=1,
        created_at=today_moment,
        actor=ACTOR,
    )
    promos.make(promotion=gift, count=25, prefix="ДАР-", actor=ACTOR)
    RetentionOffer.objects.create(
        name={
            "ru": "Оставайтесь: скидка 30 % на три месяца",
            "en": "Stay: 30% off for three months",
        },
        kind=RetentionOffer.Kind.DISCOUNT,
        percent=Decimal(30),
        periods=3,
    )


def plan_a_price(tariff_code: str = "KINO-M", price: Decimal = Decimal(449)) -> None:
    """A price change that waits for somebody to publish it, with whom it touches being counted."""
    with in_public():
        tariff = Tariff.objects.filter(code=tariff_code).first()
        if tariff is None or PriceChange.objects.exists():
            return
        change = PriceChange.objects.create(
            tariff=tariff,
            price=price,
            policy=Policy.AT_RENEWAL,
            effective_date=clock.today() + timedelta(days=45),
            note={"ru": "Добавили фильмы в 4K", "en": "Films in 4K were added"},
            created_at=clock.now(),
        )
        price_changes.count(change)


def _offer(tariff_code: str) -> Offer | None:
    return Offer.objects.on_sale(current_partner().pk).filter(tariff__code=tariff_code).first()


def _person(name: str, number: int, email: str = "") -> Customer:
    partner = current_partner()
    return customers.register(
        phone=f"+79{partner.pk % 10}0{5550000 + number:07d}",
        email=email or f"person{number}@{partner.slug}.example",
        name=name,
        verified=True,
    )
