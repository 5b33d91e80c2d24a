"""Staff who may answer a dispute get a letter when it comes and before its deadline, each once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from apps.core import clock
from apps.core.models import Due
from apps.core.tenancy import in_public
from apps.notifications.models import Message
from apps.partners.models import Partner, StaffRole
from apps.payments import dispute_letters, disputes
from tests.payments.conftest import Till
from tests.payments.test_disputes import opened


def hired(name: str, role: str, partner: Partner | None, **about: Any) -> User:
    with in_public():
        user = User.objects.create_user(name, email=f"{name}@staff.example", is_staff=True, **about)
        StaffRole.objects.create(user=user, partner=partner, role=role)
    return user


def letters() -> list[tuple[str, str]]:
    found = Message.objects.filter(type="staff_alert").order_by("pk")
    return sorted(
        (one.to.partition("@")[0].rpartition("-")[0], " ".join(one.subject.split())) for one in found
    )


@pytest.fixture
def staff(till: Till) -> None:
    number = till.partner.pk
    hired(f"finance-{number}", "finance", till.partner)
    hired(f"admin-{number}", "admin", till.partner)
    hired(f"support-{number}", "support", till.partner)
    hired(f"gone-{number}", "finance", till.partner, is_active=False)
    hired(f"platform-{number}", "finance", None)


@pytest.mark.usefixtures("staff")
def test_who_may_answer_is_told_once(till: Till, deliver: Callable[[], int]) -> None:
    payment = till.paid()
    dispute = opened(payment)
    opened(payment)
    deliver()
    dispute_letters.opened(dispute.pk)
    new = "Новый чарджбэк: 399 ₽"
    assert letters() == [("admin", new), ("finance", new)]
    text = Message.objects.filter(type="staff_alert").latest("pk").text
    assert f"/admin/payments/dispute/{dispute.pk}/change/" in text
    assert "не узнаёт операцию" in text


@pytest.mark.usefixtures("staff")
def test_a_near_deadline_is_told_once_and_not_of_what_was_answered(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispute = opened(till.paid())
    planned = Due.objects.get(kind=dispute_letters.REMIND, object_id=dispute.pk)
    assert planned.due_at == dispute.respond_by - timedelta(days=2)
    dispute_letters.remind(dispute.pk)
    assert letters() == [], "not yet"
    monkeypatch.setattr(clock, "now", lambda: dispute.respond_by - timedelta(days=1))
    for _twice in range(2):
        dispute_letters.remind(dispute.pk)
    assert [who for who, said in letters() if "Скоро срок" in said] == ["admin", "finance"]
    disputes.answered(dispute.pk, actor="t")
    assert not Due.objects.filter(kind=dispute_letters.REMIND, object_id=dispute.pk).exists()
    Message.objects.all().delete()
    dispute_letters.remind(dispute.pk)
    assert letters() == []
    # The bank asks for more: a new deadline, a new letter, a new reminder.
    until = dispute.respond_by + timedelta(days=9)
    disputes.ask_again(dispute.pk, respond_by=until, reason="Нужен акт", actor="t")
    assert [who for who, said in letters() if "просит ещё" in said] == ["admin", "finance"]
    assert Due.objects.get(kind=dispute_letters.REMIND, object_id=dispute.pk).due_at == until - timedelta(
        days=2
    )


def test_where_the_partner_has_nobody_the_platform_is_told(till: Till, deliver: Callable[[], int]) -> None:
    hired(f"support-{till.partner.pk}", "support", till.partner)
    hired(f"platform-{till.partner.pk}", "finance", None)
    opened(till.paid())
    deliver()
    assert "platform" in {who for who, _said in letters()}
    assert "support" not in {who for who, _said in letters()}
