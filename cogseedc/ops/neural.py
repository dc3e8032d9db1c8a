"""What the neural families share: reading static arguments, matching axes, common demand and ONNX fragments.

Nothing here knows one particular operation; the entries are in the family modules beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, cast

from cogseedc.ir.nodes import Init, InitKind
from cogseedc.ir.opspec import (
    AxisArg,
    Flow,
    Mixing,
    OnnxCall,
    Operand,
    Pointwise,
    ReferenceCall,
    Site,
    Static,
    TorchCall,
    Window,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import BATCH_SIZE, Axis, Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import FLOATS, HALVES, Types, axis_position, new_axis, require
from cogseedc.ops.spelling import onnx_ints

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

WEIGHTED = (
    Operand("x"),
    Operand("weight", optional=True, weight=True),
    Operand("bias", optional=True, weight=True),
)
"""Operands of a layer that makes its own weight and bias, where none are given."""
NARROW = HALVES | {"int8"}
"""Widths of floating ops that have an integer kernel too, or a rewrite that loses nothing."""


def ones() -> Init:
    """Weights that start at one."""
    return Init(InitKind.ONES)


def zeros() -> Init:
    """Weights that start at zero."""
    return Init(InitKind.ZEROS)


def kaiming(fan_in: Size) -> Init:
    """Uniform in +-1/sqrt(fan_in), the default of torch's linear and convolution layers (0: not known yet)."""
    return Init(InitKind.KAIMING, fan_in=fan_in.value or 0)


def unnamed(*sizes: Size | int) -> tuple[Axis, ...]:
    """Axes without names."""
    return tuple(Axis(None, Size.of(s)) for s in sizes)


def show(kind: TensorType) -> str:
    """A type as messages spell it."""
    return f"`{kind}`"


def same_dtype(site: Site, operand: int, like: TensorType) -> TensorType:
    """The type of an operand that has to have the dtype of `like`. Refuses with CS0346."""
    found = site.type(operand)
    if found.dtype is not like.dtype:
        site.fail(
            "CS0346",
            f"{site.op} needs one dtype, but operand {operand + 1} is {show(found)} and the first is {show(like)}",
            f"convert it: `cast[{like.dtype.value}](...)`",
            operand=operand,
        )
    return found


def at_least(site: Site, operand: int, rank: int, what: str) -> TensorType:
    """A floating operand with at least `rank` axes. Refuses with CS0340."""
    found = require(site, operand, FLOATS, "a floating tensor")
    if found.rank < rank:
        site.fail(
            "CS0340",
            f"{site.op} needs {what}, at least {rank} axes, but operand {operand + 1} is {show(found)}",
            "add axes with `unsqueeze`, or use the operation for fewer spatial axes",
            operand=operand,
        )
    return found


def floating(site: Site, operand: int) -> TensorType:
    """The type of an operand that has to hold real numbers. Fails with CS0305."""
    return require(site, operand, FLOATS, "a floating tensor")


def ordered_axes(site: Site, value: Static, kind: TensorType, parameter: str) -> tuple[int, ...]:
    """Positions that an AXES argument means, in the order written. Fails as `axis_positions` does."""
    several = value if isinstance(value, tuple) else (value,)
    found = tuple(axis_position(site, kind, v, parameter) for v in several)
    if len(set(found)) != len(found):
        site.fail("CS0312", f"`{parameter}` of `{site.op}` has an axis twice", f"the value is {kind}", static=parameter)
    return found


