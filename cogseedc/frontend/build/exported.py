"""The exported seed: its ports are the program's inputs and outputs, its budgets the program's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogseedc.frontend import ast
from cogseedc.frontend.build import states
from cogseedc.frontend.build.arguments import module_scope
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import (
    BROKEN,
    BrokenUse,
    BudgetBound,
    BuildError,
    Frame,
    Instance,
    Item,
    Scope,
    SeedRef,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.names import suggestion
from cogseedc.frontend.build.ports import Binding, count_of, dtype_of, size_of
from cogseedc.frontend.build.seeds import out_axes, run_body, seed_origin
from cogseedc.frontend.build.statics import integer, number
from cogseedc.ir import (
    BATCH,
    Axis,
    Input,
    Origin,
    Output,
    Size,
    TensorType,
    Value,
)


def export(b: Builder, ref: SeedRef, statics: dict[str, Item], top: Origin) -> tuple[Instance, tuple[BudgetBound, ...]]:
    """Elaborates the exported seed: its ports become inputs and outputs of the program."""
    declaration = ref.declaration
    scope = Scope(module_scope(ref.module))
    scope.names.update(statics)
    origin = replace(seed_origin(b, top, declaration, ""), path="")
    parts = b.declared(declaration)
    instance = Instance(declaration, "", parts.names, origin.level, declared=parts.level)
    frame = Frame(scope, instance, "", "", {}, origin)
    b.stack.append((declaration, tuple(statics.values())))
    out_axes(b, frame, declaration)
    for port in parts.inputs:
        try:
            b.bind(frame, port.name, _program_input(b, frame, port))
        except BuildError as error:
            b.report(error)
            scope.names.setdefault(port.name.text, BROKEN)
        except BrokenUse:
            scope.names.setdefault(port.name.text, BROKEN)
    results = run_body(b, frame, declaration, Binding())
    for name, item in zip(parts.names, results, strict=False):
        _program_output(b, frame, name, item)
    states.outputs(b, frame)
    b.stack.pop()
    return instance, tuple(_budgets(b, frame, declaration))


def _program_input(b: Builder, frame: Frame, port: ast.Port) -> Item:
    count = count_of(b, frame, port.type)
    if count is None:
        return _one_input(b, frame, port, port.name.text, frame.scope)
    parts: list[Item] = []
    for i in range(count):
        own = Scope(frame.scope)
        parts.append(_one_input(b, frame, port, f"{port.name.text}_{i}", own, str(i)))
        if BATCH in own.axes:
            frame.scope.axes[BATCH] = own.axes[BATCH]
    return tuple(parts)


def _one_input(b: Builder, frame: Frame, port: ast.Port, name: str, scope: Scope, suffix: str = "") -> Tensor:
    axes: list[Axis] = []
    if len(port.type.axes) > b.limits.rank:
        raise mistake(b.limits.code("rank"), f"a value has at most {b.limits.rank} axes", port.type.span)
    inner = replace(frame, scope=scope)
    for axis in port.type.axes:
        label = axis.name.text if axis.name is not None and frame.scope.find(axis.name.text) is None else None
        size = size_of(b, inner, axis.size) if axis.size is not None else None
        if label is None and axis.name is not None and size is not None:
            raise mistake("CS0243", f"`{axis.name.text}` is a name of this file, never an axis", axis.name.span)
        if label is None and size is None:
            assert axis.name is not None
            size = size_of(b, inner, ast.Reference(axis.name.text, axis.name.span))
        if label is not None:
            known = scope.axes.get(label)
            if known is not None and size is not None and not b.require_equal(known, size, axis.span):
                message = f"the axis `{label}` has the size {known} already, not {size}"
                raise mistake("CS0242", message, axis.span, help="an axis of another size has another name")
            if size is None:
                symbol = label + (f"_{suffix}" if suffix and label != BATCH else "")
                b.open_axes.update({symbol: None, label: None})
                fixed = b.sizes.get(symbol, b.sizes.get(label))
                size = known if known is not None else fixed if fixed is not None else Size.symbol(symbol)
            scope.axes.setdefault(label, size)
        assert size is not None
        axes.append(Axis(label, size))
    if port.type.axes and sum(a.name == BATCH for a in axes) > 1:
        raise mistake("CS0242", "the batch axis N stands twice in one type", port.type.span)
    type_ = TensorType(dtype_of(port.type.dtype), tuple(axes))
    b.bounds.types((type_,), port.type.span)
    node = Input(name, type_, replace(frame.origin, path=name, span=port.span))
    return Tensor(Value(b.add(node, (), frame)), type_, b.declared(frame.instance.declaration).geometry or "euclidean")


def _program_output(b: Builder, frame: Frame, name: str, item: Item) -> None:
    if isinstance(item, tuple):
        for i, part in enumerate(item):
            _program_output(b, frame, f"{name}_{i}", part)
    elif isinstance(item, Tensor):
        b.add(Output(name, item.type, replace(frame.origin, path=name)), (item.value,), frame)


def _budgets(b: Builder, frame: Frame, declaration: ast.SeedDeclaration) -> list[BudgetBound]:
    quantities, measures = ("macs", "params", "bytes", "latency_ms"), ("mean", "worst")
    found: list[BudgetBound] = []
    for member in declaration.members:
        if not isinstance(member, ast.Budget):
            continue
        if member.quantity.text not in quantities:
            b.report(
                mistake(
                    "CS0423",
                    f"`{member.quantity.text}` has no budget",
                    member.quantity.span,
                    help=suggestion(member.quantity.text, quantities) or f"one of {', '.join(quantities)}",
                )
            )
            continue
        for bound in member.bounds:
            try:
                value = number(b.evaluate(frame, bound.value), bound.value.span)
            except BuildError as error:
                b.report(error)
                continue
            except BrokenUse:
                continue
            if bound.measure.text not in measures or bound.operator not in ("<=", "<"):
                b.report(
                    mistake(
                        "CS0423",
                        f"a budget bounds `mean` or `worst` from above, not `{bound.measure.text} {bound.operator}`",
                        bound.span,
                        help="write `budget macs mean <= 1M, worst <= 2M`",
                    )
                )
                continue
            limit = float(integer(value, bound.value.span)) if isinstance(value, Size) else float(value)
            found.append(BudgetBound(member.quantity.text, bound.measure.text, bound.operator, limit, bound.span))
    return found


def unsized(statics: Sequence[ast.StaticParameter]) -> bool:
    """Whether a seed can be elaborated alone: every static parameter has a default."""
    return all(p.default is not None for p in statics)
