"""VAT by day, and staff's own texts."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from apps.core.tenancy import in_public
from apps.policies import messages, vat
from apps.policies.models import MessageTemplate, VatRate
from tests.planted import found


@pytest.fixture
def greeting(monkeypatch):
    """A type of message of the tests, and staff's own text for it."""
    monkeypatch.setattr(messages, "TYPES", {})
    messages.declare("test_greeting", "Приветствие", {"name": "имя", "sum": "сумма"})
    template = MessageTemplate(type="test_greeting", channel="email", subject="$name!", body_text="$sum $$")
    template.body_html = "<b>$name</b>"
    yield template
    MessageTemplate.objects.filter(type="test_greeting").delete()


@pytest.mark.parametrize(
    ("code", "day", "percent"),
    [
        (vat.STANDARD, date(2025, 12, 31), Decimal(20)),
        (vat.STANDARD, date(2026, 1, 1), Decimal(22)),
        (vat.REDUCED, date(2026, 1, 1), Decimal(10)),
        (vat.NONE, date(2026, 1, 1), None),
    ],
)
def test_rate_is_that_of_the_day(code, day, percent):
    with in_public():
        assert vat.percent(code, day) == percent


def test_unknown_rate_is_an_error():
    with in_public():
        for code, day in (("luxury", date(2026, 1, 1)), (vat.STANDARD, date(2018, 12, 31))):
            with pytest.raises(LookupError):
                vat.percent(code, day)
        assert dict(vat.choices())[vat.STANDARD] == "НДС 22 %"


def test_text_is_filled_escaped_and_never_with_holes(greeting):
    context = {"name": "<Анна>\r\nBcc: all@example.com", "sum": "299 ₽"}
    done = greeting.render(context)
    assert done.subject == "<Анна> Bcc: all@example.com!"
    assert done.text == "299 ₽ $"
    assert done.html.startswith("<b>&lt;Анна&gt;")
    with pytest.raises(KeyError):
        greeting.render({"name": "Анна"})


def test_staff_is_told_of_a_wrong_placeholder(greeting):
    greeting.full_clean()
    greeting.save()
    assert messages.override("test_greeting", "email", "ru") == greeting
    for wrong, reason in (("Здравствуйте, $nmae", "nmae"), ("Цена 5 $", "\\$\\$")):
        greeting.body_text = wrong
        with pytest.raises(ValidationError, match=reason):
            greeting.full_clean()


def with_a_hole(greeting):
    greeting.body_text = "Здравствуйте, $nmae"
    greeting.save()


CORRUPTIONS = [
    ("policies.template-renders", with_a_hole),
    ("policies.vat-rate-today", lambda greeting: VatRate.objects.filter(code=vat.REDUCED).delete()),
]


@pytest.mark.parametrize(("rule", "corrupt"), CORRUPTIONS)
def test_auditor_finds_a_planted_corruption(greeting, rule, corrupt):
    greeting.save()
    with in_public():
        assert len(found(rule, lambda: corrupt(greeting))) == 1
