"""Texts on screen in two languages: collects them, keeps locale/, and says what is not ready. A developer's tool.

`python -m armor.texts` brings the catalogues up to date with the sources and compiles them; `--check` only says
what is wrong. Sources are Russian, so `locale/en` has every text, and `locale/ru` only what Russian has no source
for: plural forms, and English texts of the packages we show that the packages themselves leave untranslated.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import django
import import_export
import unfold
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.template.base import Lexer, Token, TokenType
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("ru", "en")
OURS = ("armor", "apps", "templates")
# Of Unfold only what settings.INSTALLED_APPS has.
_UNFOLD = Path(unfold.__file__).parent
_DJANGO = Path(django.__file__).parent
THEIRS = (
    *(_UNFOLD / part for part in ("", "contrib/filters", "contrib/forms", "contrib/import_export")),
    *(_DJANGO / "contrib" / part for part in ("admin", "auth")),
    Path(import_export.__file__).parent,
)
CATALOGUES = (*THEIRS, _DJANGO / "conf")

# Who may hold Russian outside gettext, and why: a folder, a file, or a name assigned in a file.
BARE = {
    "apps/sandbox": "simulators play foreign services, which speak Russian",
    "apps/orders/bulk_orders.py:COLUMNS": "headings of a file of orders, and what its cells hold",
    "apps/orders/bulk_orders.py:TARIFF": "a heading of a file of orders",
    "apps/providers/declarative/guessing.py": "words by which a Russian description of an API tells its requests",
    "apps/demo/company.py": "names and texts of the demonstration's own data",
    "apps/demo/connect.py": "names of the demonstration's providers and connections",
    "apps/demo/english.py": "the Russian that it translates",
    "apps/demo/friday.py": "names of the scene's providers and products",
    "apps/demo/history.py": "names of the demonstration's customers",
    "apps/demo/lives.py": "names, texts and requisites of the demonstration's customers",
    "apps/demo/management": "what the terminal says while the demonstration is made",
    "apps/demo/simulation.py": "what the terminal says during a simulation",
    "apps/accounts/api.py:ANNA": "an example customer",
    "apps/billing/api.py:SUBSCRIPTION": "an example answer",
    "apps/billing/api.py:INVOICE": "an example answer",
    "apps/billing/lifecycle_api.py:SEAT": "an example answer",
    "apps/billing/lifecycle_api.py:MOMENT": "an example answer",
    "apps/billing/lifecycle_api.py:PREVIEW": "an example answer",
    "apps/billing/lifecycle_api.py:HOLDER": "an example answer",
    "apps/billing/preview_api.py:PREVIEW": "an example answer",
    "apps/accounts/api.py:COMPANY": "an example answer",
    "apps/billing/document_api.py:NOTE": "an example answer",
    "apps/billing/document_api.py:DOCUMENT": "an example answer",
    "apps/billing/document_api.py:REPORT": "an example answer",
    "apps/billing/dunning_api.py:DUNNING": "an example answer",
    "apps/billing/mass/api.py": "an example answer",
    "apps/billing/promotions_api.py:GIVEN": "an example answer",
    "apps/billing/promotions_api.py:OFFERED": "an example answer",
    "apps/billing/statement_api.py:STATEMENT": "an example answer",
    "apps/reports/api.py:EXAMPLE": "an example answer",
    "apps/reports/api.py:RECOVERY": "an example answer",
    "apps/billing/moving/api.py": "example answers",
    "apps/billing/payout_api.py": "an example request",
    "apps/billing/management": "what the terminal says",
    "apps/billing/moving/reading.py:COLUMNS": "headings of the file of a base, a Russian one",
    "apps/billing/moving/reading.py:EVENTS": "what a Russian file calls what happened",
    "apps/billing/moving/reading.py:OLD_CHARGES": "headings of the file of old charges, a Russian one",
    "apps/billing/words.py": "sums in words, on Russian documents",
    "apps/callcenters/lists.py:NUMBER": "headings of the call list, a Russian file",
    "apps/catalog/api.py:EXAMPLE": "an example answer",
    "apps/catalog/parameters.py": "values as the price list, a Russian file, writes them",
    "apps/catalog/periods.py": "periods as the price list writes them",
    "apps/catalog/price_list.py": "headings of the price list",
    "apps/settlements/exchange_1c.py": "words of the format of banks",
    "apps/settlements/payout_days.py": "words by which a bank's purpose names days",
    "apps/settlements/refund_orders.py": "the purpose of a payment order, a Russian file",
    "apps/payments/payment_orders.py": "words of the format of banks",
    "apps/payments/refund_api.py": "example answers",
    "apps/payments/registers.py": "headings and words of gateways' registers, Russian files",
    "apps/payments/cloudpayments_receipts.py": "a unit, as a receipt writes it",
    "apps/payments/tbank_receipts.py": "a unit, as a receipt writes it",
    "apps/demo/books.py": "a bank's statement, and what the terminal says",
    "apps/demo/gateways.py": "names of gateways",
    "apps/catalog/regions.py": "names of regions, as customers choose them",
    "apps/catalog/tables.py": "headings of the catalogue's tables, Russian files",
    "apps/catalog/vat.py": "VAT rates as the price list writes them",
    "apps/channels/feeds.py": "the product feed is Russian",
    "apps/channels/services.py": "the name of a channel is data",
    "apps/core/codes.py": "the alphabet",
    "apps/orders/api.py:ANSWER": "an example answer",
    "apps/orders/bulk_api.py:REFUSED": "an example answer",
    "apps/orders/api.py:ITEM": "an example answer",
    "apps/orders/api.py:WHY": "an example request",
    "apps/orders/api.py:SERVICE": "an example answer",
    "apps/orders/inventory_api.py:EXAMPLE": "an example answer",
    "apps/orders/fulfilment_api.py:HEARD": "an example answer",
    "apps/orders/fulfilment_api.py:QUESTION": "an example answer",
    "apps/orders/fulfilment_api.py:WAITING": "an example answer",
    "apps/providers/portal/listing.py:HEADINGS": "headings of files, in both languages",
    "apps/providers/portal/usage.py:HEADINGS": "headings of files, in both languages",
    "apps/providers/keys.py:_HEADINGS": "headings of a file of keys",
    "apps/storefronts/words.py:_ROOTS": "roots by which a category gets its picture",
    "armor/texts.py": "this alphabet",
}
# What packages say in Russian already, but badly: with our nouns in the wrong case, or under another name.
RESAID = (
    "Add %(name)s",
    "Add %s",
    "Change %s",
    "View %s",
    "Select %s",
    "Select %s to change",
    "Select %s to view",
    "Add another %(verbose_name)s",
    "The {name} “{obj}” was added successfully.",
    "The {name} “{obj}” was changed successfully.",
    "Successfully deleted %(count)d %(items)s.",
    "Periodic Tasks",
    "periodic tasks",
)
_KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), None),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
_CYRILLIC = re.compile("[А-Яа-яЁё]")
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")
_HEADER = "# {} texts; kept by `make texts`."


class Texts(Catalog):
    """A catalogue without dates and names in its heading, so that equal texts make equal files."""

    @property  # type: ignore[misc]
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Language", str(self.locale)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms),
        ]


Key = tuple[str | None, str]
Text = tuple[Key, str | None, str]
"""Context and msgid, the plural msgid, and the file."""


def collect(files: Iterable[Path], root: Path) -> Iterator[Text]:
    """Every text that is wrapped in gettext, in the order of the sources."""
    for file in files:
        source = file.read_text()
        for function, texts in _of_python(source) if file.suffix == ".py" else _of_template(source):
            context = texts.pop(0) if "pgettext" in function else None
            if texts and texts[0]:
                plural = texts[1] if "ngettext" in function else None
                yield (context, texts[0]), plural, file.relative_to(root).as_posix()


def _of_python(source: str) -> Iterator[tuple[str, list[str]]]:
    """Calls of gettext with their texts; by the syntax tree, for Babel does not look into f-strings."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        given = [
            arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        ]
        if given and _called(call) in _KEYWORDS:
            yield _called(call), given


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _of_template(source: str) -> Iterator[tuple[str, list[str]]]:
    # What templatize leaves of a template is Python but for its indentation.
    source = "\n".join(line.lstrip() for line in templatize(source).splitlines())
    for _line, function, said, _comments in extract_python(BytesIO(source.encode()), _KEYWORDS, (), {}):
        yield str(function or ""), [said] if isinstance(said, str) else [text for text in said or () if text]


