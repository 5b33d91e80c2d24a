"""Templates, paths and files from anybody: nothing of Python is reached, nothing runs for long, nothing breaks out."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.connectors.base import ConnectorError
from apps.providers.declarative import answers, document, fields, from_curl, from_openapi, reading
from apps.providers.declarative.composing import compose
from apps.providers.declarative.templates import OMITTED, Broken, written
from tests.providers import declared

VALUES = {**fields.EXAMPLES, "parameters": {"a": "<b>&", "n": 3, "__class__": "x"}, "secret": "s3cr3t"}
LONGEST_SECONDS = 5.0


def filled(source: str, kind: str = "text") -> Any:
    return written(source, kind, fields.NAMES).value(VALUES)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ request_id.__class__ }}",
        "{{ request_id['__class__'] }}",
        "{{ parameters.keys }}",
        "{{ parameters.keys() }}",
        "{{ parameters.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ self }}",
        "{{ lipsum() }}",
        "{{ range(9999999) }}",
        "{{ request_id * 999999999 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ 'x'.join(parameters) }}",
        "{% import 'os' as o %}",
        "{% include '/etc/passwd' %}",
        "{% extends request_id %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set x = request_id %}{{ x }}",
        "{% for a in parameters %}{% for b in parameters %}x{% endfor %}{% endfor %}",
        "{% for a in parameters recursive %}{{ loop(parameters) }}{% endfor %}",
        "{{ request_id | attr('__class__') }}",
        "{{ request_id | map('upper') }}",
        "{% autoescape false %}{{ request_id }}{% endautoescape %}",
        "{{ " + "(" * 5000 + "request_id" + ")" * 5000 + " }}",
        "{{ " + "not " * 5000 + "request_id }}",
        "{{ request_id",
        "x" * 20_001,
    ],
)
def test_what_is_more_than_a_field_is_refused(source: str) -> None:
    began = time.monotonic()
    with pytest.raises(Broken):
        filled(source)
    assert time.monotonic() - began < LONGEST_SECONDS


@given(st.text(max_size=60))
@example("{{")
@example("{% raw %}{{ secret }}{% endraw %}")
def test_any_text_is_read_or_refused(source: str) -> None:
    for kind in ("text", "xml", "address"):
        try:
            assert isinstance(written(source, kind, fields.NAMES).text(VALUES), str)
        except Broken:
            pass


_PIECES = st.sampled_from(
    ["{{", "}}", "{%", "%}", "request_id", "parameters", ".", "|", "upper", "(", ")", "[", "]", "'a'", "__class__",
     "if", "endif", "for", "in", "endfor", "items", "~", "*", "x", " ", "\n", "0", ",", "not", "else"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=25).map(" ".join))
def test_any_heap_of_the_language_is_read_or_refused(source: str) -> None:
    began = time.monotonic()
    try:
        told = filled(source)
    except Broken:
        return
    assert "<class" not in str(told)
    assert "built-in" not in str(told)
    assert time.monotonic() - began < LONGEST_SECONDS


@given(st.text(max_size=50))
@example("..")
@example("a/../../admin")
@example("x?y=1#z")
@example("\r\nHost: evil")
@example('","admin":true,"x":"')
@example("</extId><command>cancel</command><extId>")
@example("]]>")
def test_a_value_stays_a_value(value: str) -> None:
    """Whatever a customer answers, the request keeps its shape: path, JSON, XML, form, header."""
    given_values = {**VALUES, "request_id": value, "sku": value, "parameters": {"x": value}}
    given_document = {
        **declared.REST,
        "auth": {"type": "none"},
        "operations": {
            "provision": {
                "method": "POST",
                "path": "/orders/{{ request_id }}/x",
                "query": {"q": "{{ sku }}"},
                "body_kind": "json",
                "body": {"id": "{{ request_id }}", "text": "a {{ sku }} b", "kept": 1},
            },
            "status": declared.gate("status") | {"path": "/xml"},
            "extend": {
                "method": "POST",
                "path": "/f",
                "body_kind": "form",
                "body": {"a": "{{ sku }}", "b": "1"},
            },
        },
    }
    read = document.read(given_document)
    try:
        made = compose(read, "provision", given_values, base_url="https://api.example/v1")
    except Broken:
        assert value in {"", ".", ".."}
    else:
        path, _sign, query = made.url.removeprefix("https://api.example/v1/orders/").partition("?")
        assert path.count("/") == 1
        assert "#" not in made.url
        assert query.startswith("q=")
        assert "&" not in query
        assert json.loads(made.content) == {"id": value, "text": f"a {value} b", "kept": 1}
    form = compose(read, "extend", given_values, base_url="https://api.example").content
    assert form.count(b"&") == 1
    try:
        xml = compose(read, "status", given_values, base_url="https://api.example").content
    except Broken:
        # What XML cannot hold at all.
        return
    tree = answers.parse_xml(xml)
    assert [one.tag for one in tree] == ["login", "password", "command", "extId"]


def test_a_header_cannot_be_broken_out_of() -> None:
    given_document = json.loads(json.dumps(declared.REST))
    given_document["operations"]["provision"]["headers"] = {"X-Ref": "{{ sku }}"}
    with pytest.raises(Broken, match="перенос строки"):
        compose(
            document.read(given_document),
            "provision",
            {**VALUES, "sku": "a\r\nX-Admin: 1"},
            base_url="https://x",
        )


def test_leaves_keep_their_type_and_may_be_left_out() -> None:
    assert filled("{{ parameters.n }}") == 3
    assert filled("{{ parameters.none | optional }}") is OMITTED
    assert filled("{{ parameters.none | default('web') }}") == "web"
    assert filled('{{ period_end | date("dd.MM.yyyy") }}') == "31.01.2027"
    assert written("<a>{{ parameters.a }}</a>", "xml").text(VALUES) == "<a>&lt;b&gt;&amp;</a>"


BILLION = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>"""
OUTSIDE = b"""<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>"""


