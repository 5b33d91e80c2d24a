"""A gateway's transfer on the statement: its days, what differs, by hand, undone, in the ledger, not after closing."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection as database
from django.db.models import Sum

from apps.connectors.models import Connection
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.models import Due, WorkItem
from apps.core.tenancy import in_public
from apps.ledger.models import Transfer
from apps.partners.models import LegalEntity, Partner
from apps.payments import payments, refund_calls, refunds
from apps.payments.models import Payment
from apps.settlements import (
    differences,
    gateway_terms,
    matching,
    morning,
    payouts,
    reconciliation,
    statements,
    uploading,
)
from apps.settlements.models import (
    BankLine,
    BankStatement,
    Difference,
    GatewayDay,
    GatewayPayout,
    GatewayTerms,
    LineState,
)
from tests.payments.conftest import Till
from tests.payments.gateways import TBANK, YOOKASSA, GatewayKind
from tests.planted import execute, found
from tests.settlements.files import downloaded
from tests.settlements.statement_file import Came, written

D = Decimal
INN = "7750005725"
CORRUPTIONS: list[tuple[str, str]] = [
    ("settlements.day-adds-up", "UPDATE settlements_gatewayday SET fees = fees + 1"),
    ("settlements.day-adds-up", "UPDATE settlements_registerline SET amount = amount + 1"),
    ("settlements.closed-day", "UPDATE settlements_gatewayday SET checked_at = closed_at + interval '1 day'"),
    (
        "settlements.closed-day",
        "UPDATE settlements_difference SET explained_at = NULL",
    ),
    ("settlements.payout-of-days", "UPDATE settlements_gatewaypayout SET expected = expected + 1"),
    (
        "settlements.payout-of-days",
        "UPDATE settlements_bankline SET state = 'set_aside' WHERE state = 'payout'",
    ),
    (
        "settlements.payout-posted",
        "UPDATE ledger_transfer SET amount = amount + 1 WHERE document_kind = 'gateway_payout'",
    ),
    ("settlements.payout-posted", "DELETE FROM ledger_transfer WHERE document_kind = 'gateway_payout'"),
]


@dataclass
class Desk:
    """A till on a gateway of the operator's, and the finance of the operator."""

    till: Till
    account: str

    @property
    def today(self) -> date:
        return (
            clock.wall()
            .astimezone(reconciliation.bounds(self.till.connection, clock.today())[0].tzinfo)
            .date()
        )

    def check(self) -> GatewayDay:
        with in_public():
            if self.till.connection.connector_class.register_is_file:
                content = downloaded(self.till.connection, self.today, self.today)
                return uploading.upload(
                    self.till.connection.pk, content, name="registry.csv", actor="finance"
                ).days[0]
            return reconciliation.check(self.till.connection.pk, self.today, actor="finance")

    def came(self, amount: Any, purpose: str = "Перечисление по реестру", **fields: Any) -> BankLine:
        """A line of a statement of today."""
        number = fields.pop("number", str(BankLine.objects.count() + 1))
        one = Came(str(amount), purpose, **{"number": number, "inn": INN, "name": "НКО ЮМани", **fields})
        with in_public():
            statements.load(written(one, start=self.today, account=self.account), name="kl.txt", actor="bank")
            return BankLine.objects.get(number=number, statement__account=self.account)

    def settles(self, **terms: Any) -> None:
        gateway_terms.terms_of(self.till.connection)
        GatewayTerms.objects.filter(connection=self.till.connection).update(**{"payer_inn": INN, **terms})

    def assign(self, line: BankLine, first: date | None = None, last: date | None = None) -> GatewayPayout:
        with in_public():
            return payouts.assign(
                line.pk,
                connection_id=self.till.connection.pk,
                first=first or self.today,
                last=last or self.today,
                actor="finance",
            )

    def owed(self, account: str) -> Decimal:
        rows = Transfer.objects.filter(connection=self.till.connection)
        came, went = (
            rows.filter(**{side: account}).aggregate(total=Sum("amount"))["total"] or D(0)
            for side in ("debit", "credit")
        )
        return came - went

    def told(self) -> set[tuple[str, str, str]]:
        rows = Difference.objects.filter(day__connection=self.till.connection)
        return {(one.kind, one.entry, one.gateway_id) for one in rows}


