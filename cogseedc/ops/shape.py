"""Operations that only regroup: axes split, joined, dropped, added.

Every reshape keeps an empty batch legal in ONNX: -1 stands at the batch axis only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
    AxisArg,
    Example,
    Kind,
    OnnxCall,
    Operand,
    OpSpec,
    Parameter,
    ReferenceCall,
    Resolution,
    Site,
    Static,
    TorchCall,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import (
    MOVABLE,
    Flows,
    Types,
    axis_attr,
    axis_position,
    axis_positions,
    distinct,
    drop_axes,
    flow_dropped,
    flow_mapped,
    flow_reshaped,
    into_axes,
    new_axis,
    one,
    quotient,
    replace_axis,
)
from cogseedc.ops.spelling import known, onnx_ints, onnx_reshape, ref_arg, torch_tuple

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "shape"
_X = (Operand("x"),)

Rule = Callable[[Site], Resolution]


def _flow_reshaped(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_reshaped(known(inputs), types[0]),)


def _torch_reshape(call: TorchCall) -> str:
    return f"{call.args[0]}.reshape({call.sizes(call.types[0].shape)})"


def _onnx_reshape(call: OnnxCall) -> str:
    name = onnx_reshape(call, call.args[0], known(call.inputs).shape, call.types[0].shape)
    return call.node("Identity", [name]) if name == call.args[0] else name


def _ref_reshape(call: ReferenceCall) -> Array:
    return ref_arg(call, 0).reshape(call.sizes(call.types[0].shape))


def _reshaping(
    name: str, summary: str, parameters: tuple[Parameter, ...], rule: Rule, examples: tuple[Example, ...],
    torch: Callable[[TorchCall], str] = _torch_reshape,
) -> OpSpec:  # fmt: skip
    return OpSpec(
        name, summary, _X, parameters, rule, _flow_reshaped, _ref_reshape, torch, _onnx_reshape, examples,
        widths=MOVABLE, group=GROUP,
    )  # fmt: skip


# Splitting and joining axes


def _split_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    into = into_axes(site)
    given = site.statics["sizes"]
    sizes: dict[str, Size | None] = {a.name: None for a in into}
    if len(sizes) != len(into) or len(into) < 2:
        site.fail("CS0312", "`split` makes two or more axes with different names", "write `into=(G, I)`", static="into")
    for a in given if isinstance(given, tuple) else ():
        assert isinstance(a, AxisArg)
        if a.name not in sizes:
            site.fail("CS0302", f"`split` has a size for {a.name}, which is not in `into`", static="into")
        sizes[a.name] = a.size
    if sum(s is None for s in sizes.values()) > 1:
        for a in into:
            sizes[a.name] = sizes[a.name] or a.size or site.axes.get(a.name)
    axes = _fill(site, type.axes[over].size, sizes)
    attrs = Attrs.of(over=over, into=tuple(axis_attr(a) for a in axes))
    return one(attrs, distinct(site, replace_axis(type, over, *axes), "into"))


def _fill(site: Site, total: Size, sizes: dict[str, Size | None]) -> tuple[Axis, ...]:
    """The axes of a split, of which at most one has no size yet. Fails with CS0314, CS0315."""
    product = Size.of(1)
    for size in sizes.values():
        product = product * (size if size is not None else 1)
    open_ = [n for n, s in sizes.items() if s is None]
    if len(open_) > 1:
        help = f"write `{open_[0]}=2`"
        site.fail("CS0315", f"`{site.op}` needs the size of {' or '.join(open_)}", help, static="sizes")
    left = quotient(total, product)
    if left is None or (not open_ and left != Size.of(1)):
        what = f"a multiple of {product}" if open_ else f"{product} elements"
        whole = product * (total // product.value if open_ and product.value else 1)
        message = f"`{site.op}` of an axis of {total} into {what}"
        site.fail("CS0314", message, "the sizes must multiply to the axis", 0, sizes=(whole, total))
    return tuple(Axis(n, left if s is None else s) for n, s in sizes.items())


def _adjacent(site: Site, type: TensorType, over: Static) -> tuple[int, ...]:
    """Positions of axes that stand side by side, in the order written. Fails with CS0313."""
    values = over if isinstance(over, tuple) else (over,)
    found = tuple(axis_position(site, type, v) for v in values)
    if any(b != a + 1 for a, b in pairwise(found)):
        help = "bring them together, in this order, with `permute`"
        site.fail("CS0313", f"the axes that `{site.op}` merges must stand side by side in {type}", help, 0, "over")
    return found


def _merged(site: Site, type: TensorType, places: Sequence[int], name: str | None) -> TensorType:
    size = Size.of(1)
    for i in places:
        size = size * type.axes[i].size
    axes = (*type.axes[: places[0]], Axis(name, size), *type.axes[places[-1] + 1 :])
    return type.with_axes(axes)


def _join_rule(site: Site) -> Resolution:
    type = site.type(0)
    places = _adjacent(site, type, site.statics["over"])
    into = into_axes(site)
    name = into[0].name if into else None
    result = _merged(site, type, places, name)
    if len(into) > 1:
        site.fail("CS0312", "`join` makes one axis", "write `into=E`", static="into")
    return one(Attrs.of(over=places, into=(name,) if name else None), distinct(site, result, "into"))


def _flatten_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = site.statics["over"]
    if over is None:
        batch = type.batch
        over = tuple(i for i in range(type.rank) if i != batch)
    if over == ():
        return one(Attrs.of(over=()), type)
    places = _adjacent(site, type, over)
    return one(Attrs.of(over=places), _merged(site, type, places, None))


def _flatten_torch(call: TorchCall) -> str:
    over = call.attrs.integers("over")
    return f"{call.args[0]}.flatten({over[0]}, {over[-1]})" if len(over) > 1 else f"{call.args[0]}"


def _reshape_rule(site: Site) -> Resolution:
    type = site.type(0)
    values = site.statics["sizes"]
    assert isinstance(values, tuple)
    free = [i for i, v in enumerate(values) if isinstance(v, Size) and v.value == -1]
    if len(free) > 1:
        site.fail("CS0315", "`reshape` can find out one size, not several", "write -1 once", static="sizes")
    axes = [Axis(None, Size.of(1)) if i in free else new_axis(site, v, "sizes") for i, v in enumerate(values)]
    product = TensorType(type.dtype, tuple(axes)).elements
    left = quotient(type.elements, product)
    if left is None or (not free and left != Size.of(1)):
        message = f"`reshape` of {type}, which has {type.elements} elements, to {product}"
        site.fail("CS0314", message, "sizes must multiply to the number of elements", 0, "sizes")
    if free:
        axes[free[0]] = Axis(None, left)
    result = distinct(site, type.with_axes(tuple(axes)), "sizes")
    return one(Attrs.of(sizes=tuple(axis_attr(a) for a in axes)), result)


def _squeeze_rule(site: Site) -> Resolution:
    type = site.type(0)
    if site.statics["over"] is None:
        over = tuple(i for i, a in enumerate(type.axes) if a.size.value == 1)
    else:
        given = site.statics["over"]
        over = axis_positions(site, type, given) if given != () else ()
    for i in over:
        if type.axes[i].size.value != 1:
            help = "reduce it (`mean`, `select`, ...)"
            site.fail(
                "CS0317", f"`squeeze` drops axes of size 1, but axis {type.axes[i]} of {type} is not", help, 0, "over"
            )
    return one(Attrs.of(over=over), drop_axes(type, over))


def _squeeze_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), attrs.integers("over")),)


def _squeeze_torch(call: TorchCall) -> str:
    over = call.attrs.integers("over")
    return f"{call.args[0]}.squeeze({torch_tuple(over)})" if over else f"{call.args[0]}"


def _squeeze_onnx(call: OnnxCall) -> str:
    over = call.attrs.integers("over")
    return (
        call.node("Squeeze", [call.args[0], onnx_ints(call, *over)]) if over else call.node("Identity", [call.args[0]])
    )


def _unsqueeze_rule(site: Site) -> Resolution:
    type = site.type(0)
    given = site.statics["axes"]
    values = given if isinstance(given, tuple) else (given,)
    rank = type.rank + len(values)
    for v in values:
        assert isinstance(v, int)
        if not -rank <= v < rank:
            site.fail(
                "CS0303", f"`unsqueeze` has no place {v} among {rank} axes", "count axes of the result", static="axes"
            )
    places = sorted({int(v) % rank for v in values if isinstance(v, int)})
    if len(places) != len(values):
        site.fail("CS0312", "`axes` of `unsqueeze` has an axis twice", static="axes")
    old = iter(type.axes)
    axes = tuple(Axis(None, Size.of(1)) if i in places else next(old) for i in range(rank))
    return one(Attrs.of(axes=tuple(places)), type.with_axes(axes))


def _unsqueeze_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    new = attrs.integers("axes")
    return (flow_mapped(known(inputs).rank, [i for i in range(types[0].rank) if i not in new]),)


def _unsqueeze_torch(call: TorchCall) -> str:
    return f"{call.args[0]}" + "".join(f".unsqueeze({a})" for a in call.attrs.integers("axes"))


_OVER = Parameter("over", Kind.AXIS, None)
_RESHAPES = (
    _reshaping(
        "split", "One axis made two or more, in place; one size may be left out.",
        (_OVER, Parameter("into", Kind.NEW_AXES), Parameter("sizes", Kind.NAMED, ())), _split_rule,
        (
            Example("x: f32[N, T=3, E=8]", "split[over=E, into=(G, I), G=4](x)"),
            Example("x: f32[N, 12]", "split[over=-1, into=(O, A, B), O=3, A=2, B=2](x)"),
            Example("x: f32[N, T, 6]", "split[over=-1, into=(O, I), I=3](x)"),
        ),
    ),
    _reshaping(
        "join", "Axes that stand side by side made one.",
        (Parameter("over", Kind.AXES), Parameter("into", Kind.NEW_AXES, None)), _join_rule,
        (
            Example("x: f32[N, G=4, I=2, H=3]", "join[over=(G, I), into=E](x)"),
            Example("x: f32[N, T, G=4]", "join[over=(T, G)](x)"),
            Example("x: f32[N, G=2, H=2]", "join[over=(N, G)](x)"),
        ),
    ),
    _reshaping(
        "flatten", "Axes that stand side by side made one without a name; all but the batch axis unless said.",
        (Parameter("over", Kind.AXES, None),), _flatten_rule,
        (
            Example("x: f32[N, C=2, H=3, W=4]", "flatten[over=(C, H, W)](x)"),
            Example("x: f32[N, C=2, H=3]", "flatten(x)"),
            Example("x: f32[N]", "flatten(x)"),
        ),
        _flatten_torch,
    ),
    _reshaping(
        "reshape", "The same elements in row-major order in other axes; -1 is found out.",
        (Parameter("sizes", Kind.SIZES),), _reshape_rule,
        (
            Example("x: f32[N, C=6, H=4]", "reshape[N, 2, -1](x)"),
            Example("x: f32[N, T, 6]", "reshape[N, T, A=3, 2](x)"),
            Example("x: f32[N, T, 6]", "reshape[-1, 3](x)"),
        ),
    ),
    OpSpec(
        "squeeze", "Without the axes of size 1 (all, except the batch axis), or without those that `over` names.", _X,
        (Parameter("over", Kind.AXES, None),), _squeeze_rule, _squeeze_flow, _ref_reshape, _squeeze_torch,
        _squeeze_onnx,
        (
            Example("x: f32[N, C=1, H=3, 1]", "squeeze(x)"), Example("x: f32[N, C=1, H=3, 1]", "squeeze[over=C](x)"),
            Example("x: f32[N]", "squeeze(x)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "unsqueeze", "With new axes of size 1 at places of the result.", _X, (Parameter("axes", Kind.INTS),),
        _unsqueeze_rule, _unsqueeze_flow, _ref_reshape, _unsqueeze_torch,
        lambda call: call.node("Unsqueeze", [call.args[0], onnx_ints(call, *call.attrs.integers("axes"))]),
        (Example("x: f32[N, C=3]", "unsqueeze[1](x)"), Example("x: f32[N, C=3]", "unsqueeze[(0, -1)](x)")),
        widths=MOVABLE, group=GROUP,
    ),
)  # fmt: skip

OPS: tuple[OpSpec, ...] = _RESHAPES
