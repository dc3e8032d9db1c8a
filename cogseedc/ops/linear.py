"""Layers that are one table: linear maps and embeddings."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs, Init, InitKind
from cogseedc.ir.opspec import (
    Example,
    Flow,
    Kind,
    Mixing,
    OnnxCall,
    Operand,
    OpSpec,
    Parameter,
    Pointwise,
    ReferenceCall,
    Resolution,
    Site,
    TorchCall,
    WeightSpec,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.contraction import onnx_einsum
from cogseedc.ops.neural import (
    NARROW,
    WEIGHTED,
    alignment,
    array,
    at_least,
    floating,
    inverse,
    kaiming,
    moved,
    onnx_settled,
    owns_bias,
    placed,
    same_dtype,
    show,
    sized_axis,
    take,
    torch_inserted,
    torch_permute,
    unnamed,
)
from cogseedc.ops.rules import INTEGERS, Flows, Types, axis_attr, axis_position, require
from cogseedc.ops.spelling import onnx_transpose, onnx_unsqueeze, present

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "linear"


# ---- linear


def _linear_weight(site: Site, x: TensorType, at: int) -> tuple[Axis, WeightSpec | None]:
    """The output axis, and the weight to create when none is given."""
    features = x.axes[at].size
    wanted = sized_axis(site, "size", x)
    if not site.given(1):
        if wanted is None:
            site.fail("CS0345", "linear needs its output size, or a weight", "write `linear[10](x)`", static="size")
        weight = TensorType(x.dtype, unnamed(wanted.size, features))
        return wanted, WeightSpec(1, weight, kaiming(features))
    weight = same_dtype(site, 1, x)
    if weight.rank < 2 or weight.axes[-1].size != features:
        site.fail(
            "CS0341",
            f"linear: the weight {show(weight)} does not fit the axis {x.axes[at]} of {show(x)}",
            "a weight has the axes (output, input), its last of the size of the axis that it is applied to",
            operand=1,
        )
    placed(site, weight.axes[:-2], x, [i for i in range(x.rank) if i != at], 1)
    if wanted is not None and wanted.size != weight.axes[-2].size:
        site.fail(
            "CS0344", f"linear: {wanted.size} outputs, but the weight is {show(weight)}", operand=1, static="size"
        )
    return wanted or Axis(None, weight.axes[-2].size), None


def _linear_rule(site: Site) -> Resolution:
    x = at_least(site, 0, 1, "a value with an axis")
    over = site.statics["over"]
    at = axis_position(site, x, over)
    axis, weight = _linear_weight(site, x, at)
    weights = [] if weight is None else [weight]
    bias = owns_bias(site, 2, weight is not None)
    if site.given(2):
        found = same_dtype(site, 2, x)
        if found.rank < 1 or found.axes[-1].size != axis.size:
            site.fail("CS0344", f"linear: the bias is {show(found)}, but {axis.size} outputs are made", operand=2)
        placed(site, found.axes[:-1], x, [i for i in range(x.rank) if i != at], 2)
    elif bias:
        weights.append(WeightSpec(2, TensorType(x.dtype, unnamed(axis.size)), kaiming(x.axes[at].size)))
    result = x.with_axes((*x.axes[:at], axis, *x.axes[at + 1 :]))
    attrs = Attrs.of(size=axis_attr(axis), over=at, bias=bias)
    return Resolution(attrs, (result,), tuple(weights))


def _linear_places(operand: TensorType, own: int, x: TensorType, at: int) -> tuple[int, ...]:
    """Axes of x that go with the axes of an operand left of its own; the rule has found that they do."""
    site = Site("linear", (x, operand), {})
    return placed(site, operand.axes[: operand.rank - own], x, [i for i in range(x.rank) if i != at], 1)


def _linear_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    x, at = take(inputs, 0), attrs.integer("over")
    flows: list[tuple[Flow, ...]] = [tuple(Mixing() if i == at else Pointwise(i) for i in range(x.rank))]
    for operand, own in ((1, 2), (2, 1)):
        found = inputs[operand] if operand < len(inputs) else None
        if found is None:
            flows.append(())
            continue
        left = tuple(Pointwise(p) for p in _linear_places(found, own, x, at))
        flows.append((*left, Pointwise(at), *(Mixing(),) * (own - 1)))
    return tuple(flows)


def _linear_macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
    return types[0].elements * take(inputs, 0).axes[attrs.integer("over")].size


def _linear_equation(attrs: Attrs, inputs: Types) -> str:
    """Letters of x and of a per-index weight."""
    x, weight, at = take(inputs, 0), take(inputs, 1), attrs.integer("over")
    letters = ascii_lowercase[: x.rank]
    left = "".join(letters[p] for p in _linear_places(weight, 2, x, at))
    return f"{letters},{left}z{letters[at]}->{letters[:at]}z{letters[at + 1 :]}"


def _linear_bias_shape(attrs: Attrs, inputs: Types) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How a bias is brought beside the result: see `alignment`."""
    x, bias, at = take(inputs, 0), take(inputs, 2), attrs.integer("over")
    return alignment((*_linear_places(bias, 1, x, at), at), x.rank)


