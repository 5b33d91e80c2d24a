"""A month of a sandbox that is paid through four gateways at once: bought, renewed, given back, receipted."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
from django.db.models import QuerySet

from apps.connectors.models import Connection
from apps.core import clock
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import LegalEntity
from apps.payments import payments, refund_calls, refunds, registering
from apps.payments.models import Payment, Refund
from apps.payments.receipt_models import Receipt
from apps.sandbox.control import Control
from apps.settlements import gateway_terms, reconciliation, statements, uploading
from apps.settlements.models import Difference, GatewayDay, GatewayTerms
from tests.orders.shop import Shop
from tests.payments.conftest import later
from tests.payments.gateways import GatewayKind
from tests.settlements.files import downloaded
from tests.settlements.statement_file import Came, written

D = Decimal
MOSCOW = ZoneInfo("Europe/Moscow")
PAYOUT_AFTER = timedelta(days=2)


@dataclass
class Counter:
    """One gateway: its shop at the simulator, and what its register lies about."""

    kind: GatewayKind
    control: Control
    connection: Connection
    shop: str
    inn: str
    lies: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """Onto which it pays out: its legal entity's."""
        assert self.connection.legal_entity is not None
        return self.connection.legal_entity.account

    def misreport(self, about: str, **lie: Any) -> None:
        self.control.misreport(about, **lie)
        self.lies[about] = lie

    def lines(self) -> Iterator[tuple[date, str, Decimal]]:
        """Day, id and net of all that its books have, as its register tells it."""
        books = self.control.register(shop=self.shop)
        for sign, rows in ((1, books["payments"]), (-1, books["refunds"])):
            for row in rows:
                lie = self.lies.get(row["id"], {})
                if row["status"] != "succeeded" or lie.get("hidden"):
                    continue
                amount, fee, at = _told(row, is_refund=sign < 0)
                net = sign * D(lie.get("amount", amount)) - D(lie.get("fee", fee))
                yield at.astimezone(MOSCOW).date(), row["id"], net * lie.get("copies", 1)

    def nets(self) -> dict[date, Decimal]:
        """What it owes for each day."""
        found: dict[date, Decimal] = defaultdict(lambda: D("0.00"))
        for day, _about, net in self.lines():
            found[day] += net
        return dict(found)


def _told(row: dict[str, Any], *, is_refund: bool) -> tuple[Decimal, Decimal, datetime]:
    amount = D(row["amount"])
    fee = D(0) if is_refund else D(row.get("fee") or 0)
    if row.get("income"):
        fee = amount - D(row["income"])
    return amount, fee, datetime.fromisoformat(row.get("at") or row["created_at"])


