"""What the screen of «Пятница, вечер» shows: how far it is, and three registers side by side."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
from django.utils.translation import gettext as _

from apps.catalog.models import Offer
from apps.connectors.models import Connection
from apps.core.tenancy import in_partner
from apps.demo import friday
from apps.demo.connect import Addresses
from apps.demo.controls import pids
from apps.orders.models import Order, OrderItem
from apps.partners.models import Partner
from apps.payments.models import Payment
from apps.sandbox.control import Control


@dataclass
class Row:
    """One provider."""

    stand: friday.Stand
    is_on: bool | None = None
    is_sold: bool = True
    ordered: int = 0
    paid: int = 0
    delivered: int = 0

    @property
    def waits(self) -> int:
        """Paid, and not delivered yet."""
        return self.paid - self.delivered


@dataclass(frozen=True)
class Register:
    """One of the three: pieces and roubles, and how far that is from ours."""

    title: str
    pieces: int
    amount: Decimal
    gap: Decimal

    @property
    def sum(self) -> str:
        return _roubles(self.amount)

    @property
    def difference(self) -> str:
        return _roubles(self.gap)


def _roubles(amount: Decimal) -> str:
    """With kopecks even where there are none: here they are the point."""
    space = "\N{NO-BREAK SPACE}"
    return f"{amount:,.2f}".replace(",", space).replace(".", ",") + f"{space}₽"


@dataclass
class Board:
    """All that the page shows of a run."""

    run: friday.Run | None = None
    rows: list[Row] = field(default_factory=list)
    registers: list[Register] = field(default_factory=list)
    off: friday.Stand = friday.OFF
    is_off: bool | None = None
    pids: dict[str, int] = field(default_factory=dict)

    def total(self, what: str) -> int:
        return sum(getattr(row, what) for row in self.rows)

    @property
    def ordered(self) -> int:
        return self.total("ordered")

    @property
    def paid(self) -> int:
        return self.total("paid")

    @property
    def delivered(self) -> int:
        return self.total("delivered")

    @property
    def percent(self) -> int:
        return 100 * self.delivered // self.run.orders if self.run else 0

    @property
    def is_over(self) -> bool:
        """Whether all has been bought, paid and delivered."""
        return bool(self.run) and self.delivered == self.run.orders  # type: ignore[union-attr]

    @property
    def agrees(self) -> bool:
        """Whether the three registers say the same, to the kopeck and to the piece."""
        same = {(one.pieces, one.amount) for one in self.registers}
        return self.is_over and len(same) == 1 and len(self.registers) == 3


def of(partner: Partner) -> Board:
    """The board as it stands now. A simulator that does not answer leaves its column out."""
    board = Board(rows=[Row(stand) for stand in friday.STANDS], pids=pids())
    with in_partner(partner):
        board.run = friday.last(partner)
        sold = Offer.objects.on_sale(partner.pk).filter(tariff__code__in=[one.sku for one in friday.STANDS])
        open_now = set(sold.values_list("tariff__code", flat=True))
        has_begun = Offer.objects.filter(partner=partner, tariff__code=friday.OFF.sku).exists()
        for row in board.rows:
            row.is_sold = row.stand.sku in open_now or not has_begun
        try:
            board.is_off = friday.is_off()
            if board.run:
                _count(partner, board)
        except (httpx.HTTPError, LookupError):
            board.registers = []
    return board


def _count(partner: Partner, board: Board) -> None:
    assert board.run
    items = OrderItem.objects.filter(order__request_key__startswith=board.run.prefix)
    told = list(
        items.values_list(
            "tariff_version__tariff__code",
            "order__state",
            "order__invoice__state",
            "total",
            "order__customer",
        )
    )
    rows = {row.stand.sku: row for row in board.rows}
    ours: list[Decimal] = []
    for sku, state, invoice, total, _customer in told:
        row = rows[sku]
        row.ordered += 1
        row.paid += invoice == "paid"
        row.delivered += state == "completed"
        if invoice == "paid":
            ours.append(total)
    paid = sum(ours, Decimal("0.00"))
    taken, keys = _at_the_gateway(partner, board.run), _at_providers({str(one[4]) for one in told}, rows)
    for row in board.rows:
        row.is_on = row.stand is not friday.OFF or not board.is_off
    board.registers = [
        Register(str(_("Наш реестр: оплаченные заказы")), len(ours), paid, Decimal("0.00")),
        _register(_("Реестр шлюза: списания"), taken, paid),
        _register(_("Поставщики: выданные ключи"), keys, paid),
    ]


def _register(title: Any, amounts: list[Decimal], ours: Decimal) -> Register:
    total = sum(amounts, Decimal("0.00"))
    return Register(str(title), len(amounts), total, total - ours)


def _at_the_gateway(partner: Partner, run: friday.Run) -> list[Decimal]:
    """What the gateway's own register has taken for these orders: a payment taken twice would be there twice."""
    line = Connection.objects.for_partner(partner, "payment")
    orders = Order.objects.filter(request_key__startswith=run.prefix)
    known = Payment.objects.filter(invoice_payment__invoice__order_id__in=orders.values("pk"))
    wanted = {str(key) for key in known.values_list("pk", flat=True)}
    gateway = Addresses().urls.get("yookassa") or line.config["base_url"].removesuffix("/v3")
    rows = _control(gateway).register(shop=line.config["shop_id"])["payments"]
    return [
        Decimal(row["amount"])
        for row in rows
        if row["status"] == "succeeded" and (row.get("metadata") or {}).get("payment") in wanted
    ]


def _at_providers(customers: set[str], rows: dict[str, Row]) -> list[Decimal]:
    """What keys the providers' own registers gave to these customers are worth: one made twice would be there twice."""
    there: Iterable[dict[str, Any]] = (
        one
        for row in rows.values()
        for one in Addresses().control("provider").register(account=row.stand.account)["activations"]
    )
    given = Counter(
        one["sku"] for one in there if one["status"] == "active" and one["customer_ref"] in customers
    )
    return [rows[sku].stand.price for sku, count in given.items() for _one in range(count)]


def _control(url: str) -> Control:
    return Addresses({"yookassa": url}).control("yookassa")
