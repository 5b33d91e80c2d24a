"""Above a limit a refund waits for a second person: whoever asks, by whatever way, and however many ask at once."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.core import clock
from apps.core.errors import Refused
from apps.core.ids import uuid7
from apps.core.models import WorkItem
from apps.core.money import Money
from apps.core.tenancy import in_public
from apps.partners.models import Partner, StaffRole
from apps.payments import authority, payments, refunds
from apps.payments.models import Payment, Refund
from apps.policies import refunding
from apps.policies.refunding import RefundLimit, RefundReason, RefundTally
from tests.payments.conftest import Till, agreed, thread

URLS = {"urlconf": "armor.urls_partner"}


def money(amount: str) -> Money:
    return Money(Decimal(amount))


def person(partner: Partner | None, role: str) -> str:
    """A member of staff with one role; gives the name."""
    with in_public():
        user = User.objects.create(username=f"person-{uuid7().hex[-12:]}", is_staff=True)
        StaffRole.objects.create(user=user, partner=partner, role=role)
    return user.username


def give(payment: Payment, amount: str, actor: str, **options: Any) -> Refund:
    return payments.refund(payment=payment, amount=money(amount), reason="не подошло", actor=actor, **options)


def test_above_the_limit_it_is_requested_approved_and_only_then_sent(
    till: Till, limits: Callable[..., None], deliver: Callable[[], int]
) -> None:
    limits("finance", one="100")
    asker, second = person(till.partner, "finance"), person(till.partner, "admin")
    payment = till.paid()
    assert give(payment, "100", asker).state == "created"
    asked = give(payment, "250", asker)
    assert (asked.state, bool(asked.above)) == ("requested", True)
    assert "второго сотрудника" in till.work(asked)
    deliver()
    assert [row["amount"] for row in till.register()[1]] == ["100.00"]
    # What waits is reserved: nobody else can have it.
    with pytest.raises(Refused, match="refund_too_much"):
        give(payment, "50", second)
    agreed(till)
    assert refunds.approve(asked.pk, actor=second, comment="договорились").state == "created"
    with pytest.raises(Refused, match="refund_decided"):
        refunds.approve(asked.pk, actor=second)
    deliver()
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by, till.work(asked)) == ("succeeded", second, "")
    agreed(till)


def test_nobody_approves_their_own_nor_more_than_they_may(till: Till, limits: Callable[..., None]) -> None:
    limits("finance", one="100")
    limits("admin", one="300")
    asker, colleague = person(till.partner, "finance"), person(till.partner, "finance")
    helper, admin = person(till.partner, "support"), person(till.partner, "admin")
    asked = give(till.paid(), "350", asker)
    for who, code in [
        (asker, "own_refund"),
        (colleague, "above_limit"),
        (helper, "no_right"),
        (admin, "above_limit"),
        ("api:shop", "no_right"),
        ("", "no_right"),
    ]:
        with pytest.raises(Refused, match=code):
            refunds.approve(asked.pk, actor=who)
    with pytest.raises(Refused, match="own_refund"):
        refunds.decline(asked.pk, actor=asker, comment="-")
    stranger = person(None, "admin")
    with in_public():
        RefundLimit.objects.filter(role="admin").delete()
    assert refunds.approve(asked.pk, actor=stranger).state == "created"


def test_a_declined_request_frees_the_money(till: Till, limits: Callable[..., None]) -> None:
    limits("finance", one="0")
    asker, second = person(till.partner, "finance"), person(till.partner, "admin")
    payment = till.paid()
    asked = give(payment, "399", asker)
    assert payment.refundable() == 0
    declined = refunds.decline(asked.pk, actor=second, comment="услуга оказана")
    assert (declined.state, declined.decline_reason, declined.comment) == (
        "failed",
        "declined",
        "услуга оказана",
    )
    assert payment.refundable() == Decimal("399.00")
    assert till.work(asked) == ""
    assert till.events(asked) == ["payments.RefundFailed"]
    agreed(till)


def test_limits_count_a_day_and_every_partner(till: Till, limits: Callable[..., None]) -> None:
    limits("finance", day="250")
    asker = person(None, "finance")
    payment = till.paid()
    assert [give(payment, "100", asker).state for _ in range(3)] == ["created", "created", "requested"]
    assert give(payment, "50", asker).state == "created"
    assert give(payment, "1", asker).state == "requested"
    # The platform itself, a customer and somebody of another role are not limited by it.
    for actor in ("", "customer", person(till.partner, "admin")):
        assert give(payment, "10", actor).state == "created"


def test_a_key_of_the_api_has_a_limit_of_its_own(till: Till, limits: Callable[..., None]) -> None:
    limits("api", one="100", day="150")
    payment = till.paid()
    assert [give(payment, sum_, "api:shop").state for sum_ in ("100", "100", "40")] == [
        "created",
        "requested",
        "created",
    ]


def test_many_who_ask_at_once_stay_within_the_day(till: Till, limits: Callable[..., None]) -> None:
    limits("finance", day="100")
    asker = person(till.partner, "finance")
    paid = [till.paid() for _ in range(4)]
    for worker in [thread(till, lambda one=one: give(one, "60", asker)) for one in paid]:
        worker.join()
    assert sorted(Refund.objects.values_list("state", flat=True)) == ["created", *["requested"] * 3]


@pytest.mark.parametrize("is_locked", [True, False])
def test_counting_a_day_excludes_by_the_tallys_lock(
    till: Till, limits: Callable[..., None], monkeypatch: pytest.MonkeyPatch, is_locked: bool
) -> None:
    """The first has counted and not committed; the second waits for it, or without the lock passes as well."""
    limits("finance", day="100")
    asker, seen = person(till.partner, "finance"), []
    tallies = RefundTally.objects
    if not is_locked:
        # Making the row waits as well, where somebody counts in it.
        monkeypatch.setattr(tallies, "select_for_update", tallies.get_queryset, raising=False)
        made = tallies.bulk_create
        monkeypatch.setattr(
            tallies,
            "bulk_create",
            lambda rows, **how: None if tallies.filter(actor=asker) else made(rows, **how),
            raising=False,
        )

    def ask() -> None:
        with transaction.atomic():
            seen.append(bool(authority.above(asker, money("60"))))

    with transaction.atomic():
        authority.above(asker, money("1"))
    with transaction.atomic():
        assert authority.above(asker, money("60")) == ""
        asking = thread(till, ask)
        # It reads and then waits to write; or waits to read.
        asking.join(2)
    asking.join()
    assert seen == [is_locked]


def test_two_who_decide_at_once_decide_once(
    till: Till, limits: Callable[..., None], deliver: Callable[[], int]
) -> None:
    limits("finance", one="0")
    asker = person(till.partner, "finance")
    deciders = [person(till.partner, "admin") for _ in range(4)]
    payment = till.paid()
    asked = [give(payment, "150", asker) for _ in range(2)]
    with pytest.raises(Refused, match="refund_too_much"):
        give(payment, "150", asker)

    def decide(number: int, who: str) -> None:
        with suppress(Refused):
            if number % 2:
                refunds.decline(asked[number // 2].pk, actor=who, comment="-")
            else:
                refunds.approve(asked[number // 2].pk, actor=who)

    for worker in [thread(till, lambda n=n, who=who: decide(n, who)) for n, who in enumerate(deciders)]:
        worker.join()
    deliver()
    for one in asked:
        one.refresh_from_db()
        assert one.state in {"succeeded", "failed"}
    assert len(till.register()[1]) == sum(one.state == "succeeded" for one in asked)
    agreed(till)


def test_a_demand_has_its_lawful_term(till: Till, limits: Callable[..., None]) -> None:
    limits("finance", one="0")
    asker, day = person(till.partner, "finance"), clock.today() - timedelta(days=4)
    asked = give(till.paid(), "399", asker, reason_code="refused", demanded_on=day)
    assert asked.due_date == day + timedelta(days=10)
    item = WorkItem.objects.get(object_id=asked.pk)
    assert item.deadline_at is not None
    assert clock.local(item.deadline_at).date() == asked.due_date
    assert give(till.paid(), "1", asker, reason_code="goodwill", demanded_on=day).due_date is None


def test_staff_write_reasons_of_their_own(limits: Callable[..., None]) -> None:
    assert [one.code for one in refunding.reasons()][:2] == ["refused", "not-delivered"]
    RefundReason.objects.create(code="refused", title="Передумал", term_days=7, position=5)
    RefundReason.objects.create(code="goodwill", title="-", is_active=False)
    RefundReason.objects.create(code="duplicate", title="Двойная покупка", position=1)
    codes = {one.code: one for one in refunding.reasons()}
    assert (str(codes["refused"].title), codes["refused"].term_days) == ("Передумал", 7)
    assert "goodwill" not in codes
    assert next(iter(codes)) == "duplicate"


def test_pages_of_asking_and_deciding(
    till: Till, limits: Callable[..., None], staff_client: Callable[..., Client], deliver: Callable[[], int]
) -> None:
    limits("finance", one="100")
    payment = till.paid()
    ask = reverse("admin:payments_payment_give_back", args=[payment.pk], **URLS)
    form = {
        "amount": "150",
        "reason_code": "refused",
        "comment": "не подошло",
        "key": str(uuid7()),
        "route": "gateway",
    }
    asker = staff_client(till.partner, role="finance", of=till.partner)
    assert "Укажите причину" in asker.post(ask, {**form, "reason_code": ""}).content.decode()
    told = asker.post(ask, form, follow=True).content.decode()
    assert "второй сотрудник" in told
    refund = Refund.objects.get()
    assert (refund.state, refund.reason_code, refund.reason) == (
        "requested",
        "refused",
        "Клиент отказался от услуги: не подошло",
    )
    pages = {
        name: reverse(f"admin:payments_refund_{name}", args=[refund.pk], **URLS)
        for name in ("approve", "decline")
    }
    assert "другой сотрудник" in asker.post(pages["approve"], {"comment": ""}, follow=True).content.decode()
    support = staff_client(till.partner, role="support", of=till.partner)
    assert {support.post(page, {"comment": "-"}).status_code for page in pages.values()} == {403}
    admin = staff_client(till.partner, role="admin", of=till.partner)
    page = reverse("admin:payments_refund_change", args=[refund.pk], **URLS)

    def offered() -> set[str]:
        shown = admin.get(page).content.decode()
        return {name for name in ("approve", "decline", "by-bank") if f"/{refund.pk}/{name}" in shown}

    assert offered() == {"approve", "decline"}
    shown = admin.get(pages["approve"]).content.decode()
    assert "Клиент отказался от услуги" in shown
    assert "Больше лимита одного возврата" in shown
    assert admin.post(pages["approve"], {"comment": "да"}).status_code == 302
    deliver()
    refund.refresh_from_db()
    assert (refund.state, refund.comment) == ("succeeded", "да")
    assert offered() == set()
    agreed(till)
