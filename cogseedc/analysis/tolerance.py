"""Which precisions each call may have: what its seed tolerates, the target offers, and the operation can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cogseedc.diagnostics import Diagnostics
from cogseedc.ir import (
    Call,
    Constant,
    Dtype,
    Exit,
    Gate,
    Graph,
    NodeId,
    Ops,
    TensorType,
    Value,
    Weight,
    Wiring,
    output_types,
)
from cogseedc.ops.scores import LAYOUT
from cogseedc.source import Span

if TYPE_CHECKING:
    from cogseedc.target import Target

FP32 = "fp32"
INT8 = "int8"
HALF = {"fp16": Dtype.F16, "bf16": Dtype.BF16}
BY_LEVEL: Mapping[int | None, tuple[str, ...]] = {
    0: ("int8",),
    1: ("int8", "fp8"),
    2: ("fp16", "bf16"),
    3: ("fp16",),
}
"""What a seed of each level tolerates when it does not say; a program that says neither tolerates nothing."""

LAYERS = frozenset({"conv1d", "conv2d", "linear"})
"""Operations that can multiply integers: a weight of int8 per output channel."""
ABSORBED = frozenset({"relu", "relu6"})
"""What an integer layer can do while it rounds its result."""
CARRIED = frozenset({"max_pool1d", "max_pool2d", "reshape", "flatten", "permute", "squeeze", "unsqueeze"})
"""Operations that give elements of their operand: integers in, the same integers out."""
_HALVES = frozenset(
    {"linear", "convolution", "transposed convolution", "product", "activation", "elementwise", "layout", "shape"}
)
"""Families computed in 16 bits. Norms, softmax, reductions, scores and losses stay in fp32."""
_WIDE = frozenset({"softmax", "log_softmax", "embedding", "exp", "pow", "detach"})


def candidates(
    graph: Graph, ops: Ops, target: Target, bits: str, static: bool, diagnostics: Diagnostics
) -> dict[NodeId, tuple[str, ...]]:
    """The precisions that each call may have, for calls that may have another than fp32.

    `bits` is `fp32` (only what `@bits` asks for), `auto`, or one precision that is then taken wherever it is
    tolerated. `static`: the ranges of values are known. Reports CS0706 for a precision that the target lacks, CS0707
    for one that the seed does not tolerate.
    """
    wiring = graph.wiring()
    fixed, deciding = weights_alone(graph, wiring), _deciding(graph, wiring)
    if bits not in (FP32, "auto") and bits not in target.precisions:
        diagnostics.error("CS0706", f"target `{target.name}` has no {bits}", help=_offers(target))
    found: dict[NodeId, tuple[str, ...]] = {}
    for id, call in graph.nodes():
        if not isinstance(call, Call) or id in fixed or (bits == FP32 and call.origin.forced_bits is None):
            continue
        wanted = _wanted(call, target, bits, diagnostics)
        if id not in deciding:
            able = tuple(p for p in wanted if p == FP32 or _can(graph, ops, wiring, id, call, p, static, fixed))
            if able and able != (FP32,):
                found[id] = able
    return found


def written(graph: Graph) -> dict[str, Span | None]:
    """Precisions of 16 bits that the program itself writes as types of values, each with the first place of one."""
    names = {dtype: name for name, dtype in HALF.items()}
    found: dict[str, Span | None] = {}
    for inner, _ in graph.nested():
        for _, node in inner.nodes():
            for type in output_types(node):
                if type.dtype in names:
                    found.setdefault(names[type.dtype], node.origin.span)
    return found


def hold_written(graph: Graph, target: Target, diagnostics: Diagnostics) -> None:
    """Reports CS0706 for values of a precision that the target lacks."""
    for precision, span in written(graph).items():
        if precision not in target.precisions:
            diagnostics.error(
                "CS0706",
                f"target `{target.name}` has no values of {HALF[precision].value}",
                span,
                help=f"{_offers(target)}: write f32; `bits {precision}` in a seed lets the targets that have it use it",
            )


def tolerated(call: Call) -> tuple[str, ...]:
    """Reduced precisions that the seed around a call tolerates."""
    said = tuple(str(b) for b in call.origin.bits)
    if said:
        return said
    return BY_LEVEL.get(call.origin.level, ())


def weights_alone(graph: Graph, wiring: Wiring) -> frozenset[NodeId]:
    """Weights, constants, and calls that read nothing else: data before the program runs."""
    found = set[NodeId]()
    for id in wiring.order:
        node, ins = graph[id], wiring.ins[id]
        if isinstance(node, (Weight, Constant)) or (
            isinstance(node, Call) and ins and all(e.src in found for e in ins)
        ):
            found.add(id)
    return frozenset(found)


def activations(graph: Graph, wiring: Wiring, id: NodeId, fixed: Iterable[NodeId]) -> dict[int, Value]:
    """The floating operands of a call that are computed while the program runs, by port."""
    known = frozenset(fixed)
    return {
        port: value
        for port, value in enumerate(wiring.operands(id))
        if value is not None and value.node not in known and graph.type(value).dtype.floating
    }


def _wanted(call: Call, target: Target, bits: str, diagnostics: Diagnostics) -> tuple[str, ...]:
    forced = call.origin.forced_bits
    if forced is None:
        able = tuple(p for p in tolerated(call) if p in target.precisions)
        if bits == "auto":
            return (FP32, *able)
        return (bits,) if bits in able else (FP32,)
    if forced not in target.precisions:
        diagnostics.error("CS0706", f"target `{target.name}` has no {forced}", call.origin.span, help=_offers(target))
    elif forced != FP32 and call.origin.bits and forced not in call.origin.bits:
        seed = call.origin.seeds[-1] if call.origin.seeds else "the seed"
        said = " | ".join(str(b) for b in call.origin.bits)
        diagnostics.error(
            "CS0707",
            f"`{seed}` does not tolerate {forced}",
            call.origin.span,
            help=f"it says `bits {said}`: add {forced} there, or ask for one of these",
        )
    return (forced,)


def _offers(target: Target) -> str:
    return f"it has {', '.join(target.precisions)}"


def _can(
    graph: Graph,
    ops: Ops,
    wiring: Wiring,
    id: NodeId,
    call: Call,
    precision: str,
    static: bool,
    fixed: frozenset[NodeId],
) -> bool:
    """Whether there is a kernel, or a rewrite that loses nothing, for a call in a precision."""
    spec = ops[call.op]
    if precision not in spec.widths or any(t.dtype is not Dtype.F32 for t in call.types):
        return False
    types = [graph.type(v) for v in wiring.operands(id) if v is not None]
    if precision in HALF:
        return spec.group in _HALVES and call.op not in _WIDE and _all_f32(types)
    if call.op in LAYERS:
        return _integer_layer(graph, wiring, id, call, fixed)
    return static and call.op in ABSORBED | CARRIED and types[0].rank > 0


def _all_f32(types: Iterable[TensorType]) -> bool:
    return all(t.dtype is Dtype.F32 for t in types if t.dtype.floating)


def _integer_layer(graph: Graph, wiring: Wiring, id: NodeId, call: Call, fixed: frozenset[NodeId]) -> bool:
    """Whether a layer's weight is one for all samples, its output channels first, and is known before the run."""
    x, weight, bias = (*wiring.operands(id), None)[:3]
    assert x is not None, "the verifier found both operands fed"
    assert weight is not None, "the verifier found both operands fed"
    rank = 2 if call.op == "linear" else len(call.attrs.integers("kernel")) + 2
    last = call.op != "linear" or call.attrs.integer("over") == graph.type(x).rank - 1
    plain = bias is None or (bias.node in fixed and graph.type(bias).rank == 1)
    return weight.node in fixed and last and plain and graph.type(weight).rank == rank


def _deciding(graph: Graph, wiring: Wiring) -> frozenset[NodeId]:
    """Calls that make a score: a floating value that a comparison or choice turns into part of a decision.

    They stay in fp32, and so does what moves the elements of a score, and what compares.
    """
    found = set[NodeId]()
    within = set[NodeId]()
    for id in reversed(wiring.order):
        node = graph[id]
        if not isinstance(node, (Gate, Exit)) and id not in within:
            continue
        found.add(id)
        ins = wiring.ins[id][:1] if isinstance(node, Exit) else wiring.ins[id]
        for edge in ins:
            read = graph[edge.src]
            moves = isinstance(read, Call) and read.op in LAYOUT
            if graph.type(Value(edge.src, edge.src_port)).dtype.floating and not moves:
                found.add(edge.src)
            else:
                within.add(edge.src)
    return frozenset(found)
