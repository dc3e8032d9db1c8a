"""Elaboration: a syntax tree becomes one flat, typed program graph; every mistake on the way is reported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cogseedc.diagnostics import Diagnostics, Label, UserError
from cogseedc.frontend import ast
from cogseedc.frontend.build import (
    arguments,
    calls,
    decisions,
    exits,
    exported,
    expressions,
    functions,
    loops,
    regions,
    seeds,
    statements,
    unrolled,
)
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.expansion import Expansion
from cogseedc.frontend.build.irtext import is_ir, read_ir
from cogseedc.frontend.build.model import (
    BROKEN,
    BrokenUse,
    BuildError,
    Builtin,
    Configured,
    Elaborated,
    Enough,
    Frame,
    GateRef,
    Imports,
    Instance,
    Item,
    Module,
    OpRef,
    Options,
    Scope,
    SeedRef,
    mistake,
)
from cogseedc.frontend.build.names import suggestion
from cogseedc.frontend.build.remarks import pinned_batch, unbatched, untrained
from cogseedc.frontend.build.restarts import SizeFound
from cogseedc.frontend.build.survey import surveyed
from cogseedc.ir import BATCH, Dtype, Exit, Graph, Origin, Output, Size, Weight
from cogseedc.limits import Limits
from cogseedc.ops import OPS
from cogseedc.source import Span

EVALUATORS: dict[type, Callable[[Builder, Frame, Any], Item]] = {
    ast.Reference: expressions.reference,
    ast.Number: expressions.literal,
    ast.String: expressions.literal,
    ast.Boolean: expressions.literal,
    ast.Tuple: expressions.tuple_,
    ast.Negate: expressions.negate,
    ast.Not: expressions.not_,
    ast.Binary: expressions.binary,
    ast.Compare: expressions.binary,
    ast.Logical: expressions.binary,
    ast.Attribute: expressions.attribute,
    ast.Configure: calls.configure,
    ast.Apply: calls.apply,
    ast.Pipe: calls.pipe,
    ast.When: regions.when,
    ast.Route: regions.route,
    ast.For: unrolled.for_,
    ast.Repeat: loops.repeat,
    ast.Scan: loops.scan,
    SeedRef: seeds.instantiate,
    Builtin: functions.call,
    GateRef: decisions.indexed,
}
"""By kind of expression; the last three are forms that several kinds of expression lead to."""

RUNNERS: dict[type, Callable[[Builder, Frame, Any], None]] = {
    ast.Bind: statements.bind,
    ast.Share: statements.share,
    ast.ParamDeclaration: statements.param,
    ast.StateDeclaration: statements.state,
    ast.GateDeclaration: statements.gate,
    ast.ExitDeclaration: exits.exit_,
    ast.ExitsDeclaration: exits.exits,
    ast.Next: statements.next_,
    ast.LossDeclaration: statements.loss,
    ast.Require: statements.require,
}

BUILTIN_NAMES: dict[str, Item] = {
    **{name: OpRef(spec) for name, spec in OPS.items()},
    **{name: Builtin(name) for name in functions.BUILTINS},
    **{d.value: d for d in Dtype},
}


def elaborate(
    file: ast.File,
    imports: Imports,
    diagnostics: Diagnostics,
    options: Options = Options(),
    limits: Limits = Limits(),
) -> Elaborated | None:
    """Elaborates the exported seed of a file; checks the other seeds too.

    None when there are errors, all of them in `diagnostics`, or when it is not clear which seed is meant.
    """
    try:
        return _all(file, imports, diagnostics, options, limits)
    except Enough:
        return None


def _all(
    file: ast.File, imports: Imports, diagnostics: Diagnostics, options: Options, limits: Limits
) -> Elaborated | None:
    modules = Modules(imports, diagnostics, limits)
    module = modules.load(file.span.source.name, file, None)
    ref = _exported(file, module, options, diagnostics)
    if ref is None:
        _check_rest(file, module, diagnostics, limits, set())
        return None
    sizes, before = {name: Size.of(size) for name, size in options.sizes}, diagnostics.mark()
    while True:
        b = _builder(diagnostics, limits, sizes, dict(options.weight_shapes))
        b.types = options.types
        try:
            b, result = surveyed(b, lambda b: _elaborate(b, ref, options))
            break
        except BuildError as error:
            b.report(error)
            result = None
            break
        except SizeFound as found:
            known = {found.symbol: found.size}
            sizes = {**{name: size.substitute(known) for name, size in sizes.items()}, **known}
            diagnostics.back_to(before)
            if options.types is not None:
                options.types.clear()
    _hold_sizes(options, b, diagnostics)
    if result is not None and not diagnostics.failed:
        _hold_weights(result.graph, limits, diagnostics)
    _check_rest(file, module, diagnostics, limits, b.built | {id(ref.declaration)})
    return None if diagnostics.failed else result


def _hold_sizes(options: Options, b: Builder, diagnostics: Diagnostics) -> None:
    """Reports sizes that are given for axes which no input leaves open."""
    open_ = [name for name in b.open_axes if name != BATCH]
    for name in [] if diagnostics.failed else dict(options.sizes):
        if name not in open_:
            help = suggestion(name, open_) or f"open axes: {', '.join(open_) or 'none'}"
            diagnostics.error("CS0915", f"no input leaves the size of an axis `{name}` open", help=help)


def _builder(
    diagnostics: Diagnostics, limits: Limits, sizes: dict[str, Size], shapes: dict[str, tuple[int, ...]]
) -> Builder:
    return Builder(diagnostics, limits, EVALUATORS, RUNNERS, sizes, shapes)


def _elaborate(b: Builder, ref: SeedRef, options: Options) -> Elaborated | None:
    declaration = ref.declaration
    if is_ir(declaration):
        seeds = {name: item.declaration for name, item in ref.module.names.items() if isinstance(item, SeedRef)}
        graph = read_ir(declaration, b.limits, b.report, seeds)
        return Elaborated(graph, declaration.name.text, declaration.doc, None, (), (), (), (), positional=True)
    try:
        statics = _set(b, ref, options)
        instance, budgets = exported.export(b, ref, statics, Origin())
    except BuildError as error:
        b.report(error)
        return None
    except BrokenUse:
        return None
    untrained(b)
    unbatched(b)
    pinned_batch(b)
    version = next(
        (m.values[0].text for m in declaration.members if isinstance(m, ast.Meta) and m.kind == "version"), None
    )
    sites = tuple(s for s in instance.exit_scopes)
    return Elaborated(
        b.graph,
        declaration.name.text,
        declaration.doc,
        version,
        sites,
        budgets,
        tuple(dict.fromkeys(b.requirements)),
        tuple((k, str(v)) for k, v in statics.items() if isinstance(v, (bool, int, float, str, tuple))),
        _coupled(b),
    )


def _hold_weights(graph: Graph, limits: Limits, diagnostics: Diagnostics) -> None:
    """Reports weights that together are larger than the limit, at the largest of them."""
    weights = [node for _, node in graph.nodes() if isinstance(node, Weight)]
    sizes = [(node.type.elements.value or 0) * node.type.dtype.bits // 8 for node in weights]
    total = sum(sizes)
    if total > limits.weight_bytes:
        largest = weights[sizes.index(max(sizes))]
        diagnostics.error(
            Limits.code("weight_bytes"),
            f"all weights together have {total:,} bytes; the limit is {limits.weight_bytes:,}",
            labels=(Label(largest.origin.span, f"`{largest.path}` is the largest"),) if largest.origin.span else (),
            help="make layers smaller, or raise the limit: --limit weight_bytes=16G",
        )


def _coupled(b: Builder) -> bool:
    """Whether an output or an exit depends on other samples of the batch."""
    for id, node in b.graph.nodes():
        if isinstance(node, (Exit, Output)) and any(v and v.node in b.coupled for v in b.graph.feeds(id)):
            return True
    return False


def _set(b: Builder, ref: SeedRef, options: Options) -> dict[str, Item]:
    """Static arguments of the exported seed: `--set`, then defaults."""
    declaration = ref.declaration
    scope = arguments.module_scope(ref.module)
    frame = Frame(scope, Instance(declaration, "", (), None), "", "", {}, Origin())
    types = {p.name.text: p.type for p in declaration.parameters}
    given = tuple((name, _given(b, frame, expr, types.get(name))) for name, expr in options.statics)
    configured = Configured(
        ref, (), given, (), options.statics[0][1].span if options.statics else declaration.name.span
    )
    return dict(arguments.static_arguments(b, frame, ref, configured))


def _given(b: Builder, frame: Frame, expr: ast.Expr, type: ast.StaticType | None) -> Item:
    """A static argument of `--set`: of a text the quotes may be left out, as a shell takes them away, and one element
    stands for a list of one."""
    text = type is not None and type.name.text == "str" and isinstance(expr, ast.Reference)
    item = expr.name if text and isinstance(expr, ast.Reference) else b.evaluate(frame, expr)
    return (item,) if type is not None and type.many and not isinstance(item, tuple) else item


def _exported(file: ast.File, module: Module, options: Options, diagnostics: Diagnostics) -> SeedRef | None:
    own = [i for i in file.items if isinstance(i, ast.SeedDeclaration)]
    if options.seed is not None:
        chosen = [s for s in own if s.name.text == options.seed]
        if not chosen:
            diagnostics.error(
                "CS0503",
                f"the file has no seed `{options.seed}`",
                file.span,
                help=suggestion(options.seed, [s.name.text for s in own]),
            )
            return None
        return SeedRef(chosen[0], module)
    candidates = [s for s in own if s.exported]
    return SeedRef(candidates[0], module) if len(candidates) == 1 else None


def _check_rest(file: ast.File, module: Module, diagnostics: Diagnostics, limits: Limits, done: set[int]) -> None:
    """Seeds that nothing uses are checked too, each alone, where their static parameters have defaults."""
    rest = [
        i
        for i in file.items
        if isinstance(i, ast.SeedDeclaration)
        and id(i) not in done
        and exported.unsized(i.parameters)
        and not is_ir(i)  # the body of a loop
    ]
    expansion = Expansion()
    steps = {id(item): expansion.of_seed(SeedRef(item, module)) for item in rest}
    large = [item for item in rest if steps[id(item)] > limits.nodes]
    if large and not diagnostics.failed:
        name, least = large[0].name, steps[id(large[0])]
        message = f"`{name.text}` expands to at least {least:,} calls and turns; the limit is {limits.nodes:,}"
        diagnostics.error("CS0606", message, name.span)
    for item in rest:
        if diagnostics.dropped:
            return
        if diagnostics.failed and steps[id(item)] > limits.nodes // 100:
            continue  # the seeds that it uses are checked alone, and this one when there is nothing else to mend
        inputs = [
            a.name.text
            for m in item.members
            if isinstance(m, ast.Port) and m.direction == "in"
            for a in m.type.axes
            if a.name and not a.size
        ]
        found = Diagnostics(diagnostics.limit)
        b = _builder(found, limits, {name: Size.of(8) for name in inputs if name != "N"}, {})
        try:
            surveyed(b, partial(_alone, SeedRef(item, module)))
        except BuildError as error:
            b.report(error)
        except (BrokenUse, SizeFound, Enough):
            pass
        for diagnostic in found:
            if diagnostic.code not in _OF_SIZES:
                diagnostics.add(diagnostic)


def _alone(ref: SeedRef, b: Builder) -> None:
    exported.export(b, ref, _set(b, ref, Options()), Origin())


_OF_SIZES = frozenset(
    f"CS0{number}"
    for number in (
        *(205, 206, 209, 230, 234, 235, 239, 240, 242, 247, 304, 310, 314, 315, 316, 317, 318, 322, 323, 355),
        *(408, 411, 443, 605),
    )
)
"""What may be wrong with a seed only for the sizes that it is checked alone with."""


class Modules:
    """Files with their names resolved, each once; imports are followed in order."""

    def __init__(self, imports: Imports, diagnostics: Diagnostics, limits: Limits) -> None:
        self._imports, self._diagnostics, self._limits = imports, diagnostics, limits
        self._loaded: dict[str, Module] = {}
        self._loading: list[str] = []

    def load(self, key: str, file: ast.File, span: Span | None) -> Module:
        """The module of a file. A cycle of imports is an error that shows it."""
        if key in self._loaded:
            return self._loaded[key]
        if key in self._loading:
            path = " -> ".join([*self._loading[self._loading.index(key) :], key])
            raise mistake(
                "CS0504",
                f"the imports form a cycle: {path}",
                span or file.span,
                help="move what both need into a third file",
            )
        if len(self._loaded) + len(self._loading) >= self._limits.imported_files:
            raise mistake(
                Limits.code("imported_files"),
                f"more than {self._limits.imported_files} files are imported",
                span or file.span,
            )
        self._loading.append(key)
        lost = {name: BROKEN for name in sorted(file.suspects) if not expressions.is_axis_name(name)}
        module = Module(key, {**lost, **BUILTIN_NAMES}, {})
        self._names(module, file)
        self._loading.pop()
        self._loaded[key] = module
        return module

    def _names(self, module: Module, file: ast.File) -> None:
        for item in file.items:
            try:
                if isinstance(item, ast.Import):
                    self._import(module, item)
                elif isinstance(item, ast.SeedDeclaration):
                    self._define(module, item.name, SeedRef(item, module))
            except BuildError as error:
                self._report(error)
                names = [n.alias for n in item.names] if isinstance(item, ast.Import) else [item.name]
                alias = item.alias if isinstance(item, ast.Import) else None
                for name in [*names, *([alias] if alias else [])]:
                    module.names[name.text] = BROKEN
        for item in file.items:
            if isinstance(item, ast.Const):
                self._const(module, item)

    def _report(self, error: BuildError) -> None:
        self._diagnostics.add(error.diagnostic)

    def _define(self, module: Module, name: ast.Name, item: Item) -> None:
        if name.text in module.spans:
            raise mistake(
                "CS0202",
                f"`{name.text}` is defined twice in this file",
                name.span,
                Label(module.spans[name.text], "first here"),
            )
        module.names[name.text] = item
        module.spans[name.text] = name.span

    def _const(self, module: Module, item: ast.Const) -> None:
        b = _builder(self._diagnostics, self._limits, {}, {})
        empty = ast.SeedDeclaration(item.name, (), (), False, "", item.span)
        frame = Frame(Scope(None, module.names), Instance(empty, "", (), None), "", "", {}, Origin(span=item.span))
        try:
            value = b.evaluate(frame, item.value)
            if len(b.graph):
                raise mistake(
                    "CS0212",
                    "a constant is known at compile time",
                    item.value.span,
                    help="tensors are made in a seed's body",
                )
            self._define(module, item.name, value)
        except BuildError as error:
            self._report(error)
            module.names[item.name.text] = BROKEN
        except BrokenUse:
            module.names[item.name.text] = BROKEN

    def _import(self, module: Module, item: ast.Import) -> None:
        try:
            key, file = self._imports.module(item, module.name)
        except UserError as error:
            for diagnostic in error.diagnostics:
                self._diagnostics.add(diagnostic)
            for name in [*(n.alias for n in item.names), *([item.alias] if item.alias else [])]:
                module.names[name.text] = BROKEN
            return
        imported = self.load(key, file, item.span)
        if item.alias is not None:
            self._define(module, item.alias, imported)
        for wanted in item.names:
            text = wanted.name.text
            if text not in imported.spans:
                raise mistake(
                    "CS0505", f"`{item.path}` has no `{text}`", wanted.span, help=suggestion(text, imported.spans)
                )
            self._define(module, wanted.alias, imported.names[text])


__all__ = ["BUILTIN_NAMES", "Elaborated", "Imports", "Options", "elaborate"]
