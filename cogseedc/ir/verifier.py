"""Checks that a graph keeps its rules; a broken rule is the compiler's own fault. Changes nothing.

Each rule is one function of the table `RULES`; the guard rule proves that no token is missing: what a node
reads was computed wherever the node runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

from cogseedc.diagnostics import InternalError
from cogseedc.ir.graph import Graph, Wiring
from cogseedc.ir.guards import TRUE, Literals, guards
from cogseedc.ir.nodes import (
    Call,
    Constant,
    ControlEdge,
    DataEdge,
    Exit,
    Gate,
    GateKind,
    Input,
    Knob,
    Loop,
    Loss,
    Merge,
    MergeMode,
    Node,
    NodeId,
    Output,
    Return,
    Value,
    Weight,
    output_types,
)
from cogseedc.ir.transfer import Ops, asks
from cogseedc.ir.types import Dtype, TensorType

MOST_AXES = 8

Finding = tuple[NodeId, str]
Rule = Callable[[Graph, Wiring], Iterator[Finding]]


def verify(graph: Graph, ops: Ops | None = None) -> None:
    """Raises InternalError that names the rule and the node. With `ops` the operands of calls and the guards, too."""
    for finding in _cycle(graph):
        _refuse(graph, "acyclic", finding)
    for finding in _edges(graph):
        _refuse(graph, "edges", finding)
    wiring = graph.wiring()
    for name, rule in RULES.items():
        for finding in rule(graph, wiring):
            _refuse(graph, name, finding)
    for _, loop in graph.loops():
        verify(loop.body, ops)
    if ops is not None:
        for finding in _calls(graph, wiring, ops):
            _refuse(graph, "operands", finding)
        for finding in _guards(graph, wiring, ops):
            _refuse(graph, "guards", finding)


def _refuse(graph: Graph, rule: str, finding: Finding) -> NoReturn:
    id, message = finding
    node = graph[id]
    label = node.op if isinstance(node, Call) else type(node).__name__
    where = f" {node.origin.path}" if node.origin.path else ""
    raise InternalError(f"graph rule `{rule}` is broken at node {id} ({label}{where}): {message}")


def _cycle(graph: Graph) -> Iterator[Finding]:
    """Both kinds of edges: a depth-first walk that keeps its path."""
    after: dict[NodeId, list[NodeId]] = {id: [] for id, _ in graph.nodes()}
    for edge in graph.edges():
        after[edge.src].append(edge.dst)
    done = set[NodeId]()
    for root in after:
        if root in done:
            continue
        path, place, todo = [root], {root: 0}, [iter(sorted(set(after[root])))]
        while todo:
            following = next(todo[-1], None)
            if following is None:
                todo.pop()
                done.add(path[-1])
                del place[path.pop()]
            elif following in place:
                yield following, " -> ".join(str(id) for id in [*path[place[following] :], following])
                return
            elif following not in done:
                place[following] = len(path)
                path.append(following)
                todo.append(iter(sorted(set(after[following]))))


def _edges(graph: Graph) -> Iterator[Finding]:
    """Ends exist, a port is fed once, control comes from a gate and stays out of what has no rows to skip."""
    fed = set[tuple[NodeId, int]]()
    for edge in sorted(graph.edges(), key=_edge_key):
        source, target = graph[edge.src], graph[edge.dst]
        if isinstance(edge, DataEdge):
            if not 0 <= edge.src_port < len(output_types(source)):
                yield edge.dst, f"port {edge.dst_port} reads output {edge.src_port} of node {edge.src}, which has none"
            if edge.dst_port < 0 or (edge.dst, edge.dst_port) in fed:
                yield edge.dst, f"port {edge.dst_port} is fed twice"
            fed.add((edge.dst, edge.dst_port))
            continue
        if not isinstance(source, Gate):
            yield edge.dst, f"its control comes from node {edge.src}, which is no gate"
        elif not -source.arms <= edge.arm < source.arms:
            yield edge.dst, f"gate {source.name} has no arm {edge.arm}"
        if isinstance(target, (Input, Weight, Knob, Constant, Output)):
            yield edge.dst, "such a node takes no control"


def _edge_key(edge: DataEdge | ControlEdge) -> tuple[int, int, int, int]:
    if isinstance(edge, DataEdge):
        return edge.dst, edge.dst_port, edge.src, edge.src_port
    return edge.dst, -1, edge.src, edge.arm


def _ports(node: Node) -> int | None:
    """How many operand ports must be fed; None for a call."""
    match node:
        case Merge():
            return 2 * len(node.arms) + node.otherwise + (node.mode is MergeMode.WEIGHTED_SUM)
        case Gate():
            inputs = 0 if node.estimator is None else len(node.estimator.inputs)
            return (2 if node.kind is GateKind.MANY else 1) + inputs
        case Return():
            return len(node.types)
        case Output():
            return 1
        case Loss():
            return 1 + node.drawn
        case Input() | Weight() | Knob() | Constant():
            return 0
        case Loop():
            return sum(isinstance(inner, Input) for _, inner in node.body.nodes()) + (node.active is not None)
        case Call() | Exit():
            return None


def _fed(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    for id, node in graph.nodes():
        operands = wiring.operands(id)
        wanted = _ports(node)
        if isinstance(node, Exit):
            wanted = max(len(operands), 1)
        if wanted is None:
            continue
        if isinstance(node, Merge) and node.shares and len(operands) <= wanted + len(node.arms):
            operands = operands[:wanted]
        if len(operands) != wanted or None in operands:
            yield id, f"it has {wanted} ports, fed are {[i for i, v in enumerate(operands) if v is not None]}"


def _types(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    for id, node in graph.nodes():
        types = output_types(node)
        if not types and isinstance(node, Call):
            yield id, "a call has no result"
        for type in types:
            if type.rank > MOST_AXES:
                yield id, f"{type} has more than {MOST_AXES} axes"
        if isinstance(node, (Gate, Output, Loss)) and not _same(graph.type(_operand(wiring, id, 0)), node.type):
            yield id, f"it is {node.type}, its operand is {graph.type(_operand(wiring, id, 0))}"


def _same(a: TensorType, b: TensorType) -> bool:
    return a.dtype is b.dtype and a.rank == b.rank


def _operand(wiring: Wiring, id: NodeId, port: int) -> Value:
    """What feeds a port that `_fed` found to be fed."""
    value = wiring.operand(id, port)
    assert value is not None
    return value


_DECISION = {GateKind.BOOL: Dtype.BOOL, GateKind.ONE: Dtype.I64, GateKind.MANY: Dtype.BOOL}


def _gates(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    for id, node in graph.nodes():
        if not isinstance(node, Gate):
            continue
        if node.type.dtype is not _DECISION[node.kind]:
            yield id, f"a decision of kind {node.kind.value} is {node.type}"
        if node.kind is GateKind.BOOL and node.arms != 2:
            yield id, f"a gate of kind {node.kind.value} has {node.arms} arms"
        if node.kind is GateKind.MANY and (not node.type.axes or node.type.axes[-1].size.value != node.arms):
            yield id, f"the last axis of {node.type} is not its {node.arms} arms"


def _merges(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    for id, node in graph.nodes():
        if not isinstance(node, Merge):
            continue
        if not node.arms or len(node.axes) != len(node.arms):
            yield id, f"{len(node.arms)} arms, axes for {len(node.axes)}"
            continue
        for i, arm in enumerate(node.arms):
            value, decision = _operand(wiring, id, i), _operand(wiring, id, len(node.arms) + i)
            gate = graph[decision.node]
            if not isinstance(gate, Gate):
                yield id, f"arm {i} is chosen by node {decision.node}, which is no gate"
            elif not 0 <= arm < gate.arms:
                yield id, f"gate {gate.name} has no arm {arm}"
            else:
                yield from _placed(id, node, gate, node.axes[i], graph.type(value))
        if node.mode is MergeMode.SELECT and not node.otherwise and not _covers(graph, wiring, id, node):
            yield id, "its arms do not cover everything, and it has no otherwise"


def _placed(id: NodeId, merge: Merge, gate: Gate, axes: tuple[int, ...], value: TensorType) -> Iterator[Finding]:
    """The arm is of the join's dtype, and the gate's axes exist on it."""
    decided = gate.type.axes[:-1] if gate.kind is GateKind.MANY else gate.type.axes
    if value.dtype is not merge.type.dtype or value.rank > merge.type.rank:
        yield id, f"an arm is {value}, the join {merge.type}"
    if len(axes) != len(decided):
        yield id, f"gate {gate.name} is over {len(decided)} axes, placed are {axes}"
        return
    for position, axis in zip(axes, decided, strict=True):
        if not 0 <= position < merge.type.rank:
            yield id, f"the join {merge.type} has no axis {position} for gate {gate.name}"
        elif merge.type.axes[position].size != axis.size:
            yield id, f"axis {position} of {merge.type} is not axis {axis} of gate {gate.name}"


def _covers(graph: Graph, wiring: Wiring, id: NodeId, merge: Merge) -> bool:
    """Whether nothing is left when the arms are taken away one by one."""
    choosers = [_operand(wiring, id, len(merge.arms) + i).node for i in range(len(merge.arms))]
    gates = [(gate, node) for gate in sorted(set(choosers)) if isinstance(node := graph[gate], Gate)]
    literals = Literals.over(gates)
    left = TRUE
    for gate, arm in zip(choosers, merge.arms, strict=True):
        left = literals.and_(left, literals.not_taken(gate, arm))
    return left.never


def _names(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    seen = set[tuple[str, str]]()
    for id, node in graph.nodes():
        match node:
            case Gate(name=name) | Input(name=name) | Output(name=name) | Knob(name=name):
                key = (type(node).__name__, name)
            case Loss(name=name, drawn=drawn):
                key = ("drawn" if drawn else "Loss", name)
            case Weight(path=path):
                key = ("Weight", path)
            case _:
                continue
        if key in seen:
            yield id, f"the name {key[1]!r} is taken"
        seen.add(key)


def _exits(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    returns = {n.scope: len(n.types) for _, n in graph.of(Return)}
    seen = set[tuple[str, int]]()
    for id, node in graph.nodes():
        if not isinstance(node, Exit):
            continue
        if node.scope not in returns:
            yield id, f"the scope {node.scope!r} has no return"
        elif len(wiring.operands(id)) != returns[node.scope] + 1:
            yield id, f"{len(wiring.operands(id)) - 1} values for {returns[node.scope]} outputs"
        if (node.scope, node.order) in seen:
            yield id, f"another exit of {node.scope!r} has the place {node.order}"
        seen.add((node.scope, node.order))


def _states(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    """What a state is after a call is what it is before the next one: its input and its output pair up."""
    inputs = {n.name: n for _, n in graph.of(Input) if n.state is not None}
    outputs = {n.name: n for _, n in graph.of(Output) if n.state is not None}
    for id, node in graph.nodes():
        if not isinstance(node, (Input, Output)) or node.state is None:
            continue
        before, after = inputs.get(node.state.input), outputs.get(node.state.output)
        if before is None or after is None or before.state != after.state:
            yield id, f"the state {node.state.path!r} is not both an input and an output"
        elif before.type.dtype is not after.type.dtype or before.type.shape != after.type.shape:
            yield id, f"the state is {before.type} before a call, {after.type} after it"


def _loops(graph: Graph, wiring: Wiring) -> Iterator[Finding]:
    """A body has the ports that its loop says, and its carries keep their types."""
    for id, loop in graph.loops():
        inputs = [node.type for _, node in loop.body.of(Input)]
        outputs = [node.type for _, node in loop.body.of(Output)]
        given = [graph.type(_operand(wiring, id, port)) for port in range(len(inputs))]
        if len(inputs) < loop.carries + len(loop.scanned):
            yield (
                id,
                f"its body takes {len(inputs)} values, it has {loop.carries} carries and {len(loop.scanned)} sequences",
            )
            return
        given_out = (loop.carries if loop.active is not None else len(loop.types)) + loop.halts
        if len(outputs) != given_out or len(loop.held) != len(loop.types):
            yield id, f"its body gives {len(outputs)} values for {len(loop.types)} results"
            return
        for port in range(loop.carries):
            result = loop.types[loop.yields + port]
            if not _same(given[port], inputs[port]) or not _same(outputs[port], inputs[port]):
                yield id, f"carry {port} starts as {given[port]}, is {inputs[port]}, becomes {outputs[port]}"
            if not _same(result, inputs[port]):
                yield id, f"carry {port} is {inputs[port]}, but the loop gives {result}"
        for port, axis in enumerate(loop.scanned, loop.carries):
            if given[port].rank != inputs[port].rank + 1 or not 0 <= axis < given[port].rank:
                yield id, f"sequence {port} is {given[port]}, its elements {inputs[port]}"
        for port in range(loop.carries + len(loop.scanned), len(inputs)):
            if not _same(given[port], inputs[port]):
                yield id, f"capture {port} is {given[port]} outside, {inputs[port]} inside"
        if loop.active is not None and graph.type(_operand(wiring, id, len(inputs))).dtype is not Dtype.BOOL:
            yield id, "what says which turns are run is no boolean"
        if loop.active is not None and len(loop.echoes) != loop.yields:
            yield id, f"{loop.yields} yields are {len(loop.echoes)} carries"
        if loop.halts and outputs[-1].dtype is not Dtype.BOOL:
            yield id, f"it is stopped by {outputs[-1]}, which is no boolean"


RULES: dict[str, Rule] = {
    "fed": _fed,
    "loops": _loops,
    "types": _types,
    "gates": _gates,
    "merges": _merges,
    "names": _names,
    "exits": _exits,
    "states": _states,
}


def _calls(graph: Graph, wiring: Wiring, ops: Ops) -> Iterator[Finding]:
    for id, node in graph.nodes():
        if not isinstance(node, Call):
            continue
        if node.op not in ops:
            yield id, f"no operation is called {node.op!r}"
            continue
        operands, signature = wiring.operands(id), ops[node.op].operands
        variadic = bool(signature) and signature[-1].variadic
        if len(operands) > len(signature) and not variadic:
            yield id, f"{len(operands)} operands for {len(signature)} ports"
        for port, operand in enumerate(signature):
            given = port < len(operands) and operands[port] is not None
            if not given and not operand.optional and not operand.variadic:
                yield id, f"its operand `{operand.name}` is not fed"


def _guards(graph: Graph, wiring: Wiring, ops: Ops) -> Iterator[Finding]:
    if not any(wiring.controls.values()):
        return
    literals = Literals.of(graph)
    found = guards(graph, literals)
    for id in wiring.order:
        for value, wanted, _ in asks(graph, ops, literals, id, found[id]):
            if not literals.implies(wanted, found[value.node]):
                yield id, f"it runs where its operand, node {value.node}, does not"
