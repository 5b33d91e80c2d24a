"""A QR code of an address as SVG: model 2, version 5, level L, mask 0 (ISO/IEC 18004). At most 106 bytes."""

from collections.abc import Iterator

SIZE, DATA, CHECK, LONGEST = 37, 108, 26, 106
FORMAT = 0b111011111000100
"""Level L and mask 0, with their own check bits."""
_EXP = [1]
for _step in range(254):
    _next = _EXP[-1] << 1
    _EXP.append(_next ^ 0x11D if _next > 255 else _next)
_LOG = {value: power for power, value in enumerate(_EXP)}


def svg(text: str) -> str:
    """The code, drawn. Raises ValueError for what does not fit."""
    dark = "".join(
        f"M{x + 4} {y + 4}h1v1h-1z" for y, row in enumerate(modules(text)) for x, bit in enumerate(row) if bit
    )
    side = SIZE + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" role="img"'
        f' aria-label="QR-код" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{side}v{side}H0z"/>'
        f'<path d="{dark}"/></svg>'
    )


def modules(text: str) -> list[list[bool]]:
    """Rows of modules, true where dark."""
    grid: list[list[bool | None]] = [[None] * SIZE for _ in range(SIZE)]
    _draw_patterns(grid)
    fixed = [[cell is not None for cell in row] for row in grid]
    bits = _bits(text)
    for x, y in _path(fixed):
        # Mask 0 turns every other module over; what is left after the bits counts as zero.
        grid[y][x] = next(bits, False) ^ ((x + y) % 2 == 0)
    return [[bool(cell) for cell in row] for row in grid]


def _bits(text: str) -> Iterator[bool]:
    body = text.encode()
    if len(body) > LONGEST:
        raise ValueError("too long for this code")
    line = f"0100{len(body):08b}" + "".join(f"{byte:08b}" for byte in body) + "0000"
    words = [int(line[place : place + 8].ljust(8, "0"), 2) for place in range(0, len(line), 8)][:DATA]
    words += [(0xEC, 0x11)[place % 2] for place in range(DATA - len(words))]
    return (bit == "1" for word in words + _check(words) for bit in f"{word:08b}")


def _check(words: list[int]) -> list[int]:
    """Reed-Solomon: the remainder by a polynomial whose roots are the first powers of two."""
    divisor = [1]
    for root in range(CHECK):
        shifted = [*divisor, 0]
        for place, value in enumerate(divisor):
            shifted[place + 1] ^= _times(value, _EXP[root])
        divisor = shifted
    rest = [*words, *[0] * CHECK]
    for place in range(len(words)):
        lead = rest[place]
        for offset, value in enumerate(divisor):
            rest[place + offset] ^= _times(value, lead)
    return rest[-CHECK:]


def _times(a: int, b: int) -> int:
    return _EXP[(_LOG[a] + _LOG[b]) % 255] if a and b else 0


def _draw_patterns(grid: list[list[bool | None]]) -> None:
    for left, top in ((0, 0), (SIZE - 7, 0), (0, SIZE - 7)):
        for y in range(-1, 8):
            for x in range(-1, 8):
                if 0 <= left + x < SIZE and 0 <= top + y < SIZE:
                    ring = max(abs(x - 3), abs(y - 3))
                    grid[top + y][left + x] = ring in (0, 1, 3)
    for y in range(-2, 3):
        for x in range(-2, 3):
            grid[SIZE - 7 + y][SIZE - 7 + x] = max(abs(x), abs(y)) != 1
    for place in range(8, SIZE - 8):
        grid[6][place] = grid[place][6] = place % 2 == 0
    for number in range(15):
        bit = bool(FORMAT >> number & 1)
        column = number if number < 6 else number + 1 if number < 8 else SIZE - 15 + number
        row = SIZE - 1 - number if number < 8 else (7 if number == 8 else 14 - number)
        grid[column][8] = bit
        grid[8][row] = bit
    grid[SIZE - 8][8] = True


def _path(fixed: list[list[bool]]) -> Iterator[tuple[int, int]]:
    """Free modules in the order of the bits: pairs of columns from the right, up and down in turn."""
    upwards = True
    for right in range(SIZE - 1, 0, -2):
        # The column of the timing pattern is left out.
        pair = right if right > 6 else right - 1
        for step in range(SIZE):
            y = SIZE - 1 - step if upwards else step
            for x in (pair, pair - 1):
                if x >= 0 and not fixed[y][x]:
                    yield x, y
        upwards = not upwards
