"""Random lives: whatever customers, staff, clocks, crashes and the gateway do, the books hold after every step.

MODEL_LIVES and MODEL_STEPS (one life of 10 steps) say how many; with them set, each run draws other lives.
MODEL_SEED is the one life to live again: its number stands in the log.
"""

import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apps.billing import (
    changes,
    discounts,
    gifts,
    outside,
    pauses,
    payouts,
    preview,
    promos,
    seats,
    subscriptions,
    transfers,
)
from apps.billing.models import (
    Invoice,
    InvoicePurpose,
    InvoiceState,
    Subscription,
    SubscriptionState,
)
from apps.billing.promotion_models import Promotion
from apps.catalog.models import Offer
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.money import Money
from apps.core.tenancy import in_partner
from apps.payments import methods, payments, refund_lists, refunds
from apps.payments.models import Payment, Refund
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.billing.test_by_bank import company
from tests.billing.test_lifecycle import another
from tests.billing.test_lifecycle_rests import addon_offer
from tests.conftest import make_partner
from tests.orders.shop import BROKE_LATER, GOOD, Shop, open_shop
from tests.test_crash_points import FLOW, settle_down

LIVES, STEPS = int(os.environ.get("MODEL_LIVES", 1)), int(os.environ.get("MODEL_STEPS", 10))
SEED = os.environ.get("MODEL_SEED", "")
IS_LONG = "MODEL_LIVES" in os.environ or "MODEL_STEPS" in os.environ
log = logging.getLogger(__name__)
WRONGS = ("drop_answer", "http_500", "decline", "pending")
HOP = timedelta(days=20)
CODE = "MODEL"
"""A promo code that every sale may use: 20 % off the first two periods."""
done: Counter[str] = Counter()

which = st.integers(0, 30)
crashes = st.one_of(st.none(), st.none(), st.sampled_from(FLOW))


class Everything:
    """Every rule may be drawn. By itself hypothesis leaves most of them out of a life: many are of one rule only."""

    def is_enabled(self, _name: str) -> bool:
        return True


