"""Several values made one, and values of another kind: concat, stack, cast, a size as a value.

A cast is the only one that may change an element.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    distinct,
    flow_dropped,
    flow_mapped,
    integer,
    into_axes,
    new_axis,
    one,
    replace_axis,
)
from cogseedc.ops.spelling import known, onnx_cast, onnx_ints, ref_arg, ref_cast, torch_type

if TYPE_CHECKING:
    import numpy as np

else:
    np = lazy("numpy")

GROUP = "assembly"
_X = (Operand("x"),)
_OVER = Parameter("over", Kind.AXIS, None)


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
                help = "all axes but the one that they follow each other in must be equal"
                names, own = types[0].names, t.names
                if None not in names and own != names and {*own} == {*names}:
                    help = (
                        f"the axes have another order: `permute[({', '.join(map(str, names))})](...)` puts them right"
                    )
                site.fail("CS0304", message, help, i, sizes=(a.size, b.size))


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
    into = into_axes(site)
    axis %= rank
    new = Axis(into[0].name if into else None, Size.of(len(types)))
    axes = (*types[0].axes[:axis], new, *types[0].axes[axis:])
    result = distinct(site, types[0].with_axes(axes), "into")
    return one(Attrs.of(axis=axis, into=(new.name,) if new.name else None), result)


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
            Example("x: f32[N, C=2, H=3], y: f32[N, D=4, H=3]", "concat[over=C](x, y)"),
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

OPS: tuple[OpSpec, ...] = (*_SEVERAL, *_VALUES)