@pytest.mark.parametrize(
    "content", [BILLION, OUTSIDE, BILLION.decode().encode("utf-16"), b"<x>" * 100_000, b"\0", b""]
)
def test_xml_with_more_than_elements_is_refused(content: bytes) -> None:
    with pytest.raises(Broken):
        answers.parse("xml", content)


@pytest.mark.parametrize(
    "path", ["$[?match(@.a, '(a+)+$')]", "$..a..b", "$..[?@..x]", "$" + ".a" * 400, "a.b", "$["]
)
def test_a_dear_json_path_is_refused(path: str) -> None:
    with pytest.raises(Broken):
        answers.check("json", path)


@pytest.mark.parametrize(
    "path",
    [
        "//a[//b]",
        "//a//b",
        "//a[../b]",
        "document('http://x')",
        "re:test(//a, '(a+)+')",
        "$x",
        "//a[ancestor::b]",
        "//[",
    ],
)
def test_a_dear_xpath_is_refused(path: str) -> None:
    with pytest.raises(Broken):
        answers.check("xml", path)


@given(st.binary(max_size=300))
def test_any_answer_is_read_or_unknown(content: bytes) -> None:
    """No answer makes a success that is none: a state or an error, and for what changes something «unknown»."""
    for given_document in (declared.REST, declared.XML):
        found = document.read(given_document).operations["provision"].answer
        assert _state(found, content) == "unknown"


def _state(found: document.Answer, content: bytes) -> str:
    try:
        return reading.read("provision", found, 200, content).state
    except ConnectorError as error:
        return "unknown" if error.unknown else "refused"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["format", "auth", "operations", "provision", "path", "body", "body_kind", "answer", "paths", "callback", "type", "states", "x"]), inner, max_size=5), max_leaves=25))  # fmt: skip # noqa: E501
def test_any_document_is_read_or_its_faults_are_named(given_document: Any) -> None:
    assert all(one.text for one in document.problems(given_document))


@given(st.binary(max_size=200))
@example(b"openapi: 3.0.0\na: &a [1,2]\nb: [*a,*a]\n")
@example(b"!!python/object/apply:os.system ['true']")
def test_any_file_is_an_openapi_or_refused(content: bytes) -> None:
    with pytest.raises(Broken):
        from_openapi.read(content)


def test_references_in_a_circle_and_out_of_the_file_are_refused() -> None:
    tree: dict[str, Any] = {"openapi": "3.0.0", "paths": {"/a": {"post": {"requestBody": {"$ref": "#/x"}}}}}
    tree["x"] = {"$ref": "#/x"}
    found = from_openapi.read(json.dumps(tree).encode())
    with pytest.raises(Broken, match="по кругу"):
        from_openapi.document(found, {"provision": "post /a"})
    tree["x"] = {"$ref": "file:///etc/passwd"}
    found = from_openapi.read(json.dumps(tree).encode())
    with pytest.raises(Broken, match="за пределы"):
        from_openapi.document(found, {"provision": "post /a"})


@given(st.text(max_size=120))
@example("curl")
@example("curl $(rm -rf /) https://x")
@example("curl https://x -d @/etc/passwd")
def test_any_command_is_read_or_refused(command: str) -> None:
    try:
        from_curl.read(command)
    except Broken:
        pass


def test_the_access_of_an_example_stays_out_of_the_document() -> None:
    secret = "tok-0123456789"
    for command in (
        f"curl https://a.example/o -H 'Authorization: Bearer {secret}'",
        f"curl https://a.example/o -u me:{secret}",
        f"curl 'https://a.example/o?api_key={secret}&x=1'",
        f"curl https://a.example/o -H 'X-Api-Key: {secret}' --json '{{}}'",
        f"curl https://a.example/o -d '<r><password>{secret}</password></r>'",
        f"""curl https://a.example/o --json '{{"password": "{secret}", "a": 1}}'""",
    ):
        found = from_curl.read(command)
        assert found.secret == secret, command
        assert secret not in json.dumps([found.request, found.auth, found.base_url])