class Lives(RuleBasedStateMachine):
    """One partner's customers and everything that may happen to their subscriptions."""

    open: Callable[[], Shop]

    def __init__(self) -> None:
        super().__init__()
        self._rules_strategy.enabled_rules_strategy = st.just(Everything())  # type: ignore[assignment]

    @initialize(worth=st.integers(0, 20))
    def begin(self, worth: int) -> None:
        """The simplest life of all is drawn first, and is of one rule over and over: nothing happens in it."""
        self.is_lived = worth > 0
        if not self.is_lived:
            self.ids = []
            return
        self.shop = self.open()
        self.ids: list[Any] = []
        self.transfers = self.payouts = 0
        with self.at_home():
            plain = self.shop.offer(price="149.00")
            self.offers = [plain, another(self.shop, plain, "449.90"), another(self.shop, plain, "99.00")]
            self.trial = self.shop.offer(price="199.00", trial_days=7)
            self.weekly = self.shop.offer(price="33.33", period_unit="week", period_count=2)
            self.addon = addon_offer(self.shop, "60.00")
            percent = Promotion.objects.create(
                name="Проверка", percent=Decimal(20), periods=2, created_at=clock.now()
            )
            promos.make(promotion=percent, text=CODE)
        for _customer in range(2):
            self.sell(plain, GOOD, None)

    # -- what happens ------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_lived)
    @rule(
        kind=st.sampled_from(("plain", "plain", "trial", "weekly")),
        card=st.sampled_from((GOOD, GOOD, GOOD, BROKE_LATER)),
        quantity=st.integers(1, 3),
        promo=st.booleans(),
        crash=crashes,
    )
    def buy(self, kind: str, card: str, quantity: int, promo: bool, crash: str | None) -> None:
        offer = {"plain": self.offers[0], "trial": self.trial, "weekly": self.weekly}[kind]
        pieces = quantity if kind == "plain" else 1
        self.sell(offer, card, crash, quantity=pieces, promo_code=CODE if promo else "")

    @precondition(lambda self: self.is_lived)
    @rule(crash=crashes)
    def buy_by_invoice(self, crash: str | None) -> None:
        """A company: nothing is paid before its bank transfer comes."""
        with self.at_home():
            buyer = company(self.shop)
        self.sell(self.offers[0], GOOD, crash, customer=buyer)

    @precondition(lambda self: self.is_lived)
    @rule(number=which, kopecks=st.integers(1, 60000), whole=st.booleans(), crash=crashes)
    def bank_pays(self, number: int, kopecks: int, whole: bool, crash: str | None) -> None:
        """A transfer of just what is owed, of a part, or of too much; also for what is not owed any more."""
        with self.at_home():
            owed = list(Invoice.objects.filter(collection="invoice").exclude(state="draft").order_by("pk"))
            unpaid = [one for one in owed if one.state == InvoiceState.OPEN]
            if not owed:
                return
            invoice = (unpaid or owed)[number % len(unpaid or owed)]
            self.transfers += 1
            amount = invoice.due_money if whole else Money(Decimal(kopecks) / 100)
            day, reference = clock.today(), str(self.transfers)
        self.act(
            "bank transfer",
            lambda: outside.receive(
                invoice_id=invoice.pk,
                source="bank",
                amount=amount,
                paid_date=day,
                reference=reference,
                key=f"model:{reference}",
                actor="model",
                accept_part=True,
                keep_rest=True,
            ),
            crash,
        )

    @precondition(lambda self: self.is_lived)
    @rule(number=which, crash=crashes)
    def add(self, number: int, crash: str | None) -> None:
        parent = self.one(number)
        self.sell(self.addon, GOOD, crash, customer=parent.customer, parent=parent)

    @precondition(lambda self: self.is_lived)
    @rule(
        number=which,
        offer=st.integers(0, 2),
        quantity=st.integers(1, 4),
        when=st.sampled_from(("", "now", "period_end")),
        crash=crashes,
    )
    def change(self, number: int, offer: int, quantity: int, when: str, crash: str | None) -> None:
        one = self.one(number)
        wanted: Offer | None = self.offers[offer]
        if one.offer_id not in {known.pk for known in self.offers}:
            wanted = None
        self.act(
            "change",
            lambda: changes.change(
                subscription=one, offer=wanted, quantity=quantity, when=when, actor="model"
            ),
            crash,
        )

    @precondition(lambda self: self.is_lived)
    @rule(number=which)
    def undo(self, number: int) -> None:
        one = self.one(number)
        self.act("undo", lambda: changes.undo(subscription=one, actor="model"))

    @precondition(lambda self: self.is_lived)
    @rule(number=which, days=st.integers(1, 60), crash=crashes)
    def pause(self, number: int, days: int, crash: str | None) -> None:
        one = self.one(number)
        with self.at_home():
            until = clock.today() + timedelta(days=days)
        self.act("pause", lambda: pauses.pause(subscription=one, until=until, actor="model"), crash)

    @precondition(lambda self: self.is_lived)
    @rule(number=which, crash=crashes)
    def resume(self, number: int, crash: str | None) -> None:
        one = self.one(number)
        self.act("resume", lambda: pauses.resume(subscription=one, actor="model"), crash)

    @precondition(lambda self: self.is_lived)
    @rule(number=which, later=st.booleans(), crash=crashes)
    def cancel(self, number: int, later: bool, crash: str | None) -> None:
        one = self.one(number)
        self.act("cancel", lambda: subscriptions.cancel(one, at_period_end=later, actor="model"), crash)

    @precondition(lambda self: self.is_lived)
    @rule(number=which)
    def uncancel(self, number: int) -> None:
        one = self.one(number)
        self.act("uncancel", lambda: subscriptions.uncancel(one, actor="model"))

    @precondition(lambda self: self.is_lived)
    @rule(number=which, days=st.integers(0, 90))
    def set_end(self, number: int, days: int) -> None:
        one = self.one(number)
        with self.at_home():
            day = clock.today() + timedelta(days=days)
        self.act("end date", lambda: subscriptions.set_end_date(one, day=day, actor="model"))

    @precondition(lambda self: self.is_lived)
    @rule(number=which, count=st.integers(0, 5))
    def set_term(self, number: int, count: int) -> None:
        one = self.one(number)
        self.act("term", lambda: subscriptions.set_periods(one, count=count, actor="model"))

    @precondition(lambda self: self.is_lived)
    @rule(number=which, percent=st.integers(1, 100), times=st.integers(1, 4))
    def discount(self, number: int, percent: int, times: int) -> None:
        """From the next bill date on: what is billed already keeps its price."""
        one = self.one(number)
        with self.at_home():
            if one.state != SubscriptionState.ACTIVE or one.discounts.exists():
                return
        self.act(
            "discount",
            lambda: discounts.give(one, name="Проверка", percent=Decimal(percent), periods=times),
        )

    @precondition(lambda self: self.is_lived)
    @rule(number=which, take=st.booleans(), position=st.integers(1, 3))
    def seat(self, number: int, take: bool, position: int) -> None:
        one = self.one(number)
        if take:
            self.act("seat", lambda: seats.assign(subscription=one, email="seat@example.ru", actor="model"))
        else:
            self.act("seat freed", lambda: seats.release(subscription=one, position=position, actor="model"))

    @precondition(lambda self: self.is_lived)
    @rule(number=which)
    def transfer(self, number: int) -> None:
        one = self.one(number)
        with self.at_home():
            to = self.shop.customer()
        self.act("transfer", lambda: transfers.transfer(subscription=one, to=to, actor="model"))

    @precondition(lambda self: self.is_lived)
    @rule(number=which)
    def refuse(self, number: int) -> None:
        one = self.one(number)
        if one.method is not None:
            self.act("refuse", lambda: methods.refuse_method(one.method, actor="model"))

    @precondition(lambda self: self.is_lived)
    @rule(number=which, kopecks=st.integers(1, 60000), crash=crashes)
    def refund(self, number: int, kopecks: int, crash: str | None) -> None:
        with self.at_home():
            paid = list(Payment.objects.filter(state="succeeded").order_by("pk"))
        if paid:
            payment = paid[number % len(paid)]
            amount = Money(Decimal(kopecks) / 100, payment.currency)
            self.act(
                "refund",
                lambda: refunds.refund(payment=payment, amount=amount, reason="проверка", actor="model"),
                crash,
            )

    @precondition(lambda self: self.is_lived)
    @rule(number=which, part=st.sampled_from((None, 1, 3)), crash=crashes)
    def pay_out(self, number: int, part: int | None, crash: str | None) -> None:
        """All of a balance that can go back, or a part; asked for twice, it goes once."""
        one = self.one(number)
        with self.at_home():
            seen = payouts.look(one.customer_id)
        if not seen.on_balance.amount:
            return
        self.payouts += 1
        key = f"model:{self.payouts}"
        amount = None if part is None else Money((seen.on_balance.amount / part).quantize(Decimal("0.01")))

        def run() -> None:
            for _time in range(2):
                made = payouts.pay_out(
                    customer_id=one.customer_id, amount=amount, reason="проверка", actor="model", key=key
                )
            if len(made) > 1:
                done["payout by several payments"] += 1

        self.act("payout", run, crash)

    @precondition(lambda self: self.is_lived)
    @rule(number=which, kopecks=st.integers(1, 20000), crash=crashes)
    def refund_in_the_cabinet(self, number: int, kopecks: int, crash: str | None) -> None:
        """Somebody gives money back past us, whatever we know of it."""
        with self.at_home():
            paid = list(Payment.objects.filter(state="succeeded").order_by("pk"))
        if not paid or kopecks % 4:
            return
        payment = paid[number % len(paid)]
        with self.at_home():
            amount = min(Decimal(kopecks) / 100, payment.at_gateway())
        if amount:
            self.shop.gateway.cabinet_refund(payment.gateway_id, str(amount))
            self.act("cabinet refund", lambda: refund_lists.reconcile(payment.pk), crash)

    @precondition(lambda self: self.is_lived)
    @rule(number=which, days=st.integers(1, 40), crash=crashes)
    def give_days(self, number: int, days: int, crash: str | None) -> None:
        """As a mass extension does it, row by row."""
        one = self.one(number)
        self.act("gift", lambda: gifts.extend(subscription=one, days=days, actor="model"), crash)

    @precondition(lambda self: self.is_lived)
    @rule(number=which, crash=crashes)
    def hear_again(self, number: int, crash: str | None) -> None:
        """The gateway tells again, late and twice, what it has told already."""
        with self.at_home():
            known = list(Payment.objects.exclude(gateway_id="").order_by("pk"))
        if not known:
            return
        payment = known[number % len(known)]

        def run() -> None:
            for _time in range(2):
                payments.settle(payment.pk)
                refund_lists.reconcile(payment.pk)

        self.act("told again", run, crash)

    @precondition(lambda self: self.is_lived)
    @rule(kind=st.sampled_from(WRONGS), operation=st.sampled_from(("create_payment", "create_refund")))
    def gateway_errs(self, kind: str, operation: str) -> None:
        match: dict[str, Any] = {"shop": self.shop.partner.slug, "operation": operation}
        self.shop.gateway.fault(kind, match=match, reason="insufficient_funds" if kind == "decline" else None)

    @precondition(lambda self: self.is_lived)
    @rule(days=st.one_of(st.integers(1, 40), st.integers(1, 40), st.integers(41, 200)), crash=crashes)
    def pass_time(self, days: int, crash: str | None) -> None:
        with self.at_home():
            day = clock.today() + timedelta(days=days)
            with self.maybe(crash):
                self.pass_to(day)
            self.settle()
        done["time"] += 1

    @precondition(lambda self: self.is_lived)
    @rule(number=which)
    def watch_next_bill(self, number: int) -> None:
        """What the preview says is what is billed, to the kopeck."""
        one = self.one(number)
        if one.parent_id or one.state != SubscriptionState.ACTIVE or one.cancel_at_period_end:
            return
        with self.at_home():
            self.settle()
            one.refresh_from_db()
            seen = preview.preview(one)
            if seen.date is None or seen.date <= clock.today():
                return
            # Up to the day before, so that nothing else comes between.
            self.pass_to(seen.date - timedelta(days=1))
            seen = preview.preview(Subscription.objects.get(pk=one.pk))
            if seen.date is None or seen.date <= clock.today():
                return
            before = set(Invoice.objects.values_list("pk", flat=True))
            self.shop.until(seen.date)
            billed = Invoice.objects.filter(subscription=one, purpose=InvoicePurpose.RENEWAL)
            invoice = billed.exclude(pk__in=before).first()
            if invoice is not None:
                assert (invoice.total, invoice.due_money) == (seen.total, seen.due)
                done["billed as shown"] += 1

    @precondition(lambda self: not self.is_lived)
    @rule()
    def nothing(self) -> None:
        """What the simplest life is of."""

    # -- what must hold ----------------------------------------------------------------------------------

    @invariant()
    def the_books_hold(self) -> None:
        if not getattr(self, "is_lived", False):
            return
        with self.at_home():
            assert [str(one) for one in audit.run([self.shop.partner.pk])] == []
            register = self.shop.gateway.register(shop=self.shop.partner.slug)
            theirs = Counter(
                row["metadata"]["payment"] for row in register["payments"] if row["status"] == "succeeded"
            )
            assert not [key for key, times in theirs.items() if times > 1], "charged twice"
            ours = {str(row.pk): row for row in Payment.objects.all()}
            for row in register["payments"]:
                if row["status"] == "succeeded":
                    assert Decimal(row["amount"]) == ours[row["metadata"]["payment"]].amount
            taken = {key for key, row in ours.items() if row.state == "succeeded"}
            assert taken <= set(theirs)
            known = {row["id"] for row in register["refunds"]}
            assert set(Refund.objects.filter(state="succeeded").values_list("gateway_id", flat=True)) <= known

    def teardown(self) -> None:
        if not getattr(self, "is_lived", False):
            return
        self.shop.gateway.clear()
        with self.at_home():
            self.settle()
            self.shop.until(clock.today() + timedelta(days=3))
            self.settle()
        self.the_books_hold()
        self.shop.gateway.set_clock(None)
        done["life"] += 1
        log.info("%s lives: %s", done["life"], sorted(done.items()))

    # -- how ---------------------------------------------------------------------------------------------

    def one(self, number: int) -> Subscription:
        with self.at_home():
            found = Subscription.objects.select_related("customer", "method", "parent")
            return found.get(pk=self.ids[number % len(self.ids)])

    def sell(self, offer: Offer, card: str, crash: str | None, **options: Any) -> None:
        def run() -> None:
            order = self.shop.order(offer, **options)
            assert order.item.subscription_id is not None
            self.ids.append(order.item.subscription_id)
            payment = order.payment()
            if payment is not None and payment.confirmation_url:
                self.shop.pay(order, card)

        self.act("sale", run, crash)

    def act(self, name: str, what: Callable[[], Any], crash: str | None = None) -> None:
        """Does it, and everything that follows; what is refused changes nothing."""
        with self.at_home():
            try:
                with self.maybe(crash):
                    what()
                    self.shop.deliver()
            except Refused as error:
                done[f"{name}: {error.code}"] += 1
            else:
                done[name] += 1
            self.settle()

    def pass_to(self, day: date) -> None:
        """The wall clock goes with the sandbox's: what is asked again in hours was asked again meanwhile."""
        while clock.today() < day:
            self.shop.until(min(day, clock.today() + HOP))
            self.settle()

    def settle(self) -> None:
        settle_down(self.shop)
        self.shop.hurry()

    @contextmanager
    def at_home(self) -> Iterator[None]:
        with in_partner(self.shop.partner):
            yield

    @contextmanager
    def maybe(self, crash: str | None) -> Iterator[None]:
        """The process dies at a point, if it comes there."""
        if crash is None:
            yield
            return
        try:
            with faults.crash_at(crash):
                yield
        except faults.Crash:
            done["crash"] += 1
            connection.set_tenant(self.shop.partner)


