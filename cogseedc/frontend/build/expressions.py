"""Names, literals, operators, selection: the forms that neither call nor open a block."""

from __future__ import annotations

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.align import aligned, renamed
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.estimators import part
from cogseedc.frontend.build.model import (
    Broken,
    BrokenUse,
    Bundle,
    Frame,
    GateRef,
    Item,
    Module,
    Shared,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.names import counterpart, described, method, suggestion
from cogseedc.frontend.build.remarks import chosen_for_all
from cogseedc.frontend.build.statics import arithmetic, compare, integer, is_static, number
from cogseedc.ir import Axis, AxisArg, Dtype, GateKind, Size, TensorType
from cogseedc.source import Span

OPERATORS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "^": "pow"}
COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_SIGNS = {*OPERATORS, *COMPARISONS, "and", "or"}


def is_axis_name(name: str) -> bool:
    return name[0].isupper()


def reference(b: Builder, frame: Frame, expr: ast.Reference) -> Item:
    """A name: a bound one, else (with an upper-case letter) an axis."""
    found = frame.scope.find(expr.name)
    if found is not None:
        return found
    if is_axis_name(expr.name):
        return AxisArg(expr.name, frame.scope.axis(expr.name))
    raise unknown(frame, expr.name, expr.span)


def unknown(frame: Frame, name: str, span: Span) -> Exception:
    """The error for a name that nothing binds."""
    later = _bound_below(frame, name, span)
    if later is not None:
        help = "a name is seen below its statement: move one of them"
        return mistake("CS0201", f"`{name}` is not known here yet", span, Label(later, "bound here"), help=help)
    return mistake(
        "CS0201",
        f"`{name}` is not known here",
        span,
        help=counterpart(name)
        or suggestion(name, frame.scope.visible())
        or "bind it before its use; a name is seen below its statement",
    )


def _bound_below(frame: Frame, name: str, span: Span) -> Span | None:
    """Where a later statement of the seed binds a name."""
    for member in frame.instance.declaration.members:
        names = member.names if isinstance(member, ast.Bind) else [getattr(member, "name", None)]
        for found in names:
            if isinstance(found, ast.Name) and found.text == name and found.span.start > span.start:
                return found.span
    return None


def literal(b: Builder, frame: Frame, expr: ast.Number | ast.String | ast.Boolean) -> Item:
    return expr.value


def tuple_(b: Builder, frame: Frame, expr: ast.Tuple) -> Item:
    return tuple(b.evaluate(frame, item) for item in expr.items)


def negate(b: Builder, frame: Frame, expr: ast.Negate) -> Item:
    item = b.evaluate(frame, expr.operand)
    if is_static(item) and not isinstance(item, (bool, str)):
        return arithmetic("-", 0, number(item, expr.span), expr.span) if not isinstance(item, float) else -item
    return elementwise(b, frame, "neg", [item], [expr.operand.span], expr.span)


def not_(b: Builder, frame: Frame, expr: ast.Not) -> Item:
    item = b.evaluate(frame, expr.operand)
    if isinstance(item, bool):
        return not item
    return elementwise(b, frame, "logical_not", [item], [expr.operand.span], expr.span)


def binary(b: Builder, frame: Frame, expr: ast.Binary | ast.Compare | ast.Logical) -> Item:
    """All two-sided operators; a long chain is folded from the left without recursion."""
    chain = [expr]
    while isinstance(chain[-1].left, (ast.Binary, ast.Compare, ast.Logical)):
        chain.append(chain[-1].left)
    start = b.graph.next_id
    left: Item = b.evaluate(frame, chain[-1].left)
    left_span = chain[-1].left.span
    for node in reversed(chain):
        right = b.evaluate(frame, node.right)
        for side in (left, right) if node.operator == "*" else ():
            if isinstance(side, GateRef) and side.kind is GateKind.BOOL:
                chosen_for_all(b, side, "*", start, node.span)
        left = _combine(b, frame, node, left, right, left_span)
        left_span = node.span
    return left


