"""A program: its text read, parsed, resolved and checked. Imports neither torch nor onnx, writes nothing."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from cogseedc.diagnostics import Diagnostic, Diagnostics, Label, Severity, UserError
from cogseedc.driver.timing import collector_paused
from cogseedc.limits import Limits
from cogseedc.seeds import Library
from cogseedc.source import Source, Span

if TYPE_CHECKING:
    import networkx

    from cogseedc.frontend import ast
    from cogseedc.frontend.build.model import Elaborated, Types
    from cogseedc.ir import Graph, NodeId

StaticValue = bool | int | float | str | tuple["StaticValue", ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Which program of a source is meant."""

    seed: str | None = None
    """Name of the exported seed; None: the only one."""
    statics: tuple[tuple[str, str], ...] = ()
    """Static parameters of it; the values are texts of the language."""
    sizes: tuple[tuple[str, int], ...] = ()
    """Sizes of its open axes."""
    limits: Limits = Limits()
    weight_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Shapes in the weights file, which say sizes that nothing else does."""
    knobs: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """Defaults of knobs instead of those in the source; one value stands for all elements."""
    arms: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The arms that are left of a gate or an exit (0: goes on, 1: leaves); the others are folded away."""


@dataclass(frozen=True, eq=False)
class Program:
    """A checked program. Every build elaborates it anew, since placing exits edits the graph."""

    source: Source
    file: ast.File
    settings: Settings
    files: Mapping[str, str]
    """Texts by path relative to the program's own folder; the program itself comes first."""
    elaborated: Elaborated
    """The program as written, before any pass. Not to be edited."""
    notes: tuple[Diagnostic, ...] = field(default=())
    """Warnings and notes."""

    @property
    def name(self) -> str:
        """Name of the exported seed."""
        return self.elaborated.name

    @cached_property
    def structure(self) -> Graph:
        """The graph with exits inserted and gates as control edges: what does not depend on a target."""
        from cogseedc.driver.structure import structured

        return structured(self.elaborated.graph, self.settings.limits)

    @property
    def graph(self) -> networkx.MultiDiGraph[NodeId]:
        """`structure` as a frozen networkx view: payloads in `node`, keys `DataEdge` and `ControlEdge`."""
        return self.structure.as_networkx()

    def report(self) -> str:
        """The interface and the size of the program, for people."""
        from cogseedc.driver.card import summary

        return summary(self.elaborated, self.structure)


def read_source(path: str | Path, limits: Limits = Limits()) -> Source:
    """The text of a file; `-` is stdin.

    Raises UserError: CS0901 not readable, CS0902 not UTF-8. What exceeds the limit of bytes is cut off behind it; the
    parser then says so.
    """
    return decode("<stdin>" if str(path) == "-" else str(path), read_bytes(path, limits.source_bytes + 1), limits)