def _linear_reference(c: ReferenceCall) -> Array:
    x, weight, at = array(c, 0), array(c, 1), c.attrs.integer("over")
    if weight.ndim == 2 and at == x.ndim - 1:
        y = x @ weight.T
    elif weight.ndim == 2:
        y = np.moveaxis(np.tensordot(x, weight, axes=([at], [1])), -1, at)
    else:
        y = np.einsum(_linear_equation(c.attrs, c.inputs), x, weight)
    if present(c.args, 2):
        order, missing = _linear_bias_shape(c.attrs, c.inputs)
        y = y + np.expand_dims(array(c, 2).transpose(order), missing)
    return np.asarray(y)


def _linear_torch(c: TorchCall) -> str:
    x, weight, at = str(c.args[0]), c.args[1], c.attrs.integer("over")
    bias = c.args[2] if present(c.args, 2) else None
    if take(c.inputs, 1).rank == 2 and (bias is None or take(c.inputs, 2).rank == 1):
        end = moved(take(c.inputs, 0), [at])
        call = f"F.linear({torch_permute(x, end)}, {weight}{f', {bias}' if bias else ''})"
        return torch_permute(call, inverse(end))
    y = f'torch.einsum("{_linear_equation(c.attrs, c.inputs)}", {x}, {weight})'
    if bias is None:
        return y
    order, missing = _linear_bias_shape(c.attrs, c.inputs)
    return f"{y} + {torch_inserted(torch_permute(bias, order), len(order), missing)}"


def _linear_onnx(c: OnnxCall) -> str:
    x, weight, at = c.args[0], c.args[1], c.attrs.integer("over")
    kind, plain = take(c.inputs, 0), take(c.inputs, 1).rank == 2
    bias = c.args[2] if present(c.args, 2) else ""
    if plain and kind.rank == 2 and at == 1 and (not bias or take(c.inputs, 2).rank == 1):
        return c.node("Gemm", [x, weight, bias] if bias else [x, weight], transB=1)
    if plain:
        end = moved(kind, [at])
        y = c.node(
            "MatMul", [onnx_transpose(c, onnx_settled(c, x, kind), end), c.node("Transpose", [weight], perm=[1, 0])]
        )
        if bias and take(c.inputs, 2).rank == 1:
            y, bias = c.node("Add", [y, bias]), ""
        y = onnx_transpose(c, y, inverse(end))
    else:
        y = onnx_einsum(c, _linear_equation(c.attrs, c.inputs), [x, weight], c.inputs)
    if not bias:
        return y
    order, missing = _linear_bias_shape(c.attrs, c.inputs)
    bias = onnx_unsqueeze(c, onnx_transpose(c, bias, order), missing)
    return c.node("Add", [y, bias])


