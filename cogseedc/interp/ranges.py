"""Measures how far values inside a program reach on given inputs, with the reference. Decides no scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.interp.arrays import batch_size, bind_sizes, check_inputs, numpy_dtype, take_sample
from cogseedc.interp.run import Reference
from cogseedc.ir import Graph, Input, Value
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

MOST = 128
"""Samples that are evaluated: evenly spaced ones of those given. The reference is slow."""
CALLS = 4
"""How often each sample is given to a program with states, which move away from their initial values only so."""


def ranges_of(
    graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array], wanted: Sequence[tuple[str, Value]]
) -> dict[tuple[str, Value], tuple[float, float]]:
    """Least and largest finite element of each wanted value over the samples, in the dense meaning of the program.

    A value is named with the loop in whose body it is ("": none), and measured over all its turns. States that are not
    among the inputs are the initial ones in the first call, then what the call before gave.

    Raises UserError: CS0843 .. CS0845 for inputs that do not fit, CS0708 when there is no sample.
    """
    arrays = check_inputs(graph, inputs)
    rows = batch_size(bind_sizes(graph, arrays))
    if rows == 0:
        raise UserError(Diagnostic("CS0708", "there is no sample to measure ranges on", help="give at least one"))
    axes = {node.name: node.type.batch for _, node in graph.of(Input)}
    nodes = [node for _, node in graph.of(Input)]
    states = [(node.state, numpy_dtype(node.type.dtype)) for node in nodes if node.state is not None]
    reference = Reference(graph, weights)
    found = dict.fromkeys(wanted, (np.inf, -np.inf))
    several = not reference.plan.batch_coupled and any(axis is not None for axis in axes.values())
    for i in np.unique(np.linspace(0, rows - 1, MOST).astype(int)) if several else [None]:
        near = {n: a if i is None else take_sample(a, axes[n], int(i)) for n, a in arrays.items()}
        for _ in range(CALLS if states else 1):
            after = reference.run(near).outputs
            for loop, value in wanted:
                found[loop, value] = _wider(found[loop, value], reference.value(value, loop))
            near |= {state.input: after[state.output].astype(dtype) for state, dtype in states}
    return {place: (low, high) if low <= high else (0.0, 0.0) for place, (low, high) in found.items()}


def _wider(known: tuple[float, float], arrays: Sequence[Array]) -> tuple[float, float]:
    low, high = known
    for array in arrays:
        finite = array[np.isfinite(array)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return low, high