def ours() -> list[Text]:
    files = (file for folder in OURS for file in _sources(ROOT / folder) if "sandbox" not in file.parts)
    return list(collect(files, ROOT))


def theirs() -> list[Text]:
    """What our packages say in English to a Russian reader, or in Russian that reads badly with our names."""
    files = (file for folder in THEIRS for file in _sources(folder))
    known = set().union(*(_said(folder / "locale/ru/LC_MESSAGES/django.mo") for folder in CATALOGUES))
    unsaid = [
        text
        for text in collect(files, _DJANGO.parent)
        if text[0] not in known and re.search("[A-Za-z]{2}", text[0][1])
    ]
    return unsaid + [((None, text), None, "armor/texts.py") for text in RESAID]


def _said(compiled: Path) -> set[Key]:
    if not compiled.exists():
        return set()
    with compiled.open("rb") as file:
        return {key for key, said in _contents(read_mo(file)).items() if any(said)}


def _sources(folder: Path) -> list[Path]:
    files = [file for ending in ("py", "html") for file in folder.rglob(f"*.{ending}")]
    parts = {"migrations", "tests"}
    if folder == _UNFOLD:
        parts |= {"contrib"}
    return sorted(file for file in files if not parts & set(file.relative_to(folder).parts))


def wanted(language: str) -> list[Text]:
    if language == "en":
        return [text for text in ours() if _CYRILLIC.search(text[0][1])]
    return [text for text in ours() if text[1]] + theirs()