def seed_of(number: int) -> int:
    """The suite's lives are always the same; long runs are of other lives each time, and say which."""
    return random.SystemRandom().randrange(10**9) if IS_LONG else number


def _live(open_one: Callable[[], Shop], number: int) -> None:
    """One life. Of several in one run hypothesis makes most by changing little in one before."""

    class Here(Lives):
        open = staticmethod(open_one)

    log.info("Life of seed %s", number)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        seed(number)(Here),
        settings=settings(
            # The simplest of all, in which nothing happens, and one that is lived.
            max_examples=2,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # A shorter life that fails costs many lives; the one that failed says enough.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_lives_keep_the_books(
    yookassa: Control,
    provider_sim: Control,
    mailbox: Control,
    mailbox_process: Simulator,
    operator: Any,
    deliver: Callable[[], int],
    move_clock: Callable[[Any, datetime], None],
) -> None:
    def open_one() -> Shop:
        partner = make_partner(is_sandbox=True)
        with in_partner(partner):
            return open_shop(partner, yookassa, provider_sim, mailbox_process, deliver, move_clock)

    done.clear()
    seeds = [int(SEED)] if SEED else [seed_of(number) for number in range(LIVES)]
    for number in seeds:
        _live(open_one, number)
    log.info("What happened: %s", sorted(done.items()))
    if LIVES * STEPS >= 1000:
        wanted = {
            "sale",
            "change",
            "pause",
            "resume",
            "cancel",
            "uncancel",
            "refund",
            "payout",
            "cabinet refund",
            "bank transfer",
            "gift",
            "told again",
            "crash",
            "billed as shown",
        }
        assert wanted <= set(done)
