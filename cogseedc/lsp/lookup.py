"""What stands at a place of a text: names and where they are declared, types, operations, words of the language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cogseedc.driver.catalogue import record
from cogseedc.driver.program import Examined
from cogseedc.frontend import ast
from cogseedc.frontend.mistakes import forms
from cogseedc.frontend.tokens import WORDS
from cogseedc.frontend.walk import walk
from cogseedc.ops import OPS, signature
from cogseedc.source import Source, Span

_WORD = re.compile(r"\w+")
_TYPES = 4
"""Types that are shown of a name; a seed that is called often may have more."""


@dataclass(frozen=True)
class Place:
    """A name where it is declared, and by what."""

    name: ast.Name
    by: object
    """The statement, port, seed, carry or import."""
    span: Span
    """All of that."""
    seed: ast.SeedDeclaration | None


def word_at(source: Source, offset: int) -> str:
    """The word around an offset; empty where there is none."""
    return next((m[0] for m in _WORD.finditer(source.text) if m.start() <= offset <= m.end()), "")


def declared(file: ast.File) -> Iterator[Place]:
    """All names that a file declares, in source order."""
    for item in file.items:
        match item:
            case ast.SeedDeclaration():
                yield Place(item.name, item, item.span, None)
                yield from _inner(item)
            case ast.Const():
                yield Place(item.name, item, item.span, None)
            case ast.Import(names=names, alias=alias):
                for name in [*(name.alias for name in names), *([alias] if alias else [])]:
                    yield Place(name, item, item.span, None)


def _inner(seed: ast.SeedDeclaration) -> Iterator[Place]:
    for node in walk((seed.parameters, seed.members)):
        match node:
            case ast.Bind(names=names) | ast.Scan(variables=names):
                yield from (Place(name, node, node.span, seed) for name in names)
            case ast.For(variable=name):
                yield Place(name, node, node.span, seed)
            case (
                ast.StaticParameter() | ast.Port() | ast.KnobDeclaration() | ast.ParamDeclaration()
                | ast.StateDeclaration() | ast.GateDeclaration() | ast.ExitDeclaration() | ast.Share() | ast.Carry()
            ):  # fmt: skip
                yield Place(node.name, node, node.span, seed)


def seed_at(file: ast.File, offset: int) -> ast.SeedDeclaration | None:
    """The seed that an offset lies in."""
    seeds = (item for item in file.items if isinstance(item, ast.SeedDeclaration))
    return next((seed for seed in seeds if seed.span.start <= offset <= seed.span.end), None)


def declaration(page: Examined, offset: int) -> Place | None:
    """Where the name at an offset is declared: in its seed, the last time before it, or in the file."""
    if page.file is None:
        return None
    word, seed = word_at(page.source, offset), seed_at(page.file, offset)
    found = [place for place in declared(page.file) if place.name.text == word]
    near = [place for place in found if place.seed is not None and place.seed is seed]
    before = [place for place in near if place.name.span.start <= offset]
    return next(iter([*before[::-1], *near, *(place for place in found if place.seed is None)]), None)


def hover(page: Examined, offset: int) -> str:
    """What is known of the word at an offset, as Markdown; empty where nothing is."""
    word, place = word_at(page.source, offset), declaration(page, offset)
    if place is not None:
        return _of_place(page, place)
    if word in OPS:
        return f"```seed\n{signature(OPS[word])}\n```\n{OPS[word].summary}"
    form = forms().get(word)
    return form.help if form is not None else ""


def _of_place(page: Examined, place: Place) -> str:
    by = place.by
    if isinstance(by, ast.SeedDeclaration):
        text, doc = record("", by)["signature"], by.doc
    elif isinstance(by, ast.Port | ast.KnobDeclaration | ast.StaticParameter | ast.Const):
        text, doc = by.span.text, getattr(by, "doc", "")
    else:
        types = _types(page, place.name)
        text, doc = f"{place.name.text}: {types}" if types else place.name.text, getattr(by, "doc", "")
    return f"```seed\n{text}\n```" + (f"\n{doc.strip()}" if doc.strip() else "")


def _types(page: Examined, name: ast.Name) -> str:
    """The types of a name in all calls of its seed; empty where they are not known."""
    found = [str(type) for type in page.types.get(name.span, ())]
    return " | ".join(found[:_TYPES]) + (" | ..." if len(found) > _TYPES else "")


def completions(page: Examined, offset: int) -> dict[str, str]:
    """Words that may stand at an offset, each with what it is."""
    found = dict.fromkeys(sorted(WORDS), "word") | {op: OPS[op].summary for op in OPS}
    if page.file is not None:
        seed = seed_at(page.file, offset)
        for place in declared(page.file):
            if place.seed is None or place.seed is seed:
                kind = type(place.by).__name__.removesuffix("Declaration").lower()
                found[place.name.text] = {"bind": "value", "port": "port", "const": "constant"}.get(kind, kind)
    return found