def path(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    if not path(language).exists():
        return Catalog(locale=language)
    with path(language).open("rb") as file:
        return read_po(file, locale=language)


def renewed(language: str, old: Catalog) -> Texts:
    """The catalogue with exactly the texts that are wanted, with the translations that `old` has."""
    new = Texts(locale=language, header_comment=_HEADER.format(language), fuzzy=False)
    # Where a text stands tells a translator what it is about; line numbers would only make noise.
    for (context, msgid), plural, file in wanted(language):
        known = old.get(msgid, context)
        new.add(
            (msgid, plural) if plural else msgid,
            known.string if known and isinstance(known.string, tuple) == bool(plural) else None,
            locations=[(file, 0)],
            context=context,
        )
    return new


def update() -> None:
    """Brings both catalogues up to date with the sources, and compiles them."""
    for language in LANGUAGES:
        catalog = renewed(language, read(language))
        path(language).parent.mkdir(parents=True, exist_ok=True)
        with path(language).open("wb") as file:
            write_po(file, catalog, width=110, ignore_obsolete=True)
        with path(language).with_suffix(".mo").open("wb") as file:
            write_mo(file, catalog)


def problems() -> Iterator[str]:
    """What is not ready, a line each."""
    for language in LANGUAGES:
        yield from _of_catalogue(language)
    yield from bare(file for folder in OURS for file in _sources(ROOT / folder))


def _of_catalogue(language: str) -> Iterator[str]:
    name = f"locale/{language}"
    old = read(language)
    new = renewed(language, old)
    if _contents(old).keys() != _contents(new).keys():
        yield f"{name}: not the texts of the sources: run `make texts`, then translate"
    for (_context, msgid), said in _contents(new).items():
        if not all(said):
            yield f"{name}: not translated: {msgid!r}"
        elif any(_placeholders(msgid) != _placeholders(one) for one in said[-1:]):
            yield f"{name}: other placeholders than its source: {msgid!r}"
    compiled = path(language).with_suffix(".mo")
    with compiled.open("rb") as file:
        if _contents(read_mo(file)) != {key: said for key, said in _contents(old).items() if any(said)}:
            yield f"{name}: django.mo is not what django.po says: run `make texts`"


def _contents(catalog: Catalog) -> dict[Key, tuple[str, ...]]:
    found = {}
    for message in catalog:
        if message.id:
            msgid = message.id if isinstance(message.id, str) else message.id[0]
            said = message.string if isinstance(message.string, tuple | list) else (message.string,)
            found[message.context, msgid] = tuple(one or "" for one in said)
    return found


def _placeholders(text: str) -> list[str]:
    return sorted(_PLACEHOLDER.findall(text))


def bare(files: Iterable[Path]) -> Iterator[str]:
    """Russian that no translation can reach: literals outside gettext, and plain text of templates."""
    used = set()
    for file in files:
        name = file.relative_to(ROOT).as_posix()
        found = _bare_in_python(file) if file.suffix == ".py" else _bare_in_template(file)
        for line, assigned, text in found:
            excuse = next((one for one in BARE if _excuses(one, name, assigned)), None)
            if excuse is None:
                yield f"{name}:{line}: not in gettext: {text[:60]!r}"
            used.add(excuse)
    for excuse in sorted(BARE.keys() - used):
        yield f"armor/texts.py: nothing needs the exception {excuse}"


def _excuses(excuse: str, name: str, assigned: str) -> bool:
    return excuse in {name, f"{name}:{assigned}"} or name.startswith(f"{excuse}/")


def _bare_in_python(file: Path) -> Iterator[tuple[int, str, str]]:
    tree = ast.parse(file.read_text())
    names = {id(node): _assigned(top) for top in tree.body for node in ast.walk(top)}
    for node in _unwrapped(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CYRILLIC.search(node.value):
            yield node.lineno, names[id(node)], node.value


def _assigned(statement: ast.stmt) -> str:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return names[0] if names else ""


def _unwrapped(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes outside gettext calls and docstrings (a string that stands alone)."""
    for node in ast.iter_child_nodes(tree):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", getattr(node.func, "attr", "")) in _KEYWORDS
        ):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        yield node
        yield from _unwrapped(node)


def _bare_in_template(file: Path) -> Iterator[tuple[int, str, str]]:
    if ".ru." in file.name:
        return
    in_block = False
    for number, token in enumerate(_tokens(file.read_text())):
        words = token.contents.split()
        tag = words[0] if token.token_type == TokenType.BLOCK and words else ""
        if tag in {"blocktranslate", "blocktrans"} or tag.startswith("endblocktrans"):
            in_block = not tag.startswith("end")
        elif not in_block and tag not in {"translate", "trans"} and token.token_type != TokenType.COMMENT:
            text = re.sub(r"""_\((["']).*?\1\)""", "", token.contents)
            if _CYRILLIC.search(text):
                yield token.lineno or number, "", text.strip()


def _tokens(source: str) -> list[Token]:
    # The words of a switch to Russian are Russian in every language.
    return Lexer(re.sub(r"<(\w+)[^>]*\blang=\"ru\"[^>]*>[^<]*</\1>", "", source)).tokenize()


def main() -> int:
    if "--check" not in sys.argv:
        update()
    found = list(problems())
    print("\n".join(found) or "texts: every one is there in Russian and English")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
