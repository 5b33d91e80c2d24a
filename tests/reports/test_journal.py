"""The journal of actions speaks the language of staff: every code that is recorded has words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.urls import reverse

from apps import journal
from apps.core.tenancy import in_public
from apps.demo.controls import BUTTONS
from apps.journal.words import ACTIONS
from apps.payments import disputes
from apps.payments.models import SecondStage

CODE = re.compile(r"[a-z_-]+\.[a-z_-]+")
APPS = Path(__file__).resolve().parents[2] / "apps"


def recorded() -> Iterator[str]:
    """First arguments of `journal.record` and of the catalogue's `_note`, where they are written out."""
    for file in APPS.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in {
                "journal.record",
                "note",
                "_note",
                "self._note",
                "_told",
            }:
                # The second of `journal.record` names the object.
                for given in call.args[: 1 if ast.unparse(call.func) == "journal.record" else 2]:
                    if isinstance(given, ast.Constant) and CODE.fullmatch(str(given.value)):
                        yield str(given.value)
                        break


def test_every_action_has_words():
    codes = set(recorded())
    assert {"partner.created", "tariff.version-published", "role.given"} <= codes
    assert sorted(codes - ACTIONS.keys()) == []
    made = {f"demo.{name}" for name in BUTTONS}
    made |= {f"payments.{stage}" for stage in SecondStage.values}
    made |= {f"dispute.{state}" for state in disputes.DECIDED}
    assert sorted(made - ACTIONS.keys()) == []


def test_the_journal_names_the_action_and_its_object(partner, staff):
    with in_public():
        journal.record("partner.created", "partners.Partner", partner.pk, actor="anna")
        journal.record("price-list.imported", "catalog.Tariff", "", actor="anna")
        # What has no page on this console stands in a partner's schema.
        journal.record("customer.changed", "accounts.Customer", "0198f2c4-1a2b-7c3d-8e4f-5a6b7c8d9e0f")
    shown = (
        staff(None)
        .get(reverse("admin:journal_entry_changelist", urlconf="armor.urls_public"))
        .content.decode()
    )
    assert "Создан партнёр" in shown
    assert f"Партнёр: {partner.name}" in shown
    assert "Загружен прайс-лист" in shown
    assert "Изменены данные клиента" in shown
    for code in ("partner.created", "partners.Partner<", "accounts.Customer"):
        assert f">{code}" not in shown
