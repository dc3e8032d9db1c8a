"""`cogseedc bench`: a user's own program or artifact, on the user's own inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import thread_time
from typing import TYPE_CHECKING

import numpy as np
import torch

from cogseedc.bench.clock import Samples, measure, wall
from cogseedc.bench.compiled import Compiled, compiled
from cogseedc.bench.figures import Figure, ratio, typical
from cogseedc.bench.report import Cell
from cogseedc.bench.runtimes import Feed
from cogseedc.bench.segments import has_limit
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.compile import Request
from cogseedc.driver.inspect import source_program, stored_weights
from cogseedc.driver.program import Program, load
from cogseedc.driver.weights import read_arrays
from cogseedc.interp import bind_sizes, initial_states
from cogseedc.ir import BATCH, Dtype, Input, Knob
from cogseedc.publish import MANIFEST
from cogseedc.runtime import read
from cogseedc.runtime.artifact import record, text
from cogseedc.runtime.checks import NUMPY

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

POOL = 64
"""Samples that a batch of one sample is measured on, where no inputs are given."""
LIMITED = ("limit", "efficiency", "x FLOPs")
"""Figures that need the practical limit."""


@dataclass(frozen=True)
class Wish:
    """What is to be measured."""

    targets: Sequence[str] = ("onnx-cpu",)
    batches: Sequence[int] = (1, 8, 32)
    inputs: str | None = None
    """An .npz file of samples; None: random ones."""
    knobs: Mapping[str, float | Sequence[float]] | None = None
    rounds: int = 15
    threads: int = 1
    request: Request = field(default_factory=lambda: Request(rng=0))


def bench(path: str, wish: Wish, progress: Callable[[str], None] = lambda _: None) -> list[Cell]:
    """Measures a program (a file) or an artifact (a folder): a cell for each target and batch.

    Each cell compares the program with the same one that computes everything and selects, and with its practical limit.
    Raises UserError for what cannot be read or does not compile, CS0848 for open axes that nothing sizes.
    """
    cells: list[Cell] = []
    for target, program, request in _programs(path, wish):
        ours = compiled(program, target, threads=wish.threads, request=request)
        everything = compiled(program, target, threads=wish.threads, request=replace(request, gates="dense"))
        if not has_limit(ours.plan):
            progress(f"{target}: what is computed for some channels or on tiles has no static limit")
        if not any(plan.gates for plan in ours.plan.nested()):
            progress(f"{program.name} has no gates: there is nothing that it could skip")
        for batch in [1] if ours.lowering.target.batch_one else wish.batches:
            progress(f"{target}, batch {batch}")
            cells.append(_cell(ours, everything, wish, batch))
    return cells


def _programs(path: str, wish: Wish) -> Iterator[tuple[str, Program, Request]]:
    """Target, program and request: of an artifact those that it was built with."""
    if (Path(path) / MANIFEST).is_file() or Path(path).name == MANIFEST:
        artifact = read(path)
        numerics, target = record(artifact.manifest, "numerics"), text(record(artifact.manifest, "target"), "name")
        request = Request(gates=text(numerics, "gates"), bits=text(numerics, "bits"), weights=stored_weights(artifact))
        yield target, source_program(artifact), request
        return
    program = load(path, wish.request.settings)
    for target in wish.targets:
        yield target, program, wish.request


def _cell(ours: Compiled, everything: Compiled, wish: Wish, batch: int) -> Cell:
    feeds = _feeds(ours, wish, batch)
    works = [ours.work(feed) for feed in feeds]
    limit = ours.limit()
    runs = [run for work in works for run in limit.runs(work)]
    candidates = {
        "ours": _running(ours, feeds),
        "everything": _running(everything, feeds),
        "limit": lambda: [run() for run in runs],
    }
    torch.set_num_threads(wish.threads)
    samples = measure(candidates, wish.rounds, thread_time if wish.threads == 1 else wall)
    needed, count = sum(limit.macs(work) for work in works), sum(work.batch for work in works)
    whole = sum(everything.limit().macs(everything.work(feed)) for feed in feeds)
    figures = _figures(samples, whole / max(needed, 1), count)
    known = {name: figures[name] for name in figures if has_limit(ours.plan) or name not in LIMITED}
    return Cell(ours.lowering.target.name, f"batch {batch}", known)


def _figures(samples: Samples, saved: float, count: int) -> dict[str, Figure]:
    return {
        "x everything": ratio(samples["everything"], samples["ours"]),
        "limit": ratio(samples["everything"], samples["limit"]),
        "efficiency": ratio(samples["limit"], samples["ours"]),
        "x FLOPs": Figure.exact(saved),
        "us/sample": typical(samples["ours"]).scaled(1e6 / count),
    }


def _running(model: Compiled, feeds: Sequence[Feed]) -> Callable[[], object]:
    runs = [partial(model.model.run, model.model.prepare(feed)) for feed in feeds]
    return lambda: [run() for run in runs]


def _feeds(ours: Compiled, wish: Wish, batch: int) -> list[Feed]:
    """Batches of the given samples, or of random ones; what is left over is dropped, unless it is all there is.

    States that are not given are those of a first call.
    """
    nodes = [node for _, node in ours.plan.graph.nodes() if isinstance(node, Input)]
    knobs = {node.name: node for _, node in ours.plan.graph.nodes() if isinstance(node, Knob)}
    given = read_arrays(wish.inputs) if wish.inputs is not None else None
    own = [node for node in nodes if node.state is None]
    samples = given if given is not None else {node.name: _random(node, max(batch, POOL)) for node in own}
    for node in own:
        if node.name not in samples:
            raise UserError(Diagnostic("CS0843", f"the inputs lack `{node.name}`", help="give an array for each input"))
    fixed = {name: _knob(knobs, name, value) for name, value in (wish.knobs or {}).items()}
    rows = min((samples[n.name].shape[n.type.batch] for n in own if n.type.batch is not None), default=1)
    samples = {**initial_states(ours.plan.graph, bind_sizes(ours.plan.graph, samples)), **samples}
    starts = range(0, max(rows - batch + 1, 1), batch)
    return [{n.name: _cut(samples[n.name], n.type.batch, start, batch) for n in nodes} | fixed for start in starts]


def _cut(array: Array, axis: int | None, start: int, count: int) -> Array:
    if axis is None:
        return array
    return np.ascontiguousarray(np.take(array, range(start, min(start + count, array.shape[axis])), axis))


def _random(node: Input, rows: int) -> Array:
    symbols = sorted({s for size in node.type.shape for s in size.symbols()} - {BATCH})
    if symbols:
        message = f"the input `{node.name}` has open axes: {', '.join(symbols)}"
        raise UserError(Diagnostic("CS0848", message, help=f"give their sizes: --size {symbols[0]}=32"))
    shape = [size.evaluate({BATCH: rows}) for size in node.type.shape]
    rng = np.random.default_rng(0)
    if node.type.dtype.floating:
        return rng.standard_normal(shape).astype(NUMPY[node.type.dtype])
    return np.zeros(shape, NUMPY[node.type.dtype])


def _knob(knobs: Mapping[str, Knob], name: str, value: float | Sequence[float]) -> Array:
    if name not in knobs:
        raise UserError(Diagnostic("CS0843", f"there is no knob `{name}`", help=f"knobs: {', '.join(knobs) or 'none'}"))
    type = knobs[name].type
    whole = np.asarray(value, "float32" if type.dtype is Dtype.F32 else NUMPY[type.dtype])
    return np.ascontiguousarray(np.broadcast_to(whole, [size.evaluate({}) for size in type.shape]))
