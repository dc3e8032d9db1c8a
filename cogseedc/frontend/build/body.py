"""Moves what was elaborated last out of a graph, into the body of a loop. Knows nothing of the language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from cogseedc.ir import Call, Constant, Gate, GateKind, Graph, Input, Knob, Node, NodeId, Origin, Output, Value, Weight


def extract(
    graph: Graph, start: int, inputs: Sequence[NodeId], results: Sequence[Value], path: str
) -> tuple[Graph, tuple[Value, ...]]:
    """The body of a loop, and the values outside that it captures, in the order of its last inputs.

    All nodes from id `start` on are moved, `inputs` first; `results` become its outputs. Weights and knobs stay, as
    they are the program's; the body has its own node of each weight and constant that it reads.
    """
    return _Extraction(graph, start, path).run(inputs, results)


class _Extraction:
    def __init__(self, graph: Graph, start: int, path: str) -> None:
        self.outer, self.start, self.path = graph, start, path
        self.body = Graph()
        self.place: dict[NodeId, NodeId] = {}
        """Nodes of the outer graph and what stands for them inside."""
        self.captured: dict[Value, Value] = {}
        self.names: set[str] = set()
        own = (node.name for id, node in graph.nodes() if id >= start and isinstance(node, Gate))
        self.gates = {name.removeprefix(f"{path}.") for name in own}
        """Names of gates in the body, without that of the loop."""

    def run(self, inputs: Sequence[NodeId], results: Sequence[Value]) -> tuple[Graph, tuple[Value, ...]]:
        moved = [id for id, node in self.outer.nodes() if id >= self.start and not isinstance(node, (Weight, Knob))]
        for id in inputs:
            node = self.outer[id]
            assert isinstance(node, Input)
            self.place[id] = self.body.add(replace(node, name=self._free(node.name, self.names)))
        feeds = {id: self.outer.feeds(id) for id in moved}
        wanted = [v for id in moved for v in feeds[id] if v is not None] + list(results)
        for value in dict.fromkeys(v for v in wanted if self._outside(v.node)):
            self._capture(value)
        for id in moved:
            if id not in self.place:
                operands = [None if v is None else self._inside(v) for v in feeds[id]]
                self.place[id] = self.body.add(self.outer[id], operands)
        for i, value in enumerate(results):
            inner = self._inside(value)
            self.body.add(Output(f"result_{i}", self.body.type(inner)), (inner,))
        self.outer.remove(moved)
        return self.body, tuple(self.captured)

    def _outside(self, id: NodeId) -> bool:
        return id < self.start or isinstance(self.outer[id], (Weight, Knob))

    def _inside(self, value: Value) -> Value:
        placed = self.place.get(value.node)  # a gate that is captured: not the value that it decides by
        return self.captured[value] if placed is None else Value(placed, value.port)

    def _capture(self, value: Value) -> None:
        node = self.outer[value.node]
        match node:
            case Weight() | Constant():
                self.place[value.node] = self.body.add(node)
            case Gate():
                self.place[value.node] = self._gate(value, node)
            case _:
                self.captured[value] = self._input(value, node.origin)

    def _gate(self, value: Value, gate: Gate) -> NodeId:
        """A decision made outside, as a gate that decides the same in each turn."""
        parts = [value]
        if gate.kind is GateKind.MANY:
            indices = self.outer.feeds(value.node)[1]
            assert indices is not None, "a k-of-n gate is fed its indices"
            parts.append(indices)
        for part in parts:
            if part not in self.captured:
                self.captured[part] = self._input(part, gate.origin)
        name = f"{self.path}.{self._free(gate.name.rsplit('.', 1)[-1], self.gates)}"
        return self.body.add(replace(gate, name=name, exit=None), [self.captured[part] for part in parts])

    def _input(self, value: Value, origin: Origin) -> Value:
        node = self.outer[value.node]
        name = self._free(_called(node), self.names)
        return Value(self.body.add(Input(name, self.outer.type(value), origin)))

    def _free(self, name: str, taken: set[str]) -> str:
        free, place = name, 2
        while free in taken:
            free, place = f"{name}_{place}", place + 1
        taken.add(free)
        return free


def _called(node: Node) -> str:
    """What a person would call a value."""
    if isinstance(node, (Input, Knob)):
        name = re.sub(r"\W", "_", node.name)
        return name if name.isidentifier() else f"given_{name}"  # a path may begin with the number of an arm
    last = node.origin.path.rsplit(".", 1)[-1]
    if last.isidentifier():
        return last
    return node.op if isinstance(node, Call) else "value"
