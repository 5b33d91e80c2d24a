"""A partner's account with the platform for a period: sales, VAT, refunds, its share, what was taken back, what is due.

All of it is read from the ledger in one pass: grouped by product for what was sold, and by what happened for what is
due. Every transfer on the partner's account has its line here; the auditor looks for any that has none.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.catalog.models import Product
from apps.core.sheets import Sheet
from apps.ledger.models import Account, Transfer
from apps.partners.models import Partner

ZERO = Decimal("0.00")
_A = Account
HELD = (_A.CLEARING, _A.BANK, _A.PARTNER_PAYABLE)

# What moves the partner's account: the other side, and whether the partner is owed more by it.
MOVES: dict[str, tuple[Any, bool, tuple[str, ...]]] = {
    "share": (gettext_lazy("Начислено вознаграждение"), True, (_A.PARTNER_SHARE,)),
    "clawback": (gettext_lazy("Удержано при возвратах клиентам"), False, (_A.PARTNER_SHARE,)),
    "collected": (gettext_lazy("Принято партнёром от клиентов"), False, (_A.RECEIVABLE, _A.ADVANCES)),
    "returned": (gettext_lazy("Возвращено партнёром клиентам"), True, (_A.RECEIVABLE, _A.ADVANCES)),
    # A chargeback at a gateway of the partner's own: the bank has taken what it had collected, or given it again.
    "disputed": (gettext_lazy("Списано у партнёра по спорам"), True, (_A.DISPUTE,)),
    "won": (gettext_lazy("Возвращено партнёру по спорам"), False, (_A.DISPUTE,)),
    "received": (gettext_lazy("Получено от партнёра"), True, (_A.BANK, _A.CLEARING)),
    "paid_out": (gettext_lazy("Выплачено партнёру"), False, (_A.BANK, _A.CLEARING)),
}

MEASURES = {
    "sold": gettext_lazy("Выставлено"),
    "vat": gettext_lazy("в т. ч. НДС"),
    "credited": gettext_lazy("Уменьшено"),
    "paid": gettext_lazy("Оплачено"),
    "refunded": gettext_lazy("Возвращено"),
    "share": gettext_lazy("Вознаграждение"),
    "clawback": gettext_lazy("Удержано"),
}


@dataclass(slots=True)
class Sold:
    """What was sold of one product."""

    product_id: int | None
    name: str
    sums: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(MEASURES, ZERO))

    def columns(self) -> list[Decimal]:
        """The sums in the order of MEASURES."""
        return [self.sums[name] for name in MEASURES]


@dataclass(slots=True)
class Statement:
    """The account in one currency. Sums are positive where the partner is owed."""

    partner: Partner
    since: date
    until: date
    currency: str
    opening: Decimal = ZERO
    moves: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(MOVES, ZERO))
    other: Decimal = ZERO
    """By transfers of a kind that the statement does not know: nought, or the auditor says so."""
    products: list[Sold] = field(default_factory=list)

    @property
    def closing(self) -> Decimal:
        """What is due to the partner at the end of the last day; negative where the partner owes."""
        signed = (sum_ if MOVES[name][1] else -sum_ for name, sum_ in self.moves.items())
        return self.opening + sum(signed, ZERO) + self.other

    @property
    def totals(self) -> list[Decimal]:
        """The measures summed up over all products."""
        columns = zip(*(one.columns() for one in self.products), strict=True)
        return [sum(column, ZERO) for column in columns] or [ZERO] * len(MEASURES)

    def lines(self) -> list[tuple[str, Decimal]]:
        """From opening to closing, in words; what did not happen is left out."""
        moves = [
            (str(MOVES[name][0]), sum_ if MOVES[name][1] else -sum_)
            for name, sum_ in self.moves.items()
            if sum_
        ]
        other = [(_("Прочее"), self.other)] if self.other else []
        return [
            (_("Причиталось партнёру на начало"), self.opening),
            *moves,
            *other,
            (_("Причитается партнёру на конец"), self.closing),
        ]


def of(partner: Partner, *, since: date, until: date) -> list[Statement]:
    """A partner's account, one for each currency; at least one."""
    found: dict[str, Statement] = {}
    sold: dict[tuple[str, int | None], Sold] = {}
    rows = (
        Transfer.objects.filter(partner_id=partner.pk, business_date__lte=until)
        .order_by()
        .values_list("currency", "product_id", "document_kind", "debit", "credit")
        .annotate(
            before=Sum("amount", filter=Q(business_date__lt=since), default=ZERO),
            within=Sum("amount", filter=Q(business_date__gte=since), default=ZERO),
        )
    )
    for currency, product, document, debit, credit, before, within in rows:
        one = found.setdefault(currency, Statement(partner, since, until, currency))
        _move(one, debit, credit, before, within)
        sums = sold.setdefault((currency, product), Sold(product, "")).sums
        for name, amount in _measured(document, debit, credit, within):
            sums[name] += amount
    _name(found, sold)
    return [found[currency] for currency in sorted(found)] or [Statement(partner, since, until, "RUB")]