def integers(site: Site, name: str, count: int, low: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """An INTS static, one integer for each of `count` axes. Refuses with CS0355 and CS0358."""
    value = site.statics[name]
    if value is None and default is not None:
        return default
    if value is None:
        site.fail("CS0355", f"{site.op} needs `{name}`", f"write `{site.op}[{name}=...]`", static=name)
    several = value if isinstance(value, tuple) else (value,) * count
    if len(several) != count:
        site.fail(
            "CS0358",
            f"{site.op}: `{name}` has {len(several)} values for {count} axes",
            "write one integer for all, or one for each",
            static=name,
        )
    whole = tuple(s.value if isinstance(s, Size) else s for s in several)
    for w in whole:
        if not isinstance(w, int) or isinstance(w, bool) or w < low:
            site.fail("CS0355", f"{site.op}: `{name}` has the value {w}", f"use at least {low}", static=name)
    return tuple(cast("int", w) for w in whole)


def sized_axis(site: Site, name: str, *near: TensorType) -> Axis | None:
    """The axis that a SIZE static makes, None when it was not given. A name without a size takes it from an operand
    that has the axis, or from the scope. Fails as `new_axis` does, CS0355 for a size of zero."""
    value = site.statics[name]
    if value is None:
        return None
    if isinstance(value, AxisArg) and value.size is None:
        found = [kind.axes[p].size for kind in near if (p := kind.position(value.name)) is not None]
        value = AxisArg(value.name, found[0] if found else None)
    made = new_axis(site, value, name)
    positive(site, made.size, name)
    return made


def positive(site: Site, size: Size, name: str) -> Size:
    """A size that, as far as it is known, is at least one. Fails with CS0355."""
    if size.known is not None and (size.value is None or size.value < 1):
        site.fail("CS0355", f"{site.op}: `{name}` is {size}", "a size is at least 1", static=name)
    return size


def alignment(places: Sequence[int], end: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How axes that go with the axes `places` of another value are brought in order: their permutation, and where,
    counted from the first of them, axes of size 1 go in up to the place `end`."""
    order = tuple(sorted(range(len(places)), key=lambda i: places[i]))
    first = min(places, default=end)
    return order, tuple(i - first for i in range(first, end) if i not in places)


def placed(site: Site, axes_: Sequence[Axis], kind: TensorType, among: Sequence[int], operand: int) -> tuple[int, ...]:
    """For each axis of a per-index operand, the axis of `kind` (one of `among`) that it goes with: by name; an
    unnamed one by its size, if only one fits. Refuses with CS0348."""
    found: list[int] = []
    for a in axes_:
        fitting = [p for p in among if a.name is not None and kind.axes[p].name == a.name]
        fitting = fitting or [
            p
            for p in among
            if kind.axes[p].size == a.size and p not in found and (a.name is None or kind.axes[p].name is None)
        ]
        if len(fitting) != 1 or kind.axes[fitting[0]].size != a.size or fitting[0] in found:
            site.fail(
                "CS0348",
                f"{site.op}: axis {a} of operand {operand + 1} goes with no axis of {show(kind)}",
                "axes left of the operation's own are matched by name, and must have the same size",
                operand=operand,
            )
        found.append(fitting[0])
    return tuple(found)


def leading(site: Site, operand: int, axes_: tuple[Axis, ...], like: tuple[Axis, ...], what: str) -> None:
    """Refuses with CS0347 axes that are not those of `like`: same number, sizes, and names where both have one."""
    pairs = list(zip(axes_, like, strict=False))
    fits = len(axes_) == len(like) and all(a.name is None or b.name is None or a.name == b.name for a, b in pairs)
    differ = next(((a.size, b.size) for a, b in pairs if a.size != b.size), None)
    if not fits or differ:
        site.fail(
            "CS0347",
            f"{site.op}: {what} has the axes [{', '.join(map(str, axes_))}] where the first operand has "
            f"[{', '.join(map(str, like))}]",
            "they are read index by index together: expand or permute one of them",
            operand=operand,
            sizes=differ if fits else None,
        )


def own_shape(site: Site, operand: int, sizes: Sequence[Size], like: TensorType) -> TensorType:
    """A weight operand of exactly these sizes. Refuses with CS0344."""
    found = same_dtype(site, operand, like)
    if found.shape != tuple(sizes):
        site.fail(
            "CS0344",
            f"{site.op}: operand {operand + 1} is {show(found)}, but the shape "
            f"[{', '.join(map(str, sizes))}] is needed",
            "the first operand and the static arguments decide the shape of a weight",
            operand=operand,
        )
    return found


def owns_bias(site: Site, operand: int, default: bool) -> bool:
    """Whether there is a bias: as `bias=` says, else when one is given, else `default` (the op owns its weight).

    Fails with CS0356 when one is given and `bias=false` is written."""
    value, given = site.statics["bias"], site.given(operand)
    if value is False and given:
        site.fail("CS0356", f"{site.op}: a bias is given, and `bias=false` is written", operand=operand, static="bias")
    return given or (default if value is None else bool(value))


def known(site: Site, size: Size, what: str) -> int:
    """The integer that a size is. Refuses with CS0354 one with symbols."""
    value = size.value
    if value is None:
        site.fail("CS0354", f"{site.op}: {what} has to be known, but is {size}", "give the axis a size")
    return value


def mixing(kind: TensorType | None) -> tuple[Flow, ...]:
    """Demand on an operand that is read whole (a weight)."""
    return () if kind is None else (Mixing(),) * kind.rank


def kept(
    kind: TensorType | None, over: Sequence[int] = (), windows: dict[int, Window] | None = None
) -> tuple[Flow, ...]:
    """Demand on an operand whose axes are the output's, except `over` (mixed) and `windows`."""
    if kind is None:
        return ()
    near = windows or {}
    return tuple(near.get(i) or (Mixing() if i in over else Pointwise(i)) for i in range(kind.rank))


def take(inputs: Types, operand: int) -> TensorType:
    """The type of an operand that the rule has seen."""
    found = inputs[operand]
    assert found is not None
    return found


def sigmoid(x: Array) -> Array:
    """Without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


# ---- torch fragments


def moved(kind: TensorType, over: Sequence[int]) -> tuple[int, ...]:
    """The permutation that brings the axes `over` to the end, in that order."""
    return tuple(i for i in range(kind.rank) if i not in over) + tuple(over)


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `order`."""
    return tuple(order.index(i) for i in range(len(order)))


def torch_permute(text: str, order: Sequence[int]) -> str:
    """A permutation, left out when it does nothing."""
    return text if list(order) == sorted(order) else f"{text}.permute({', '.join(map(str, order))})"


def torch_inserted(text: str, rank: int, places: Sequence[int]) -> str:
    """A value of `rank` axes with axes of size 1 put in at `places` of the result."""
    if not places:
        return text
    return f"{text}[{', '.join('None' if i in places else ':' for i in range(rank + len(places)))}]"


def torch_flat(c: TorchCall, inner: int, call: Callable[[str], str]) -> str:
    """`call` on operand 0 with all axes but the last `inner` made one, for functions that know one batch axis."""
    x, kind = str(c.args[0]), take(c.inputs, 0)
    if kind.rank == inner + 1:
        return call(x)
    if kind.rank == inner:
        return f"{call(f'{x}.unsqueeze(0)')}.squeeze(0)"
    sizes = c.sizes(kind.shape[: kind.rank - inner])
    return f"{call(f'{x}.flatten(0, {kind.rank - inner - 1})')}.unflatten(0, {sizes})"


# ---- ONNX fragments


def onnx_full(c: OnnxCall, value: float, count: int, dtype: Dtype) -> str:
    """A 1-D constant of a floating dtype."""
    if dtype is Dtype.BF16:
        return c.node("Cast", [c.constant(np.full(count, value, dtype=np.float32))], to=16)
    return c.constant(np.full(count, value, dtype=np.float16 if dtype is Dtype.F16 else np.float32))


def onnx_shape(c: OnnxCall, sizes: Sequence[Size], free: int | None = None) -> str:
    """A 1-D i64 of sizes, with -1 at `free`: the batch axis, so that an empty batch stays legal."""
    if free is None:
        free = next((i for i, s in enumerate(sizes) if s == BATCH_SIZE), None)
    if all(i == free or s.value is not None for i, s in enumerate(sizes)):
        return onnx_ints(c, *(-1 if i == free else s.value or 0 for i, s in enumerate(sizes)))
    if free is None:
        return c.sizes(sizes)
    parts = [c.sizes(sizes[:free])] if free else []
    parts.append(onnx_ints(c, -1))
    if free + 1 < len(sizes):
        parts.append(c.sizes(sizes[free + 1 :]))
    return c.node("Concat", parts, axis=0)


def onnx_reshape(c: OnnxCall, x: str, sizes: Sequence[Size | int], free: int | None = None) -> str:
    """A reshape to sizes, of which the one at `free` (default: the batch axis) is left to the run time."""
    return c.node("Reshape", [x, onnx_shape(c, [Size.of(s) for s in sizes], free)])


def onnx_settled(c: OnnxCall, x: str, kind: TensorType) -> str:
    """`x` as an operand of MatMul. Where the batch is not its first axis a Reshape to its own shape stands between,
    for ONNX Runtime fuses Transpose and MatMul into a kernel that ends the process on an empty batch."""
    return onnx_reshape(c, x, kind.shape) if kind.rank > 2 and kind.batch not in (None, 0) else x


def onnx_matmul(c: OnnxCall, a: str, b: str, left: Sequence[Size], right: Sequence[Size]) -> str:
    """MatMul of values of these shapes, which ONNX Runtime has to run for an empty batch.

    It refuses to broadcast a left operand to that, so one that lacks the batch is expanded to it; and to broadcast a
    right one, if it has fused a Transpose before the left one, so a Reshape to its own shape stands between.
    """
    rank = max(len(left), len(right)) - 2
    one = Size.of(1)
    mine, lead = ([one] * (rank + 2 - len(shape)) + list(shape[:-2]) for shape in (left, right))
    if any(r == BATCH_SIZE != m for m, r in zip(mine, lead, strict=True)):
        full = [m if r == one else r for m, r in zip(mine, lead, strict=True)]
        a = c.node("Expand", [a, c.sizes([*full, *left[-2:]])])
    elif any(m == BATCH_SIZE != r for m, r in zip(mine, lead, strict=True)):
        a = onnx_reshape(c, a, left)
    return c.node("MatMul", [a, b])


def onnx_flat(c: OnnxCall, inner: int, call: Callable[[str], str]) -> str:
    """`call` on operand 0 with all axes but the last `inner` made one; its result with them apart again."""
    x, kind, result = c.args[0], take(c.inputs, 0), c.types[0]
    lead = kind.rank - inner
    if lead == 1:
        return call(x)
    if lead == 0:
        zero = onnx_ints(c, 0)
        return c.node("Squeeze", [call(c.node("Unsqueeze", [x, zero])), zero])
    flat = onnx_reshape(c, x, (Size.of(-1), *kind.shape[lead:]), 0)
    return onnx_reshape(c, call(flat), result.shape)


# ---- reference fragments


def array(c: ReferenceCall, operand: int) -> Array:
    """An operand that is there."""
    found = c.args[operand]
    assert found is not None
    return found


def flat_rows(x: Array, inner: int) -> Array:
    """`x` with all axes but the last `inner` made one."""
    rows = prod(x.shape[: x.ndim - inner])
    return x.reshape((rows, *x.shape[x.ndim - inner :]))


def windows_of(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """All windows over the last axes: [..., *outputs, *kernel], a view where numpy can make one."""
    count = len(kernel)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(x.ndim - count, x.ndim)))
    steps = tuple(slice(None, None, s) for s in stride) + tuple(slice(None, None, d) for d in dilation)
    place: tuple[Any, ...] = (..., *steps)
    return np.asarray(view[place])


def padded(x: Array, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Array:
    """`x` with constants around its last axes."""
    outer = [(0, 0)] * (x.ndim - len(before))
    return np.pad(x, [*outer, *zip(before, after, strict=True)], constant_values=value)
