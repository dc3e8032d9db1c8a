"""For which samples, positions and channels each node of a program is asked: what its cost hangs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from cogseedc.analysis.channels import Channels, Layer, channel_regions, narrow_layers
from cogseedc.analysis.demand import narrowed
from cogseedc.analysis.kept import Kept, channel_axis, kept_channels
from cogseedc.ir import TRUE, Gate, Graph, Guard, Literals, NodeId, Ops, guardable, guards, placeable
from cogseedc.record import record


@record
class Asked:
    """What work is asked for by: it is done for the share of samples, positions and channels of the result where `when`
    holds, and of channels of the operand where `read` does."""

    when: Guard
    read: Guard = TRUE


@dataclass(frozen=True)
class Demands:
    """What asks for the nodes of a graph."""

    literals: Literals
    """Bits of all gates that work can hang on."""
    guards: dict[NodeId, Guard]
    """For each node at which samples and positions it is needed."""
    layers: dict[NodeId, tuple[tuple[Asked, Fraction], ...]] = field(default_factory=dict)
    """The parts of those that are computed for some channels, or read some."""

    def parts(self, id: NodeId) -> tuple[tuple[Asked, Fraction], ...]:
        """The work of a node, in parts: what asks for each, and its share of all."""
        return self.layers[id] if id in self.layers else ((Asked(self.guards[id]), Fraction(1)),)


def demands(graph: Graph, ops: Ops) -> Demands:
    """What asks for the nodes of a graph, by its control edges and by demand along further axes. What cannot be
    computed for single positions is asked for in samples that have one."""
    over = [(id, gate) for id, gate in graph.of(Gate) if guardable(gate) or placeable(gate)]
    alone = [(id, gate) for id, gate in graph.of(Gate) if channel_axis(graph, id) == 0]
    if not alone and all(guardable(gate) for _, gate in over):
        literals = Literals.over(over)
        return Demands(literals, guards(graph, literals))
    literals = Literals.over(over, project=True)
    found, _ = narrowed(graph, ops, literals, guards(graph, literals), training=False)
    literals = Literals.over((*over, *alone), project=True)
    order = graph.wiring().order
    kept = kept_channels(graph, order, ops)
    regions = [*channel_regions(graph, order, found, literals, ops, kept)] if kept else []
    layers = {layer.node: [*_layer(literals, found, region, layer)] for region in regions for layer in region.layers}
    for region in narrow_layers(graph, order, found, literals, kept):
        for layer in region.layers:
            layers.setdefault(layer.node, [*_layer(literals, found, region, layer)])
    return Demands(literals, found, {id: tuple(parts) for id, parts in layers.items()})


def _layer(
    literals: Literals, found: dict[NodeId, Guard], region: Channels, layer: Layer
) -> Iterator[tuple[Asked, Fraction]]:
    """A layer that is computed for some channels, or reads some."""
    when = literals.rows(found[layer.node]) if region.choice is not None else found[layer.node]
    if region.choice is not None and not layer.whole:
        when = literals.and_(when, literals.taken(*region.choice))
    for read, share in _read(literals, layer.kept) if layer.kept is not None else ((TRUE, Fraction(1)),):
        yield Asked(when, read), share


def _read(literals: Literals, kept: Kept) -> Iterator[tuple[Guard, Fraction]]:
    """Of channels side by side: when they are read, and their share."""
    sizes = [part.size.evaluate({}) for part in kept.parts]
    for part, size in zip(kept.parts, sizes, strict=True):
        given = part.taken
        read = TRUE if given is None else literals.union(literals.taken(gate, arm) for gate, arm in given)
        if not read.never:
            yield read, Fraction(size, sum(sizes))
