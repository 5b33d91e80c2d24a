"""What is claimed from a provider: keys that did not work, as a table for it."""

import csv
import io
from collections.abc import Iterable

from django.utils.translation import gettext as _

from apps.providers.portal.models import DefectiveKey


def table(rows: Iterable[DefectiveKey]) -> bytes:
    """CSV for a spreadsheet: `;`, UTF-8 with a mark; no text is ever a formula."""
    out = io.StringIO()
    made = csv.writer(out, delimiter=";")
    heading = (_("Поставщик"), _("Тариф"), _("Ключ"), _("Что с ключом"), _("Подробности"))
    made.writerow([*heading, _("Выдан"), _("Заявлен"), _("Запрос"), _("Замена")])
    for row in rows:
        moments = [f"{at:%d.%m.%Y %H:%M}" if at else "" for at in (row.given_at, row.reported_at)]
        told = (row.provider.name, row.sku, row.key, row.get_reason_display(), row.comment)
        made.writerow([*map(_plain, told), *moments, row.request_id, row.replacement_id])
    return ("\ufeff" + out.getvalue()).encode()


def _plain(text: object) -> str:
    return f"'{text}" if str(text)[:1] in set("=+-@\t\r") else str(text)
