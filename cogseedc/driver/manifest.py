"""What an artifact says of itself: interface, gates, exits, tolerances, where it comes from. Pure data, no files.

The layout (`SCHEMA` counts its breaking changes):

    schema, tool {name, version}, name, doc
    target     {name, backend, device, providers, batch_one}
    source     {files [{path, payload}], seed, set {name: text}, size {symbol: int}, knobs? {name: [number]},
               arms? {gate: [int]}}; files[0] is the program; knobs and arms are what was settled before the build
    weights    {payload, from: rng | file, rng}
    model      {payload, class?, opset?, ir_version?}
    interface  {inputs, outputs, states, knobs, gates, exits}, see `interface`
    requirements [{left, right}], sizes that must be equal; batch_coupled, whether samples depend on each other
    numerics   {bits, precisions, absolute, relative, margin, gates}; where a precision is reduced, the payload
               precisions.json says of which calls, and the scales
    payloads   {name: {path, sha256, size}}, added by `publish`
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cogseedc.ir import Gate, Graph, Input, Knob, Loop, Output, State, TensorType

SCHEMA = 1

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

TOLERANCES: dict[str, tuple[float, float]] = {
    "fp32": (1e-4, 1e-3),
    "fp16": (5e-3, 5e-3),
    "bf16": (4e-2, 4e-2),
    "fp8": (2.5e-1, 2.5e-1),
    "int8": (5e-3, 5e-3),
}
"""Absolute and relative distance from the reference that was given the same widths, end to end."""

MARGIN = 1e-3
"""A decision must equal the reference's where its margin exceeds this."""


def tensor(type: TensorType) -> dict[str, Json]:
    """dtype, axes (each a name or null, and its size as text), and the shape: null for what only the run knows."""
    return {
        "dtype": type.dtype.value,
        "axes": [{"name": axis.name, "size": str(axis.size)} for axis in type.axes],
        "shape": [axis.size.value for axis in type.axes],
    }


def interface(graph: Graph, strategies: Iterable[tuple[str, str]] | None = None) -> dict[str, Json]:
    """Inputs, outputs, states, knobs, gates and exits of a program, in order of declaration.

    `strategies` are (gate name, strategy) pairs of a plan; gates that are not among them are not planned, so left out.
    """
    chosen = dict(strategies or ())
    gates = [
        (node, loops)
        for inner, loops in graph.nested()
        for _, node in inner.of(Gate)
        if strategies is None or node.name in chosen
    ]
    return {
        "inputs": [{"name": n.name, **tensor(n.type)} for _, n in graph.of(Input) if n.state is None],
        "outputs": [{"name": n.name, **tensor(n.type)} for _, n in graph.of(Output) if n.state is None],
        "states": [_state(n, n.state) for _, n in graph.of(Input) if n.state is not None],
        "knobs": [_knob(n) for _, n in graph.of(Knob)],
        "gates": [_gate(n, loops, chosen.get(n.name)) for n, loops in gates],
        "exits": [{"name": n.exit, "gate": n.name} for n, _ in gates if n.exit is not None],
    }


def tolerance(precisions: Iterable[str]) -> tuple[float, float]:
    """The widest absolute and relative tolerance of those precisions."""
    pairs = [TOLERANCES["fp32"], *(TOLERANCES[p] for p in precisions)]
    return max(a for a, _ in pairs), max(r for _, r in pairs)


def _state(node: Input, state: State) -> dict[str, Json]:
    return {
        "name": state.path,
        **tensor(node.type),
        "initial": state.initial,
        "input": state.input,
        "output": state.output,
    }


def _knob(knob: Knob) -> dict[str, Json]:
    return {
        "name": knob.name,
        **tensor(knob.type),
        "default": [*knob.default],
        "low": knob.low,
        "high": knob.high,
    }


def _gate(gate: Gate, loops: Sequence[Loop], strategy: str | None) -> dict[str, Json]:
    """A gate with the type of its trace: in loops it has an axis of turns for each, behind the batch axis."""
    type = gate.type
    for loop in reversed(loops):
        type = type.with_turns(loop.steps)
    return {
        "name": gate.name,
        "kind": gate.kind.value,
        "arms": gate.arms,
        "over": [*gate.over],
        "exit": gate.exit,
        "strategy": strategy,
        "loops": [loop.name for loop in loops],
        **tensor(type),
    }
