"""What may be a logo: small, and really the picture it says it is."""

import io

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from PIL import Image, UnidentifiedImageError

MAX_BYTES = 300 * 1024
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def checked(content: bytes) -> str:
    """The MIME type of a logo. Raises ValidationError for anything but a small PNG, JPEG, WebP or SVG."""
    if len(content) > MAX_BYTES:
        raise ValidationError(_("Логотип тяжелее 300 КБ: уменьшите картинку"))
    head = content[:1000].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head.startswith((b"<svg", b"<?xml")) and b"<svg" in head:
        return "image/svg+xml"
    try:
        with Image.open(io.BytesIO(content), formats=list(_TYPES)) as picture:
            picture.verify()
            return _TYPES[str(picture.format)]
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        raise ValidationError(_("Логотип может быть картинкой PNG, JPEG, WebP или SVG")) from None
