"""The parser: trees with spans, tables that fit the grammar, one message for each mistake."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark, logger

from cogseedc.diagnostics import CODES, Diagnostic, Diagnostics
from cogseedc.frontend import ast, mistakes, tables, tokens
from cogseedc.frontend.actions import ACTIONS
from cogseedc.frontend.parser import make_tables, parse
from cogseedc.frontend.walk import walk
from cogseedc.limits import Limits
from cogseedc.resources import folder
from cogseedc.source import Source

TOUR = sorted((Path(__file__).parent / "tour").glob("*.seed"))
ENTRIES: list[mistakes.Mistake | mistakes.ForeignWord] = [*mistakes.foreign_words().values(), *mistakes.load()]
EXAMPLES = [
    pytest.param(entry, example, id=f"{getattr(entry, 'name', '') or getattr(entry, 'word', '')}-{number}")
    for entry in ENTRIES
    for number, example in enumerate(entry.examples)
]


def read(text: str, limits: Limits | None = None) -> tuple[ast.File | None, list[Diagnostic]]:
    diagnostics = Diagnostics()
    file = parse(Source("t.seed", text), diagnostics, limits or Limits())
    return file, list(diagnostics)


def codes(text: str) -> list[tuple[str, int]]:
    return [(d.code, d.labels[0].span.line) for d in read(text)[1]]


def in_seed(body: str) -> str:
    whole = re.match(r'seed |export |import "|(def|fn|func|class|model) |from .*\nseed|in x: f32\[N\]\nseed', body)
    return body if whole else f"seed Body {{\n    in x: f32[N]\n    {body}\n    end = relu(x)\n}}\n"


# The grammar


def test_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG, logger.name)
    try:
        Lark(tables.grammar_text(), parser="lalr", debug=True)
    finally:
        logger.removeHandler(caplog.handler)
    assert [record for record in caplog.records if "onflict" in record.getMessage()] == []


def test_shipped_tables_fit(bless: bool) -> None:
    grammar = tables.grammar_text()
    text = tables.to_json(make_tables(grammar), grammar)
    shipped = Path(str(folder("grammar") / "seed.tables.json"))
    if bless:
        shipped.write_text(text, encoding="utf-8")
    assert shipped.read_text(encoding="utf-8") == text
    assert tables.from_json(text) == make_tables(grammar)


def test_other_grammar_makes_its_own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = tables.grammar_text() + "\n// changed\n"
    monkeypatch.setattr(tables, "grammar_text", lambda: grammar)
    assert tables.load.__wrapped__(make_tables).actions == make_tables(grammar).actions


def test_each_rule_has_an_action() -> None:
    rules = tables.load(make_tables).rules
    assert {rule.name for rule in rules if not (rule.passes or rule.collects)} == set(ACTIONS)


def test_words_of_the_tokens_are_those_of_the_grammar() -> None:
    kinds = set(tables.load(make_tables).terminals) - {tokens.END, "NAME", "NUMBER", "STRING", "VERSION"}
    assert kinds == set(tokens.WORDS.values()) | set(tokens.SIGNS.values())


@pytest.mark.parametrize("path", TOUR, ids=lambda path: path.stem)
def test_tour_parses(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    file, found = read(text)
    assert found == []
    assert file is not None
    for node in walk(file):
        span = node.span  # type: ignore[attr-defined]  # every node of a tree has one
        assert 0 <= span.start <= span.end <= len(text)


@pytest.mark.parametrize("path", TOUR, ids=lambda path: path.stem)
def test_lark_reads_the_same_language(path: Path) -> None:
    Lark(tables.grammar_text(), parser="lalr").parse(path.read_text(encoding="utf-8"))


# Trees


def statements(text: str) -> tuple[ast.Member, ...]:
    file, found = read(f"seed A {{ {text} }}")
    assert found == []
    assert file is not None
    seed = file.items[0]
    assert isinstance(seed, ast.SeedDeclaration)
    return seed.members


def value(text: str) -> ast.Expr:
    (bind,) = statements(f"y = {text}")
    assert isinstance(bind, ast.Bind)
    return bind.value


def test_spans_are_exact() -> None:
    call = value("f[2](a + b, k=3)")
    assert isinstance(call, ast.Apply)
    assert call.span.text == "f[2](a + b, k=3)"
    assert [argument.span.text for argument in call.arguments] == ["a + b", "k=3"]
    assert call.callee.span.text == "f[2]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("400k", 400_000),
        ("2M", 2_000_000),
        ("1.5", 1.5),
        ("1e-3", 0.001),
        ("9223372036854775807", 2**63 - 1),
        ("007", 7),
    ],
)
def test_numbers(text: str, expected: float) -> None:
    number = value(text)
    assert isinstance(number, ast.Number)
    assert (number.value, type(number.value)) == (expected, type(expected))


def test_precedence() -> None:
    result = value("not a + b * -c ^ 2 > d and e or f |> g")
    assert isinstance(result, ast.Pipe)
    either = result.value
    assert isinstance(either, ast.Logical)
    assert (either.operator, either.left.span.text) == ("or", "not a + b * -c ^ 2 > d and e")
    assert isinstance(either.left, ast.Logical)
    negated = either.left.left
    assert isinstance(negated, ast.Not)
    assert isinstance(negated.operand, ast.Compare)


def test_docs_belong_to_what_follows() -> None:
    file, _ = read("## A net.\n##\n## Of two lines.\nseed A {\n  ## The input.\n  in x: f32[N] # not this\n  y = x\n}")
    assert file is not None
    seed = file.items[0]
    assert isinstance(seed, ast.SeedDeclaration)
    assert seed.doc == "A net.\n\nOf two lines."
    assert [getattr(member, "doc", "") for member in seed.members] == ["The input.", ""]


def test_words_in_place_are_names_elsewhere() -> None:
    members = statements(
        "at = f[over=K](via)  with, until = g(at, merge)  seed = over  level = scale  import = seed.as"
    )
    assert [member.names[0].text for member in members if isinstance(member, ast.Bind)] == [
        "at", "with", "seed", "level", "import",
    ]  # fmt: skip


def test_axes() -> None:
    (port,) = statements("in x: f32[N, C=3, width, 2 * d] * n")
    assert isinstance(port, ast.Port)
    shown = [(axis.name and axis.name.text, axis.size and axis.size.span.text) for axis in port.type.axes]
    assert shown == [("N", None), ("C", "3"), (None, "width"), (None, "2 * d")]
    assert port.type.count is not None


def test_imports() -> None:
    file, found = read('from std.molecular @^1.0.0 import A as B, C\nimport "./b.seed" as b\nseed S { }')
    assert found == []
    assert file is not None
    first, second, _ = file.items
    assert isinstance(first, ast.Import)
    assert isinstance(second, ast.Import)
    assert (first.path, first.is_file, first.version) == ("std.molecular", False, "^1.0.0")
    assert [(name.name.text, name.alias.text) for name in first.names] == [("A", "B"), ("C", "C")]
    assert (second.path, second.is_file, second.alias and second.alias.text) == ("./b.seed", True, "b")


def test_marks_and_bare_arms() -> None:
    (bind,) = statements("@bits(int8) @device y = route g { 0 => x  e in 1 .. 3 => { t = x yield t }  else => { x } }")
    assert isinstance(bind, ast.Bind)
    assert [mark.name.text for mark in bind.marks] == ["bits", "device"]
    assert isinstance(bind.value, ast.Route)
    assert [arm.body.braces for arm in bind.value.arms] == [False, True, True]


# Mistakes


@pytest.mark.parametrize(("entry", "example"), EXAMPLES)
def test_mistake_gives_its_message_alone(entry: mistakes.Mistake | mistakes.ForeignWord, example: str) -> None:
    _, found = read(in_seed(example))
    assert [d.code for d in found] == [entry.code]
    assert re.fullmatch(re.sub(r"\\\{\w+\\\}", ".*", re.escape(entry.message)), found[0].message)


@pytest.mark.parametrize("form", mistakes.forms().values(), ids=lambda form: form.word)
def test_form_is_shown(form: mistakes.Form) -> None:
    assert form.examples
    for example in form.examples:
        assert [(d.code, d.help) for d in read(in_seed(example))[1]] == [("CS0101", form.help)]


def test_there_are_enough_mistakes() -> None:
    assert len(ENTRIES) >= 20
    assert {entry.code for entry in ENTRIES} <= set(CODES)
    assert all(mistakes.FOREIGN.fullmatch(word) for word in mistakes.foreign_words())


def test_independent_mistakes_give_one_message_each() -> None:
    text = """seed A {
    in x f32[N]
    out y: f32[N]
    a = relu(x
    b = when a > 0 { a }
    y = a + b
}
seed B[width] {
    in x: f32[N]
    out y: f32[N]
    h = for i in 0 .. 3 with h = x {
        t = f(h) +
        next h = t
    }
    y = h && x
}
"""
    expected = [("CS0109", 2), ("CS0102", 4), ("CS0106", 5), ("CS0109", 8), ("CS0101", 12), ("CS0105", 15)]
    assert codes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed A {\n    y = f(x)\n\nseed B {\n    y = g((x)\n}\n", [("CS0102", 1), ("CS0103", 6)]),
        ("seed A {\n    y = when a {\n        x\n    else { x }\n    z = 3 3\n}\n", [("CS0102", 2), ("CS0101", 5)]),
        ("seed A { } }\nseed B { y == 3 }", [("CS0103", 1), ("CS0108", 2)]),
        ("seed A {\n    y = x |>\n", [("CS0102", 1)]),
        ("seed A {\n    naïve = 3\n    b = 0x10\n    c = 'd'\n}", [("CS0113", 2), ("CS0112", 3), ("CS0111", 4)]),
        ("const A =\nconst B = 3\nseed C { }", [("CS0101", 1)]),
        ("seed A {\n    y = route g {\n        0 => f(x\n        1 => g(x)\n    }\n    z = 9999999999999999999\n}",
         [("CS0102", 3), ("CS0116", 6)]),
    ],
)  # fmt: skip
def test_recovery(text: str, expected: list[tuple[str, int]]) -> None:
    assert codes(text) == expected


# Hostile texts


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{" * 10_000, "CS0602"),
        ("seed A { y = " + "f(" * 10_000 + " }", "CS0602"),
        ("seed A { y = " + "not " * 10_000 + "x }", "CS0602"),
        ("seed A { y = x" + " + x" * 10_000 + " }", "CS0602"),
        ("seed A { y = " + "9" * 5000 + " }", "CS0116"),
        ("seed A { y = 1e999 }", "CS0116"),
        (f"seed {'a' * 64} {{ }}", "CS0115"),
        (f'import "{"a" * 5000}" as a\nseed A {{ }}', "CS0603"),
        ("seed A { y = x # \u202e hidden\n }", "CS0114"),
        ("seed A { y = x\0 }", "CS0114"),
        ("seed A { y = x # a\rz = 3\n }", "CS0114"),
        ("seed A { y = \u0430 }", "CS0113"),
        ("seed A { } #" + "x" * (1 << 20), "CS0601"),
    ],
    ids=lambda value: value if len(value) == 6 else "text",
)
@pytest.mark.timeout(60)
def test_hostile_text(text: str, code: str) -> None:
    _, found = read(text)
    assert [d.code for d in found] == [code]


@pytest.mark.parametrize(("depth", "fine"), [(64, True), (65, False)])
def test_nesting_up_to_its_limit(depth: int, fine: bool) -> None:
    inner = depth - 1
    file, _ = read("seed A { y = " + "(" * inner + "x" + ")" * inner + " }")
    assert (file is not None) is fine


@pytest.mark.parametrize("text", ["", "\n", "\ufeffseed A { }", "seed A {\r\n\tin x: f32[N]\r\n}\r\n", "# only this"])
def test_odd_but_legal(text: str) -> None:
    file, found = read(text)
    assert found == []
    assert file is not None


def test_number_of_messages_is_limited() -> None:
    diagnostics = Diagnostics()
    parse(Source("t.seed", "seed A {\n" + "    y = 3 3\n" * 5000 + "}\n"), diagnostics, Limits())
    assert len(diagnostics) == 100


_PARTS = [text for path in TOUR for text in [path.read_text(encoding="utf-8")]]
_ODD = st.sampled_from(
    [*"{}()[]=,:;.'\"#@|&!?$\\`~\0\t\r\n", "\u202e", "\u00e9", "->", "when", "else", "seed", "=>", "0x", "1.0.0"]
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_a_mutant_is_read_or_explained(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(_PARTS))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.one_of(st.just(""), _ODD)) + text[end:]
    file, found = read(text)
    assert file is not None or found
    for diagnostic in found:
        assert diagnostic.labels
        for label in diagnostic.labels:
            assert 0 <= label.span.start <= label.span.end <= len(text)
