"""A sum in Russian words, as acts and invoices close with it. Pure."""

from decimal import Decimal

_ONES = [
    "ноль",
    "один",
    "два",
    "три",
    "четыре",
    "пять",
    "шесть",
    "семь",
    "восемь",
    "девять",
    "десять",
    "одиннадцать",
    "двенадцать",
    "тринадцать",
]
_ONES += ["четырнадцать", "пятнадцать", "шестнадцать", "семнадцать", "восемнадцать", "девятнадцать"]
_TENS = [
    "-",
    "-",
    "двадцать",
    "тридцать",
    "сорок",
    "пятьдесят",
    "шестьдесят",
    "семьдесят",
    "восемьдесят",
    "девяносто",
]
_HUNDREDS = [
    "-",
    "сто",
    "двести",
    "триста",
    "четыреста",
    "пятьсот",
    "шестьсот",
    "семьсот",
    "восемьсот",
    "девятьсот",
]
_SCALES = (
    ("рубль", "рубля", "рублей", False),
    ("тысяча", "тысячи", "тысяч", True),
    ("миллион", "миллиона", "миллионов", False),
    ("миллиард", "миллиарда", "миллиардов", False),
)


def in_words(amount: Decimal) -> str:
    """«Сто двадцать два рубля 00 копеек». Raises ValueError below zero and from a trillion on."""
    if not 0 <= amount < 10**12:
        raise ValueError(f"{amount} is not put into words")
    roubles, kopecks = divmod(int(amount * 100), 100)
    said = []
    for power in range(3, -1, -1):
        part = roubles // 1000**power % 1000
        one, few, many, is_feminine = _SCALES[power]
        if part:
            said += [*_below_thousand(part, is_feminine=is_feminine), form(part, one, few, many)]
        elif power == 0:
            said += ["рублей"] if roubles else ["ноль", "рублей"]
    text = " ".join(said)
    ending = form(kopecks, "копейка", "копейки", "копеек")
    return f"{text[0].upper()}{text[1:]} {kopecks:02d} {ending}"


def form(number: int, one: str, few: str, many: str) -> str:
    """The word's form after a number: 1 рубль, 2 рубля, 5 рублей, 11 рублей."""
    if number % 100 in range(11, 15):
        return many
    return {1: one, 2: few, 3: few, 4: few}.get(number % 10, many)


def _below_thousand(number: int, *, is_feminine: bool) -> list[str]:
    said = [_HUNDREDS[number // 100]] if number >= 100 else []
    rest = number % 100
    if rest >= 20:
        said.append(_TENS[rest // 10])
        rest %= 10
    if rest:
        feminine = {1: "одна", 2: "две"} if is_feminine else {}
        said.append(feminine.get(rest, _ONES[rest]))
    return said
