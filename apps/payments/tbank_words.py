"""How T-Bank speaks: its statuses and codes in our words, requests in its own, and its signature. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

from apps.connectors.base import ConnectorError
from apps.core.money import Money
from apps.payments.gateway import Instrument, PaymentRequest, Status
from apps.policies.dunning import DeclineClass

TAKEN = "CONFIRMED"
GOES_BACK = {"REFUNDING", "ASYNC_REFUNDING"}
"""Statuses of a refund under way; where the payer's bank does not take it, the payment is as it was before."""
GIVEN_BACK = {"PARTIAL_REFUNDED", "REFUNDED"}
PAID = {TAKEN} | GOES_BACK | GIVEN_BACK
LOST = {
    "CANCELED",
    "DEADLINE_EXPIRED",
    "ATTEMPTS_EXPIRED",
    "REJECTED",
    "AUTH_FAIL",
    "REVERSED",
    "PARTIAL_REVERSED",
}
"""Statuses that are final and without money; every other one but `PAID` is under way."""
REFUNDS = {"REFUNDED", "PARTIAL_REFUNDED", "ASYNC_REFUNDING"}
DECLINES = {
    "103": DeclineClass.FUNDS,
    "116": DeclineClass.FUNDS,
    "1051": DeclineClass.FUNDS,
    "1061": DeclineClass.FUNDS,
    "1065": DeclineClass.FUNDS,
    "9": DeclineClass.TECHNICAL,
    "1091": DeclineClass.TECHNICAL,
    "1096": DeclineClass.TECHNICAL,
    "3040": DeclineClass.TECHNICAL,
    # Recurrent charges are not for this account, or it has refused too many: only another method helps.
    "3013": DeclineClass.CARD,
    "3041": DeclineClass.CARD,
    "101": DeclineClass.CARD,
    "107": DeclineClass.CARD,
    "1014": DeclineClass.CARD,
    "1033": DeclineClass.CARD,
    "1054": DeclineClass.CARD,
    "1041": DeclineClass.FRAUD,
    "1043": DeclineClass.FRAUD,
    "1034": DeclineClass.FRAUD,
    "3015": DeclineClass.REVOKED,
}
"""`ErrorCode` (reference/payments.md, 1.3); 99, 119 and 3037 tell nothing."""
NEVER_BY_THIS = {"3013", "3015", "3041"}
"""`ErrorCode` of ChargeQr that leaves the session open, though nothing can come of it."""
BAD_KEYS = {"202", "204", "205", "501"}
"""`ErrorCode` of a terminal that is unknown or blocked, and of a wrong signature."""
ORDER_NOT_FOUND = "255"


def sign(fields: Mapping[str, Any], password: str) -> str:
    """The Token: SHA-256 of the root scalars' values with the password, in the order of their names."""
    parts = {**fields, "Password": password}
    kept = sorted(
        (name, value)
        for name, value in parts.items()
        if name != "Token" and value is not None and not isinstance(value, dict | list)
    )
    return hashlib.sha256("".join(_word(value) for _name, value in kept).encode()).hexdigest()


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def body_of(request: PaymentRequest) -> dict[str, Any]:
    """What Init is asked."""
    body: dict[str, Any] = {
        "Amount": kopecks(request.amount),
        "OrderId": str(request.reference),
        "Description": request.description[:140],
        "PayType": "T" if request.two_stage else "O",
        "DATA": {"OperationInitiatorType": "R" if request.method_token else "0"},
    }
    if request.return_url:
        body |= {"SuccessURL": request.return_url, "FailURL": request.return_url}
    if request.save_method:
        # A key of its own: the card saved with this payment is then the only one under it.
        body |= {"Recurrent": "Y", "CustomerKey": str(request.key), "DATA": {"OperationInitiatorType": "1"}}
    if request.instrument == Instrument.SBP:
        body["DATA"] = {"QR": "true"}
        if request.method_token:
            # As it was linked: for an account this says that it is charged again, not that it is saved.
            body |= {"Recurrent": "Y", "CustomerKey": str(request.key)}
    return body


def kopecks(money: Money) -> int:
    """An amount as every call has it."""
    return int(money.amount * 100)


def status_of(word: str) -> Status:
    """A payment's status in our words."""
    if word in PAID:
        return Status.SUCCEEDED
    if word == "AUTHORIZED":
        return Status.AUTHORIZED
    return Status.CANCELED if word in LOST else Status.PENDING


def reason_of(found: Mapping[str, Any]) -> str:
    """Why nothing came of a payment."""
    code = str(found.get("ErrorCode") or "")
    return (code if code not in {"", "0"} else str(found["Status"]).lower())[:60]


def said(answer: Mapping[str, Any]) -> str:
    """What an answer says, for people."""
    parts = (str(answer.get(name) or "") for name in ("ErrorCode", "Message", "Details"))
    return " ".join(part for part in parts if part)


def refusal(answer: Mapping[str, Any]) -> ConnectorError:
    """An answer that it did not do this."""
    code = str(answer.get("ErrorCode", ""))
    return ConnectorError(said(answer), code="invalid_credentials" if code in BAD_KEYS else code)
