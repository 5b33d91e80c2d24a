"""From a partner's one colour: a readable palette for light and dark (WCAG contrast of 4.5 and more)."""

import colorsys
from dataclasses import dataclass

WHITE, INK = "#ffffff", "#0e1116"
LIGHT_PAGE, DARK_PAGE = "#f6f7f9", "#0f1217"
# The lightest card text may stand on in dark mode, and the tinted grounds: contrast is held against the worst.
DARK_CARD = "#1c2230"
LETTER = "#f1f5f9"
READABLE = 4.5


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2, 0 (black) to 1 (white)."""
    parts = []
    for part in _rgb(colour):
        parts.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio by WCAG 2.2, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mix(colour: str, other: str, share: float) -> str:
    """`share` (0 to 1) of `colour`, the rest of `other`."""
    pairs = zip(_rgb(colour), _rgb(other), strict=True)
    return _hex(*(one * share + two * (1 - share) for one, two in pairs))


@dataclass(frozen=True, slots=True)
class Palette:
    """What the page needs of a colour; `button` keeps the partner's own wherever it can be read on."""

    button: str
    button_hover: str
    on_button: str
    text_light: str
    text_dark: str
    tint_light: str
    tint_dark: str
    deep: str
    second: str


def palette(colour: str) -> Palette:
    """The palette of a `#rrggbb` colour."""
    on_button = WHITE if contrast(colour, WHITE) >= 3 else INK
    button = _until_readable(colour, on_button, WHITE if on_button == INK else "#000000")
    tint_light, tint_dark = mix(colour, WHITE, 0.09), mix(colour, DARK_CARD, 0.16)
    return Palette(
        button=button,
        button_hover=mix(button, "#000000" if on_button == WHITE else WHITE, 0.86),
        on_button=on_button,
        text_light=_until_readable(colour, tint_light, "#000000"),
        text_dark=_until_readable(colour, tint_dark, WHITE),
        tint_light=tint_light,
        tint_dark=tint_dark,
        deep=_until_readable(mix(colour, "#0b1020", 0.78), WHITE, "#000000", ratio=6),
        second=_until_readable(mix(_turned(colour, 0.09), "#0b1020", 0.72), WHITE, "#000000", ratio=6),
    )


def in_letters(colour: str) -> str:
    """The colour, darkened until it reads as text on a letter's grey ground, and white reads on it."""
    return _until_readable(colour, LETTER, "#000000")


def _until_readable(colour: str, ground: str, towards: str, ratio: float = READABLE) -> str:
    for step in range(21):
        candidate = mix(colour, towards, 1 - step / 20)
        if contrast(candidate, ground) >= ratio:
            return candidate
    return towards


def _turned(colour: str, turn: float) -> str:
    hue, light, saturation = colorsys.rgb_to_hls(*_rgb(colour))
    return _hex(*colorsys.hls_to_rgb((hue + turn) % 1, light, saturation))


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def _hex(*parts: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)
