"""Graphs under construction: names, nodes, literals of the main graph and of the bodies of its Ifs.

Knows nothing of plans. Every name is unique in the whole model, as ONNX scoping wants.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, helper

from cogseedc.backends.onnx.tensors import Dimension, canonical, fill, info, state, tensor
from cogseedc.ir import Dtype, Origin
from cogseedc.record import record

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

# fmt: off
_CARRIED = frozenset([
    "Abs", "Add", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign",
    "Softplus", "Sqrt", "Sub", "Tanh", "Where",
])
# fmt: on
"""Operations behind which ONNX Runtime's optimizer may move a Transpose."""

_FILE = re.compile(r"[A-Za-z0-9_.-]+")


@record
class Place:
    """Where the next nodes belong: the prefix of their names, and what their metadata says."""

    prefix: str
    namespace: str = ""
    source: str = ""

    @staticmethod
    def of(origin: Origin, label: str) -> Place:
        """The place of a node of the program; `label` stands in for an empty path."""
        path = origin.path.replace(".", "/") or label
        span = origin.span
        source = f"{_shown(span.source.name)}:{span.line}" if span else ""
        return Place(f"/{path}", path.rpartition("/")[0] if origin.path else "", source)


@lru_cache(maxsize=64)
def _shown(source: str) -> str:
    """The name of a source in metadata: that of its file, without its folders."""
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    return name if _FILE.fullmatch(name) else "source"


