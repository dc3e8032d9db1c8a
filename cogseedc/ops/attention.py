"""Scaled dot-product attention with heads, and the layer around it that owns the projections.

A query none of whose keys is left gives 0, in every backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attr, Attrs
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
from cogseedc.ops.neural import (
    alignment,
    array,
    at_least,
    kaiming,
    leading,
    mixing,
    moved,
    onnx_reshape,
    own_shape,
    placed,
    same_dtype,
    show,
    take,
    torch_inserted,
    torch_permute,
    unnamed,
    zeros,
)
from cogseedc.ops.rules import HALVES, Flows, Types, axis_position, flag, integer, number, quotient, require
from cogseedc.ops.spelling import (
    F16_LOWEST,
    F32_LOWEST,
    onnx_range,
    onnx_scalar,
    onnx_transpose,
    onnx_unsqueeze,
    present,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "attention"
_QKV = (Operand("q"), Operand("k"), Operand("v"))
_MASKS = (Operand("mask", optional=True), Operand("length", optional=True))
MASK, LENGTH = 3, 4


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the operands of one attention lie: query [*lead, T?, D], keys [*lead, S, D], values [*lead, S, V]."""

    lead: tuple[Axis, ...]
    query: Axis | None
    key: Axis
    over: int
    """Where S is among the axes of k and v."""
    features: Size
    values: Axis

    @property
    def scores(self) -> TensorType:
        """Type of one head's scores, as masks see them."""
        middle = () if self.query is None else (self.query,)
        return TensorType(Dtype.BOOL, (*self.lead, *middle, self.key))


def _shape(q: TensorType, k: TensorType, v: TensorType, over: int) -> _Shape:
    lead = tuple(a for i, a in enumerate(k.axes[:-1]) if i != over)
    query = q.axes[-2] if q.rank == k.rank else None
    return _Shape(lead, query, k.axes[over], over, q.axes[-1].size, v.axes[-1])


def _shapes(attrs: Attrs, inputs: Types) -> _Shape:
    """The shape of a call that the rule has seen; absent keys are the query, absent values the keys."""
    q = take(inputs, 0)
    k = inputs[1] or q
    return _shape(q, k, inputs[2] or k, attrs.integer("over"))


def _checked(site: Site, q: TensorType, k: TensorType, v: TensorType) -> tuple[_Shape, dict[str, Attr]]:
    """The shape and the attributes that both operations have. Fails with CS0347, CS0348, CS0352, CS0353."""
    static = site.statics["over"]
    over = k.rank - 2 if static is None else axis_position(site, k, static, operand=1)
    if over == k.rank - 1 or q.rank not in (k.rank, k.rank - 1):
        help = "a query is [N, D] or [N, T, D], keys and values are [N, S, D]"
        site.fail(
            "CS0347", f"{site.op}: the query {show(q)} and the keys {show(k)} do not go together", help, operand=1
        )
    shape = _shape(q, k, v, over)
    leading(site, 0, q.axes[: len(shape.lead)], shape.lead, "the query")
    leading(site, 2, v.axes[:-1], k.axes[:-1], "the values")
    if q.axes[-1].size != k.axes[-1].size:
        message = f"{site.op}: a query of {q.axes[-1]} features meets keys of {k.axes[-1]}"
        site.fail("CS0352", message, operand=1, sizes=(q.axes[-1].size, k.axes[-1].size))
    heads, causal = integer(site, "heads", 1), flag(site, "causal")
    for what, size in (("query", shape.features), ("value", shape.values.size)):
        if quotient(size, Size.of(heads)) is None:
            site.fail(
                "CS0353", f"{site.op}: {heads} heads do not divide the {size} features of a {what}", static="heads"
            )
    if causal and shape.query is None:
        site.fail("CS0349", f"{site.op}: `causal` needs a query with an axis of positions", static="causal")
    if site.given(MASK):
        mask = require(site, MASK, (Dtype.BOOL,), "a mask of bool: true where a key takes part")
        _mask_places(site, mask, shape)
    if site.given(LENGTH):
        length = require(site, LENGTH, (Dtype.I64, Dtype.I32), "lengths of i64")
        leading(site, LENGTH, length.axes, shape.lead, "`length`")
    scale = None if site.statics["scale"] is None else number(site, "scale")
    return shape, {"heads": heads, "over": over, "causal": causal, "scale": scale}


