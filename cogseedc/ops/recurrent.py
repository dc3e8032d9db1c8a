"""Recurrent layers over one axis, and their single steps. Gates are in torch's order: LSTM i f g o, GRU r z n."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.neural import (
    array,
    at_least,
    flat_rows,
    kaiming,
    known,
    leading,
    mixing,
    onnx_reshape,
    own_shape,
    same_dtype,
    show,
    sigmoid,
    sized_axis,
    take,
    unnamed,
)
from cogseedc.ops.rules import HALVES, Flows, Types, axis_attr, axis_position, text
from cogseedc.ops.spelling import onnx_ints, onnx_transpose, present

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "recurrent"
_WEIGHTS = tuple(Operand(name, optional=True, weight=True) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
_GATES = {"lstm": 4, "lstm_cell": 4, "gru": 3, "gru_cell": 3, "rnn_cell": 1}
_PARTS = {"lstm_cell": 13, "gru_cell": 14, "rnn_cell": 4}
_ONNX_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
"""Places of torch's gates in ONNX's order: LSTM i o f c, GRU z r h."""


# ---- rules


def _hidden(site: Site, x: TensorType, first: int) -> Axis:
    """The axis of the hidden state: as written, else as a state or a weight has it. Fails with CS0345."""
    wanted = sized_axis(site, "hidden", x)
    if wanted is not None:
        return wanted
    if site.given(1) and site.type(1).rank:
        return site.type(1).axes[-1]
    if site.given(first + 1) and site.type(first + 1).rank:
        return Axis(None, site.type(first + 1).axes[-1].size)
    site.fail("CS0345", f"{site.op} needs the size of its hidden state", f"write `{site.op}[64](...)`", static="hidden")


def _own(site: Site, x: TensorType, hidden: Size, first: int) -> tuple[bool, list[WeightSpec]]:
    """Whether there are biases, and the weights to create."""
    inner, static = x.axes[-1].size, site.statics["bias"]
    rows = hidden * _GATES[site.op]
    bias = (not site.given(first) or site.given(first + 2)) if static is None else bool(static)
    specs: list[WeightSpec] = []
    for i, sizes in enumerate(((rows, inner), (rows, hidden), (rows,), (rows,))):
        if site.given(first + i):
            own_shape(site, first + i, sizes, x)
            if i > 1 and not bias:
                site.fail("CS0356", f"{site.op}: a bias is given, and `bias=false` is written", operand=first + i)
        elif i < 2 or bias:
            specs.append(WeightSpec(first + i, TensorType(x.dtype, unnamed(*sizes)), kaiming(hidden)))
    return bias, specs


def _state(site: Site, operand: int, x: TensorType, lead: tuple[Axis, ...], hidden: Axis) -> TensorType:
    """The type of a given state: [*lead, hidden]. Fails with CS0347, CS0359."""
    state = same_dtype(site, operand, x)
    if state.rank == 0 or state.axes[-1].size != hidden.size:
        site.fail(
            "CS0359",
            f"{site.op}: the state is {show(state)}, but {hidden.size} hidden units are needed",
            operand=operand,
        )
    leading(site, operand, state.axes[:-1], lead, "the state")
    return state


def _layer_rule(states: int) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        x, first, over = at_least(site, 0, 2, "steps and features"), 1 + states, site.statics["over"]
        if over is not None and axis_position(site, x, over) != x.rank - 2:
            help = f"put it there first: `permute` the axes of {show(x)}"
            site.fail("CS0361", f"{site.op} runs over the last axis but one", help, static="over")
        hidden = _hidden(site, x, first)
        known(site, hidden.size, "the size of the hidden state")
        lead = x.axes[:-2]
        for operand in range(1, first):
            if site.given(operand):
                _state(site, operand, x, lead, hidden)
        bias, specs = _own(site, x, hidden.size, first)
        attrs: dict[str, Attr] = {"hidden": axis_attr(hidden), "over": x.rank - 2, "bias": bias}
        last = x.with_axes((*lead, hidden))
        return Resolution(Attrs.of(**attrs), (x.with_axes((*x.axes[:-1], hidden)), *(last,) * states), tuple(specs))

    return rule


def _cell_rule(states: int) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        x, first = at_least(site, 0, 1, "features"), 1 + states
        hidden = _hidden(site, x, first)
        kinds = [_state(site, operand, x, x.axes[:-1], hidden) for operand in range(1, first)]
        bias, specs = _own(site, x, hidden.size, first)
        attrs: dict[str, Attr] = {"hidden": axis_attr(hidden), "bias": bias}
        if site.op == "rnn_cell":
            attrs["activation"] = text(site, "activation", ("tanh", "relu"))
        result = tuple(k.with_axes((*k.axes[:-1], Axis(hidden.name or k.axes[-1].name, hidden.size))) for k in kinds)
        return Resolution(Attrs.of(**attrs), result, tuple(specs))

    return rule


def _flow(states: int, steps: bool) -> Callable[[Attrs, Types, tuple[TensorType, ...]], Flows]:
    def flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
        x = take(inputs, 0)
        lead: tuple[Flow, ...] = tuple(Pointwise(i) for i in range(x.rank - 1 - steps))
        first = (*lead, *(Mixing(),) * (1 + steps))
        state = [() if k is None else (*lead, Mixing()) for k in inputs[1 : 1 + states]]
        return (first, *state, *(mixing(k) for k in inputs[1 + states :]))

    return flow


def _macs(gates: int) -> Callable[[Attrs, Types, tuple[TensorType, ...]], Size]:
    def macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
        x, hidden = take(inputs, 0), types[0].axes[-1].size
        return types[0].elements * gates * (x.axes[-1].size + hidden)

    return macs


# ---- reference


def _step(op: str, c: ReferenceCall, first: int, x: Array, states: Sequence[Array]) -> tuple[Array, ...]:
    """One step on x [..., D] and states [..., H]."""
    left = np.tensordot(x, array(c, first), axes=([-1], [1]))
    right = np.tensordot(states[0], array(c, first + 1), axes=([-1], [1]))
    if present(c.args, first + 2):
        left, right = left + array(c, first + 2), right + array(c, first + 3)
    if op == "rnn_cell":
        total = left + right
        return (np.tanh(total) if c.attrs.text("activation") == "tanh" else np.maximum(total, 0.0),)
    if op.startswith("gru"):
        (r1, z1, n1), (r2, z2, n2) = np.split(left, 3, axis=-1), np.split(right, 3, axis=-1)
        keep = sigmoid(z1 + z2)
        return ((1 - keep) * np.tanh(n1 + sigmoid(r1 + r2) * n2) + keep * states[0],)
    i, f, g, o = np.split(left + right, 4, axis=-1)
    cell = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


def _layer_reference(op: str, states: int) -> Callable[[ReferenceCall], tuple[Array, ...]]:
    def reference(c: ReferenceCall) -> tuple[Array, ...]:
        x = array(c, 0)
        shape = c.sizes(c.types[1].shape)
        state = [array(c, i) if present(c.args, i) else np.zeros(shape) for i in range(1, 1 + states)]
        result = np.empty(c.sizes(c.types[0].shape))
        for t in range(x.shape[-2]):
            state = list(_step(op, c, 1 + states, x[..., t, :], state))
            result[..., t, :] = state[0]
        return (result, *state)

    return reference


def _cell_reference(op: str, states: int) -> Callable[[ReferenceCall], Array | tuple[Array, ...]]:
    def reference(c: ReferenceCall) -> Array | tuple[Array, ...]:
        x, shape = array(c, 0), array(c, 1).shape
        rows = [flat_rows(array(c, i), 1) for i in range(1, 1 + states)]
        result = tuple(y.reshape(shape) for y in _step(op, c, 1 + states, flat_rows(x, 1), rows))
        return result if len(result) > 1 else result[0]

    return reference


# ---- torch


def _torch_weights(c: TorchCall, first: int) -> str:
    count = 4 if present(c.args, first + 2) else 2
    return ", ".join(str(a) for a in c.args[first : first + count])


def _layer_torch(op: str, states: int) -> Callable[[TorchCall], str]:
    def spell(c: TorchCall) -> str:
        state = ", ".join(str(c.args[i]) if present(c.args, i) else "None" for i in range(1, 1 + states))
        return f"{c.support(op)}({c.args[0]}, {state}, {_torch_weights(c, 1 + states)})"

    return spell


def _cell_torch(op: str, states: int) -> Callable[[TorchCall], str]:
    def spell(c: TorchCall) -> str:
        name = f"rnn_{c.attrs.text('activation')}_cell" if op == "rnn_cell" else op
        weights = _torch_weights(c, 1 + states)
        if take(c.inputs, 0).rank == 2:
            state = f"({c.args[1]}, {c.args[2]})" if states == 2 else c.args[1]
            return f"torch.{name}({c.args[0]}, {state}, {weights})"
        state = f"({c.args[1]}, {c.args[2]})" if states == 2 else f"({c.args[1]},)"
        call = f'{c.support("recurrent_step")}("{name}", {c.args[0]}, {state}, {weights})'
        return call if states == 2 else f"{call}[0]"

    return spell


# ---- ONNX


def _onnx_gates(c: OnnxCall, weight: str, order: tuple[int, ...]) -> str:
    """A weight with torch's gates along its first axis, in ONNX's order, behind an axis of directions."""
    parts = c.nodes("Split", [weight], len(order), axis=0, num_outputs=len(order))
    return c.node("Unsqueeze", [c.node("Concat", [parts[i] for i in order], axis=0), onnx_ints(c, 0)])


def _onnx_filled(c: OnnxCall, value: str, batch: str) -> str:
    """A value of rank 3, with a row on axis 1 when it has none: ONNX Runtime's LSTM and GRU end the process on none."""
    extra = c.node("Cast", [c.node("Equal", [batch, onnx_ints(c, 0)])], to=7)
    return c.node("Pad", [value, c.node("Concat", [onnx_ints(c, 0, 0, 0, 0), extra, onnx_ints(c, 0)], axis=0), ""])