@pytest.fixture
def desk_for(
    partner: Partner, till_for: Callable[..., Till], operator: LegalEntity, request: Any
) -> Iterator[Callable[[GatewayKind], Desk]]:
    """Opens a desk at a gateway."""
    account = f"40702810400000{abs(hash(request.node.nodeid)) % 10**6:06d}"
    LegalEntity.objects.filter(pk=operator.pk).update(account=account)

    def make(kind: GatewayKind) -> Desk:
        till = till_for(partner, kind=kind, control=request.getfixturevalue(kind.name))
        return Desk(till, account)

    yield make
    with in_public():
        WorkItem.objects.filter(partner_id=None).delete()
        GatewayDay.objects.update(payout=None)
        for model in (GatewayPayout, GatewayDay, GatewayTerms, BankLine, BankStatement):
            model.objects.all().delete()


@pytest.fixture
def desk(desk_for: Callable[[GatewayKind], Desk]) -> Desk:
    return desk_for(YOOKASSA)


def pay(desk: Desk) -> Payment:
    """A payment onto the operator's own clearing: its connection is the partner's only while it is chosen."""
    mine = Connection.objects.filter(pk=desk.till.connection.pk)
    mine.update(partner=desk.till.partner)
    payment = desk.till.pending()
    mine.update(partner=None)
    desk.till.gateway.pay(payment.confirmation_url, card=desk.till.good_card)
    return payments.settle(payment.pk)


