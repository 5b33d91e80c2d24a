"""The pages that all gateways show to a customer: card form, 3-D Secure, what became of it; each in its own colours."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from aiohttp import web

from apps.sandbox.service import page

HERE = Path(__file__).parent
SBP = '<button class="sbp" id="pay-sbp" name="action" value="sbp">Оплатить через СБП</button>'
REFUSE = '<button id="cancel" name="action" value="cancel">Отказаться от оплаты</button>'


@dataclass(frozen=True)
class Look:
    """Whose pages they are: name, what it calls a test shop, the colour of its buttons and of the words on them."""

    brand: str
    place: str
    accent: str
    on: str = "#fff"

    def form(
        self,
        *,
        amount: str,
        description: str,
        cards: dict[str, str],
        back: str,
        is_saved: bool,
        problem: str = "",
        number: str = "",
        expiry: str = "",
        takes_cards: bool = True,
        takes_sbp: bool = False,
        may_refuse: bool = False,
        press: str = "",
    ) -> web.Response:
        """The card form, with what was wrong in it; `cards` are test cards with what each does."""
        listed = "".join(
            f'<li><button type="button" data-card="{one}">{grouped(one)}</button> <span>{escape(does)}</span></li>'
            for one, does in cards.items()
        )
        return self._page(
            "checkout",
            amount=amount,
            press=press or f"Заплатить {amount}",
            description=escape(description or "Оплата заказа"),
            problem=f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else "",
            number=grouped(number),
            expiry=escape(expiry),
            saving="Карта сохранится для следующих списаний." if is_saved else "",
            card_display="block" if takes_cards else "none",
            more=SBP if takes_sbp else "",
            refuse=REFUSE if may_refuse else "",
            back=escape(back or "#"),
            cards=listed,
        )

    def three_ds(self, *, amount: str, number: str) -> web.Response:
        """The bank's page, on which the customer confirms or says no."""
        return self._page("three_ds", amount=amount, card=f"••\u00a0{number[-4:]}")

    def binding(self, *, cards: dict[str, str], given: "Typed | None" = None, back: str = "") -> web.Response:
        """The card form of a card that is saved without a payment."""
        return self.form(
            amount="Привязка карты",
            description="Деньги не списываются",
            press="Привязать карту",
            cards=cards,
            back=back,
            is_saved=True,
            problem=given.problem if given else "",
            number=given.number if given else "",
            expiry=given.expiry if given else "",
        )

    def result(self, *, amount: str, problem: str, back: str) -> web.Response:
        """Paid, or saved where there is no amount, or why not."""
        done = ("Оплачено", "Деньги поступили в магазин.") if amount else ("Привязано", "Деньги не списаны.")
        failed = "Не получилось оплатить" if amount else "Не получилось привязать"
        return self._page(
            "result",
            title=failed if problem else done[0],
            text=escape(problem or done[1]),
            tone="bad" if problem else "good",
            mark="✕" if problem else "✓",
            amount=amount,
            back=escape(back or "#"),
        )

    def _page(self, name: str, **values: str) -> web.Response:
        look = {"brand": self.brand, "place": self.place, "accent": self.accent, "on": self.on}
        return page(HERE, name, **look, **values)


@dataclass(frozen=True)
class Typed:
    """What the card form was filled with; `problem` says what is wrong with it."""

    number: str
    month: str
    year: str
    expiry: str
    problem: str


def typed(form: Mapping[str, object], known: Container[str]) -> Typed:
    """Reads the card form; only test cards are taken."""
    number, expiry = re.sub(r"\D", "", str(form.get("card_number", ""))), str(form.get("expiry", ""))
    date = re.fullmatch(r"\s*(\d\d)\s*/?\s*(?:20)?(\d\d)\s*", expiry)
    problem = ""
    if number not in known:
        problem = "Это тестовый магазин: введите номер одной из тестовых карт."
    elif date is None:
        problem = "Введите срок действия карты: месяц и год."
    elif not re.fullmatch(r"\d{3}", str(form.get("cvc", ""))):
        problem = "Введите три цифры с обратной стороны карты."
    month, year = (date[1], date[2]) if date else ("", "")
    return Typed(number, month, year, expiry, problem)


def roubles(amount: str) -> str:
    """«1 990,00 ₽» of "1990.00"."""
    whole, _, part = amount.partition(".")
    return f"{int(whole):,}".replace(",", "\u00a0") + f",{part}\u00a0₽"


def grouped(number: str) -> str:
    """A card's number by fours."""
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4))