def _mask_places(site: Site, mask: TensorType, shape: _Shape) -> tuple[int, ...]:
    """Axes of the scores that a mask's axes go with: in order where they fit all of them, those of the keys or the
    last ones (in self-attention queries and keys have one name), else by name. One that is the same for all queries may
    have an axis of size 1 there."""
    scores = shape.scores
    last, leads = scores.rank - 1, tuple(range(len(shape.lead)))
    if shape.query is not None and mask.rank == scores.rank and mask.axes[last - 1] == Axis(None, Size.of(1)):
        scores = scores.with_axes((*scores.axes[: last - 1], mask.axes[last - 1], scores.axes[last]))
    for places in ((*range(scores.rank),), (*leads, last), tuple(range(max(0, last - 1), last + 1)), (last,)):
        if len(places) == mask.rank and all(_fits(a, scores.axes[p]) for a, p in zip(mask.axes, places, strict=True)):
            return places
    return placed(site, mask.axes, scores, range(scores.rank), MASK)


def _fits(a: Axis, b: Axis) -> bool:
    return a.size == b.size and (a.name is None or b.name is None or a.name == b.name)


def _is_row(shape: _Shape, order: tuple[int, ...], missing: tuple[int, ...]) -> bool:
    """Whether an aligned mask has no axis for the queries yet."""
    return shape.query is None or len(order) + len(missing) == 1


def _places(inputs: Types, shape: _Shape) -> tuple[int, ...]:
    return _mask_places(Site("attend", tuple(inputs), {}), take(inputs, MASK), shape)


def _result(q: TensorType, v: TensorType) -> TensorType:
    last = q.axes[-1] if q.axes[-1].size == v.axes[-1].size else v.axes[-1]
    return q.with_axes((*q.axes[:-1], last))


def _rule(site: Site) -> Resolution:
    q, k, v = (at_least(site, i, 1 + (i > 0), "an axis of features") for i in range(3))
    for operand in (1, 2):
        same_dtype(site, operand, q)
    _, attrs = _checked(site, q, k, v)
    return Resolution(Attrs.of(**attrs), (_result(q, v),))


def _flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    shape = _shapes(attrs, inputs)
    lead = len(shape.lead)
    rows: tuple[Flow, ...] = tuple(Pointwise(i) for i in range(lead))
    alone = not present(inputs, 1)  # the query is key and value too
    query: tuple[Flow, ...] = () if shape.query is None else (Mixing() if alone else Pointwise(lead),)
    keys: list[Flow] = list(rows)
    keys.insert(shape.over, Mixing())
    flows: list[tuple[Flow, ...]] = [(*rows, *query, Mixing())]
    flows += [() if inputs[i] is None else (*keys, Mixing()) for i in (1, 2)]
    if present(inputs, MASK):
        last = shape.scores.rank - 1
        axes = zip(take(inputs, MASK).axes, _places(inputs, shape), strict=True)
        flows.append(
            tuple(Mixing() if p == last or a.size != shape.scores.axes[p].size else Pointwise(p) for a, p in axes)
        )
    elif len(inputs) > MASK:
        flows.append(())
    if len(inputs) > LENGTH:
        flows.append(rows if present(inputs, LENGTH) else ())
    return (*flows, *(mixing(k) for k in inputs[LENGTH + 1 :]))


def _macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
    shape = _shapes(attrs, inputs)
    return shape.scores.elements * (shape.features + shape.values.size)


# ---- reference


