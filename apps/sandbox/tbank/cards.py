"""Test cards of T-Bank: what the bank answers at first payment and at later charges by the saved card."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """`error`: the ErrorCode of a refusal at once; `renewal_error`: of later charges; empty is success."""

    title: str
    error: str = ""
    renewal_error: str = ""
    three_ds: bool = False


CARDS = {
    "2200770239097761": Card("успех"),
    "2201382000000013": Card("успех после 3-D Secure без вопроса"),
    "2201382000000047": Card("успех после 3-D Secure", three_ds=True),
    "2201382000000831": Card("недостаточно денег", "116"),
    "2201382000000021": Card("отказ банка", "99"),
    "2201382000000054": Card("карта просрочена", "1054"),
    "2201382000000112": Card("успех, продления — нет денег", renewal_error="116"),
    "2201382000000120": Card("успех, продления — карта просрочена", renewal_error="1054"),
}
MESSAGES = {
    "8": "Неверный статус транзакции",
    "10": "Метод Charge заблокирован для данного терминала",
    "20": "Повторный идентификатор заказа",
    "99": "Банк, выпустивший карту, отклонил операцию",
    "101": "Не пройдена идентификация 3DS",
    "104": "Ошибка выполнения рекуррента",
    "116": "Недостаточно средств на карте",
    "204": "Неверный токен",
    "251": "Неверная сумма",
    "255": "Заказ не найден",
    "501": "Терминал не найден",
    "1054": "Карта просрочена",
    "9": "Не передан обязательный параметр",
}
