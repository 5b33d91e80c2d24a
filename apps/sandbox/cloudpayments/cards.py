"""Test cards of CloudPayments: what the bank answers at first payment and at later charges by the token."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """`code`: the ReasonCode of a refusal at once; `renewal_code`: of charges by token; 0 is success."""

    title: str
    code: int = 0
    renewal_code: int = 0
    three_ds: bool = False


CARDS = {
    "2202000000003055": Card("успех"),
    "4242424242424242": Card("успех после 3-D Secure", three_ds=True),
    "2200000000000004": Card("успех после 3-D Secure", three_ds=True),
    "4012888888881881": Card("недостаточно средств после 3-D Secure", 5051, three_ds=True),
    "4000056655665556": Card("недостаточно средств", 5051),
    "4111111111111111": Card("успех, списания по токену — недостаточно средств", renewal_code=5051),
    "2200000022222222": Card("успех, списания по токену — недостаточно средств", renewal_code=5051),
}
REASONS = {
    0: "Approved",
    5001: "ReferToCardIssuer",
    5005: "DoNotHonor",
    5051: "InsufficientFunds",
    5054: "ExpiredCard",
    5206: "3dsAuthenticationFailed",
    6001: "DeclinedByPayer",
    6010: "AccountUnlinked",
}
SAID = {
    5051: "Недостаточно средств на карте",
    5206: "3-D Secure не пройден",
}