class Names:
    """Hands out names that are unique in the model."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def unique(self, base: str) -> str:
        """`base`, or `base_2`, `base_3`, ... when it is taken."""
        if base not in self._next:
            self._next[base] = 2
            return base
        while True:
            name = f"{base}_{self._next[base]}"
            self._next[base] += 1
            if name not in self._next:
                self._next[name] = 2
                return name


@dataclass
class Shared:
    """What all regions of one model share."""

    names: Names = field(default_factory=Names)
    place: Place = Place("/plan")


class Region:
    """The main graph, or a body of an If or a loop. A body sees what its parent has.

    What is added is written into the message at once: a message for each node, copied later, takes twice as long.
    `alone`: what only this body needs is computed in it, even where a region around it could.
    """

    def __init__(
        self, shared: Shared, parent: Region | None = None, alone: bool = False, graph: GraphProto | None = None
    ) -> None:
        self.shared, self.parent, self._alone = shared, parent, alone
        self.graph = GraphProto() if graph is None else graph
        self._made: set[str] = set()
        self.own: set[str] = set()
        """Names that only this region sees; looked up, never listed."""
        self._cache: dict[Hashable, str] = {}
        self._described: dict[str, int] = {}
        """Values whose types are stated, with their place among these."""
        self._turned: dict[str, int] = {}
        """Values that a Transpose may be made to give, with their rank; looked up, never listed."""

    def node(self, op_type: str, inputs: Sequence[str], /, name: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output; `name` forces the output's name. The output's name."""
        return self.nodes_of(op_type, inputs, 1, name=name, **attributes)[0]

    def nodes_of(
        self, op_type: str, inputs: Sequence[str], outputs: int, /, name: str | None = None, **attributes: Any
    ) -> tuple[str, ...]:
        """Adds a node with several outputs; their names."""
        if op_type == "MatMul":
            inputs = self._apart(inputs)
        place = self.shared.place
        label = self.shared.names.unique(f"{place.prefix}/{op_type}")
        given = (name or label, *(f"{label}.{i}" for i in range(1, outputs)))
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        proto = self.graph.node.add()
        proto.op_type, proto.name = op_type, label
        proto.input.extend(inputs)
        proto.output.extend(given)
        for key in sorted(attributes):
            if attributes[key] is not None:
                proto.attribute.append(_attribute(key, attributes[key]))
        if place.namespace:
            tag(proto, "namespace", place.namespace)
        if place.source:
            tag(proto, "cogseed.source", place.source)
        self.own.update(given)
        self._made.update(given)
        if op_type == "Transpose":
            self._turned[given[0]] = len(attributes["perm"])
        elif op_type in _CARRIED and (ranks := [self._turned[i] for i in inputs if i in self._turned]):
            self._turned[given[0]] = max(ranks)
        return given

    def _apart(self, inputs: Sequence[str]) -> Sequence[str]:
        """Operands of a MatMul, with a Reshape between a Transpose and a product with a matrix: ONNX Runtime fuses
        them into a kernel that refuses an empty batch."""
        left, right = inputs
        if self._turned.get(left, 0) < 3 or self._turned.get(right) != 2:
            return inputs
        same = self.constant(np.zeros(self._turned[left], np.int64))  # 0 copies the size
        return [self.node("Reshape", [left, same]), right]

    def give_name(self, old: str, new: str) -> bool:
        """Gives the value of the node that was added last another name, which the caller has reserved; whether it is
        that node's only one. No other node may read it yet."""
        if not self.graph.node or list(self.graph.node[-1].output) != [old]:
            return False
        self.graph.node[-1].output[0] = new
        for names in (self._made, self.own):
            names.discard(old)
            names.add(new)
        for known in (self._described, self._turned):
            if old in known:
                known[new] = known.pop(old)
        if new in self._described:
            self.graph.value_info[self._described[new]].name = new
        return True

    def constant(self, value: Array) -> str:
        """An initialiser of this region; equal ones are shared with the regions below.

        But for 8 bits: ONNX Runtime fuses an activation into a rounding only where it sees the zero point beside them.
        """
        array = canonical(np.asarray(value))
        key = ("constant", array.dtype.str, array.shape, array.tobytes())
        found = self.local(key) if array.dtype in (np.int8, np.uint8) else self.find(key)
        if found is None:
            name = self.shared.names.unique("constant")
            self.initializer(name, array)
            found = self.keep(key, name)
        return found

    def initializer(self, name: str, value: Array, key: str | None = None) -> None:
        """Adds a literal under a name that the caller has reserved; `key` is its state-dict key when that differs."""
        proto = self.graph.initializer.add()
        fill(proto, value, name)
        if key is not None and key != name:
            tag(proto, "cogseed.key", key)
        self.own.add(name)

    def declare(self, base: str) -> str:
        """A new name for a value that this region is given."""
        name = self.shared.names.unique(f"{self.shared.place.prefix}/{base}")
        self.own.add(name)
        return name

    def describe(self, name: str, dtype: Dtype, dims: Sequence[Dimension]) -> None:
        """States type and dimensions of a value of this region."""
        if name not in self._described:
            self._described[name] = len(self._described)
            state(self.graph.value_info.add(), name, dtype, dims)

    def find(self, key: Hashable) -> str | None:
        """A value that this region or one around it keeps under `key`."""
        region: Region | None = self
        while region is not None:
            if key in region._cache:
                return region._cache[key]
            region = region.parent
        return None

    def local(self, key: Hashable) -> str | None:
        """A value that this region itself keeps under `key`."""
        return self._cache.get(key)

    def keep(self, key: Hashable, name: str) -> str:
        """Remembers a value of this region."""
        self._cache[key] = name
        return name

    def home(self, *names: str) -> Region:
        """The outermost region that sees all `names`: what is computed from them there can be shared."""
        region = self
        while region.parent is not None and not region._alone and not any(n in region.own for n in names):
            region = region.parent
        return region

    def outermost(self) -> Region:
        """The main graph."""
        return self if self.parent is None else self.parent.outermost()

    def results(self, values: Sequence[str]) -> list[str]:
        """Names for values as outputs of this body: those of its own nodes, once each, else copies."""
        found: list[str] = []
        for value in values:
            plain = value in self._made and value not in found
            found.append(value if plain else self.node("Identity", [value]))
        return found

    def finish(self, name: str, inputs: Iterable[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> None:
        """States what the graph is given and gives; nothing is added afterwards."""
        graph = self.graph
        graph.name = name
        graph.input.extend(inputs)
        graph.output.extend(outputs)
        for place in sorted((self._described[o.name] for o in outputs if o.name in self._described), reverse=True):
            del graph.value_info[place]

    def attach(
        self, name: str, body: Region, inputs: Iterable[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> None:
        """Finishes a body, and makes it an attribute of the node that was added last."""
        body.finish(self.shared.names.unique(f"{self.shared.place.prefix}/{name}"), inputs, outputs)
        attribute = self.graph.node[-1].attribute.add()
        attribute.name, attribute.type = name, AttributeProto.GRAPH
        attribute.g.CopyFrom(body.graph)


def tag(proto: NodeProto | TensorProto, key: str, value: str) -> None:
    """Adds an entry to the metadata of a node or a literal."""
    entry = proto.metadata_props.add()
    entry.key, entry.value = key, value


def branch(
    region: Region,
    condition: str,
    bodies: tuple[Region, Region],
    results: tuple[Sequence[str], Sequence[str]],
    types: Sequence[tuple[Dtype, Sequence[Dimension]]],
) -> tuple[str, ...]:
    """Adds a flat If to `region`. `results[i]` are values that body i sees. The names of the If's outputs."""
    described = []
    for body, values in zip(bodies, results, strict=True):
        inner = body.results(values)
        described.append([info(n, dtype, dims) for n, (dtype, dims) in zip(inner, types, strict=True)])
    names = _if(region, condition, bodies, described)
    for name, (dtype, dims) in zip(names, types, strict=True):
        region.describe(name, dtype, dims)
    return names


def branch_of_sequence(
    region: Region, condition: str, bodies: tuple[Region, Region], results: tuple[str, str], output: str
) -> ValueInfoProto:
    """Adds an If that yields one sequence of i64 tensors, computed in each body, under a name that is free."""
    described = [[helper.make_tensor_sequence_value_info(name, TensorProto.INT64, None)] for name in results]
    _if(region, condition, bodies, described)
    node = region.graph.node[-1]
    node.output[:] = [region.shared.names.unique(output)]
    return helper.make_tensor_sequence_value_info(node.output[0], TensorProto.INT64, None)


def _if(
    region: Region,
    condition: str,
    bodies: tuple[Region, Region],
    results: Sequence[Sequence[ValueInfoProto]],
) -> tuple[str, ...]:
    """The node, its bodies finished with the results of each; names of its outputs."""
    names = region.nodes_of("If", [condition], len(results[0]))
    for name, body, infos in reversed([*zip(("then_branch", "else_branch"), bodies, results, strict=True)]):
        region.attach(name, body, (), infos)
    return names


def _attribute(key: str, value: Any) -> AttributeProto:
    if isinstance(value, np.ndarray):
        value = tensor(value)
    if isinstance(value, (list, tuple)) and not value:
        return AttributeProto(name=key, type=AttributeProto.INTS)
    if isinstance(value, bool):
        value = int(value)
    return helper.make_attribute(key, value)