def _onnx_first(c: OnnxCall, value: str, count: str, axis: int) -> str:
    """The first `count` indices of an axis."""
    return c.node("Slice", [value, onnx_ints(c, 0), count, onnx_ints(c, axis)])


def onnx_recurrence(
    c: OnnxCall, op: str, rows: str, weights: Sequence[str | None], states: Sequence[str], lengths: str = ""
) -> tuple[str, ...]:
    """`lstm` or `gru` over rows [T, N, D] from states [1, N, H]: all hidden states [T, 1, N, H], then the last states.

    T and N are at least one. `weights` are torch's, absent biases None; `lengths` i32 [N] say how far each row goes.
    """
    order, both = _ONNX_ORDER[op], [w for w in weights if w]
    made = [_onnx_gates(c, weight, order) for weight in both]
    bias = c.node("Concat", made[2:], axis=1) if len(made) > 2 else ""
    more: dict[str, int] = {"linear_before_reset": 1} if op == "gru" else {}
    hidden = c.types[0].axes[-1].size.value
    given = [rows, made[0], made[1], bias, lengths, *states]
    return c.nodes(op.upper(), given, 1 + len(states), hidden_size=hidden, **more)


def _layer_onnx(op: str, states: int) -> Callable[[OnnxCall], tuple[str, ...]]:
    def spell(c: OnnxCall) -> tuple[str, ...]:
        x, lead, first = take(c.inputs, 0), take(c.inputs, 0).rank - 2, 1 + states
        steps, hidden = x.axes[-2].size, c.types[0].axes[-1].size
        rows = onnx_transpose(c, c.args[0], [lead, *range(lead), lead + 1])
        if lead != 1:
            rows = onnx_reshape(c, rows, [steps, Size.of(-1), x.axes[-1].size], 1)
        weights = [c.args[first + i] if present(c.args, first + i) else None for i in range(4)]
        state = [
            onnx_reshape(c, c.args[i], [Size.of(1), Size.of(-1), hidden], 1) if present(c.args, i) else ""
            for i in range(1, first)
        ]
        batch = c.node("Shape", [rows], start=1, end=2)
        near = [_onnx_filled(c, value, batch) if value else "" for value in (rows, *state)]
        found = onnx_recurrence(c, op, near[0], weights, near[1:])
        found = tuple(_onnx_first(c, value, batch, 2 if i == 0 else 1) for i, value in enumerate(found))
        sequence = c.node("Squeeze", [found[0], onnx_ints(c, 1)])
        if lead != 1:
            sequence = onnx_reshape(c, sequence, [steps, *x.shape[:lead], hidden])
        sequence = onnx_transpose(c, sequence, [*range(1, lead + 1), 0, lead + 1])
        return sequence, *(onnx_reshape(c, value, c.types[1].shape) for value in found[1:])

    return spell


