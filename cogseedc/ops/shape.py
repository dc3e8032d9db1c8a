"""Operations that only rearrange: axes, their order, their sizes.

Every reshape keeps an empty batch legal in ONNX: -1 stands at the batch axis only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from cogseedc.ir.types import Axis, Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import (
    MOVABLE,
    Flows,
    Types,
    axis_attr,
    axis_position,
    axis_positions,
    drop_axes,
    flow_dropped,
    flow_mapped,
    flow_reshaped,
    integer,
    new_axes,
    new_axis,
    one,
    quotient,
    replace_axis,
)
from cogseedc.ops.spelling import (
    known,
    onnx_cast,
    onnx_ints,
    onnx_reshape,
    onnx_sizes,
    onnx_transpose,
    ref_arg,
    ref_cast,
    torch_tuple,
    torch_type,
)

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


def _into(site: Site) -> tuple[AxisArg, ...]:
    into = site.statics["into"]
    return tuple(a for a in into if isinstance(a, AxisArg)) if isinstance(into, tuple) else ()


def _split_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    into = _into(site)
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
    return one(attrs, replace_axis(type, over, *axes))


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
        site.fail("CS0314", f"`{site.op}` of an axis of {total} into {what}", "the sizes must multiply to the axis", 0)
    return tuple(Axis(n, left if s is None else s) for n, s in sizes.items())


def _adjacent(site: Site, type: TensorType, over: Static) -> tuple[int, ...]:
    """Positions of axes that stand side by side, in the order written. Fails with CS0313."""
    values = over if isinstance(over, tuple) else (over,)
    found = tuple(axis_position(site, type, v) for v in values)
    if any(b != a + 1 for a, b in zip(found, found[1:], strict=False)):
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
    into = _into(site)
    name = into[0].name if into else None
    result = _merged(site, type, places, name)
    if len(into) > 1:
        site.fail("CS0312", "`join` makes one axis", "write `into=E`", static="into")
    return one(Attrs.of(over=places, into=(name,) if name else None), result)


def _flatten_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = site.statics["over"]
    if over is None:
        batch = type.batch
        over = tuple(i for i in range(type.rank) if i != batch)
        if not over:
            return one(Attrs.of(over=()), type)
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
    return one(Attrs.of(sizes=tuple(axis_attr(a) for a in axes)), type.with_axes(tuple(axes)))


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
            site.fail("CS0317", f"`squeeze` drops axes of size 1, but axis {type.axes[i]} of {type} is not", help, 0, "over")
    return one(Attrs.of(over=over), drop_axes(type, over))


def _squeeze_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), attrs.integers("over")),)


def _squeeze_torch(call: TorchCall) -> str:
    over = call.attrs.integers("over")
    return f"{call.args[0]}.squeeze({torch_tuple(over)})" if over else f"{call.args[0]}"


def _squeeze_onnx(call: OnnxCall) -> str:
    over = call.attrs.integers("over")
    return call.node("Squeeze", [call.args[0], onnx_ints(call, *over)]) if over else call.node("Identity", [call.args[0]])


def _unsqueeze_rule(site: Site) -> Resolution:
    type = site.type(0)
    given = site.statics["axes"]
    values = given if isinstance(given, tuple) else (given,)
    rank = type.rank + len(values)
    for v in values:
        assert isinstance(v, int)
        if not -rank <= v < rank:
            site.fail("CS0303", f"`unsqueeze` has no place {v} among {rank} axes", "count axes of the result", static="axes")
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
            Example("x: f32[N, T, G=4]", "join[over=(T, G)](x)"), Example("x: f32[N, G=2, H=2]", "join[over=(N, G)](x)"),
        ),
    ),
    _reshaping(
        "flatten", "Axes that stand side by side made one without a name; all but the batch axis unless said.",
        (Parameter("over", Kind.AXES, None),), _flatten_rule,
        (
            Example("x: f32[N, C=2, H=3, W=4]", "flatten[over=(C, H, W)](x)"), Example("x: f32[N, C=2, H=3]", "flatten(x)"),
            Example("x: f32[N]", "flatten(x)"),
        ),
        _flatten_torch,
    ),
    _reshaping(
        "reshape", "The same elements in row-major order in other axes; -1 is found out.",
        (Parameter("sizes", Kind.SIZES),), _reshape_rule,
        (
            Example("x: f32[N, C=6, H=4]", "reshape[N, 2, -1](x)"), Example("x: f32[N, T, 6]", "reshape[N, T, A=3, 2](x)"),
            Example("x: f32[N, T, 6]", "reshape[-1, 3](x)"),
        ),
    ),
    OpSpec(
        "squeeze", "Without the axes of size 1 (all, except the batch axis), or without those that `over` names.", _X,
        (Parameter("over", Kind.AXES, None),), _squeeze_rule, _squeeze_flow, _ref_reshape, _squeeze_torch, _squeeze_onnx,
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


# Order and repetition of axes


def _permute_rule(site: Site) -> Resolution:
    type = site.type(0)
    given = site.statics["axes"]
    values = given if isinstance(given, tuple) else (given,)
    order = tuple(axis_position(site, type, v, "axes") for v in values)
    if sorted(order) != list(range(type.rank)):
        help = "give each axis once, in the order wanted"
        site.fail("CS0312", f"`permute` needs all {type.rank} axes of {type}", help, 0, "axes")
    return one(Attrs.of(axes=order), type.with_axes(tuple(type.axes[i] for i in order)))


def _permute_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    order = attrs.integers("axes")
    return (flow_mapped(len(order), [order.index(i) for i in range(len(order))]),)


def _expand_rule(site: Site) -> Resolution:
    axes = new_axes(site, "sizes")
    type = site.type(0)
    return one(Attrs.of(sizes=tuple(axis_attr(a) for a in axes)), type.with_axes(axes + type.axes))


def _expand_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    rank = known(inputs).rank
    return (flow_mapped(rank, range(types[0].rank - rank, types[0].rank)),)


def _repeat_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    count = integer(site, "count", 1)
    axis = Axis(type.axes[over].name, type.axes[over].size * count)
    return one(Attrs.of(count=count, over=over), replace_axis(type, over, axis))


def _flow_over_one(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("over"),), True),)


def _tile_onnx(call: OnnxCall) -> str:
    repeats = [1] * known(call.inputs).rank
    repeats[call.attrs.integer("over")] = call.attrs.integer("count")
    return call.node("Tile", [call.args[0], onnx_ints(call, *repeats)])


def _tile_torch(call: TorchCall) -> str:
    repeats = [1] * known(call.inputs).rank
    repeats[call.attrs.integer("over")] = call.attrs.integer("count")
    return f"{call.args[0]}.repeat({torch_tuple(repeats)})"


def _interleave_onnx(call: OnnxCall) -> str:
    over, count, type = call.attrs.integer("over"), call.attrs.integer("count"), known(call.inputs)
    spread = call.node("Unsqueeze", [call.args[0], onnx_ints(call, over + 1)])
    repeats = [1] * (type.rank + 1)
    repeats[over + 1] = count
    spread = call.node("Tile", [spread, onnx_ints(call, *repeats)])
    middle = (*type.shape[: over + 1], Size.of(count), *type.shape[over + 1 :])
    return onnx_reshape(call, spread, middle, call.types[0].shape)


def _flip_rule(site: Site) -> Resolution:
    over = axis_positions(site, site.type(0), site.statics["over"])
    return one(Attrs.of(over=over), site.type(0))


def _flip_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), attrs.integers("over"), True),)


def _flip_onnx(call: OnnxCall) -> str:
    over = call.attrs.integers("over")
    start, stop, step = [-1] * len(over), [-(2**62)] * len(over), [-1] * len(over)
    bounds = [onnx_ints(call, *values) for values in (start, stop, over, step)]
    return call.node("Slice", [call.args[0], *bounds])


def _roll_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    return one(Attrs.of(over=over, shift=integer(site, "shift")), type)


def _roll_onnx(call: OnnxCall) -> str:
    """Index i reads (i - shift) modulo the size."""
    over, shift = call.attrs.integer("over"), call.attrs.integer("shift")
    size = known(call.inputs).axes[over].size
    if size.value is not None:
        index = call.constant(np.mod(np.arange(size.value, dtype=np.int64) - shift, max(size.value, 1)))
    else:
        zero, one_ = call.constant(np.array(0, dtype=np.int64)), call.constant(np.array(1, dtype=np.int64))
        places = call.node("Range", [zero, call.size(size), one_])
        moved = call.node("Sub", [places, call.constant(np.array(shift, dtype=np.int64))])
        index = call.node("Mod", [moved, call.size(size)])
    return call.node("Gather", [call.args[0], index], axis=over)


_MOVES = (
    OpSpec(
        "permute", "The axes in another order.", _X, (Parameter("axes", Kind.AXES),), _permute_rule, _permute_flow,
        lambda call: ref_arg(call, 0).transpose(call.attrs.integers("axes")),
        lambda call: f"{call.args[0]}.permute({torch_tuple(call.attrs.integers('axes'))})",
        lambda call: call.node("Transpose", [call.args[0]], perm=list(call.attrs.integers("axes"))),
        (Example("x: f32[N, C=2, H=3]", "permute[(N, H, C)](x)"), Example("x: i64[2, 3]", "permute[(1, 0)](x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "expand", "With new axes in front, along which the value repeats.", _X, (Parameter("sizes", Kind.SIZES),),
        _expand_rule, _expand_flow,
        lambda call: np.broadcast_to(ref_arg(call, 0), call.sizes(call.types[0].shape)),
        lambda call: f"{call.args[0]}.expand({call.sizes(call.types[0].shape)})",
        lambda call: call.node("Expand", [call.args[0], onnx_sizes(call, call.types[0].shape)]),
        (Example("x: f32[K=3]", "expand[N](x)"), Example("x: f32[N, K=3]", "expand[M=2, 4](x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "tile", "An axis repeated as a whole.", _X, (Parameter("count", Kind.INT), _OVER), _repeat_rule, _flow_over_one,
        lambda call: np.concatenate([ref_arg(call, 0)] * call.attrs.integer("count"), axis=call.attrs.integer("over")),
        _tile_torch, _tile_onnx, (Example("x: f32[N, C=3, H=2]", "tile[2, over=C](x)"),), widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "repeat_interleave", "An axis with each element repeated.", _X, (Parameter("count", Kind.INT), _OVER),
        _repeat_rule, _flow_over_one,
        lambda call: np.repeat(ref_arg(call, 0), call.attrs.integer("count"), axis=call.attrs.integer("over")),
        lambda call: f"{call.args[0]}.repeat_interleave({call.attrs.integer('count')}, dim={call.attrs.integer('over')})",
        _interleave_onnx,
        (Example("x: f32[N, C=3, H=2]", "repeat_interleave[2, over=C](x)"), Example("x: f32[N, T]", "repeat_interleave[3](x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "flip", "Axes in reverse.", _X, (Parameter("over", Kind.AXES, None),), _flip_rule, _flip_flow,
        lambda call: np.flip(ref_arg(call, 0), axis=call.attrs.integers("over")),
        lambda call: f"{call.args[0]}.flip({torch_tuple(call.attrs.integers('over'))})", _flip_onnx,
        (Example("x: f32[N, H=3, W=2]", "flip[over=(H, W)](x)"), Example("x: f32[N, T]", "flip(x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "roll", "An axis shifted; what leaves at the end comes in at the front.", _X,
        (Parameter("shift", Kind.INT), _OVER), _roll_rule, _flow_over_one,
        lambda call: np.roll(ref_arg(call, 0), call.attrs.integer("shift"), axis=call.attrs.integer("over")),
        lambda call: f"{call.args[0]}.roll({call.attrs.integer('shift')}, {call.attrs.integer('over')})", _roll_onnx,
        (Example("x: f32[N, C=5, H=2]", "roll[2, over=C](x)"), Example("x: f32[N, T]", "roll[-1](x)")),
        widths=MOVABLE, group=GROUP,
    ),
)  # fmt: skip


# Pixels and channels


def _shuffle_rule(site: Site) -> Resolution:
    type, r = site.type(0), integer(site, "factor", 1)
    if type.rank < 3:
        site.fail("CS0316", f"`{site.op}` takes [..., C, H, W], not {type}", operand=0)
    c, h, w = type.axes[-3:]
    up = site.op == "pixel_shuffle"
    sizes = (
        (quotient(c.size, Size.of(r * r)), h.size * r, w.size * r)
        if up
        else (c.size * (r * r), quotient(h.size, Size.of(r)), quotient(w.size, Size.of(r)))
    )
    axes = []
    for axis, size in zip((c, h, w), sizes, strict=True):
        if size is None:
            by = r * r if up else r
            site.fail("CS0314", f"`{site.op}` needs axis {axis} of {type} to be a multiple of {by}", operand=0)
        axes.append(Axis(axis.name, size))
    return one(Attrs.of(factor=r), type.with_axes((*type.axes[:-3], *axes)))


def _shuffle_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    rank = known(inputs).rank
    return (flow_dropped(known(inputs), range(rank - 3, rank), True),)


def _shuffle_plan(up: bool, source: Sequence[Size], target: Sequence[Size], r: int) -> tuple[list[Size], list[int]]:
    """Sizes of the axes apart, and their order afterwards: C, r, r, H, W <-> C, H, r, W, r."""
    n = len(source) - 3
    c, h, w = (target if up else source)[-3], (source if up else target)[-2], (source if up else target)[-1]
    k = Size.of(r)
    if up:
        return [*source[:n], c, k, k, h, w], [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return [*source[:n], c, h, k, w, k], [*range(n), n, n + 2, n + 4, n + 1, n + 3]


def _shuffle(name: str, summary: str, inputs: str, function: str) -> OpSpec:
    up = name == "pixel_shuffle"

    def onnx(call: OnnxCall) -> str:
        source, target = known(call.inputs).shape, call.types[0].shape
        apart, order = _shuffle_plan(up, source, target, call.attrs.integer("factor"))
        moved = onnx_transpose(call, onnx_reshape(call, call.args[0], source, apart), order)
        moved = onnx_reshape(call, moved, [apart[i] for i in order], target)
        return call.node("Identity", [moved]) if moved == call.args[0] else moved

    def reference(call: ReferenceCall) -> Array:
        x, r = ref_arg(call, 0), call.attrs.integer("factor")
        result = np.zeros(call.sizes(call.types[0].shape), dtype=x.dtype)
        for i in range(r):
            for j in range(r):
                if up:
                    result[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
                else:
                    result[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
        return result

    return OpSpec(
        name, summary, _X, (Parameter("factor", Kind.INT),), _shuffle_rule, _shuffle_flow, reference,
        lambda call: f"torch.nn.functional.{function}({call.args[0]}, {call.attrs.integer('factor')})", onnx,
        (Example(inputs, f"{name}[2](x)"),), widths=MOVABLE, group=GROUP,
        source="Shi et al., Real-Time Single Image Super-Resolution (sub-pixel convolution), 2016",
    )  # fmt: skip


# Several operands


def _series(site: Site) -> list[TensorType]:
    """Types of the operands, which must have one dtype and one rank. Fails with CS0305, CS0316."""
    types = [site.type(i) for i in range(len(site.operands))]
    for i, t in enumerate(types):
        if t.dtype is not types[0].dtype:
            help = f"cast it: `cast[{types[0].dtype.value}](x)`"
            site.fail("CS0305", f"`{site.op}` takes values of one dtype, not {types[0]} and {t}", help, i)
        if t.rank != types[0].rank:
            site.fail("CS0316", f"`{site.op}` takes values with as many axes, not {types[0]} and {t}", operand=i)
    return types


def _same_sizes(site: Site, types: Sequence[TensorType], but: int | None) -> None:
    for i, t in enumerate(types):
        for at, (a, b) in enumerate(zip(types[0].axes, t.axes, strict=True)):
            if at != but and a.size != b.size:
                message = f"`{site.op}`: axis {a} of {types[0]} against {b} of {t}"
                site.fail("CS0304", message, "all axes but the one that they follow each other in must be equal", i)


def _concat_rule(site: Site) -> Resolution:
    types = _series(site)
    over = axis_position(site, types[0], site.statics["over"])
    _same_sizes(site, types, over)
    size = Size.of(0)
    for t in types:
        size = size + t.axes[over].size
    value = site.statics["over"]
    name = types[0].axes[over].name or (value.name if isinstance(value, AxisArg) else None)
    return one(Attrs.of(over=over), replace_axis(types[0], over, Axis(name, size)))


def _concat_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return tuple(flow_dropped(known(inputs, i), (attrs.integer("over"),), True) for i in range(len(inputs)))


def _stack_rule(site: Site) -> Resolution:
    types = _series(site)
    _same_sizes(site, types, None)
    rank = types[0].rank + 1
    axis = integer(site, "axis")
    if not -rank <= axis < rank:
        site.fail("CS0303", f"`stack` has no place {axis} among {rank} axes", "count axes of the result", static="axis")
    into = _into(site)
    axis %= rank
    new = Axis(into[0].name if into else None, Size.of(len(types)))
    axes = (*types[0].axes[:axis], new, *types[0].axes[axis:])
    return one(Attrs.of(axis=axis, into=(new.name,) if new.name else None), types[0].with_axes(axes))


def _stack_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    at = attrs.integer("axis")
    rank = types[0].rank - 1
    return (flow_mapped(rank, [i if i < at else i + 1 for i in range(rank)]),) * len(inputs)


def _stack_onnx(call: OnnxCall) -> str:
    at = call.attrs.integer("axis")
    parts = [call.node("Unsqueeze", [a, onnx_ints(call, at)]) for a in call.args]
    return call.node("Concat", parts, axis=at)


def _all(call: TorchCall) -> str:
    return ", ".join(str(a) for a in call.args)


_SEVERAL = (
    OpSpec(
        "concat", "Values one after the other along an axis; the other axes must be equal, the first's names stay.",
        (Operand("xs", variadic=True),), (_OVER,), _concat_rule, _concat_flow,
        lambda call: np.concatenate([ref_arg(call, i) for i in range(len(call.args))], axis=call.attrs.integer("over")),
        lambda call: f"torch.cat(({_all(call)},), dim={call.attrs.integer('over')})",
        lambda call: call.node("Concat", list(call.args), axis=call.attrs.integer("over")),
        (
            Example("x: f32[N, C=2, H=3], y: f32[N, C=4, H=3]", "concat[over=C](x, y)"),
            Example("x: f32[N, 2], y: f32[N, 3], z: f32[N, 1]", "concat(x, y, z)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "stack", "Values side by side along a new axis, the last unless said; `into` names it.",
        (Operand("xs", variadic=True),), (Parameter("axis", Kind.INT, -1), Parameter("into", Kind.NEW_AXES, None)),
        _stack_rule, _stack_flow,
        lambda call: np.stack([ref_arg(call, i) for i in range(len(call.args))], axis=call.attrs.integer("axis")),
        lambda call: f"torch.stack(({_all(call)},), dim={call.attrs.integer('axis')})", _stack_onnx,
        (
            Example("x: f32[N, C=2], y: f32[N, C=2]", "stack[axis=1, into=S](x, y)"),
            Example("x: f32[N, C=2], y: f32[N, C=2]", "stack(x, y)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
)  # fmt: skip


# Dtypes and sizes as values


def _cast_rule(site: Site) -> Resolution:
    dtype = site.statics["dtype"]
    assert isinstance(dtype, Dtype)
    return one(Attrs.of(dtype=dtype), site.type(0).with_dtype(dtype))


def _cast_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_mapped(types[0].rank, range(types[0].rank)),)


def _cast_onnx(call: OnnxCall) -> str:
    name = onnx_cast(call, call.args[0], known(call.inputs).dtype, call.types[0].dtype)
    return call.node("Identity", [name]) if name == call.args[0] else name


def _size_rule(site: Site) -> Resolution:
    axis = new_axis(site, site.statics["size"], "size")
    return one(Attrs.of(size=axis_attr(Axis(None, axis.size))), TensorType(Dtype.I64))


def _size_of(call: TorchCall | OnnxCall | ReferenceCall) -> Size:
    value = call.attrs["size"]
    assert isinstance(value, int | Size)
    return Size.of(value)


def _size_onnx(call: OnnxCall) -> str:
    size = _size_of(call)
    if size.value is not None:
        return call.node("Identity", [call.constant(np.array(size.value, dtype=np.int64))])
    return call.node("Identity", [call.size(size)])


_VALUES = (
    OpSpec(
        "cast", "The value at another dtype; real numbers are cut off towards zero for integers.", _X,
        (Parameter("dtype", Kind.DTYPE),), _cast_rule, _cast_flow,
        lambda call: ref_cast(ref_arg(call, 0), call.types[0].dtype),
        lambda call: f"{call.args[0]}.to({torch_type(call.types[0].dtype)})", _cast_onnx,
        (
            Example("x: f32[N, C=3]", "cast[i64](x)"), Example("x: bool[N]", "cast[f32](x)"),
            Example("x: f32[N]", "cast[f32](x)"), Example("x: i64[N]", "cast[bool](x)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "size_value", "A size as an i64 value.", (), (Parameter("size", Kind.SIZE),), _size_rule, lambda a, i, t: (),
        lambda call: np.array(call.size(_size_of(call)), dtype=np.int64),
        lambda call: f"torch.tensor({call.size(_size_of(call))}, device={call.device()})", _size_onnx,
        (Example("", "size_value[7]()"), Example("x: f32[N]", "size_value[N]()")), group=GROUP, differentiable=False,
    ),
)  # fmt: skip

OPS: tuple[OpSpec, ...] = (
    *_RESHAPES,
    *_MOVES,
    _shuffle("pixel_shuffle", "Channels to pixels: [C r r, H, W] to [C, H r, W r].", "x: f32[N, C=8, H=2, W=3]", "pixel_shuffle"),
    _shuffle("space_to_depth", "Pixels to channels, the inverse of `pixel_shuffle`.", "x: f32[N, C=2, H=4, W=6]", "pixel_unshuffle"),
    *_SEVERAL,
    *_VALUES,
)
