"""The reference: what a graph means, in numpy and float64, one sample at a time. Speed is no aim here."""

from cogseedc.interp.arrays import bind_sizes, initial_states, numpy_dtype
from cogseedc.interp.ranges import ranges_of
from cogseedc.interp.run import Reference, Result, run
from cogseedc.interp.schedule import Schedule, Step, gate_name, schedule
from cogseedc.interp.trace import arms_of, forced, kind_of, mask_of, type_of
from cogseedc.interp.weights import initial_weights, load_weights

__all__ = [
    "Reference",
    "Result",
    "Schedule",
    "Step",
    "arms_of",
    "bind_sizes",
    "forced",
    "gate_name",
    "initial_states",
    "initial_weights",
    "kind_of",
    "load_weights",
    "mask_of",
    "numpy_dtype",
    "ranges_of",
    "run",
    "schedule",
    "type_of",
]