def _move(one: Statement, debit: str, credit: str, before: Decimal, within: Decimal) -> None:
    if _A.PARTNER_PAYABLE not in (debit, credit):
        return
    is_more = credit == _A.PARTNER_PAYABLE
    other = debit if is_more else credit
    one.opening += before if is_more else -before
    for name, (_title, sign, accounts) in MOVES.items():
        if sign == is_more and other in accounts:
            one.moves[name] += within
            return
    one.other += within if is_more else -within


def _measured(document: str, debit: str, credit: str, amount: Decimal) -> Iterable[tuple[str, Decimal]]:
    """Which measures a sum of transfers counts for. A void invoice was never sold."""
    if document == "invoice" and _A.RECEIVABLE in (debit, credit) and _A.ADVANCES not in (debit, credit):
        sign = 1 if debit == _A.RECEIVABLE else -1
        yield "sold", sign * amount
        if _A.VAT in (debit, credit):
            yield "vat", sign * amount
    elif document in {"credit", "credit_note"} and credit == _A.RECEIVABLE:
        yield "credited", amount
    elif (
        document in {"payment", "outside_payment"}
        and debit in HELD
        and credit in (_A.RECEIVABLE, _A.ADVANCES)
    ):
        yield "paid", amount
    elif document in {"refund", "outside_refund"} and credit in HELD:
        yield "refunded", amount
    elif (debit, credit) == (_A.PARTNER_SHARE, _A.PARTNER_PAYABLE):
        yield "share", amount
    elif (debit, credit) == (_A.PARTNER_PAYABLE, _A.PARTNER_SHARE):
        yield "clawback", amount


def _name(found: dict[str, Statement], sold: dict[tuple[str, int | None], Sold]) -> None:
    names = {
        product.pk: str(product.name)
        for product in Product.objects.filter(pk__in=[key for _currency, key in sold if key])
    }
    for (currency, product), one in sold.items():
        one.name = names.get(product, "—") if product else "—"
        if any(one.sums.values()):
            found[currency].products.append(one)
    for statement in found.values():
        statement.products.sort(key=lambda one: one.name)


def sheets_of(statement: Statement) -> list[Sheet]:
    """The statement as two tables, for a file."""
    above = [
        _("Взаиморасчёты с партнёром: %s") % statement.partner,
        _("Период: %(since)s – %(until)s, валюта %(currency)s")
        % {
            "since": f"{statement.since:%d.%m.%Y}",
            "until": f"{statement.until:%d.%m.%Y}",
            "currency": statement.currency,
        },
    ]
    due = Sheet(
        title=_("Расчёты") + f" {statement.currency}",
        above=above,
        headings=["", _("Показатель"), _("Сумма")],
        rows=[[number, text, sum_] for number, (text, sum_) in enumerate(statement.lines(), start=1)],
        widths=(5, 44, 16),
    )
    products = Sheet(
        title=_("Продажи") + f" {statement.currency}",
        above=above,
        headings=["", _("Продукт"), *MEASURES.values()],
        rows=[[number, one.name, *one.columns()] for number, one in enumerate(statement.products, start=1)],
        totals=["", _("Всего"), *statement.totals],
        widths=(5, 40, *[16] * len(MEASURES)),
    )
    return [due, products]


def as_data(statement: Statement) -> dict[str, Any]:
    """For the API."""
    return {
        "since": statement.since,
        "until": statement.until,
        "currency": statement.currency,
        "opening": statement.opening,
        **statement.moves,
        "other": statement.other,
        "closing": statement.closing,
        "products": [{"product": one.product_id, "name": one.name, **one.sums} for one in statement.products],
    }