def code(act: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as refused, in_public():
        act()
    return refused.value.code


def clean(desk: Desk) -> list[str]:
    return [str(one) for one in audit.run([desk.till.partner.pk]) if "settlements" in str(one)]


def test_a_transfer_of_exactly_a_days_sum_pays_it_out(desk: Desk) -> None:
    pay(desk), pay(desk)
    desk.settles()
    row = desk.check()
    assert code(lambda: reconciliation.close(row.pk, actor="finance")) == "no_payout"
    line = desk.came(row.net.amount)
    row.refresh_from_db()
    assert line.state == LineState.PAYOUT
    assert row.payout is not None
    assert row.payout.line_id == line.pk
    assert desk.told() == set()
    assert (desk.owed("bank"), desk.owed("clearing")) == (row.net.amount, D(0))
    with in_public():
        reconciliation.close(row.pk, actor="finance")
    assert clean(desk) == []


def test_a_fee_that_only_the_register_tells_is_posted_with_the_payout(
    desk_for: Callable[[GatewayKind], Desk],
) -> None:
    desk = desk_for(TBANK)
    payment = pay(desk)
    made = refunds.refund(payment=payment, reason="весь", amount=None, actor="t")
    refund_calls.send(made.pk)
    pay(desk)
    desk.settles()
    row = desk.check()
    assert (row.payments, row.refunds, row.fees) == (D("798.00"), D("399.00"), D("22.26"))
    assert desk.owed("fee") == 0
    line = desk.came(row.net.amount)
    assert line.state == LineState.PAYOUT
    assert (desk.owed("bank"), desk.owed("fee"), desk.owed("clearing")) == (D("376.74"), D("22.26"), D(0))
    with in_public():
        payouts.undo(GatewayPayout.objects.get(line=line).pk, actor="finance")
    assert (desk.owed("bank"), desk.owed("fee"), desk.owed("clearing")) == (D(0), D(0), D("399.00"))
    assert clean(desk) == []


def test_a_transfer_before_its_register_waits_and_is_given_its_day_then(desk: Desk) -> None:
    payment = pay(desk)
    desk.settles()
    line = desk.came(payment.amount - payment.fee)
    payout = GatewayPayout.objects.get(line=line)
    assert WorkItem.objects.filter(kind=payouts.KIND, object_id=payout.pk).exists()
    row = desk.check()
    assert row.payout_id == payout.pk
    assert not WorkItem.objects.filter(kind=payouts.KIND).exists()
    assert clean(desk) == []


def test_a_named_day_takes_another_sum_and_says_so(desk: Desk) -> None:
    pay(desk)
    desk.settles()
    row = desk.check()
    line = desk.came(row.net.amount - D("1.50"), f"Выплата за {desk.today:%d.%m.%Y}", number="771")
    assert desk.told() == {("payout_amount", "payout", "771")}
    [one] = Difference.objects.filter(day=row)
    assert (one.ours, one.theirs) == (row.net.amount, row.net.amount - D("1.50"))
    assert desk.owed("bank") == line.amount
    assert desk.owed("clearing") == D("1.50")
    assert code(lambda: reconciliation.close(row.pk, actor="finance")) == "differs"
    with in_public():
        reconciliation.explain(one.pk, note="Удержали за справку", actor="finance")
    # Compared again, what is explained stays so.
    desk.check()
    with in_public():
        reconciliation.close(row.pk, actor="finance")
    assert clean(desk) == []


def test_nothing_is_guessed_and_other_money_of_the_payer_is_left_alone(desk: Desk) -> None:
    pay(desk)
    desk.settles(purpose_words="договор 17")
    row = desk.check()
    other = desk.came(row.net.amount, "Кэшбэк")
    assert other.state == LineState.UNIDENTIFIED
    line = desk.came(D("100.00"), "Перечисление, договор 17")
    row.refresh_from_db()
    assert (line.state, row.payout) == (LineState.PAYOUT, None)
    assert desk.owed("bank") == 0
    # A day that was not compared yet is waited for, though another comes to the same sum.
    named = desk.came(row.net.amount, f"договор 17, за {desk.today - timedelta(days=3):%d.%m.%Y}")
    row.refresh_from_db()
    assert (named.state, row.payout) == (LineState.PAYOUT, None)


def test_by_hand_to_other_days_undone_and_given_an_invoice_again(desk: Desk) -> None:
    pay(desk)
    row = desk.check()
    line = desk.came("55.00", "?")
    assert line.state == LineState.UNIDENTIFIED
    assert (
        code(lambda: desk.assign(line, desk.today - timedelta(days=9), desk.today - timedelta(days=8)))
        == "bad_days"
    )
    payout = desk.assign(line)
    assert desk.told() == {("payout_amount", "payout", line.number)}
    assert desk.owed("bank") == D("55.00")
    second = desk.came("56.00", "??")
    assert code(lambda: desk.assign(second)) == "day_paid"
    with in_public():
        payouts.undo(payout.pk, actor="finance")
    line.refresh_from_db()
    assert (line.state, desk.told(), desk.owed("bank")) == (LineState.UNIDENTIFIED, set(), D(0))
    assert code(lambda: payouts.undo(payout.pk, actor="finance")) == "payout_undone"
    again = desk.assign(second)
    assert (again.pk, desk.owed("bank")) != (payout.pk, D(0))
    with in_public():
        matching.set_aside(line.pk, reason="заём", actor="finance")
        [one] = Difference.objects.filter(day=row)
        reconciliation.explain(one.pk, note="ясно", actor="finance")
        reconciliation.close(row.pk, actor="finance")
    assert code(lambda: payouts.undo(again.pk, actor="finance")) == "day_closed"
    assert code(lambda: desk.assign(second)) == "day_closed"
    assert clean(desk) == []


def test_a_payout_that_does_not_come_is_told_in_the_morning(desk: Desk) -> None:
    pay(desk)
    desk.settles(payout_within_days=0)
    row = desk.check()
    assert desk.told() == set()
    earlier = row.day - timedelta(days=1)
    GatewayDay.objects.filter(pk=row.pk).update(day=earlier)
    with in_public():
        differences.overdue(desk.till.connection)
    assert desk.told() == {("payout_absent", "payout", str(earlier))}
    assert WorkItem.objects.filter(kind=differences.DAY, object_id=row.pk).exists()
    with in_public():
        reconciliation.explain(Difference.objects.get(day=row).pk, note="Зачтено штрафом", actor="finance")
        reconciliation.close(row.pk, actor="finance")


def test_what_is_learned_after_its_day_is_closed_shows_in_the_day_it_is_learned(desk: Desk) -> None:
    payment = pay(desk)
    Payment.objects.filter(pk=payment.pk).update(state="unknown", settled_at=None)
    row = desk.check()
    assert desk.told() == {("state", "payment", payment.gateway_id)}
    yesterday = row.day - timedelta(days=1)
    with in_public():
        reconciliation.explain(Difference.objects.get(day=row).pk, note="Ещё не знаем", actor="finance")
        reconciliation.close(row.pk, actor="finance")
    # The day and all that happened in it are moved into the past; then it is learned.
    GatewayDay.objects.filter(pk=row.pk).update(day=yesterday)
    for line in row.lines.all():
        type(line).objects.filter(pk=line.pk).update(at=line.at - timedelta(days=1))
    Payment.objects.filter(pk=payment.pk).update(state="succeeded", settled_at=clock.now())
    desk.till.gateway.misreport(payment.gateway_id, hidden=True)
    today = desk.check()
    assert [(one.kind, one.gateway_id) for one in today.differences.all()] == [("late", payment.gateway_id)]
    assert today.payments == 0
    desk.till.gateway.misreport(payment.gateway_id)


@pytest.mark.parametrize("locked", [True, False])
def test_closing_against_comparing(desk: Desk, locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One compares, stopped where it has seen an open day; another closes it. The lock holds the second, or the first
    writes into a closed day."""
    payment = pay(desk)
    row = desk.check()
    if not locked:
        monkeypatch.setattr(gateway_terms, "lock", gateway_terms.terms_of)
    seen, go_on = threading.Event(), threading.Event()
    rewrite = differences.rewrite

    def held(*args: Any) -> None:
        if threading.current_thread() is comparing:
            seen.set()
            go_on.wait(10)
        rewrite(*args)

    monkeypatch.setattr(differences, "rewrite", held)
    outcomes: dict[str, str] = {}
    comparing = _thread(
        desk, outcomes, "check", lambda: reconciliation.check(desk.till.connection.pk, row.day)
    )
    Payment.objects.filter(pk=payment.pk).update(fee=D("0.01"))
    comparing.start()
    assert seen.wait(10)
    closing = _thread(desk, outcomes, "close", lambda: reconciliation.close(row.pk, actor="finance"))
    closing.start()
    closing.join(1)
    # Without the lock it is held too, and only when it writes: what it has seen by then is over.
    go_on.set()
    comparing.join(10)
    closing.join(10)
    row.refresh_from_db()
    left = row.differences.filter(explained_at=None).count()
    if locked:
        assert (outcomes, row.state, left) == ({"check": "", "close": "differs"}, "open", 1)
    else:
        # What must never be: it says «closed», and something of it is not explained.
        assert (outcomes["close"], row.state, left) == ("", "closed", 1)


def _thread(desk: Desk, outcomes: dict[str, str], name: str, act: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            with in_public():
                act()
            outcomes[name] = ""
        except Refused as refused:
            outcomes[name] = refused.code
        finally:
            database.close()

    return threading.Thread(target=run)


def test_a_file_is_asked_for_after_some_days_and_the_same_one_changes_nothing(
    desk_for: Callable[[GatewayKind], Desk],
) -> None:
    desk = desk_for(TBANK)
    payment = pay(desk)
    desk.settles(file_within_days=0)
    terms = gateway_terms.terms_of(desk.till.connection)
    with in_public():
        assert code(lambda: reconciliation.check(desk.till.connection.pk, desk.today)) == "no_register"
        morning.look(terms.pk)
        assert "Нужен реестр" in WorkItem.objects.get(kind=uploading.KIND, object_id=terms.pk).reason
    row = desk.check()
    assert not WorkItem.objects.filter(kind=uploading.KIND, object_id=terms.pk).exists()
    before = list(row.lines.values("position", "gateway_id", "amount", "fee", "object_id"))
    assert before[0]["object_id"] == payment.pk
    with in_public():
        content = downloaded(desk.till.connection, desk.today, desk.today)
        again = uploading.upload(desk.till.connection.pk, content, name="again.csv", actor="finance")
    assert again.is_known
    assert list(again.days[0].lines.values("position", "gateway_id", "amount", "fee", "object_id")) == before
    with in_public():
        assert reconciliation.check(desk.till.connection.pk, desk.today).matched == 1
        GatewayTerms.objects.update(payer_inn="")
        reconciliation.close(row.pk, actor="finance")
        done = uploading.upload(desk.till.connection.pk, content, name="late.csv", actor="finance")
    assert (done.days, done.closed) == ([], [desk.today])
    for wrong in (b"", "Дата;PaymentId;Сумма\n1;2;3".encode()):
        assert code(
            lambda file=wrong: uploading.upload(desk.till.connection.pk, file, name="x", actor="f")
        ) == (  # type: ignore[misc]
            "bad_register"
        )


def test_each_morning_yesterday_is_checked_of_gateways_that_served(desk: Desk) -> None:
    pay(desk)
    with in_public():
        idle = Connection.objects.create(
            kind="payment",
            connector=YOOKASSA.path,
            name="idle",
            config={},
            legal_entity=desk.till.connection.legal_entity,
        )
        morning.plan()
        assert not GatewayTerms.objects.filter(connection=idle).exists()
        terms = GatewayTerms.objects.get(connection=desk.till.connection)
        yesterday = desk.today - timedelta(days=1)
        morning.look(terms.pk)
        assert GatewayDay.objects.get(connection=desk.till.connection).day == yesterday
        Connection.objects.filter(pk=idle.pk).update(is_enabled=False)


def in_the_past(payment: Payment, days: int) -> None:
    moment = clock.wall() - timedelta(days=days)
    Payment.objects.filter(pk=payment.pk).update(settled_at=moment, created_at=moment)


def planned(desk: Desk) -> GatewayTerms | None:
    """The terms of a gateway at which this morning's plan will look."""
    with in_public():
        Due.objects.filter(kind=morning.TASK).delete()
        morning.plan()
        terms = GatewayTerms.objects.filter(connection=desk.till.connection).first()
        due = Due.objects.filter(kind=morning.TASK)
        found = terms if terms and due.filter(object_id=terms.pk).exists() else None
        due.delete()
    return found


def reasons(terms: GatewayTerms) -> list[str]:
    rows = WorkItem.objects.filter(kind=uploading.KIND, object_id=terms.pk)
    return list(rows.values_list("reason", flat=True))


def test_days_of_a_gateway_that_was_switched_off_are_told_until_they_are_compared(desk: Desk) -> None:
    mine = Connection.objects.filter(pk=desk.till.connection.pk)
    in_the_past(pay(desk), 2)
    desk.settles(payout_within_days=3)
    with in_public():
        old = GatewayDay.objects.create(
            connection=desk.till.connection,
            day=desk.today - timedelta(days=20),
            payments=D("100.00"),
            checked_at=clock.wall(),
        )
    mine.update(is_enabled=False)
    terms = planned(desk)
    assert terms is not None
    asked = len(desk.till.gateway.log(shop=desk.till.shop))
    with in_public():
        morning.look(terms.pk)
    assert len(desk.till.gateway.log(shop=desk.till.shop)) == asked
    assert [f"{desk.today - timedelta(days=2):%d.%m.%Y}" in one for one in reasons(terms)] == [True]
    # What its days before have not brought yet is missed all the same.
    assert desk.told() == {("payout_absent", "payout", str(old.day))}
    mine.update(is_enabled=True)
    with in_public():
        morning.look(terms.pk)
        compared = set(GatewayDay.objects.values_list("day", flat=True))
    assert {desk.today - timedelta(days=2), desk.today - timedelta(days=1)} < compared
    assert reasons(terms) == []


def test_a_gateway_switched_off_is_left_alone_once_nothing_of_it_is_open(desk: Desk) -> None:
    mine = Connection.objects.filter(pk=desk.till.connection.pk)
    in_the_past(pay(desk), 70)
    mine.update(is_enabled=False)
    # Nobody has ever compared it.
    assert planned(desk) is not None
    with in_public():
        row = GatewayDay.objects.create(
            connection=desk.till.connection, day=desk.today - timedelta(days=70), checked_at=clock.wall()
        )
    assert planned(desk) is not None
    GatewayDay.objects.filter(pk=row.pk).update(
        state=GatewayDay.State.CLOSED, closed_at=clock.wall(), closed_by="finance"
    )
    assert planned(desk) is None


def test_the_file_of_a_gateway_that_was_switched_off_is_still_asked_for(
    desk_for: Callable[[GatewayKind], Desk],
) -> None:
    desk = desk_for(TBANK)
    payment = pay(desk)
    in_the_past(payment, 5)
    Connection.objects.filter(pk=desk.till.connection.pk).update(is_enabled=False)
    terms = planned(desk)
    assert terms is not None
    for days in (5, 90):
        # Once it is told, it does not end by growing old.
        in_the_past(payment, days)
        with in_public():
            morning.look(terms.pk)
        assert ["Нужен реестр" in one for one in reasons(terms)] == [True]


def test_finance_works_with_payouts_in_the_console(
    desk_for: Callable[[GatewayKind], Desk], staff: Any
) -> None:
    desk = desk_for(TBANK)
    payment = pay(desk)
    desk.settles()
    client = staff(None, "finance")
    with in_public():
        content = downloaded(desk.till.connection, desk.today, desk.today)
        posted = {
            "connection": desk.till.connection.pk,
            "file": SimpleUploadedFile("registry.csv", content),
        }
        base = "/admin/settlements"
        page = client.post(f"{base}/gatewayday/upload/", posted, follow=True).content.decode()
        assert "строк реестра: 1" in page
        wrong = {**posted, "file": SimpleUploadedFile("x.csv", b"a;b;c\n1;2;3")}
        assert "Нет колонки" in client.post(f"{base}/gatewayday/upload/", wrong, follow=True).content.decode()
        listed = client.get(f"{base}/gatewayday/?month={desk.today:%Y-%m}")
        assert listed.status_code == 200
        assert "Сверка по дням" in listed.content.decode()
        for odd in ("0001-01", "9999-12", "2026-13", "x"):
            assert client.get(f"{base}/gatewayday/?month={odd}").status_code == 200
        row = GatewayDay.objects.get(connection=desk.till.connection)
    Payment.objects.filter(pk=payment.pk).update(amount=D("398.00"))
    with in_public():
        client.post(f"{base}/gatewayday/{row.pk}/check/", follow=True)
        page = client.get(f"{base}/gatewayday/{row.pk}/change/").content.decode()
        slug = desk.till.partner.slug
        assert f"/p/{slug}/" in page
        assert "Объяснить" in page
        assert "журнал" in page
        exchange = page.split('href="/p/' + slug + "/admin/journal/exchange/")[-1].split('"')[0]
        asked = client.get(f"/p/{slug}/admin/journal/exchange/{exchange.replace('&amp;', '&')}")
        assert asked.status_code in (200, 403), asked.status_code
        line = desk.came("10.00", "?", inn="7710140679")
        made = {
            "connection": desk.till.connection.pk,
            "first": f"{desk.today:%d.%m.%Y}",
            "last": f"{desk.today:%d.%m.%Y}",
        }
        page = client.post(f"{base}/bankline/{line.pk}/payout/", made, follow=True).content.decode()
        assert "Другая сумма" in page
        payout = GatewayPayout.objects.get(line=line)
        page = client.post(f"{base}/gatewaypayout/{payout.pk}/undo/", follow=True).content.decode()
        assert "Выплата снята" in page
        terms = gateway_terms.terms_of(desk.till.connection)
        given = {"payer_inn": "12", "payout_within_days": 5, "file_within_days": 3, "columns": "x = y"}
        page = client.post(f"{base}/gatewayterms/{terms.pk}/change/", given).content.decode()
        assert "10 или 12 цифр" in page
        assert "поле = название" in page
        given |= {"payer_inn": INN, "columns": "fee = Комиссия банка"}
        client.post(f"{base}/gatewayterms/{terms.pk}/change/", given)
        assert gateway_terms.terms_of(desk.till.connection).columns == "fee = Комиссия банка"
        assert staff(None, "support").get(f"{base}/gatewaypayout/").status_code == 403


@pytest.mark.parametrize(("rule", "sql"), CORRUPTIONS)
def test_corruptions_are_found(desk: Desk, rule: str, sql: str) -> None:
    pay(desk)
    desk.settles()
    row = desk.check()
    desk.came(row.net.amount - 1, f"за {desk.today:%d.%m.%Y}")
    with in_public():
        one = Difference.objects.get(day__connection=desk.till.connection)
        reconciliation.explain(one.pk, note="ясно", actor="finance")
        reconciliation.close(row.pk, actor="finance")
        assert found(rule, lambda: execute(sql))


@pytest.mark.parametrize("point", reconciliation.FAULT_POINTS)
def test_a_crash_while_a_day_is_checked_is_made_good(desk: Desk, point: str) -> None:
    payment = pay(desk)
    desk.settles()
    line = desk.came(payment.amount - payment.fee)
    with faults.crash_at(point), pytest.raises(faults.Crash):
        desk.check()
    row = desk.check()
    assert row.payout is not None
    assert row.payout.line_id == line.pk
    assert (row.matched, desk.told(), desk.owed("bank")) == (1, set(), line.amount)
    assert clean(desk) == []
