"""Seed instances: recursion, levels, ports, body, outputs, knobs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build import states
from cogseedc.frontend.build.arguments import module_scope, static_arguments
from cogseedc.frontend.build.bounds import Made
from cogseedc.frontend.build.calls import Given
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.declared import LEVELS, Declared
from cogseedc.frontend.build.geometry import GEOMETRIES
from cogseedc.frontend.build.marks import PRECISIONS
from cogseedc.frontend.build.model import (
    BROKEN,
    Broken,
    BrokenUse,
    BuildError,
    Builtin,
    Bundle,
    Configured,
    Frame,
    Instance,
    Item,
    OpRef,
    Scope,
    SeedRef,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.names import suggestion
from cogseedc.frontend.build.paths import join
from cogseedc.frontend.build.ports import Binding, bind_input, bind_output, declared_axes, size_of
from cogseedc.frontend.build.restarts import ManyCalls
from cogseedc.frontend.build.statics import integer, number
from cogseedc.ir import (
    AxisArg,
    Dtype,
    Input,
    Knob,
    NodeId,
    Origin,
    Return,
    Size,
    TensorType,
    Value,
)
from cogseedc.limits import Limits
from cogseedc.source import Span


def instantiate(b: Builder, frame: Frame, form: tuple[SeedRef | Configured, Given, Span]) -> Item:
    """One call of a seed: its body is elaborated in place, with weights and paths of its own."""
    target, given, span = form
    ref = target.target if isinstance(target, Configured) else target
    assert isinstance(ref, SeedRef)
    configured = target if isinstance(target, Configured) else Configured(ref, (), (), (), span)
    declaration = ref.declaration
    name = declaration.name.text
    statics = static_arguments(b, frame, ref, configured)
    _guard_recursion(b, declaration, statics, span)
    b.bounds.foresee(b.expansion.of_seed(ref), span)
    alike, before = _alike(declaration, statics, given), b.bounds.calls
    made = b.made.get(alike)
    b.bounds.call(span, made.calls if made is not None else 1)
    if b.counting and made is not None and made.results is not None:
        return _as_called(b.declared(declaration), _stand_in(b, made))
    if b.bounds.calls == b.many:
        raise ManyCalls
    weights, calls = b.weight_path(frame, name), b.call_path(frame, name)
    scope = Scope(module_scope(ref.module))
    scope.names.update(statics)
    origin = seed_origin(b, frame.origin, declaration, weights)
    parts, arms = b.declared(declaration), len(frame.arms)
    outs = parts.names
    instance = Instance(
        declaration, calls, outs, origin.level, declared=parts.level, arms=arms, caller=frame.instance, called=span
    )
    body = Frame(scope, instance, weights, calls, frame.counts, origin, frame.arms)
    b.stack.append((declaration, tuple(statics.values())))
    b.built.add(id(declaration))
    try:
        binding = _bind_inputs(b, body, declaration, given, span)
        results = run_body(b, body, declaration, binding)
    except RecursionError:
        raise mistake(Limits.code("recursion"), f"the seed `{name}` nests too deeply", span) from None
    finally:
        b.stack.pop()
    _check_level(frame, instance, declaration, span)
    geometry = parts.geometry
    if geometry is not None:
        results = tuple(replace(r, geometry=geometry) if isinstance(r, Tensor) else r for r in results)
    if results == (BROKEN,):
        raise BrokenUse
    if alike is not None:
        b.made[alike] = Made.of(b.bounds.calls - before, results)
    return _as_called(parts, results)


def _as_called(parts: Declared, results: tuple[Item, ...]) -> Item:
    """What a call gives: one value, or several by their names."""
    return results[0] if len(results) == 1 else Bundle(parts.names, results)


def _stand_in(b: Builder, made: Made) -> tuple[Item, ...]:
    """Results of a call that is counted without being made."""
    assert made.results is not None
    b.bounds.calls += made.calls - 1
    return tuple(Tensor(Value(b.graph.add(Input("", type))), type, geometry) for type, geometry in made.results)


def _alike(declaration: ast.SeedDeclaration, statics: dict[str, Item], given: Given) -> Hashable | None:
    """Calls of a seed that agree in this expand alike: static arguments and types of inputs. None: not told apart."""
    items = (*given.positional, *(item for _, item in given.keywords))
    if not all(isinstance(item, Tensor) for item in items):
        return None
    try:
        told = tuple(_told(item) for item in statics.values())
    except TypeError:
        return None
    return id(declaration), told, tuple(item.type for item in items if isinstance(item, Tensor))


def _told(item: Item) -> Hashable:
    """What tells a static argument apart. Raises TypeError for one that may hold values."""
    match item:
        case bool() | int() | float() | str() | Size() | Dtype() | AxisArg():
            return item
        case tuple():
            return tuple(_told(i) for i in item)
        case SeedRef():
            return id(item.declaration)
        case OpRef() | Builtin():
            return item.spec.name if isinstance(item, OpRef) else item.name
        case Configured():
            keywords = tuple((name, _told(i)) for name, i in item.keywords)
            return _told(item.target), tuple(_told(i) for i in item.positional), keywords, item.named
    raise TypeError(item)


def _guard_recursion(b: Builder, declaration: ast.SeedDeclaration, statics: dict[str, Item], span: Span) -> None:
    arguments = tuple(statics.values())
    around = [given for seed, given in b.stack if seed is declaration]
    if arguments in around:
        names = [seed.name.text for seed, _ in b.stack]
        start = next(i for i, entry in enumerate(b.stack) if entry == (declaration, arguments))
        path = " -> ".join([*names[start:], declaration.name.text])
        raise mistake(
            "CS0501",
            f"the seed uses itself with the same static arguments: {path}",
            span,
            Label(declaration.name.span, "declared here"),
            help="change a static argument at each turn, under a static `when`",
        )
    if len(around) >= b.limits.recursion:
        raise mistake(
            Limits.code("recursion"), f"`{declaration.name.text}` uses itself more than {b.limits.recursion} deep", span
        )


def seed_origin(b: Builder, outer: Origin, declaration: ast.SeedDeclaration, path: str) -> Origin:
    """What nodes of an instance say of where they are."""
    parts = b.declared(declaration)
    return Origin(
        path,
        (*outer.seeds, declaration.name.text),
        (*outer.scope, path),
        declaration.span,
        parts.bits,
        outer.forced_bits,
        parts.level if parts.level is not None else outer.level,
    )


def _check_level(frame: Frame, callee: Instance, declaration: ast.SeedDeclaration, span: Span) -> None:
    used = callee.level if callee.declared is not None else callee.highest
    assert used is not None
    frame.instance.highest = max(frame.instance.highest, used)
    mine = frame.instance.declared
    if mine is not None and used > mine:
        raise mistake(
            "CS0502",
            f"the {LEVELS[mine]} seed `{frame.instance.declaration.name.text}` uses "
            f"the {LEVELS[used]} seed `{declaration.name.text}`",
            span,
            Label(declaration.name.span, "declared here"),
            help="a seed uses seeds of its own level or lower",
        )


# Ports and body


def _bind_inputs(b: Builder, body: Frame, declaration: ast.SeedDeclaration, given: Given, span: Span) -> Binding:
    parts = b.declared(declaration)
    ports = parts.inputs
    names = [p.name.text for p in ports]
    items = dict(zip(names, given.positional, strict=False))
    spans = dict(zip(names, given.spans, strict=False))
    if len(given.positional) > len(ports):
        raise mistake(
            "CS0226",
            f"`{declaration.name.text}` takes {len(ports)} value{'s' * (len(ports) != 1)}, not {len(given.positional)}",
            span,
            Label(declaration.name.span, "declared here"),
        )
    for (name, item), at in zip(given.keywords, given.spans[len(given.positional) :], strict=True):
        if name not in names or name in items:
            raise mistake(
                "CS0226", f"`{declaration.name.text}` has no input `{name}` left", at, help=suggestion(name, names)
            )
        items[name], spans[name] = item, at
    missing = [p for p in ports if p.name.text not in items]
    if missing:
        raise mistake(
            "CS0226",
            f"`{declaration.name.text}` needs the input `{missing[0].name.text}`",
            span,
            Label(missing[0].span, "declared here"),
        )
    binding = Binding()
    out_axes(b, body, declaration)
    geometry = parts.geometry
    for port in ports:
        item = bind_input(b, body, port, items[port.name.text], spans[port.name.text], binding)
        if geometry is not None and isinstance(item, Tensor) and item.geometry != geometry and item.type.dtype.floating:
            raise mistake(
                "CS0238",
                f"`{declaration.name.text}` takes {geometry} values, but this one is {item.geometry}",
                spans[port.name.text],
                Label(declaration.name.span, "declared here"),
                help="convert it first: `exp_map`, `log_map`, `to_sphere`, `to_euclidean`",
            )
        b.bind(body, port.name, item)
    return binding


def out_axes(b: Builder, frame: Frame, declaration: ast.SeedDeclaration) -> None:
    """Sizes that out ports declare are names in scope: `out logits: f32[N, K=10]` gives K."""
    for name, size in b.declared(declaration).sized:
        try:
            frame.scope.axes.setdefault(name, size_of(b, frame, size))
        except (BuildError, BrokenUse):
            continue  # said again, with its place, where the output is bound


def run_body(b: Builder, body: Frame, declaration: ast.SeedDeclaration, binding: Binding) -> tuple[Item, ...]:
    """Knobs, statements, then the outputs, joined with those of the exits."""
    check_meta(b, declaration)
    states_before, parts = len(b.states), b.declared(declaration)
    try:
        for member in parts.body:
            if isinstance(member, ast.KnobDeclaration):
                _knob(b, body, member)
            else:
                b.run(body, member)
    except BrokenUse:  # a requirement does not hold: what follows counts on it
        return (BROKEN,)
    results = [_output(b, body, port, binding) for port in parts.outputs]
    if not results:
        if not body.scope.unread:  # else it may have been there
            b.report(
                mistake(
                    "CS0227",
                    f"the seed `{declaration.name.text}` has no output",
                    declaration.name.span,
                    help="declare one: `out y: f32[N, D]`",
                )
            )
        return (BROKEN,)
    return _returned(b, body, results, states_before)


def _output(b: Builder, body: Frame, port: ast.Port, binding: Binding) -> Item:
    name = port.name.text
    item = body.scope.names.get(name)
    if isinstance(item, Broken) or (item is None and isinstance(body.scope.find(name), Broken)):
        return BROKEN
    try:
        if item is None:
            raise mistake(
                "CS0228",
                f"the output `{name}` is never bound",
                port.name.span,
                help=f"bind it in the body: `{name} = ...`",
            )
        return bind_output(b, body, port, item, body.scope.spans.get(name, port.span), binding)
    except BuildError as error:
        b.report(error)
        return BROKEN


def _returned(b: Builder, body: Frame, results: list[Item], states_before: int) -> tuple[Item, ...]:
    """The results as callers see them: behind the exits; so are the states declared since there were that many."""
    instance = body.instance
    if not instance.exits and not instance.exit_scopes:
        return tuple(results)
    flat = [r for r in results if isinstance(r, Tensor)]
    if len(flat) != len(results):
        if any(isinstance(r, tuple) for r in results):
            b.report(
                mistake("CS0231", "a seed with exits gives single values, not tuples", instance.declaration.name.span)
            )
        return tuple(BROKEN for _ in results)
    for id in instance.exits:
        _exit_types(b, id, flat, instance)
    states.placed_exits(b, instance, states_before)
    held = states.returned(b, instance, states_before)
    names = (*instance.outputs, *(f"next_{i}" for i in range(len(held))))
    node = Return(instance.path, tuple(t.type for t in (*flat, *held)), names, body.origin)
    id = b.add(node, [t.value for t in (*flat, *held)], replace(body, arms=()))
    states.left(b, instance, states_before, [Value(id, len(flat) + i) for i in range(len(held))])
    return tuple(replace(t, value=Value(id, port)) for port, t in enumerate(flat))


def _exit_types(b: Builder, id: NodeId, outputs: list[Tensor], instance: Instance) -> None:
    node = b.graph[id]
    for value, out, name in zip(b.graph.feeds(id)[1:], outputs, instance.outputs, strict=True):
        assert value is not None
        type_ = b.graph.type(value)
        same = (
            type_.rank == out.type.rank
            and type_.dtype is out.type.dtype
            and all(
                b.require_equal(x, y, instance.declaration.span)
                for x, y in zip(type_.shape, out.type.shape, strict=True)
            )
        )
        if not same and node.origin.span is not None:
            b.report(
                mistake(
                    "CS0235",
                    f"the exit gives `{name}` as {type_}, the seed as {out.type}",
                    node.origin.span,
                    Label(instance.declaration.name.span, "in this seed"),
                )
            )


def check_meta(b: Builder, declaration: ast.SeedDeclaration) -> None:
    """Words of `level`, `bits`, `geometry` and `scale`."""
    allowed = {"level": LEVELS, "bits": PRECISIONS, "geometry": GEOMETRIES}
    seen: dict[str, Span] = {}
    for member in b.declared(declaration).meta:
        if member.kind in seen:
            b.report(
                mistake("CS0229", f"`{member.kind}` stands twice", member.span, Label(seen[member.kind], "first here"))
            )
        seen[member.kind] = member.span
        for value in member.values:
            if member.kind in allowed and value.text not in allowed[member.kind]:
                b.report(
                    mistake(
                        "CS0229",
                        f"`{value.text}` is no {member.kind}",
                        value.span,
                        help=suggestion(value.text, allowed[member.kind])
                        or f"one of {', '.join(allowed[member.kind])}",
                    )
                )
        if member.kind == "scale" and float(member.values[0].text) > float(member.values[1].text):
            b.report(
                mistake(
                    "CS0229",
                    "the scale's bounds are in the wrong order",
                    member.span,
                    help="write the smaller one first",
                )
            )


def _knob(b: Builder, frame: Frame, member: ast.KnobDeclaration) -> None:
    try:
        _make_knob(b, frame, member)
    except BuildError as error:
        b.report(error)
        frame.scope.names.setdefault(member.name.text, BROKEN)
    except BrokenUse:
        frame.scope.names.setdefault(member.name.text, BROKEN)


def _make_knob(b: Builder, frame: Frame, member: ast.KnobDeclaration) -> None:
    def evaluated(expr: ast.Expr) -> int | float:
        value = number(b.evaluate(frame, expr), expr.span)
        return integer(value, expr.span) if isinstance(value, Size) else value

    default, low, high = evaluated(member.default), evaluated(member.low), evaluated(member.high)
    if not low <= default <= high:
        raise mistake(
            "CS0422",
            f"the default {default} of the knob `{member.name.text}` is outside {low} .. {high}",
            member.default.span,
            help="choose a default inside the range",
        )
    whole = all(isinstance(v, int) for v in (default, low, high)) and not (low >= 0 and high <= 1)
    type_ = TensorType(Dtype.I64 if whole else Dtype.F32)
    if member.type is not None:
        type_ = declared_axes(b, frame, member.type)
        if not type_.dtype.floating and any(isinstance(v, float) for v in (default, low, high)):
            raise mistake("CS0422", f"the knob is {type_.dtype.value}, but its range has fractions", member.span)
    path = join(frame.instance.path, member.name.text)
    count = type_.elements.value or 1
    if count > b.limits.nodes:
        raise mistake(
            b.limits.code("elements"),
            f"the knob `{member.name.text}` has {count} numbers, more than {b.limits.nodes}",
            member.span,
            help="a knob is set by hand; a tensor of this size is an input",
        )
    node = Knob(path, type_, (default,) * count, low, high, replace(frame.origin, path=path, span=member.span))
    id = b.add(node, (), replace(frame, arms=()))
    b.bind(frame, member.name, Tensor(Value(id), type_))