@dataclass
class Month:
    """The month as it goes on, and hands on it."""

    shop: Shop
    counters: dict[str, Counter]
    start: date
    days: int = 30

    def open_counter(self, kind: GatewayKind, control: Control, number: int, entity: LegalEntity) -> None:
        """A gateway of one of the operator's companies, for sandboxes."""
        name = f"{kind.name}-{self.shop.partner.slug}"
        control.add_shop(name, "secret")
        with in_public():
            connection = Connection.objects.create(
                kind="payment",
                connector=kind.path,
                name=name,
                config=kind.config(name, control),
                legal_entity=entity,
                is_test=True,
            )
            terms = gateway_terms.terms_of(connection)
            inn = f"77000000{number:02d}"
            GatewayTerms.objects.filter(pk=terms.pk).update(payer_inn=inn)
        self.counters[kind.name] = Counter(kind, control, connection, name, inn)

    @property
    def accounts(self) -> set[str]:
        """Onto which these gateways pay out."""
        return {one.account for one in self.counters.values()}

    @property
    def last(self) -> date:
        return self.start + timedelta(days=self.days - 1)

    def until(self, day: date, hour: int = 20) -> None:
        """Everything due up to an hour of a day is done, by all clocks."""
        moment = datetime.combine(day, time(hour), tzinfo=MOSCOW)
        for one in self.counters.values():
            one.control.set_clock(moment)
        self.shop.move(self.shop.partner, moment)
        self.shop.hurry()

    def page(self, name: str, price: str) -> Payment:
        """An order by this gateway, its page open."""
        mine = [one.connection.pk for one in self.counters.values()]
        others = Connection.objects.filter(pk__in=mine).exclude(pk=self.counters[name].connection.pk)
        others.update(is_enabled=False)
        order = self.shop.order(self.shop.offer(price=price, period_unit="week"))
        others.update(is_enabled=True)
        payment = order.payment()
        assert payment is not None
        assert payment.connection_id == self.counters[name].connection.pk
        payment.refresh_from_db()
        return payment

    def pay(self, name: str, payment: Payment) -> None:
        one = self.counters[name]
        one.control.pay(payment.confirmation_url, card=one.kind.good)

    def buy(self, name: str, price: str = "149.00") -> Payment:
        """A subscription by the week, paid and saved."""
        payment = self.page(name, price)
        self.pay(name, payment)
        payments.settle(payment.pk)
        self.shop.deliver()
        payment.refresh_from_db()
        assert payment.is_paid
        return payment

    def give_back(self, payment: Payment, amount: str) -> Refund:
        made = refunds.refund(payment=payment, amount=Money(D(amount)), reason="часть", actor="t")
        refund_calls.send(made.pk)
        later(made)
        made = refund_calls.sweep(made.pk)
        self.shop.deliver()
        assert made.state == "succeeded"
        return made

    def receipts(self) -> None:
        """Whatever is open is asked about until it is registered."""
        for _time in range(40):
            left = [one for one in Receipt.objects.all() if one.is_open]
            for one in left:
                later(one)  # type: ignore[arg-type]
                registering.sweep(one.pk)
            self.shop.deliver()
            if not left:
                return
        raise AssertionError(left)

    def of(self, name: str, **which: Any) -> list[Payment]:
        """Our payments by a gateway, in their order."""
        connection = self.counters[name].connection
        return list(Payment.objects.filter(connection=connection, **which).order_by("settled_at", "pk"))

    def foreign(self, name: str, amount: str) -> str:
        """A payment in the gateway's shop that we know nothing of."""
        one = self.counters[name]
        made = httpx.post(
            f"{one.control.base_url}/v3/payments",
            json={
                "amount": {"value": amount, "currency": "RUB"},
                "capture": True,
                "confirmation": {"type": "redirect", "return_url": "https://other.example"},
            },
            auth=(one.shop, "secret"),
            headers={"Idempotence-Key": f"foreign-{one.shop}"},
            trust_env=False,
            verify=False,
        ).json()
        one.control.pay(made["confirmation"]["confirmation_url"], card=one.kind.good)
        return str(made["id"])

    # -- the books -----------------------------------------------------------------------------------

    def statement(self, *, short: dict[tuple[str, date], str], missing: set[tuple[str, date]]) -> None:
        """The banks' files: each gateway's days paid out two days later, unless planted otherwise."""
        came = defaultdict(list)
        for name, one in self.counters.items():
            for number, (day, net) in enumerate(sorted(one.nets().items())):
                if day + PAYOUT_AFTER > self.last or (name, day) in missing or net <= 0:
                    continue
                amount = net - D(short.get((name, day), "0"))
                purpose = f"Перечисление средств по реестру за {day:%d.%m.%Y}. НДС не облагается"
                paid = day + PAYOUT_AFTER
                told = Came(str(amount), purpose, f"{one.inn[-2:]}{number}", one.inn, name, paid)
                came[one.account].append(told)
        for account, documents in came.items():
            with in_public():
                content = written(*documents, start=self.start, end=self.last, account=account)
                loaded = statements.load(content, name="kl_to_1c.txt", actor="finance")
            assert (loaded.unidentified, loaded.matched) == (0, 0)

    def reconcile(self, only: Iterable[str] | None = None) -> set[tuple[str, str, str, str, str]]:
        """All days of all gateways, or of some: (gateway, day, kind, what, number) of each difference that stands."""
        with in_public():
            for name in self.counters if only is None else only:
                self.check(name)
            names = {one.connection.pk: name for name, one in self.counters.items()}
            return {
                (names[row.day.connection_id], str(row.day.day), row.kind, row.entry, row.gateway_id)
                for row in self.differences().select_related("day")
            }

    # Gateways' days are in tables that all tests share: only what is of these gateways is looked at.

    def gateway_days(self) -> QuerySet[GatewayDay]:
        """Days that were checked."""
        mine = [one.connection.pk for one in self.counters.values()]
        return GatewayDay.objects.filter(connection__in=mine)

    def differences(self) -> QuerySet[Difference]:
        """What was found on them, whatever has become of it."""
        return Difference.objects.filter(day__in=self.gateway_days())

    def waiting(self) -> set[UUID]:
        """Ids of the days that wait for staff."""
        days = set(self.gateway_days().values_list("pk", flat=True))
        kind = reconciliation.KIND
        return days & set(WorkItem.objects.filter(kind=kind).values_list("object_id", flat=True))

    def check(self, name: str, days: Iterable[date] = ()) -> None:
        """All days of a gateway at once by its file; by its API day by day: all, or these."""
        one = self.counters[name]
        if one.connection.connector_class.register_is_file:
            content = downloaded(one.connection, self.start, self.last)
            uploading.upload(
                one.connection.pk,
                content,
                name="registry",
                first=self.start,
                last=self.last,
                actor="finance",
            )
            return
        for day in days or [self.start + timedelta(days=number) for number in range(self.days)]:
            reconciliation.check(one.connection.pk, day, actor="finance")


def run(month: Month) -> None:
    """What happens in it, on both sides alike."""
    for number, name in enumerate(month.counters):
        month.until(month.start + timedelta(days=number))
        month.buy(name)
        month.buy(name, "249.00")
    for number in range(4, month.days):
        if number % 7 > 3 and number != month.days - 1 and number not in (9, 16):
            # Nothing is charged on these: what else falls on them happens on the way.
            continue
        month.until(month.start + timedelta(days=number))
        for name in month.counters if number in (9, 16) else ():
            month.give_back(month.of(name)[0 if number == 9 else 1], "49.50")
    month.receipts()
    assert clock.today() == month.last