def _onnx_product(c: OnnxCall, x: str, weight: str, bias: str, rank: int) -> str:
    if rank == 2:
        return c.node("Gemm", [x, weight, bias] if bias else [x, weight], transB=1)
    y = c.node("MatMul", [x, c.node("Transpose", [weight], perm=[1, 0])])
    return c.node("Add", [y, bias]) if bias else y


def _cell_onnx(op: str, states: int) -> Callable[[OnnxCall], str | tuple[str, ...]]:
    def spell(c: OnnxCall) -> str | tuple[str, ...]:
        first, rank = 1 + states, take(c.inputs, 0).rank
        bias = list(c.args[first + 2 : first + 4]) if present(c.args, first + 2) else ["", ""]
        left = _onnx_product(c, c.args[0], c.args[first], bias[0], rank)
        right = _onnx_product(c, c.args[1], c.args[first + 1], bias[1], rank)
        return _ONNX_STEP[op](c, left, right)

    return spell


def _onnx_rnn(c: OnnxCall, left: str, right: str) -> str:
    return c.node("Tanh" if c.attrs.text("activation") == "tanh" else "Relu", [c.node("Add", [left, right])])


def _onnx_gru(c: OnnxCall, left: str, right: str) -> str:
    r1, z1, n1 = c.nodes("Split", [left], 3, axis=-1, num_outputs=3)
    r2, z2, n2 = c.nodes("Split", [right], 3, axis=-1, num_outputs=3)
    reset, keep = (c.node("Sigmoid", [c.node("Add", [a, b])]) for a, b in ((r1, r2), (z1, z2)))
    new = c.node("Tanh", [c.node("Add", [n1, c.node("Mul", [reset, n2])])])
    return c.node("Add", [new, c.node("Mul", [keep, c.node("Sub", [c.args[1], new])])])


