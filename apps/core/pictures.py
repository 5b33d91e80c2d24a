"""What may be shown as a picture: small, and really the picture it says it is."""

import io

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from PIL import Image, UnidentifiedImageError

_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
# One that somebody opens by itself must not run what it may contain.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def checked(content: bytes, *, max_kib: int, drawing: bool = False) -> str:
    """The MIME type of a picture. Raises ValidationError for anything but a small PNG, JPEG or WebP.

    `drawing` allows SVG too.
    """
    if len(content) > max_kib * 1024:
        raise ValidationError(_("Картинка тяжелее %(size)d КБ: уменьшите её") % {"size": max_kib})
    head = content[:1000].lstrip(b"\xef\xbb\xbf \r\n\t")
    if drawing and head.startswith((b"<svg", b"<?xml")) and b"<svg" in head:
        return "image/svg+xml"
    try:
        with Image.open(io.BytesIO(content), formats=list(_TYPES)) as picture:
            picture.verify()
            return _TYPES[str(picture.format)]
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        known = "PNG, JPEG, WebP, SVG" if drawing else "PNG, JPEG, WebP"
        raise ValidationError(_("Нужна картинка одного из видов: %(kinds)s") % {"kinds": known}) from None