def _combine(
    b: Builder, frame: Frame, node: ast.Binary | ast.Compare | ast.Logical, left: Item, right: Item, left_span: Span
) -> Item:
    if node.operator not in _SIGNS:  # one of another language, which the parser has reported
        raise BrokenUse
    if is_static(left) and is_static(right):
        return _static(node, left, right, left_span)
    names = OPERATORS if isinstance(node, ast.Binary) else COMPARISONS
    op = f"logical_{node.operator}" if isinstance(node, ast.Logical) else names[node.operator]
    return elementwise(b, frame, op, [left, right], [left_span, node.right.span], node.span)


def _static(node: ast.Binary | ast.Compare | ast.Logical, left: Item, right: Item, left_span: Span) -> Item:
    if isinstance(node, ast.Logical):
        for side, span in ((left, left_span), (right, node.right.span)):
            if not isinstance(side, bool):
                raise mistake(
                    "CS0232", f"`{node.operator}` takes conditions, not `{side}`", span, help="compare it first"
                )
        return bool(left and right) if node.operator == "and" else bool(left or right)
    alike = type(left) is type(right) and isinstance(left, (bool, str, Dtype))
    if isinstance(node, ast.Compare) and alike and node.operator in ("==", "!="):
        return (left == right) == (node.operator == "==")
    a, c = number(left, left_span), number(right, node.right.span)
    if isinstance(node, ast.Compare):
        return compare(node.operator, a, c, node.span)
    return arithmetic(node.operator, a, c, node.span)


def elementwise(b: Builder, frame: Frame, op: str, items: list[Item], spans: list[Span], span: Span) -> Tensor:
    """An aligned operation over items."""
    operands, names = aligned(b, frame, op, items, spans, span)
    result = b.call(frame, op, operands, span, None, spans)[0]
    return renamed(result, names)


def attribute(b: Builder, frame: Frame, expr: ast.Attribute) -> Item:
    """`value.name`: an output of a call, a part of a gate, a name of an imported file."""
    name = expr.name.text
    root = _root(expr)
    if root is not None and frame.scope.find(root.name) is None and (help := counterpart(name, root.name)):
        raise mistake("CS0201", f"`{root.name}` is not known here", root.span, help=help)
    owner = b.evaluate(frame, expr.value)
    match owner:
        case Bundle(names=names, items=items) if name in names:
            return items[names.index(name)]
        case Module(names=names) if name in names:
            return names[name]
        case Bundle(names=names) | Module(names=names):
            raise mistake("CS0201", f"{described(owner)} has no `{name}`", expr.name.span, help=suggestion(name, names))
        case GateRef():
            return _gate_part(b, frame, owner, expr)
    raise mistake(
        "CS0207",
        f"{described(owner)} has no parts, so no `.{name}`",
        expr.name.span,
        help=method(name) or "only calls with several outputs, gates and imported files have parts",
    )


def _root(expr: ast.Attribute) -> ast.Reference | None:
    """What `a.b.c` begins with, where that is a name."""
    value: ast.Expr = expr
    while isinstance(value, ast.Attribute):
        value = value.value
    return value if isinstance(value, ast.Reference) else None


def _gate_part(b: Builder, frame: Frame, gate: GateRef, expr: ast.Attribute) -> Item:
    name = expr.name.text
    if name in ("scores", "weights", "logp", "mask"):
        return part(b, frame, gate, name, expr.name.span)
    raise mistake(
        "CS0201", f"a gate has no `{name}`", expr.name.span, help="it has `scores`, `weights`, `mask` and `logp`"
    )


# Selection: `xs[s]`, `x[L=i]`, `w[O=0 .. c]`


def select(b: Builder, frame: Frame, item: Item, expr: ast.Configure) -> Item:
    """Static selection on a tuple, a value or a gate."""
    if isinstance(item, tuple):
        return _element(b, frame, item, expr)
    if not isinstance(item, (Tensor, GateRef)):
        shared = "its static arguments stand where it is shared: `share f = linear[4]`, then `f(x)`"
        help = shared if isinstance(item, Shared) else ""
        raise mistake("CS0207", f"{described(item)} cannot be indexed", expr.span, help=help)
    tensor = item.decision if isinstance(item, GateRef) else item
    if not expr.arguments:
        raise mistake("CS0208", "the selection is empty", expr.span, help="write `x[L=0]` or `x[L=0 .. 2]`")
    for argument in expr.arguments:
        tensor = _selected(b, frame, tensor, argument)
    if isinstance(item, GateRef):
        return b.evaluators[GateRef](b, frame, (item, tensor, expr.span))
    return tensor


