"""What a line of the journal keeps, and what it never does, whatever form a secret comes in."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from apps.connectors import masking
from apps.connectors.base import ConnectorError, configured
from apps.payments.tbank import TBank

CARD, MIR_19, KEY = "5555555555554477", "2200123456789012341", 'p@ss "w0rd"/+ключ'
SPACED, DASHED = "5555 5555 5555 4477", "5555-5555-5555-4477"


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    masking.guard([KEY, "sesame-1"], ["shop-7"])
    yield
    masking.guard([])


@pytest.mark.parametrize("card", [CARD, SPACED, DASHED, MIR_19])
def test_no_card_in_any_form(card: str) -> None:
    said = [
        json.dumps({"note": card}),
        json.dumps({"note": f"Card{card}x"}),
        json.dumps([[{"a": {"b": [card]}}]]),
        json.dumps({"request": json.dumps({"n": card})}),
        urlencode({"a": "1", "n": card}),
        f"<a><Number>{card}</Number><b c='{card}'/></a>",
        f"Card {card} is declined",
        f"ref_{card}_1",
        f"%22{quote(card)}%22",
    ]
    for one in said:
        kept = masking.body(one.encode())
        assert "4477" not in kept, one
        assert "12341" not in kept, one
    assert "4477" not in masking.url(f"https://h.example/pay/{card}?n={quote(card)}&k=1")


def test_no_card_as_a_number_and_what_is_none_stays() -> None:
    kept = json.loads(
        masking.body(f'{{"n": {CARD}, "at": 1764301585000, "id": 897728064, "sum": 39900}}'.encode())
    )
    assert kept == {"n": masking.HIDDEN, "at": 1764301585000, "id": 897728064, "sum": 39900}
    same = "01a2204a-329d-73d9-82fb-3e7a52588b5f", "11111111-2222-3333-4444-555555555555"
    for one in same:
        assert masking.text(f"Payment {one}") == f"Payment {one}"
        assert one in masking.url(f"https://h.example/payments/{one}")
    assert masking.text("399.00 RUB, 5051: declined") == "399.00 RUB, 5051: declined"


@pytest.mark.parametrize("secret", [KEY, "sesame-1"])
def test_a_secret_of_the_connection_is_hidden_wherever_it_stands(secret: str) -> None:
    joined = base64.b64encode(f"shop-7:{secret}".encode()).decode()
    said = [
        json.dumps({"note": secret}),
        json.dumps({"note": secret}, ensure_ascii=False),
        json.dumps({"request": json.dumps({"x": secret})}),
        json.dumps({secret: 1}),
        urlencode({"x": secret}),
        f"<x>{secret}</x>",
        f"Wrong key {secret}!",
        f"header: {joined}",
        base64.b64encode(secret.encode()).decode(),
        quote(quote(secret, safe=""), safe=""),
    ]
    for one in said:
        for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), joined):
            assert form not in masking.body(one.encode()), one
    error = ConnectorError(f"refused: {secret}", code=secret)
    assert secret not in f"{error!r} {error} {error.code}"
    assert "sesame" not in masking.url(
        f"https://u:p@h.example/{quote(secret)}?x={quote(secret)}".replace(KEY, "sesame")
    )


def test_what_is_named_as_a_secret_is_hidden_in_every_syntax() -> None:
    said = [
        '{"Token": "T0K-1"}',
        '{"payment_method_id": "T0K-1"}',
        '{"payment_method": {"id": "T0K-1", "saved": true}}',
        '{"echo": "{\\"password\\": \\"T0K-1\\"}"}',
        '{"echo": "a=1&RebillId=T0K-1"}',
        '{"cut": {"api_key": "T0K-1"',
        "password=T0K-1; a=2",
        '{"a": "x", "list": ["Bearer T0K-1T0K-1"], "b": {"token": "T0K-1"}, "cut": "' + "x" * 30_000,
        "<r><Password>T0K-1</Password><ns:CVC a='1'>T0K-1</ns:CVC></r>",
        "Authorization: Bearer T0K-1T0K-1",
        '{"a": "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.T0K-1"}',
        "token=T0K-1&a=1",
        '{"cvc": "T0K-1", "CSC": "T0K-1", "CardCryptogramPacket": "T0K-1"}',
    ]
    for one in said:
        assert "T0K-1" not in masking.body(one.encode()), one


def test_bombs_and_rubbish_are_kept_short_and_break_nothing() -> None:
    for one in (
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff\0" * 5000,
        b"1" * 100_000,
        b"%" * 5000,
        b"a=" * 90_000,
    ):
        assert len(masking.body(one)) <= masking.LONGEST


def test_a_token_of_the_call_is_hidden_while_it_lasts() -> None:
    said = json.dumps({"note": "of T0K-123456", "n": {"T0K-123456": 1}}).encode()
    with masking.also("T0K-123456"):
        assert "T0K" not in masking.body(said)
        assert "sesame-1" not in masking.text("sesame-1")
    assert "T0K-123456" in masking.body(said)


def test_the_end_of_a_long_body_keeps_no_half_of_a_secret() -> None:
    long = "s" * 3000
    masking.guard([long])
    said = '{"a": "' + "a@b.example " * 1500 + long
    for more in range(0, 3000, 500):
        assert "sss" not in masking.body((said + "z" * more).encode())[: masking.LONGEST]
        assert "sss" not in masking.body(("5555555555554477 " * 1150)[more:].encode() + long.encode() * 2)


SLOW = {
    "json": json.dumps(
        [{"id": n, "note": "Оплата заказа", "card": "5555555555554477"} for n in range(11_000)]
    ),
    "digits": "1" * 1_000_000,
    "pairs of digits": "12 34-" * 170_000,
    "quotes": '"' * 1_000_000,
    "names": "passwordpassword" * 62_500,
    "dots": "a." * 500_000,
    "tags": "<a " * 333_000,
    "nested": '{"a":' * 200_000,
    "form": "a=1&" * 250_000,
    "spaces": '{"a" ' + " " * 1_000_000,
    "xml": "<a>" * 333_000,
    "token": "eyJ" * 333_000,
}


@pytest.mark.parametrize("said", SLOW.values(), ids=SLOW)
def test_a_megabyte_of_anything_is_masked(said: str) -> None:
    """What takes more than a line's time would take hours: only the beginning of a body is kept."""
    assert len(masking.body(said.encode())) <= 2 * masking.LONGEST
    assert len(masking.text(said[:20_000])) <= 40_000


def test_settings_do_not_tell_their_secrets_when_they_are_shown() -> None:
    config = configured(TBank, {"terminal_key": "T1", "password": "sesame-1"})
    assert "T1" in repr(config)
    assert "sesame" not in repr(config)