def _masked(c: ReferenceCall, shape: _Shape, rows: int, keys: int) -> Array | None:
    """bool [*lead, T or 1, S], or None where every key takes part."""
    masks: list[Array] = []
    if present(c.args, MASK):
        order, missing = alignment(_places(c.inputs, shape), shape.scores.rank)
        mask = np.expand_dims(array(c, MASK).transpose(order), missing)
        masks.append(mask if shape.query is not None else np.expand_dims(mask, -2))
    if present(c.args, LENGTH):
        masks.append(np.arange(keys) < array(c, LENGTH)[..., None, None])
    if c.attrs.flag("causal"):
        masks.append(np.arange(keys)[None, :] <= np.arange(rows)[:, None])
    total: Array | None = None
    for mask in masks:
        total = mask if total is None else total & mask
    return total


def _attended(c: ReferenceCall, q: Array, k: Array, v: Array) -> Array:
    shape, heads = _shapes(c.attrs, c.inputs), c.attrs.integer("heads")
    if shape.query is None:
        q = np.expand_dims(q, -2)
    k, v = (np.moveaxis(x, shape.over, -2) for x in (k, v))
    scale = c.attrs["scale"]
    factor = 1 / sqrt(q.shape[-1] // heads) if scale is None else c.attrs.number("scale")
    mask = _masked(c, shape, q.shape[-2], k.shape[-2])
    parts: list[Array] = []
    for head in range(heads):
        a, b, d = (x[..., head * (x.shape[-1] // heads) : (head + 1) * (x.shape[-1] // heads)] for x in (q, k, v))
        scores = np.einsum("...td,...sd->...ts", a, b) * factor
        if mask is not None:
            scores = np.where(mask, scores, -np.inf)
        top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        weights = np.exp(scores - np.where(np.isneginf(top), 0.0, top))
        total = weights.sum(axis=-1, keepdims=True)
        parts.append(np.einsum("...ts,...sd->...td", weights / np.where(total == 0, 1.0, total), d))
    y = np.concatenate(parts, axis=-1)
    return y[..., 0, :] if shape.query is None else y


# ---- torch


def _torch_attend(c: TorchCall, q: str, k: str, v: str) -> str:
    shape = _shapes(c.attrs, c.inputs)
    end = moved(TensorType(Dtype.F32, unnamed(*(0,) * (len(shape.lead) + 2))), (shape.over, len(shape.lead) + 1))
    text = f"{q}, {torch_permute(k, end)}, {torch_permute(v, end)}, heads={c.attrs.integer('heads')}"
    if present(c.args, MASK):
        order, missing = alignment(_places(c.inputs, shape), shape.scores.rank)
        mask = torch_inserted(torch_permute(str(c.args[MASK]), order), len(order), missing)
        text += f", mask={f'{mask}.unsqueeze(-2)' if _is_row(shape, order, missing) else mask}"
    if present(c.args, LENGTH):
        text += f", length={c.args[LENGTH]}"
    if c.attrs.flag("causal"):
        text += ", causal=True"
    if c.attrs["scale"] is not None:
        text += f", scale={float(c.attrs.number('scale'))!r}"
    return f"{c.support('attend')}({text})"


# ---- ONNX


def _onnx_mask(c: OnnxCall, shape: _Shape) -> str:
    """bool that broadcasts to [*lead, heads, T, S]; "" where every key takes part."""
    masks: list[str] = []
    if present(c.args, MASK):
        order, missing = alignment(_places(c.inputs, shape), shape.scores.rank)
        mask = onnx_unsqueeze(c, onnx_transpose(c, c.args[MASK], order), missing)
        masks.append(onnx_unsqueeze(c, mask, [-3, -2] if _is_row(shape, order, missing) else [-3]))
    if present(c.args, LENGTH):
        place = onnx_range(c, shape.key.size)
        length = c.node("Cast", [c.args[LENGTH]], to=7)
        masks.append(c.node("Less", [place, onnx_unsqueeze(c, length, [-3, -2, -1])]))
    if c.attrs.flag("causal") and shape.query is not None:
        rows = onnx_unsqueeze(c, onnx_range(c, shape.query.size), [1])
        masks.append(c.node("LessOrEqual", [onnx_range(c, shape.key.size), rows]))
    if not masks:
        return ""
    total = masks[0]
    for mask in masks[1:]:
        total = c.node("And", [total, mask])
    return total


def _onnx_heads(
    c: OnnxCall, x: str, lead: tuple[Axis, ...], rows: Size, features: Size, order: tuple[int, int, int]
) -> str:
    """[*lead, rows, features] as [*lead] and a permutation of (rows, heads, features of a head)."""
    heads, n = c.attrs.integer("heads"), len(lead)
    x = onnx_reshape(c, x, [*(a.size for a in lead), rows, heads, features.divided(heads)])
    return onnx_transpose(c, x, [*range(n), *(n + i for i in order)])


def _onnx_attend(c: OnnxCall, q: str, k: str, v: str) -> str:
    shape, dtype = _shapes(c.attrs, c.inputs), take(c.inputs, 0).dtype
    lead, rows, keys = shape.lead, Size.of(1) if shape.query is None else shape.query.size, shape.key.size
    end = [*(i for i in range(len(lead) + 1) if i != shape.over), shape.over, len(lead) + 1]
    k, v = onnx_transpose(c, k, end), onnx_transpose(c, v, end)
    size = (shape.features.divided(c.attrs.integer("heads"))).value
    if c.attrs["scale"] is None and size is None:
        width = c.node("Cast", [c.size(shape.features.divided(c.attrs.integer("heads")))], to=1)
        factor = c.node("CastLike", [c.node("Reciprocal", [c.node("Sqrt", [width])]), q])
    else:
        scale = 1 / sqrt(size or 1) if c.attrs["scale"] is None else float(c.attrs.number("scale"))
        factor = onnx_scalar(c, scale, dtype)
    left = _onnx_heads(c, c.node("Mul", [q, factor]), lead, rows, shape.features, (1, 0, 2))
    right = _onnx_heads(c, k, lead, keys, shape.features, (1, 2, 0))
    scores = c.node("MatMul", [left, right])
    mask = _onnx_mask(c, shape)
    if mask:
        scores = c.node(
            "Where", [mask, scores, onnx_scalar(c, F16_LOWEST if dtype is Dtype.F16 else F32_LOWEST, dtype)]
        )
    weights = c.node("Softmax", [scores], axis=-1)
    if mask:
        weights = c.node("Where", [mask, weights, onnx_scalar(c, 0.0, dtype)])
    y = c.node("MatMul", [weights, _onnx_heads(c, v, lead, keys, shape.values.size, (1, 0, 2))])
    n = len(lead)
    y = onnx_transpose(c, y, [*range(n), n + 1, n, n + 2])
    middle = [] if shape.query is None else [rows]
    return onnx_reshape(c, y, [*(a.size for a in lead), *middle, shape.values.size])


# ---- the layer


def _layer_rule(site: Site) -> Resolution:
    q = at_least(site, 0, 2, "an axis of features")
    k = same_dtype(site, 1, q) if site.given(1) else q
    v = same_dtype(site, 2, q) if site.given(2) else k
    size = q.axes[-1].size
    for operand, kind in ((1, k), (2, v)):
        if kind.axes[-1].size != size:
            site.fail("CS0352", f"{site.op}: {show(q)} and {show(kind)} have other features", operand=operand)
    _, attrs = _checked(site, q, k, v)
    specs: list[WeightSpec] = []
    shapes = ((5, (size * 3, size)), (6, (size * 3,)), (7, (size, size)), (8, (size,)))
    static = site.statics["bias"]
    bias = (not site.given(5) or site.given(6)) if static is None else bool(static)
    for operand, sizes in shapes:
        if site.given(operand):
            own_shape(site, operand, sizes, q)
        elif len(sizes) == 2 or bias:
            init = kaiming(size) if len(sizes) == 2 else zeros()
            specs.append(WeightSpec(operand, TensorType(q.dtype, unnamed(*sizes)), init))
    return Resolution(Attrs.of(bias=bias, **attrs), (_result(q, v),), tuple(specs))


def _layer_macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
    q = take(inputs, 0)
    k = inputs[1] or q
    v = inputs[2] or k
    size = q.axes[-1].size
    return _macs(attrs, inputs, types) + (q.elements * 2 + k.elements + v.elements) * size


def _operands(args: tuple[str, str | None, str | None]) -> tuple[str, str, str]:
    q, k, v = args
    return q, k or q, v or k or q


def _layer_reference(c: ReferenceCall) -> Array:
    q = array(c, 0)
    k = array(c, 1) if present(c.args, 1) else q
    v = array(c, 2) if present(c.args, 2) else k
    weights = np.split(array(c, 5), 3)
    biases = np.split(array(c, 6), 3) if present(c.args, 6) else [np.zeros(1)] * 3
    near = [np.tensordot(x, w, axes=([-1], [1])) + b for x, w, b in zip((q, k, v), weights, biases, strict=True)]
    y = np.tensordot(_attended(c, *near), array(c, 7), axes=([-1], [1]))
    return np.asarray(y + array(c, 8) if present(c.args, 8) else y)


def _layer_torch(c: TorchCall) -> str:
    size, weight = c.size(take(c.inputs, 0).axes[-1].size), c.args[5]
    bias = c.args[6] if present(c.args, 6) else None
    near: list[str] = []
    inputs = _operands((str(c.args[0]), c.args[1], c.args[2]))
    for x, part in zip(inputs, (f":{size}", f"{size} : 2 * {size}", f"2 * {size} :"), strict=True):
        near.append(f"F.linear({x}, {weight}[{part}]{f', {bias}[{part}]' if bias else ''})")
    out = f", {c.args[8]}" if present(c.args, 8) else ""
    return f"F.linear({_torch_attend(c, *near)}, {c.args[7]}{out})"


def _onnx_product(c: OnnxCall, x: str, weight: str, bias: str) -> str:
    y = c.node("MatMul", [x, c.node("Transpose", [weight], perm=[1, 0])])
    return c.node("Add", [y, bias]) if bias else y


def _layer_onnx(c: OnnxCall) -> str:
    weights = c.nodes("Split", [c.args[5]], 3, axis=0, num_outputs=3)
    biases = c.nodes("Split", [c.args[6]], 3, axis=0, num_outputs=3) if present(c.args, 6) else ("", "", "")
    inputs = _operands((c.args[0], c.args[1], c.args[2]))
    near = [_onnx_product(c, x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]
    return _onnx_product(c, _onnx_attend(c, *near), c.args[7], c.args[8] if present(c.args, 8) else "")


_PARAMETERS = (
    Parameter("heads", Kind.INT, 1),
    Parameter("over", Kind.AXIS, None),
    Parameter("causal", Kind.BOOL, False),
    Parameter("scale", Kind.FLOAT, None),
)

OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="attend",
        summary="softmax(q k' / sqrt(d)) v in heads of the last axis; not for keys where `mask` is false, "
        "at `length` or after or, with `causal`, after the query's position",
        operands=(*_QKV, *_MASKS),
        parameters=_PARAMETERS,
        rule=_rule,
        flow=_flow,
        reference=lambda c: _attended(c, array(c, 0), array(c, 1), array(c, 2)),
        torch=lambda c: _torch_attend(c, str(c.args[0]), str(c.args[1]), str(c.args[2])),
        onnx=lambda c: _onnx_attend(c, *c.args[:3]),
        examples=(
            Example("q: f32[N, D=8], k: f32[N, S=6, D=8], v: f32[N, S=6, D=8]", "attend[heads=4, over=S](q, k, v)"),
            Example(
                "q: f32[N, D=8], k: f32[N, S=6, D=8], v: f32[N, S=6, D=8], n: i64[N]",
                "attend[heads=4, over=S](q, k, v, length=n)",
            ),
            Example("q: f32[N, T, D=4], k: f32[N, S, D=4], v: f32[N, S, E=6]", "attend[2](q, k, v)"),
            Example(
                "q: f32[N, T, D=4], k: f32[N, T, D=4], v: f32[N, T, D=4]", "attend[causal=true, scale=0.5](q, k, v)"
            ),
            Example(
                "q: f32[N, T=3, D=4], k: f32[N, S=6, D=4], v: f32[N, S=6, D=4], m: bool[N, S=6]",
                "attend[2](q, k, v, mask=m)",
            ),
            Example(
                "q: f32[N, T=3, D=4], k: f32[N, S=6, D=4], v: f32[N, S=6, D=4], m: bool[T=3, S=6], n: i64[N]",
                "attend[2](q, k, v, mask=m, length=n)",
            ),
            Example("q: f32[N, D=4], k: f32[S=6, N, D=4], v: f32[S=6, N, D=4]", "attend[2, over=S](q, k, v)"),
            Example(
                "q: f32[N, T=3, D=4], k: f32[N, S=6, D=4], v: f32[N, S=6, D=4], m: bool[N, 1, S=6]",
                "attend[2](q, k, v, mask=m)",
            ),
            Example(
                "q: f32[N, T=5, D=4], k: f32[N, T=5, D=4], v: f32[N, T=5, D=4], m: bool[N, T=5]",
                "attend[2](q, k, v, mask=m)",
            ),
            Example(
                "q: f32[N, T=5, D=4], k: f32[N, T=5, D=4], v: f32[N, T=5, D=4], m: bool[T=5, 5]",
                "attend[2](q, k, v, mask=m)",
            ),
            Example(
                "q: f32[N, D=4], k: f32[N, S=6, D=4], v: f32[N, S=6, D=4], m: bool[S=6]", "attend[2](q, k, v, mask=m)"
            ),
            Example(
                "q: f32[N, T=5, D=4], k: f32[N, T=5, D=4], v: f32[N, T=5, D=4], m: bool[T=5]",
                "attend[2](q, k, v, mask=m)",
            ),
        ),
        macs=_macs,
        queries=lambda attrs: not attrs.flag("causal"),
        widths=HALVES,
        source="arXiv:1706.03762",
        group=GROUP,
    ),
    OpSpec(
        name="multi_head_attention",
        summary="`attend` between learned projections; without k and v the query attends to itself",
        operands=(
            Operand("q"),
            Operand("k", optional=True),
            Operand("v", optional=True),
            *_MASKS,
            Operand("in_proj_weight", optional=True, weight=True),
            Operand("in_proj_bias", optional=True, weight=True),
            Operand("out_proj_weight", optional=True, weight=True),
            Operand("out_proj_bias", optional=True, weight=True),
        ),
        parameters=(*_PARAMETERS, Parameter("bias", Kind.BOOL, None)),
        rule=_layer_rule,
        flow=_flow,
        reference=_layer_reference,
        torch=_layer_torch,
        onnx=_layer_onnx,
        examples=(
            Example("x: f32[N, T, D=8]", "multi_head_attention[2](x)"),
            Example("x: f32[N, T, D=8], y: f32[N, S, D=8]", "multi_head_attention[4, bias=false](x, y, y)"),
            Example("x: f32[N, T, D=8], n: i64[N]", "multi_head_attention[2, causal=true](x, length=n)"),
            Example("x: f32[N, D=8], y: f32[N, S, D=8]", "multi_head_attention[2](x, y)"),
        ),
        macs=_layer_macs,
        queries=lambda attrs: not attrs.flag("causal"),
        widths=HALVES,
        source="arXiv:1706.03762",
        group=GROUP,
    ),
)
