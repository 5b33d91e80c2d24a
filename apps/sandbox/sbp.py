"""The page of the payer's bank behind a QR of SBP: pay and agree, or decline. The same for every gateway."""

from html import escape
from pathlib import Path

from aiohttp import web

from apps.sandbox import qr
from apps.sandbox.service import page

BANK_ID, BANK_NAME = "100000000111", "Тестовый банк"


def show(*, bank: str, address: str, amount: str, description: str, saves: bool) -> web.Response:
    """What a phone opens and a computer shows; it posts `action`, confirm or fail, to itself."""
    only_binds = not amount
    saving = "Счёт сохранится для следующих списаний." if saves else ""
    return page(
        Path(__file__).parent,
        "sbp",
        bank=escape(bank),
        amount=escape(amount),
        description=escape(description or "Оплата заказа"),
        code=qr.svg(address),
        saving=saving,
        press="Разрешить списания" if only_binds else f"Заплатить {escape(amount)}",
    )
