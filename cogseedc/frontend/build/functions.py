"""Functions of the language itself, which take more than tensors: `len`, `sum`, `max`, `top`, `capacity`, ..."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cogseedc.frontend import ast
from cogseedc.frontend.build.calls import Given, bound, operation
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.costs import cost
from cogseedc.frontend.build.expressions import elementwise
from cogseedc.frontend.build.model import Builtin, Bundle, Configured, Frame, GateRef, Item, OpRef, Tensor, Top, mistake
from cogseedc.frontend.build.statics import arithmetic, integer, is_static, number, simple
from cogseedc.ir import AxisArg, Size
from cogseedc.ops import OPS
from cogseedc.ops.scores import are_probabilities
from cogseedc.source import Span


def call(b: Builder, frame: Frame, form: tuple[Builtin | Configured, Given, ast.Apply | ast.Pipe]) -> Item:
    """One call of such a function."""
    target, given, expr = form
    configured = target if isinstance(target, Configured) else None
    builtin = configured.target if configured else target
    assert isinstance(builtin, Builtin)
    return BUILTINS[builtin.name](b, frame, configured, given, expr)


def _len(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    if len(given.positional) == 1 and isinstance(given.positional[0], Bundle):
        return len(given.positional[0].items)
    if len(given.positional) != 1 or not isinstance(given.positional[0], tuple):
        raise mistake("CS0214", "`len` takes one tuple", expr.span)
    return len(given.positional[0])


def _extremum(name: str) -> Callable[..., Item]:
    def run(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
        items = tuple(e for i in given.positional for e in (i if isinstance(i, tuple) else (i,)))
        spec = OPS[name if len(items) == 1 else f"{name}imum"]
        target = configured or Configured(Builtin(name), (), (), (), expr.span)
        if len(items) == 1 and isinstance(given.positional[0], tuple):
            return items[0]  # a tuple is its elements, so as many as it has
        if len(items) < 2 or all(is_static(i) for i in items):
            return operation(b, frame, spec, target, given, expr.span)
        if configured is not None and (configured.positional or configured.keywords):
            raise mistake(
                "CS0210", f"`{name}` of several operands is elementwise and takes no static arguments", expr.span
            )
        result = items[0]
        for item in items[1:]:
            pair = Given((result, item), (), (expr.span, expr.span))
            result = operation(b, frame, spec, Configured(OpRef(spec), (), (), (), expr.span), pair, expr.span)
        return result

    return run


def _top(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    """`top[k, over=E, renormalize=true](scores, weights=w)`: indices, mask and dense weights."""
    target = configured or Configured(Builtin("top"), (), (), (), expr.span)
    keywords = dict(target.keywords)
    renormalize = keywords.pop("renormalize", False)
    if not isinstance(renormalize, bool):
        raise mistake("CS0204", "`renormalize` is `true` or `false`", target.span)
    named = dict(given.keywords)
    weights_item = named.pop("weights", None)
    if named or len(given.positional) != 1:
        raise mistake(
            "CS0214",
            "`top` takes scores, and `weights=` where they differ from the scores",
            expr.span,
            help="how many it takes stands in brackets: `top[2](scores)`",
        )
    at = given.spans[0]
    scores = b.tensor(frame, given.positional[0], at)
    spec = replace(OPS["top_indices"], name="top")
    statics = bound(b, spec, replace(target, keywords=tuple(keywords.items())))
    indices = b.call(frame, "top_indices", [scores], expr.span, statics, given.spans)[0]
    position = _class_axis(scores, indices)
    scores = _class_last(b, frame, scores, position, at)
    classes = integer(simple(scores.type.axes[-1].size), at, "the number of classes")
    mask = b.one(
        frame, "top_mask", indices, span=expr.span, classes=AxisArg(scores.type.axes[-1].name or "E", Size.of(classes))
    )
    mask = mask.seen_as(mask.type.with_axes(scores.type.axes))
    source = (
        scores
        if weights_item is None
        else _class_last(b, frame, b.tensor(frame, weights_item, given.spans[-1]), position, given.spans[-1])
    )
    weights = b.one(frame, "top_weights", mask, source, span=expr.span, renormalize=renormalize)
    weights = weights.seen_as(weights.type.with_axes(scores.type.axes))
    return Top(indices, mask, weights, scores, classes, renormalize)


def _class_axis(scores: Tensor, indices: Tensor) -> int:
    """The axis of the scores that the choice is over: the one that the indices lost."""
    kept = list(indices.type.axes[:-1])
    for i, axis in enumerate(scores.type.axes):
        if not kept or axis != kept[0]:
            return i
        kept.pop(0)
    return scores.type.rank - 1


def _class_last(b: Builder, frame: Frame, tensor: Tensor, position: int, span: Span) -> Tensor:
    rank = tensor.type.rank
    if position == rank - 1:
        return tensor
    order = (*(i for i in range(rank) if i != position), position)
    moved = b.one(frame, "permute", tensor, span=span, axes=order)
    return moved.seen_as(tensor.type.with_axes(tuple(tensor.type.axes[i] for i in order)))


def _capacity(
    b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe
) -> Item:
    """`capacity[c, over=T](pick)`: decisions past an expert's capacity are dropped, in index order."""
    if len(given.positional) != 1 or not isinstance(given.positional[0], (Top, GateRef)) or configured is None:
        raise mistake("CS0403", "`capacity[c, over=T](...)` takes a decision of `top[k]`", expr.span)
    item = given.positional[0]
    top = item.top if isinstance(item, GateRef) else item
    if top is None:
        raise mistake("CS0403", "`capacity` takes a decision of `top[k]`", expr.span)
    statics = bound(b, OPS["capacity_mask"], configured)
    mask = b.call(frame, "capacity_mask", [top.mask], expr.span, statics)[0]
    mask = mask.seen_as(mask.type.with_axes(top.mask.type.axes))
    indices = b.one(frame, "dropped_indices", top.indices, mask, span=expr.span)
    indices = indices.seen_as(indices.type.with_axes(top.indices.type.axes))
    weights = b.one(
        frame, "where", mask, top.weights, b.constant(frame, 0.0, top.weights.type.dtype, expr.span), span=expr.span
    )
    return replace(top, indices=indices, mask=mask, weights=replace(weights, type=top.weights.type))


