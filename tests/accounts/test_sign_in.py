"""Signing in: a code by letter, a few tries, an opaque session that is worth nothing elsewhere."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from apps.accounts import customers, sign_in
from apps.accounts.models import CustomerSession, SignInCode
from apps.core.errors import Refused
from apps.core.models import Attempt
from apps.core.tenancy import in_partner
from apps.notifications.models import Message
from apps.partners.models import Partner
from apps.sandbox.control import Control
from apps.sandbox.process import Simulator
from tests.accounts.at_once import at_once
from tests.conftest import make_partner
from tests.notifications.connections import connect_mail, connect_sms


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.code


def code_in(text: str) -> str:
    found = re.search(r"\b\d{6}\b", text)
    assert found
    return found[0]


def newest_code() -> str:
    """As the customer reads it, before it is sent."""
    return code_in(Message.objects.filter(type="signin_code").latest("id").text)


def request_with(cookie: str | None) -> Any:
    request = RequestFactory().get("/cabinet/")
    if cookie:
        request.COOKIES[sign_in.COOKIE] = cookie
    return request


def test_a_letter_signs_in(
    partner: Partner, mailbox: Control, mailbox_process: Simulator, deliver: Callable[[], int]
) -> None:
    connect_mail(partner, mailbox_process)
    anna = customers.register(email="anna@signin.example.ru")
    sign_in.request_code("Anna@signin.example.ru")
    deliver()
    [received] = mailbox.messages(to="anna@signin.example.ru")
    code = code_in(received["text"])
    assert partner.name in received["headers"]["From"] or partner.name in received["html"]

    token = sign_in.verify("anna@signin.example.ru", f"{code[:3]} {code[3:]}")
    response = HttpResponse()
    sign_in.remember(response, token)
    cookie = response.cookies[sign_in.COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "Lax", "")
    assert cookie["max-age"] == 30 * 24 * 3600
    assert sign_in.customer_of(request_with(token)) == anna
    assert not CustomerSession.objects.filter(token_hash=token).exists()
    assert refusal(lambda: sign_in.verify("anna@signin.example.ru", code)) == "wrong_code"

    with in_partner(make_partner()):
        assert sign_in.customer_of(request_with(token)) is None
    CustomerSession.objects.update(expires_at=timezone.now())
    assert sign_in.customer_of(request_with(token)) is None


def test_an_sms_signs_in(
    partner: Partner, smsaero: Control, smsaero_process: Simulator, deliver: Callable[[], int]
) -> None:
    connect_sms(partner, smsaero_process)
    anna = customers.register(phone="+79169990001", email="a@example.ru")
    sign_in.request_code("8 916 999-00-01")
    deliver()
    [sms] = smsaero.messages(number="79169990001")
    token = sign_in.verify("+79169990001", code_in(sms["text"]))
    assert sign_in.customer_of(request_with(token)) == anna


def test_leaving_ends_the_session(partner: Partner) -> None:
    anna = customers.register(email="anna@example.ru")
    response = HttpResponse()
    sign_in.start(response, anna)
    token = response.cookies[sign_in.COOKIE].value
    request = request_with(token)
    assert sign_in.customer_of(request) == anna
    sign_in.leave(request, response)
    assert response.cookies[sign_in.COOKIE]["max-age"] == 0
    assert sign_in.customer_of(request) is None
    assert sign_in.customer_of(request_with(token)) is None
    assert sign_in.customer_of(request_with("forged")) is None
    assert sign_in.customer_of(request_with(None)) is None


def test_five_tries_and_ten_minutes(partner: Partner) -> None:
    customers.register(email="anna@example.ru")
    sign_in.request_code("anna@example.ru")
    code = newest_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _try in range(sign_in.ATTEMPTS):
        assert refusal(lambda: sign_in.verify("anna@example.ru", wrong)) == "wrong_code"
    assert refusal(lambda: sign_in.verify("anna@example.ru", code)) == "wrong_code"

    sign_in.request_code("anna@example.ru")
    late = newest_code()
    SignInCode.objects.update(expires_at=timezone.now())
    assert refusal(lambda: sign_in.verify("anna@example.ru", late)) == "wrong_code"


def test_five_codes_an_hour(partner: Partner) -> None:
    customers.register(email="anna@example.ru")
    for _code in range(sign_in.CODES_AN_HOUR):
        sign_in.request_code("anna@example.ru")
    assert refusal(lambda: sign_in.request_code("anna@example.ru")) == "too_many_codes"
    SignInCode.objects.update(created_at=timezone.now() - timedelta(hours=2))
    sign_in.request_code("anna@example.ru")


def test_an_address_has_a_limit_of_its_own_over_all_partners(partner: Partner) -> None:
    limit = sign_in.CODES_TO_ADDRESS.count
    for number in range(limit - 1):
        sign_in.request_code(f"n{number}@example.ru", address="2001:db8::1")
    with in_partner(make_partner()):
        sign_in.request_code("anna@example.ru", address="2001:db8::2")
        for address in ("2001:db8::1", "2001:db8::ffff"):
            assert (
                refusal(lambda address=address: sign_in.request_code("b@example.ru", address=address))
                == "too_many_codes"
            )
    assert SignInCode.objects.count() == limit - 1
    sign_in.request_code("boris@example.ru", address="2001:db8:0:1::1")
    Attempt.objects.update(made_at=timezone.now() - timedelta(hours=2))
    sign_in.request_code("vera@example.ru", address="2001:db8::1")


def test_eight_requests_at_once_are_five_codes(partner: Partner) -> None:
    customers.register(email="anna@example.ru")

    def ask() -> bool:
        try:
            sign_in.request_code("anna@example.ru")
        except Refused:
            return False
        return True

    assert sum(at_once(partner, [ask] * 8)) == sign_in.CODES_AN_HOUR
    code = newest_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    def guess() -> str:
        return refusal(lambda: sign_in.verify("anna@example.ru", wrong))

    assert at_once(partner, [guess] * 8) == ["wrong_code"] * 8
    assert SignInCode.objects.order_by("-attempts").values_list("attempts", flat=True)[0] == sign_in.ATTEMPTS


def test_a_stranger_is_answered_as_a_customer(partner: Partner) -> None:
    for _code in range(sign_in.CODES_AN_HOUR):
        sign_in.request_code("stranger@example.ru")
    assert refusal(lambda: sign_in.request_code("stranger@example.ru")) == "too_many_codes"
    assert refusal(lambda: sign_in.verify("stranger@example.ru", "000000")) == "wrong_code"
    assert SignInCode.objects.count() == sign_in.CODES_AN_HOUR
    assert not Message.objects.exists()
    assert refusal(lambda: sign_in.request_code(" ")) == "bad_contact"


def test_a_code_is_for_its_contact_alone(partner: Partner) -> None:
    customers.register(email="anna@example.ru")
    customers.register(email="boris@example.ru")
    sign_in.request_code("anna@example.ru")
    anna = newest_code()
    sign_in.request_code("boris@example.ru")
    if newest_code() != anna:
        assert refusal(lambda: sign_in.verify("boris@example.ru", anna)) == "wrong_code"
    stored = SignInCode.objects.values_list("code_hash", flat=True)
    assert all(len(text) == 64 for text in stored)
