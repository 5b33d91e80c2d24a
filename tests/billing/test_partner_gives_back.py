"""What a partner's own service has charged it gives back: in full and in part, once, whatever becomes of the answer."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from apps.billing import credits, outside_refunds, payouts, returning
from apps.billing.models import (
    CreditNote,
    CreditReason,
    Invoice,
    Subscription,
)
from apps.billing.outside_refund_models import OutsideRefund
from apps.billing.paperwork import Document, OutsidePayment
from apps.billing.partner_service import signature
from apps.connectors import webhooks
from apps.connectors.models import Connection, InboundMessage
from apps.core import audit, clock, faults
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.models import Due, WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.ledger.models import Transfer
from apps.partners.models import StaffRole
from apps.policies.refunding import RefundLimit
from apps.sandbox.control import Control
from tests.billing.test_lifecycle import on_balance
from tests.billing.test_partner_service import bought
from tests.billing.test_partner_service import service as service
from tests.billing.test_renewals import balance
from tests.orders.races import race
from tests.orders.shop import Shop
from tests.planted import execute, found

# One corruption for each of the auditor's rules here: (rule, SQL).
CORRUPTIONS: list[tuple[str, str]] = [
    ("billing.outside-refunds", "UPDATE billing_outsiderefund SET amount = amount + 1"),
    ("billing.outside-refunds", "UPDATE billing_outsiderefund SET amount = 1000"),
    ("billing.outside-refunds", "UPDATE billing_outsiderefund SET note_id = NULL"),
    ("billing.outside-refunds", "DELETE FROM billing_outsiderefund"),
    (
        "billing.outside-refunds",
        "UPDATE ledger_transfer SET credit = 'clearing' WHERE document_kind = 'outside_refund'"
        " AND posting = 'refunded'",
    ),
    (
        "billing.outside-refunds",
        "DELETE FROM ledger_transfer WHERE document_kind = 'outside_refund' AND posting = 'owed'",
    ),
    (
        "billing.outside-refunds-followed",
        "UPDATE billing_outsiderefund SET state = 'waiting', settled_at = NULL",
    ),
    (
        "billing.outside-refunds-followed",
        "UPDATE billing_outsiderefund SET state = 'requested', settled_at = NULL",
    ),
    ("billing.outside-refunds-followed", "UPDATE billing_outsiderefund SET above = 'лимит'"),
]


def paid(shop: Shop) -> tuple[Subscription, OutsidePayment]:
    """A subscription of 149 roubles that the partner has charged its client for."""
    subscription, _request = bought(shop)
    shop.deliver()
    subscription.refresh_from_db()
    return subscription, OutsidePayment.objects.latest("pk")


def give(
    outside: OutsidePayment, amount: str | None = None, *, key: str = "one", **options: Any
) -> OutsideRefund:
    money = Money(Decimal(amount)) if amount else None
    options = {"reason": "по просьбе", "actor": "anna"} | options
    return outside_refunds.give_back(outside_id=outside.pk, amount=money, key=key, **options)


def refused(call: Callable[[], Any]) -> Refused:
    with pytest.raises(Refused) as found, transaction.atomic():
        call()
    return found.value


def look(shop: Shop, made: OutsideRefund) -> OutsideRefund:
    """The next planned look, now."""
    Due.objects.filter(kind=returning.SEND, object_id=made.pk).update(due_at=clock.wall())
    shop.deliver()
    made.refresh_from_db()
    return made


def theirs(shop: Shop, partner_sim: Control) -> dict[str, str]:
    """What the partner has really given back, by id."""
    rows = partner_sim.register(shop=shop.partner.slug)["refunds"]
    return {row["id"]: row["amount"] for row in rows if row["status"] == "refunded"}


def agree(shop: Shop, partner_sim: Control) -> None:
    """Our register is the partner's, nothing is in between, and the auditor finds nothing."""
    ours = {str(row.pk): str(row.amount) for row in OutsideRefund.objects.filter(state="succeeded")}
    assert theirs(shop, partner_sim) == ours
    assert balance(shop, "receivable") == 0
    assert [str(one) for one in audit.run([shop.partner.pk])] == []