# ---- embedding


def _embedding_rule(site: Site) -> Resolution:
    ids = require(site, 0, INTEGERS[:2], "i64 or i32 indices")
    weights: list[WeightSpec] = []
    rows, column = sized_axis(site, "count", ids), sized_axis(site, "size", ids)
    if site.given(1):
        table = floating(site, 1)
        fits = table.rank == 2 and (rows is None or rows.size == table.axes[0].size)
        if not fits or (column is not None and column.size != table.axes[1].size):
            wanted = f"[{rows.size if rows else 'rows'}, {column.size if column else 'features'}]"
            site.fail("CS0344", f"embedding: the table is {show(table)}, but {wanted} is needed", operand=1)
        rows, column = Axis(None, table.axes[0].size), column or table.axes[1]
        dtype = table.dtype
    elif rows is None or column is None:
        site.fail("CS0345", "embedding needs the sizes of its table", "write `embedding[1000, 64](ids)`", static="size")
    else:
        table = TensorType(Dtype.F32, unnamed(rows.size, column.size))
        dtype = table.dtype
        weights.append(WeightSpec(1, table, Init(InitKind.NORMAL, (1.0,))))
    attrs = Attrs.of(count=axis_attr(Axis(None, rows.size)), size=axis_attr(column))
    return Resolution(attrs, (TensorType(dtype, (*ids.axes, column)),), tuple(weights))


def _embedding_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    ids = take(inputs, 0)
    return tuple(Pointwise(i) for i in range(ids.rank)), (Mixing(), Pointwise(ids.rank))


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="linear",
        summary="y = x W' + b over one axis (the last); a weight with more axes is per index of x, by name",
        operands=WEIGHTED,
        parameters=(
            Parameter("size", Kind.SIZE, None),
            Parameter("over", Kind.AXIS, None),
            Parameter("bias", Kind.BOOL, None),
        ),
        rule=_linear_rule,
        flow=_linear_flow,
        reference=_linear_reference,
        torch=_linear_torch,
        onnx=_linear_onnx,
        examples=(
            Example("x: f32[N, D=6]", "linear[5](x)"),
            Example("x: f32[N, D=6]", "linear[E=5, bias=false](x)"),
            Example("x: f32[N, T, D=6]", "linear[D](x)"),
            Example("x: f32[N, C=3, H, W=4]", "linear[8, over=C](x)"),
            Example("x: f32[N, T, D=6], w: f32[4, 6]", "linear(x, weight=w)"),
            Example("x: f32[N, D=6], w: f32[N, 4, 6], b: f32[N, 4]", "linear(x, weight=w, bias=b)"),
            Example("x: f32[N, T=3, D=6], w: f32[N, 4, 6], b: f32[N, 4]", "linear(x, weight=w, bias=b)"),
            Example("x: f32[N, T=3, D=6], w: f32[T=3, 4, 6]", "linear(x, weight=w)"),
        ),
        macs=_linear_macs,
        widths=NARROW,
        group=GROUP,
    ),
    OpSpec(
        name="embedding",
        summary="rows of a learned table, by index",
        operands=(Operand("ids"), Operand("weight", optional=True, weight=True)),
        parameters=(Parameter("count", Kind.SIZE, None), Parameter("size", Kind.SIZE, None)),
        rule=_embedding_rule,
        flow=_embedding_flow,
        reference=lambda c: array(c, 1)[array(c, 0).astype(np.int64)],
        torch=lambda c: f"F.embedding({c.args[0]}, {c.args[1]})",
        onnx=lambda c: c.node("Gather", [c.args[1], c.args[0]], axis=0),
        examples=(
            Example("ids: i64[N]", "embedding[9, D=4](ids)"),
            Example("ids: i64[N, T]", "embedding[9, 4](ids)"),
        ),
        widths=NARROW,
        group=GROUP,
    ),
)
