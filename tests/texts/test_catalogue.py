"""The check of texts finds what it is for: Russian that cannot be translated, and catalogues that are not ready."""

import shutil
from pathlib import Path

import pytest
from django.utils import translation

from armor import texts

PYTHON = '''"""Описание для читателя кода."""
from django.utils.translation import gettext as _

GREETING = "Привет"
NAMES = ("Анна",)


def page(name: str) -> str:
    """Ещё описание."""
    return _("Здравствуйте") + f"{_('Пока')}, {name}" + f"Тебе, {name}"
'''
TEMPLATE = """{% load i18n %}{# Заметка #}<p>Привет</p>{% translate "Пока" %}
{% blocktranslate %}Здравствуйте, {{ name }}{% endblocktranslate %}
{% include "b.html" with label=_("Имя") %}<a lang="ru">По-русски</a>"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two files."""
    (tmp_path / "page.py").write_text(PYTHON)
    (tmp_path / "page.html").write_text(TEMPLATE)
    monkeypatch.setattr(texts, "ROOT", tmp_path)
    return tmp_path


def test_bare_russian_is_found_and_wrapped_or_excused_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "BARE", {"page.py:NAMES": "a name", "gone.py": "was here once"})
    assert list(texts.bare([root / "page.py", root / "page.html"])) == [
        "page.py:4: not in gettext: 'Привет'",
        "page.py:10: not in gettext: 'Тебе, '",
        "page.html:1: not in gettext: '<p>Привет</p>'",
        "armor/texts.py: nothing needs the exception gone.py",
    ]


def test_every_wrapped_text_is_collected(root: Path) -> None:
    found = texts.collect([root / "page.py", root / "page.html"], root)
    assert [msgid for (_context, msgid), _plural, _file in found] == [
        "Здравствуйте",
        "Пока",
        "Пока",
        "Здравствуйте, %(name)s",
        "Имя",
    ]


def test_missing_stale_and_broken_translations_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(texts.ROOT / "locale", tmp_path / "locale")
    monkeypatch.setattr(texts, "path", lambda language: tmp_path / f"locale/{language}/LC_MESSAGES/django.po")
    source = texts.ours()[0][0][1]
    wanted = [((None, source), None, "a.py"), ((None, "Итого: %s"), None, "a.py")]
    monkeypatch.setattr(texts, "wanted", lambda language: wanted)
    texts.update()
    assert list(texts._of_catalogue("en")) == ["locale/en: not translated: 'Итого: %s'"]
    file = texts.path("en")
    file.write_text(
        file.read_text().replace('msgid "Итого: %s"\nmsgstr ""', 'msgid "Итого: %s"\nmsgstr "Total"')
    )
    assert list(texts._of_catalogue("en")) == [
        "locale/en: other placeholders than its source: 'Итого: %s'",
        "locale/en: django.mo is not what django.po says: run `make texts`",
    ]
    wanted.append(((None, "Новое"), None, "a.py"))
    assert "locale/en: not the texts of the sources: run `make texts`, then translate" in [
        *texts._of_catalogue("en")
    ]


def test_russian_has_three_plural_forms() -> None:
    with translation.override("ru"):
        said = [
            translation.ngettext("Выбран %(number)s клиент.", "Выбрано клиентов: %(number)s.", number)
            % {"number": number}
            for number in (1, 3, 5, 21)
        ]
    assert said == ["Выбран 1 клиент.", "Выбрано 3 клиента.", "Выбрано 5 клиентов.", "Выбран 21 клиент."]
