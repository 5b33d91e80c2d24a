"""Staff set routes, are told what is wrong with them, and ask who would take a payment."""

from collections.abc import Callable
from typing import Any

from apps.core.tenancy import in_public
from apps.journal.models import Entry
from apps.policies.routes import PaymentRoute
from tests.connectors.test_admin import address, staff
from tests.payments.conftest import Till

__all__ = ["staff"]


def form(till: Till, *shares: tuple[Any, int], **fields: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "СБП",
        "position": "5",
        "is_active": "on",
        "partner": till.partner.pk,
        "instrument": "sbp",
        "currency": "",
        "amount_from": "",
        "amount_to": "",
        "shares-TOTAL_FORMS": len(shares),
        "shares-INITIAL_FORMS": 0,
        **fields,
    }
    for number, (connection, percent) in enumerate(shares):
        given |= {
            f"shares-{number}-connection": connection.pk,
            f"shares-{number}-percent": percent,
            f"shares-{number}-position": number,
        }
    return given


def test_routes_are_set_and_tried(staff: Any, till: Till, till_for: Callable[..., Till]) -> None:
    own = till_for(till.partner).connection
    add = address("policies_paymentroute_add")
    with in_public():
        for shares, told in (
            ([(till.connection, 60)], "в сумме 60"),
            ([(till.connection, 50), (own, 50)], "одному владельцу"),
            ([], "хотя бы одно"),
        ):
            assert told in staff.post(add, form(till, *shares)).content.decode()
        unknown = staff.post(add, form(till, (own, 100), offer_id=10**9))
        assert "Такого предложения нет" in unknown.content.decode()
        answer = staff.post(add, form(till, (own, 100)))
        assert answer.status_code == 302, answer.context["errors"]
        made = PaymentRoute.objects.get(partner=till.partner)
        told_data = Entry.objects.get(action="paymentroute.created", object_id=str(made.pk)).data
        assert told_data["shares"] == {str(own.pk): 100}
        listed = staff.get(address("policies_paymentroute_changelist")).content.decode()
        assert f"{own} 100 %" in listed
        tried = address("policies_paymentroute_try_it")
        assert staff.get(tried).status_code == 200
        asked = {"partner": till.partner.pk, "instrument": "sbp", "amount": "399"}
        assert "Решает правило «СБП»" in staff.post(tried, asked).content.decode()
        other = staff.post(tried, asked | {"instrument": "bank_card"}).content.decode()
        assert "не решает: чем платят" in other
        assert "обычное подключение" in other
        own.is_enabled = False
        own.save()
        made.delete()