def _load_balance(
    b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe
) -> Item:
    if len(given.positional) != 1 or not isinstance(given.positional[0], GateRef) or given.positional[0].top is None:
        raise mistake("CS0403", "`load_balance` takes a gate of `top[k]`", expr.span)
    top = given.positional[0].top
    scores = top.scores
    if not are_probabilities(b.graph, OPS, scores.value):
        scores = b.one(frame, "softmax", scores, span=expr.span).seen_as(scores.type)
    return b.one(frame, "load_balance", top.mask, scores, span=expr.span)


def _fold(name: str, op: str) -> Callable[..., Item]:
    """`sum((a, b))` adds the elements of a tuple, whatever their number; of one value it is the reduction."""

    def run(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
        target = configured or Configured(Builtin(name), (), (), (), expr.span)
        if not any(isinstance(i, tuple) for i in given.positional) and len(given.positional) < 2:
            return operation(b, frame, OPS[name], target, given, expr.span)
        items = tuple(e for i in given.positional for e in (i if isinstance(i, tuple) else (i,)))
        if target.positional or target.keywords or target.named:
            raise mistake(
                "CS0210",
                f"`{name}` of a tuple combines its elements and takes no static arguments",
                expr.span,
                help="reduce the elements first, or `stack` them",
            )
        if not items:
            raise mistake("CS0214", f"`{name}` of an empty tuple has no value", expr.span)
        result = items[0]
        for item in items[1:]:
            result = _elements(b, frame, op, result, item, expr.span)
        if name == "mean":
            result = _elements(b, frame, "div", result, len(items), expr.span)
        return result

    return run


def _elements(b: Builder, frame: Frame, op: str, left: Item, right: Item, span: Span) -> Item:
    """One elementwise step over two items, static when both are."""
    if is_static(left) and is_static(right):
        return arithmetic({"add": "+", "mul": "*", "div": "/"}[op], number(left, span), number(right, span), span)
    return elementwise(b, frame, op, [left, right], [span, span], span)


BUILTINS: dict[str, Callable[..., Item]] = {
    "len": _len,
    "sum": _fold("sum", "add"),
    "prod": _fold("prod", "mul"),
    "mean": _fold("mean", "add"),
    "min": _extremum("min"),
    "max": _extremum("max"),
    "top": _top,
    "capacity": _capacity,
    "load_balance": _load_balance,
    "cost": cost,
}