def decode(name: str, data: bytes, limits: Limits) -> Source:
    """A source from its bytes. Raises UserError CS0902."""
    if len(data) > limits.source_bytes:
        return Source(name, data.decode("utf-8", "replace"))
    try:
        return Source(name, data.decode("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{name!r} is not UTF-8: byte {error.start} (line {line}) is 0x{data[error.start]:02x}"
        start = len(data[: error.start].decode("utf-8").removeprefix("\ufeff"))
        shown = Source(name, data.decode("utf-8", "replace").removeprefix("\ufeff"))
        label = Label(Span(shown, start, start + 1))
        raise UserError(Diagnostic("CS0902", message, (label,), help="save the file as UTF-8")) from None


def read_bytes(path: str | Path, most: int = -1) -> bytes:
    """The content of a file, or its first `most` bytes; `-` is stdin. Raises UserError CS0901."""
    try:
        if str(path) == "-":
            if sys.stdin is None:
                raise OSError(errno.EBADF, "it is closed")
            return sys.stdin.buffer.read(most)
        with Path(path).open("rb") as stream:
            return stream.read(most)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(Diagnostic("CS0901", f"cannot read {str(path)!r}: {reason}")) from None


def is_text(source: object) -> TypeGuard[str]:
    """Whether a source is a program's text and no path: it has line breaks or braces."""
    return isinstance(source, str) and ("\n" in source or "{" in source)


def load(
    source: str | Path | Source,
    settings: Settings | None = None,
    *,
    set: Mapping[str, StaticValue] | None = None,
    size: Mapping[str, int] | None = None,
    seed: str | None = None,
) -> Program:
    """Parses, resolves and checks a program.

    `source` is a path, `-` for stdin, or the text itself (see `is_text`). `set` are static parameters
    (text is read as the language reads it), `size` sizes of open axes, `seed` which seed is meant; or all of it is
    in `settings`. Raises UserError with all mistakes that were found.
    """
    settings = settings or settings_of(set, size, seed)
    if is_text(source):
        source = Source("<text>", source)
    text = source if isinstance(source, Source) else read_source(source, settings.limits)
    return _check(text, settings, None)


def load_texts(files: Mapping[str, str], settings: Settings) -> Program:
    """A program from the texts that an artifact keeps; the first is the program, imports are found among the others."""
    name, text = next(iter(files.items()))
    return _check(Source(name, text), settings, files)


def spell(value: StaticValue) -> str:
    """A Python value as a static expression of the language; text is taken as it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"({', '.join(map(spell, value))}{',' if len(value) == 1 else ''})"
        case int() | float():
            return repr(value)
        case str():
            return value


def settings_of(
    set: Mapping[str, StaticValue] | None = None,
    size: Mapping[str, int] | None = None,
    seed: str | None = None,
    limits: Limits | None = None,
) -> Settings:
    """Settings from the keyword arguments of the Python functions."""
    statics = tuple((name, spell(value)) for name, value in (set or {}).items())
    return Settings(seed, statics, tuple((size or {}).items()), limits or Limits())


def elaborate(
    program_file: ast.File,
    files: Library[ast.File],
    settings: Settings,
    found: Diagnostics,
    types: Types | None = None,
) -> Elaborated | None:
    """The program graph of a parsed file, with `exits n at x` placed; None when `found` has errors.

    `types` is filled with the types of names, as far as there are no mistakes."""
    from cogseedc.frontend.build import Options
    from cogseedc.frontend.build import elaborate as build_graph

    options = Options(settings.seed, _statics(settings), settings.sizes, settings.weight_shapes, types)
    result = build_graph(program_file, files, found, options, settings.limits)
    if result is not None and result.sites:
        from cogseedc.driver.exits import place_all

        place_all(result, found)
    if result is not None and (settings.knobs or settings.arms) and not found.failed:
        from cogseedc.driver.choices import settle

        settle(result.graph, settings.knobs, settings.arms)
    return None if found.failed else result


def check(source: str | Path, settings: Settings) -> Diagnostics:
    """All that is to say of a file: a program, or a library that exports no seed."""
    return examine(read_source(source, settings.limits), settings).found


@dataclass(frozen=True)
class Examined:
    """A text as an editor needs it, whatever is wrong with it."""

    source: Source
    file: ast.File | None
    """None where it cannot be read."""
    types: Types
    """Of the names that it binds, as far as there are no mistakes."""
    found: Diagnostics


def examine(source: Source, settings: Settings) -> Examined:
    """All that is to say of a text, and what is known of its names."""
    examined = Examined(source, None, {}, Diagnostics(settings.limits.diagnostics))
    file = parse(source, settings.limits, examined.found)
    if file is None:
        return examined
    library = _library(source, settings.limits, None)
    result = elaborate(file, library, settings, examined.found, examined.types)
    _unread(file, examined.found)
    if result is not None and result.budgets:
        _hold_budgets(Program(source, file, settings, {}, result), examined.found)
    return replace(examined, file=file)


def _hold_budgets(program: Program, found: Diagnostics) -> None:
    """Budgets are proved on the graph with guards, as a build proves them."""
    from cogseedc.driver.costs import hold_budgets

    try:
        hold_budgets(program.structure, program.elaborated.budgets, dict(program.settings.sizes))
    except UserError as error:
        for diagnostic in error.diagnostics:
            found.add(diagnostic)


@collector_paused()
def _check(source: Source, settings: Settings, kept: Mapping[str, str] | None) -> Program:
    found = Diagnostics(settings.limits.diagnostics)
    file = parse(source, settings.limits, found)
    if file is None:
        raise UserError(*found)
    library = _library(source, settings.limits, kept)
    elaborated = elaborate(file, library, settings, found)
    if elaborated is None:
        _one_export(file, found)
        raise UserError(*found)
    _unread(file, found)
    texts = {key: data.decode() for key, data in library.sources.items()}
    notes = tuple(d for d in found if d.severity is not Severity.ERROR)
    return Program(source, file, settings, {Path(source.name).name: source.text, **texts}, elaborated, notes)


def _unread(file: ast.File, found: Diagnostics) -> None:
    """Notes on names that nothing reads; beside mistakes, one of these may be why."""
    from cogseedc.frontend import unread

    if not found.failed:
        unread.report(file, found)


def _one_export(file: ast.File, found: Diagnostics) -> None:
    """Says so when it is not clear what to compile."""
    from cogseedc.frontend import ast

    if found.failed:
        return
    seeds = [item for item in file.items if isinstance(item, ast.SeedDeclaration)]
    exported = [seed for seed in seeds if seed.exported]
    if exported:
        message = f"the file exports {len(exported)} seeds"
        help = "choose one with `--seed NAME`, or export one only"
        found.error("CS0503", message, exported[1].name.span, exported[0].name.span, help=help)
    else:
        where = seeds[-1].name.span if seeds else file.span
        help = "write `export seed ...` before the one that is to be compiled, or choose one with `--seed NAME`"
        found.error("CS0503", "the file exports no seed", where, help=help)


def _library(source: Source, limits: Limits, kept: Mapping[str, str] | None) -> Library[ast.File]:
    def read(name: str, data: bytes) -> ast.File:
        found = Diagnostics(limits.diagnostics)
        file = parse(decode(name, data, limits), limits, found)
        if file is None or found.failed:
            raise UserError(*found)
        return file

    if kept is not None:
        return Library(read, None, {path: text.encode() for path, text in kept.items()}, sealed=True)
    on_disk = not source.name.startswith("<")
    return Library(read, Path(source.name).parent if on_disk else None)


def parse(source: Source, limits: Limits, found: Diagnostics) -> ast.File | None:
    """The syntax tree; None, with what is wrong in `found`, when there is none."""
    from cogseedc.frontend import parser

    return parser.parse(source, found, limits)


def _statics(settings: Settings) -> tuple[tuple[str, ast.Expr], ...]:
    """`--set` values, parsed; a mistake in one is reported at its own text."""
    return tuple((name, _expression(name, text, settings.limits)) for name, text in settings.statics)


def _expression(name: str, text: str, limits: Limits) -> ast.Expr:
    from cogseedc.frontend import ast

    found = Diagnostics(limits.diagnostics)
    file = parse(Source(f"<--set {name}>", f"const {name} = {text}\n"), limits, found)
    found.check()
    if file is None or len(file.items) != 1 or not isinstance(file.items[0], ast.Const):
        raise UserError(
            Diagnostic("CS0909", f"`--set {name}={text}` is not one static value", help='--set "widths=(16, 32)"')
        )
    return file.items[0].value