def _onnx_lstm(c: OnnxCall, left: str, right: str) -> tuple[str, str]:
    i, f, g, o = c.nodes("Split", [c.node("Add", [left, right])], 4, axis=-1, num_outputs=4)
    kept = c.node("Mul", [c.node("Sigmoid", [f]), c.args[2]])
    cell = c.node("Add", [kept, c.node("Mul", [c.node("Sigmoid", [i]), c.node("Tanh", [g])])])
    return c.node("Mul", [c.node("Sigmoid", [o]), c.node("Tanh", [cell])]), cell


_ONNX_STEP: dict[str, Callable[[OnnxCall, str, str], str | tuple[str, ...]]] = {
    "rnn_cell": _onnx_rnn,
    "gru_cell": _onnx_gru,
    "lstm_cell": _onnx_lstm,
}


def _layer(name: str, states: int, summary: str, source: str) -> OpSpec:
    start = tuple(Operand(n, optional=True) for n in ("h", "c")[:states])
    given = "h: f32[N, Q=4]" + (", c: f32[N, Q=4]" if states == 2 else "")
    return OpSpec(
        name=name,
        summary=summary,
        operands=(Operand("x"), *start, *_WEIGHTS),
        parameters=(
            Parameter("hidden", Kind.SIZE, None),
            Parameter("over", Kind.AXIS, None),
            Parameter("bias", Kind.BOOL, None),
        ),
        rule=_layer_rule(states),
        flow=_flow(states, True),
        reference=_layer_reference(name, states),
        torch=_layer_torch(name, states),
        onnx=_layer_onnx(name, states),
        examples=(
            Example("x: f32[N, T=5, D=3]", f"{name}[4, over=T](x)"),
            Example("x: f32[N, T, D=3]", f"{name}[Q=4, bias=false](x)"),
            Example(f"x: f32[N, T=5, D=3], {given}", f"{name}[4](x, {'h, c' if states == 2 else 'h'})"),
            Example("x: f32[N, L=2, T, D=3]", f"{name}[4](x)"),
        ),
        macs=_macs(_GATES[name]),
        widths=HALVES,
        source=source,
        group=GROUP,
    )


def _cell(name: str, states: int, summary: str, source: str, *parameters: Parameter) -> OpSpec:
    given = "h: f32[N, Q=4]" + (", c: f32[N, Q=4]" if states == 2 else "")
    wide = "h: f32[N, T, Q=4]" + (", c: f32[N, T, Q=4]" if states == 2 else "")
    operands = "x, h, c" if states == 2 else "x, h"
    extra = (Example("x: f32[N, D=3], h: f32[N, 4]", f'{name}[4, activation="relu"](x, h)'),) if parameters else ()
    return OpSpec(
        name=name,
        summary=summary,
        operands=(Operand("x"), *(Operand(n) for n in ("h", "c")[:states]), *_WEIGHTS),
        parameters=(Parameter("hidden", Kind.SIZE, None), Parameter("bias", Kind.BOOL, None), *parameters),
        rule=_cell_rule(states),
        flow=_flow(states, False),
        reference=_cell_reference(name, states),
        torch=_cell_torch(name, states),
        onnx=_cell_onnx(name, states),
        examples=(
            Example(f"x: f32[N, D=3], {given}", f"{name}[4]({operands})"),
            Example(f"x: f32[N, D=3], {given}", f"{name}[bias=false]({operands})"),
            Example(f"x: f32[N, T, D=3], {wide}", f"{name}[4]({operands})"),
            *extra,
        ),
        macs=_macs(_GATES[name]),
        widths=HALVES,
        parts=_PARTS[name],
        source=source,
        group=GROUP,
    )


_LSTM, _GRU, _RNN = "Hochreiter and Schmidhuber 1997", "arXiv:1406.1078", "Elman 1990"

OPS: tuple[OpSpec, ...] = (
    _layer("lstm", 2, "LSTM over the last axis but one: all hidden states, the last one, the last cell", _LSTM),
    _layer("gru", 1, "GRU over the last axis but one: all hidden states, the last one", _GRU),
    _cell("lstm_cell", 2, "one step of an LSTM: the hidden state and the cell", _LSTM),
    _cell("gru_cell", 1, "one step of a GRU: the hidden state", _GRU),
    _cell(
        "rnn_cell",
        1,
        "one step of a plain recurrent layer: tanh(x W' + b + h U' + c), or relu of it",
        _RNN,
        Parameter("activation", Kind.STR, "tanh"),
    ),
)
