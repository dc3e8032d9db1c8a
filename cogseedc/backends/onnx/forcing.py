"""Copies of an emitted model in which decisions can be forced from outside, for verification."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from cogseedc.backends.onnx.tensors import info, tensor
from cogseedc.diagnostics.model import InternalError
from cogseedc.ir import Dtype


def with_forced_decisions(model: bytes, gates: Collection[str]) -> bytes:
    """A copy whose decisions of `gates` pass through further inputs.

    A bool or mask decision becomes `(raw and force.<gate>.keep) or force.<gate>.value`, an index
    `raw * force.<gate>.keep + force.<gate>.value`. The inputs are scalars (of a mask: one per arm), i64 for an
    index, else bool, with defaults that change nothing. Where `force.<gate>.turn` (scalar bool) is true, element i of
    the decision, counted in the rows that its region holds, takes arm i modulo the number of arms instead.

    Raises InternalError for a gate that the model does not have.
    """
    proto = ModelProto.FromString(model)
    wanted = dict.fromkeys(gates)
    found: set[str] = set()
    for graph in _graphs(proto.graph):
        for position in reversed(range(len(graph.node))):
            tags = {p.key: p.value for p in graph.node[position].metadata_props}
            gate = tags.get("cogseed.gate")
            if gate in wanted:
                _force(proto.graph, graph, position, gate, tags, gate not in found)
                found.add(gate)
    missing = [g for g in wanted if g not in found]
    if missing:
        raise InternalError(f"the model has no decision {', '.join(missing)}")
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _graphs(root: GraphProto) -> Iterator[GraphProto]:
    """The main graph and all bodies."""
    stack = [root]
    while stack:
        graph = stack.pop()
        yield graph
        for node in graph.node:
            stack.extend(a.g for a in node.attribute if a.type == AttributeProto.GRAPH)


def _force(root: GraphProto, graph: GraphProto, position: int, gate: str, tags: dict[str, str], declare: bool) -> None:
    """The node at `position` writes to a new name; nodes after it write the forced decision to the old one."""
    node = graph.node[position]
    if declare:
        _declare(root, gate, tags)
    decided = node.output[0]
    node.output[0] = f"{decided}.raw"
    for offset, inserted in enumerate(_nodes(decided, gate, tags["cogseed.kind"], int(tags["cogseed.arms"]))):
        graph.node.insert(position + 1 + offset, inserted)


def _declare(root: GraphProto, gate: str, tags: dict[str, str]) -> None:
    """Adds the inputs, with their defaults."""
    shape = [int(tags["cogseed.arms"])] if tags["cogseed.kind"] == "many" else []
    dtype, element = (Dtype.I64, np.int64) if tags["cogseed.kind"] == "one" else (Dtype.BOOL, np.bool_)
    for side, default in (("keep", 1), ("value", 0)):
        root.input.append(info(f"force.{gate}.{side}", dtype, shape))
        root.initializer.append(tensor(np.full(shape, default, element), f"force.{gate}.{side}"))
    root.input.append(info(f"force.{gate}.turn", Dtype.BOOL, []))
    root.initializer.append(tensor(np.array(False), f"force.{gate}.turn"))


def _nodes(decided: str, gate: str, kind: str, arms: int) -> Iterator[NodeProto]:
    """From `<decided>.raw` to `decided`."""

    def node(op_type: str, inputs: Sequence[str], output: str, **attributes: int) -> NodeProto:
        made = helper.make_node(op_type, inputs, [output], f"{output}/{op_type}")
        made.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        return made

    def name(part: str) -> str:
        return f"{decided}.{part}"

    def literal(part: str, value: Sequence[int] | int) -> NodeProto:
        return helper.make_node("Constant", [], [name(part)], name(part), value=tensor(np.array(value, np.int64)))

    turn = f"force.{gate}.turn"
    ends = {"end": -1} if kind == "many" else {}
    kept, combine = ("Mul", "Add") if kind == "one" else ("And", "Or")
    yield node(kept, [name("raw"), f"force.{gate}.keep"], name("kept"))
    yield node(combine, [name("kept"), f"force.{gate}.value"], name("given"))
    # the elements in turn: 0, 1, 2, ... modulo arms, in the shape of the decision (of a mask: without its last axis)
    yield node("Shape", [name("raw")], name("shape"), **ends)
    yield node("ReduceProd", [name("shape")], name("size"), keepdims=0)
    yield literal("zero", 0)
    yield literal("one", 1)
    yield node("Range", [name("zero"), name("size"), name("one")], name("range"))
    yield literal("arms", arms)
    yield node("Mod", [name("range"), name("arms")], name("flat"))
    yield node("Reshape", [name("flat"), name("shape")], name("arm"), allowzero=1)
    if kind == "one":
        yield node("Where", [turn, name("arm"), name("given")], decided)
        return
    if kind == "many":
        yield literal("last", [-1])
        yield node("Unsqueeze", [name("arm"), name("last")], name("column"))
        yield literal("classes", list(range(arms)))
        yield node("Equal", [name("column"), name("classes")], name("turned"))
    else:
        yield node("Cast", [name("arm")], name("turned"), to=TensorProto.BOOL)
    yield node("Not", [turn], name("still"))
    yield node("And", [name("given"), name("still")], name("stays"))
    yield node("And", [name("turned"), turn], name("turns"))
    yield node("Or", [name("stays"), name("turns")], decided)