def test_in_parts_and_the_last_part_ends_the_subscription(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    subscription, outside = paid(shop)
    part = give(outside, "50.00")
    assert give(outside, "50.00").pk == part.pk
    assert refused(lambda: give(outside, "49.00")).code == "key_reused"
    shop.deliver()
    part.refresh_from_db()
    subscription.refresh_from_db()
    assert (part.state, part.way, part.reference[:3]) == ("succeeded", "partner", "RX-")
    assert (subscription.state, on_balance(subscription)) == ("active", 0)
    agree(shop, partner_sim)
    refusal = refused(lambda: give(outside, "99.01", key="two"))
    assert (refusal.code, refusal.extra["refundable"]) == ("refund_too_much", "99.00")
    rest = give(outside, key="two")
    shop.deliver()
    subscription.refresh_from_db()
    assert (rest.amount, subscription.state) == (Decimal("99.00"), "cancelled")
    assert sorted(theirs(shop, partner_sim).values()) == ["50.00", "99.00"]
    # The notes are of the whole invoice, VAT too; the customer has a receipt of each part.
    notes, receipts = CreditNote.objects.all(), Document.objects.filter(kind="refund_receipt")
    invoice = Invoice.objects.get(pk=outside.invoice_id)
    assert (sum(one.total for one in notes), sum(one.vat for one in notes)) == (invoice.total, invoice.vat)
    assert sorted(one.total for one in receipts) == [Decimal("50.00"), Decimal("99.00")]
    agree(shop, partner_sim)
    assert refused(lambda: give(outside, "0.01", key="three")).code == "refund_too_much"


def test_each_step_stands_in_the_ledger(shop: Shop, service: Connection, partner_sim: Control) -> None:
    _subscription, outside = paid(shop)
    held = Transfer.objects.get(document_kind="outside_payment", document_id=outside.pk).debit
    partner_sim.fault("pending", match={"operation": "refund", "shop": shop.partner.slug})
    made = give(outside, "49.00")
    shop.deliver()

    def posted() -> set[Any]:
        mine = Transfer.objects.filter(document_id=made.pk)
        return set(mine.values_list("posting", "debit", "credit", "amount"))

    owed = ("owed", "advances", "receivable", Decimal("49.00"))
    made.refresh_from_db()
    assert (made.state, posted()) == ("waiting", {owed})
    assert [str(one) for one in audit.run([shop.partner.pk])] == []
    partner_sim.settle(str(made.pk))
    assert look(shop, made).state == "succeeded"
    assert posted() == {owed, ("refunded", "receivable", held, Decimal("49.00"))}
    agree(shop, partner_sim)


@pytest.mark.parametrize("fault", ["drop_answer", "http_500", "http_503", "http_429"])
def test_a_lost_answer_gives_nothing_back_twice(
    shop: Shop, service: Connection, partner_sim: Control, fault: str
) -> None:
    _subscription, outside = paid(shop)
    partner_sim.fault(fault, match={"operation": "refund", "shop": shop.partner.slug})
    made = give(outside)
    shop.deliver()
    made.refresh_from_db()
    assert made.state == "waiting"
    assert look(shop, made).state == "succeeded"
    assert theirs(shop, partner_sim) == {str(made.pk): "149.00"}
    agree(shop, partner_sim)


@pytest.mark.parametrize("point", returning.FAULT_POINTS)
def test_a_death_at_any_point_gives_nothing_back_twice(
    shop: Shop, service: Connection, partner_sim: Control, point: str
) -> None:
    _subscription, outside = paid(shop)
    made = give(outside)
    with faults.crash_at(point), pytest.raises(faults.Crash):
        returning.step(made.pk)
    assert look(shop, made).state == "succeeded"
    assert theirs(shop, partner_sim) == {str(made.pk): "149.00"}
    agree(shop, partner_sim)


def test_worked_on_by_two_at_once_it_goes_back_once(
    shop: Shop, service: Connection, partner_sim: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    _subscription, outside = paid(shop)
    made = give(outside)

    def send() -> None:
        returning.step(made.pk)

    with monkeypatch.context() as patch:
        done = race(patch, shop.partner, send, (returning, "record"), send)
    assert [one for one in (done.first, done.second) if isinstance(one, Exception)] == []
    shop.deliver()
    assert theirs(shop, partner_sim) == {str(made.pk): "149.00"}
    assert Transfer.objects.filter(document_id=made.pk, posting="refunded").count() == 1
    agree(shop, partner_sim)


def test_asked_for_twice_at_once_only_one_has_the_money(
    shop: Shop, service: Connection, partner_sim: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    _subscription, outside = paid(shop)
    with monkeypatch.context() as patch:
        done = race(
            patch,
            shop.partner,
            lambda: give(outside, "149.00", key="one"),
            (outside_refunds, "_write"),
            lambda: give(outside, "149.00", key="two"),
        )
    assert not done.overtook
    assert not isinstance(done.first, Exception), done.first
    assert isinstance(done.second, Refused)
    shop.deliver()
    assert list(theirs(shop, partner_sim).values()) == ["149.00"]
    agree(shop, partner_sim)


def test_only_what_is_signed_makes_us_ask(
    shop: Shop, service: Connection, partner_sim: Control, client_for: Callable[..., Client]
) -> None:
    _subscription, outside = paid(shop)
    partner_sim.fault("pending", match={"operation": "refund", "shop": shop.partner.slug})
    made = give(outside)
    shop.deliver()
    partner_sim.settle(str(made.pk))
    [told] = [row for row in partner_sim.webhooks() if row["payment_id"] == str(made.pk)]

    def post(content: str, headers: dict[str, str]) -> str:
        with in_public():
            client = client_for(None, **headers)
            client.post(f"/hooks/{service.pk}/", content, content_type="application/json")
            message = InboundMessage.objects.filter(connection=service).latest("pk")
            webhooks.process(message.pk)
            message.refresh_from_db()
        return str(message.state)

    def planned_soon() -> bool:
        mine = Due.objects.filter(kind=returning.SEND, object_id=made.pk)
        return mine.filter(due_at__lte=clock.wall() + timedelta(seconds=1)).exists()

    header = {name: value for name, value in told["headers"].items() if name.startswith("X-")}
    assert post(told["content"].replace("149.00", "1.00"), header) == "rejected"
    wrong = {"X-Armor-Signature": signature("other", told["content"].encode(), int(time.time()))}
    assert post(told["content"], wrong) == "rejected"
    assert not planned_soon()
    # A lie that is signed is believed no more than any other message: the service itself is asked.
    lie = told["content"].replace("refunded", "refused")
    signed = {"X-Armor-Signature": signature("secret", lie.encode(), int(time.time()))}
    assert post(lie, signed) == "done"
    assert planned_soon()
    shop.deliver()
    made.refresh_from_db()
    assert made.state == "succeeded"
    assert post(told["content"], header) == "done"
    shop.deliver()
    assert theirs(shop, partner_sim) == {str(made.pk): "149.00"}
    agree(shop, partner_sim)


def test_what_the_partner_refuses_is_on_the_balance_and_goes_from_there(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    subscription, outside = paid(shop)
    partner_sim.fault("refuse", match={"operation": "refund", "shop": shop.partner.slug}, reason="no_account")
    made = give(outside, "49.00")
    assert on_balance(subscription) == 0
    shop.deliver()
    made.refresh_from_db()
    assert (made.state, made.decline_reason) == ("failed", "no_account")
    assert on_balance(subscription) == Decimal("49.00")
    assert "no_account" in WorkItem.objects.get(partner_id=shop.partner.pk, object_id=made.pk).reason
    agree(shop, partner_sim)
    [again] = payouts.pay_out(customer_id=subscription.customer_id, reason="-", actor="anna", key="again")
    assert [
        one.pk
        for one in payouts.pay_out(
            customer_id=subscription.customer_id, reason="-", actor="anna", key="again"
        )
    ] == [again.pk]
    shop.deliver()
    assert theirs(shop, partner_sim) == {str(again.pk): "49.00"}
    assert on_balance(subscription) == 0
    agree(shop, partner_sim)
    # All that is left of it, and not a kopeck more, over the balance and by the invoice together.
    assert outside_refunds.refundable(OutsidePayment.objects.get(pk=outside.pk)) == Decimal("100.00")


def test_a_balance_goes_back_as_it_came_and_no_further(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    subscription, outside = paid(shop)
    line = subscription.lines.get()
    with transaction.atomic():
        credits.issue(
            invoice=line.invoice,
            parts=[credits.Part(line.pk, Decimal("60.00"))],
            reason=CreditReason.CORRECTION,
            key="test",
        )
    assert outside_refunds.refundable(outside) == Decimal("89.00")
    seen = payouts.look(subscription.customer_id)
    assert (seen.possible, [one.payment for one in seen.ways]) == (Money(Decimal("60.00")), [outside])
    payouts.pay_out(
        customer_id=subscription.customer_id,
        amount=Money(Decimal("20.00")),
        reason="-",
        actor="anna",
        key="x",
    )
    assert payouts.look(subscription.customer_id).possible == Money(Decimal("40.00"))
    shop.deliver()
    give(outside, "89.00")
    shop.deliver()
    assert sorted(theirs(shop, partner_sim).values()) == ["20.00", "89.00"]
    agree(shop, partner_sim)
    payouts.pay_out(customer_id=subscription.customer_id, reason="-", actor="anna", key="y")
    shop.deliver()
    assert sum(map(Decimal, theirs(shop, partner_sim).values())) == Decimal("149.00")
    agree(shop, partner_sim)


def test_another_sum_than_was_asked_for_stands_before_staff_until_it_is_mended(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    _subscription, outside = paid(shop)
    partner_sim.fault("less", match={"operation": "refund", "shop": shop.partner.slug})
    made = give(outside)
    shop.deliver()
    made.refresh_from_db()
    assert made.state == "waiting"
    assert "вместо" in WorkItem.objects.get(partner_id=shop.partner.pk, object_id=made.pk).reason
    assert [str(one) for one in audit.run([shop.partner.pk])] == []


def test_a_silent_service_is_asked_again_and_shown_to_staff(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    _subscription, outside = paid(shop)
    partner_sim.switch(on=False)
    made = give(outside)
    shop.deliver()
    OutsideRefund.objects.filter(pk=made.pk).update(asked_at=clock.wall() - timedelta(hours=3))
    look(shop, made)
    mine = WorkItem.objects.filter(partner_id=shop.partner.pk, object_id=made.pk)
    assert "не ответил" in mine.get().reason
    partner_sim.switch(on=True)
    assert look(shop, made).state == "succeeded"
    assert not mine.exists()
    agree(shop, partner_sim)


@pytest.fixture
def limited(shop: Shop) -> Iterator[Callable[[str], str]]:
    """Finance gives back at most 100 roubles alone: olga asks, ivan decides."""
    with in_public():
        limit = RefundLimit.objects.create(role="finance", one=Decimal("100.00"))
        for name in ("olga", "ivan"):
            user = User.objects.create(username=f"{name}-{shop.partner.slug}", is_staff=True)
            role = "admin" if name == "ivan" else "finance"
            StaffRole.objects.create(user=user, partner=shop.partner, role=role)
    yield lambda name: f"{name}-{shop.partner.slug}"
    with in_public():
        limit.delete()


def test_above_the_limit_a_second_person_decides(
    shop: Shop, service: Connection, partner_sim: Control, limited: Callable[[str], str]
) -> None:
    subscription, outside = paid(shop)
    made = give(outside, "149.00", actor=limited("olga"))
    shop.deliver()
    made.refresh_from_db()
    subscription.refresh_from_db()
    assert (made.state, made.note_id, subscription.state) == ("requested", None, "active")
    assert theirs(shop, partner_sim) == {}
    # What is reserved is nobody else's.
    assert refused(lambda: give(outside, "1.00", key="two")).code == "refund_too_much"
    assert refused(lambda: outside_refunds.approve(made.pk, actor=limited("olga"))).code == "own_refund"
    agree(shop, partner_sim)
    outside_refunds.decline(made.pk, actor=limited("ivan"), comment="нет оснований")
    made.refresh_from_db()
    assert (made.state, made.decline_reason, on_balance(subscription)) == ("failed", "declined", 0)
    agree(shop, partner_sim)
    again = give(outside, "149.00", key="three", actor=limited("olga"))
    outside_refunds.approve(again.pk, actor=limited("ivan"), comment="по закону")
    shop.deliver()
    again.refresh_from_db()
    subscription.refresh_from_db()
    assert (again.state, subscription.state) == ("succeeded", "cancelled")
    assert theirs(shop, partner_sim) == {str(again.pk): "149.00"}
    agree(shop, partner_sim)
    assert refused(lambda: outside_refunds.decline(again.pk, actor=limited("ivan"), comment="-")).code == (
        "refund_decided"
    )


def test_of_a_balance_above_the_limit_it_waits_and_comes_back_where_it_is_declined(
    shop: Shop, service: Connection, partner_sim: Control, limited: Callable[[str], str]
) -> None:
    subscription, _outside = paid(shop)
    line = subscription.lines.get()
    with transaction.atomic():
        credits.issue(
            invoice=line.invoice,
            parts=[credits.Part(line.pk, Decimal("149.00"))],
            reason=CreditReason.CORRECTION,
            key="test",
        )
    [made] = payouts.pay_out(
        customer_id=subscription.customer_id, reason="-", actor=limited("olga"), key="one"
    )
    assert (made.state, on_balance(subscription)) == ("requested", 0)
    assert payouts.look(subscription.customer_id).possible == Money(Decimal("0.00"))
    assert [str(one) for one in audit.run([shop.partner.pk])] == []
    outside_refunds.decline(made.pk, actor=limited("ivan"), comment="-")
    assert on_balance(subscription) == Decimal("149.00")
    agree(shop, partner_sim)


def test_staff_give_back_from_the_page_of_what_came(
    shop: Shop, service: Connection, partner_sim: Control, staff_client: Any
) -> None:
    _subscription, outside = paid(shop)
    finance = staff_client(shop.partner, role="finance", of=shop.partner)
    support = staff_client(shop.partner, role="support", of=shop.partner)
    address = f"/admin/billing/outsidepayment/{outside.pk}/"
    assert support.get(f"{address}give-back/").status_code == 403
    assert "give-back" in finance.get(f"{address}change/").content.decode()
    page = finance.get(f"{address}give-back/").content.decode()
    assert f"Можно вернуть до {Money(Decimal('149.00'))}" in page
    assert "партнёр вернёт клиенту сам" in page
    form = {"amount": "40,00", "reason_code": "goodwill", "way": "partner", "key": str(uuid7())}
    for _press in range(2):
        assert finance.post(f"{address}give-back/", form).status_code == 302
    shop.deliver()
    made = OutsideRefund.objects.get()
    assert (made.state, made.amount, made.reason) == ("succeeded", Decimal("40.00"), "По решению компании")
    shown = finance.get(f"/admin/billing/outsiderefund/{made.pk}/change/").content.decode()
    assert str(made.note) in shown
    assert made.reference in shown
    too_much = finance.post(f"{address}give-back/", {**form, "amount": "110,00", "key": str(uuid7())})
    assert "можно вернуть не больше" in too_much.content.decode()
    agree(shop, partner_sim)


def test_the_auditor_finds_money_that_goes_back_wrongly(
    shop: Shop, service: Connection, partner_sim: Control
) -> None:
    _subscription, outside = paid(shop)
    give(outside, "49.00")
    shop.deliver()
    missed = [pair for pair in CORRUPTIONS if not found(pair[0], lambda pair=pair: execute(pair[1]))]
    assert missed == []