def _element(b: Builder, frame: Frame, items: tuple[Item, ...], expr: ast.Configure) -> Item:
    if len(expr.arguments) != 1 or not isinstance(expr.arguments[0], ast.Positional):
        raise mistake("CS0208", "a tuple is selected by one static integer", expr.span, help="write `xs[0]`")
    index = integer(b.evaluate(frame, expr.arguments[0].value), expr.arguments[0].span, "an index")
    if not 0 <= index < len(items):
        raise mistake(
            "CS0209",
            f"the index {index} is outside a tuple of {len(items)}",
            expr.arguments[0].span,
            help=f"indices go from 0 to {len(items) - 1}" if items else "the tuple is empty",
        )
    found = items[index]
    if isinstance(found, Broken):
        raise BrokenUse
    return found


def _selected(b: Builder, frame: Frame, tensor: Tensor, argument: ast.Argument) -> Tensor:
    if isinstance(argument, ast.Positional):
        raise mistake("CS0208", "a selection on a value names its axis", argument.span, help="write `x[L=0]`")
    name = argument.name.text
    at = axis_position(tensor.type, name, argument.name.span)
    size = tensor.type.axes[at].size
    if isinstance(argument, ast.Keyword):
        index = _place(b, frame, argument.value, argument.span, "an index")
        if _outside(index, size - 1 - index):
            message = f"the index {index} is outside the axis {name} of size {size}"
            help = f"indices count from the front; the last is `{name} - 1`" if index == -1 else ""
            raise mistake("CS0209", message, argument.span, help=help)
        rest = tensor.type.with_axes(tensor.type.axes[:at] + tensor.type.axes[at + 1 :])
        if isinstance(index, int):
            return b.one(frame, "select", tensor, span=argument.span, axis=at, index=index).seen_as(rest)
        return b.one(frame, "take", tensor, b.tensor(frame, index, argument.span), span=argument.span, over=at).seen_as(
            rest
        )
    start = _place(b, frame, argument.start, argument.start.span, "the start")
    stop = _place(b, frame, argument.stop, argument.stop.span, "the end")
    if _outside(start, stop - start, size - stop):
        message = f"the slice {start} .. {stop} is outside the axis {name} of size {size}"
        raise mistake("CS0209", message, argument.span)
    result = b.one(frame, "slice", tensor, span=argument.span, axis=at, start=start, stop=stop)
    axes = tuple(Axis(o.name, a.size) for o, a in zip(tensor.type.axes, result.type.axes, strict=True))
    return result.seen_as(result.type.with_axes(axes))


def _place(b: Builder, frame: Frame, expr: ast.Expr, span: Span, what: str) -> int | Size:
    """A place along an axis: an integer, or one that follows from open sizes, as the last, `T - 1`."""
    value = number(b.evaluate(frame, expr), span)
    return value if isinstance(value, Size) and value.known is None else integer(value, span, what)


def _outside(*distances: int | Size) -> bool:
    """Whether one of these is known to be negative."""
    return any((known := Size.of(d).known) is not None and known < 0 for d in distances)


def axis_position(type_: TensorType, name: str, span: Span) -> int:
    """Where a value has the named axis. Raises BuildError when it has none."""
    at = type_.position(name)
    if at is None:
        known = [n for n in type_.names if n is not None]
        help = f"its axes are {', '.join(known)}" if known else "its axes have no names"
        if len(known) < type_.rank:
            help += (
                f"; others get a name where they are made (`linear[{name}=4](x)`), `select` and `slice` take positions"
            )
        raise mistake("CS0237", f"`{type_}` has no axis `{name}`", span, help=suggestion(name, known) or help)
    return at
