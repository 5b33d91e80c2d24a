"""Test cards: what the bank answers at first payment and at later charges by the saved card."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """`reason`: why it is declined at once; `renewal_reason`: why later charges are; None is success."""

    title: str
    reason: str | None = None
    renewal_reason: str | None = None
    three_ds: bool = False


CARDS = {
    "5555555555554477": Card("успех"),
    "4111111111111111": Card("успех"),
    "2202474301322987": Card("успех"),
    "5555555555554444": Card("успех после 3-D Secure", three_ds=True),
    "5555555555554592": Card("3-D Secure не пройден", "3d_secure_failed", three_ds=True),
    "5555555555554600": Card("недостаточно денег", "insufficient_funds"),
    "5555555555554543": Card("карта просрочена", "card_expired"),
    "5555555555554535": Card("позвоните в банк", "call_issuer"),
    "5555555555554568": Card("страна запрещена", "country_forbidden"),
    "5555555555554550": Card("подозрение в мошенничестве", "fraud_suspected"),
    "5555555555554527": Card("отказ без причины", "general_decline"),
    "5555555555554618": Card("неверный номер", "invalid_card_number"),
    "5555555555554626": Card("неверный CVC", "invalid_csc"),
    "5555555555554501": Card("банк недоступен", "issuer_unavailable"),
    "5555555555554576": Card("превышен лимит", "payment_method_limit_exceeded"),
    "5555555555554584": Card("операция запрещена", "payment_method_restricted"),
    "4000000000000341": Card("успех, продления — нет денег", renewal_reason="insufficient_funds"),
    "4000000000000069": Card("успех, продления — карта просрочена", renewal_reason="card_expired"),
    "4000000000000127": Card("успех, продления — согласие отозвано", renewal_reason="permission_revoked"),
}


def card_type(number: str) -> str:
    """Payment system by the first digit, as YooKassa names it."""
    return {"2": "Mir", "4": "Visa", "5": "MasterCard"}.get(number[:1], "Unknown")
