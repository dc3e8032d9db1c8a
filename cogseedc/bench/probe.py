"""`cogseedc targets probe`: the numbers of a target's cost model, measured on this machine.

Each number is the difference of two small programs that are compiled for the target as any program is: so it contains
what the runtime really does, fusions included. `layout_ns` and `weight_ns` cannot be told apart from outside and
stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from time import thread_time
from typing import TYPE_CHECKING

import numpy as np
import torch

from cogseedc.bench.clock import measure
from cogseedc.bench.compiled import compiled
from cogseedc.target import Costs, Target

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

ROUNDS = 25
WIDE, ROWS, MANY, FEW = 4096, 64, 60, 10
"""Elements of a large row, rows, and how many operations a long and a short chain have."""
LONG, SHORT = 14, 4
"""The same of chains that are short enough to stand in no `if`."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A program with its inputs."""

    text: str
    gates: str
    feed: tuple[tuple[str, Array], ...]


def probe(target: Target, progress: Callable[[str], None] = lambda _: None) -> Costs:
    """Measures the costs of a target, in one thread. Takes some ten seconds."""
    found = asdict(target.costs)
    torch.set_num_threads(1)
    for names, runs, solve in _plans(target):
        progress(", ".join(names))
        for name, value in zip(names, solve(_times(target, runs)), strict=True):
            if value > 0:  # a difference that noise has turned around says nothing
                found[name] = float(f"{value:.3g}")
    return replace(target.costs, **found)


def steps(target: Target) -> int:
    """How often `probe` reports."""
    return sum(1 for _ in _plans(target))


_Solve = Callable[[Sequence[float]], Sequence[float]]


def _plans(target: Target) -> Iterator[tuple[tuple[str, ...], Sequence[_Run], _Solve]]:
    """The numbers that are found together, the programs that are timed, and how seconds become numbers."""
    rows = 1 if target.batch_one else ROWS
    large, small, scores = _normal(rows, WIDE), _normal(rows, 4), np.linspace(-1, 1, rows, dtype=np.float32)
    cells = rows * WIDE

    def plain(body: str, x: Array) -> _Run:
        return _Run(_program(body, x.shape[1]), "dense", (("x", x), ("s", scores)))

    def gated(arm: str, x: Array, gates: str, score: Array = scores) -> _Run:
        return _Run(_program(f"y = when s > 0 {{ {arm} }} else {{ x }}", x.shape[1]), gates, (("x", x), ("s", score)))

    layers = " |> ".join(["linear[512]"] * 4)
    yield (
        ("mac_ns",),
        [plain(f"y = x |> {layers}", _normal(rows, 512))],
        lambda t: [t[0] / (4 * 512 * 512 * rows) * 1e9],
    )
    yield (
        ("op_us",),
        [plain(_chain(MANY), small), plain(_chain(FEW), small)],
        lambda t: [(t[0] - t[1]) / (MANY - FEW) * 1e6],
    )
    yield (
        ("pass_ns",),
        [plain("y = abs(sin(x))", large), plain("y = sin(x)", large)],
        lambda t: [(t[0] - t[1]) / cells * 1e9],
    )
    yield (
        ("select_ns", "select_us"),
        [
            *(gated("x * 2", large, "dense"), plain("y = x * 2", large)),
            *(gated("x * 2", small, "dense"), plain("y = x * 2", small)),
        ],
        lambda t: [(t[0] - t[1] - t[2] + t[3]) / cells * 1e9, (t[2] - t[3]) * 1e6],
    )
    if not target.batch_one:
        yield (
            ("take_ns", "put_ns"),
            [
                _Run(_program(_SUMMED, WIDE, 1), "compact", (("x", large), ("s", scores))),
                _Run(_program("y = mean[over=D, keep=true](x)", WIDE, 1), "dense", (("x", large), ("s", scores))),
                gated("x * 2", large, "compact"),
            ],
            lambda t: [max(2 * t[0] - t[1], t[0] / 2) / cells * 1e9, (t[2] - t[0]) * 2 / cells * 1e9],
        )
    if not (target.batch_one or target.wrap_regions):
        nobody = -np.abs(scores) - 1
        yield (
            ("empty_us",),
            [gated(_applied(LONG), small, "compact", nobody), gated(_applied(SHORT), small, "compact", nobody)],
            lambda t: [(t[0] - t[1]) / (LONG - SHORT) * 1e6],
        )
    yield (
        ("branch_us", "wrap_us"),
        [_Run(_uniform(12), "branch", (("x", small),)), _Run(_uniform(0), "dense", (("x", small),))],
        lambda t: [(t[0] - t[1]) / 12 * 1e6] * 2,
    )


_SUMMED = "y = when s > 0 { mean[over=D, keep=true](x) } else { x[D=0 .. 1] }"
"""Takes half of the rows and puts next to nothing back."""


def _program(body: str, width: int, results: int | None = None) -> str:
    out = results or width
    ports = f"in  x: f32[N, D={width}]\n    in  s: f32[N]\n    out y: f32[N, K={out}]"
    return f"export seed Probe {{\n    {ports}\n    {body}\n}}\n"


def _chain(count: int, op: str = "") -> str:
    return "y = " + _applied(count, op)


def _applied(count: int, op: str = "") -> str:
    """Operations one after the other that nothing folds: each reads `x` again."""
    text = "x"
    for i in range(count):
        text = f"{op}({text})" if op else f"({text} {'*' if i % 2 else '+'} x)"
    return text


def _uniform(gates: int) -> str:
    """Decisions for the whole batch, from a knob."""
    lines = ["h0 = x"]
    for i in range(gates):
        lines.append(f"h{i + 1} = when on > 0.{i:02}5 {{ h{i} * 1.5 }} else {{ h{i} }}")
    body = "".join(f"    {line}\n" for line in (*lines, f"y = h{gates} + 1"))
    return (
        f"export seed Probe {{\n    in  x: f32[N, D=4]\n    out y: f32[N, D]\n    knob on = 0.9 in 0 .. 1\n{body}}}\n"
    )


def _times(target: Target, runs: Sequence[_Run]) -> list[float]:
    """The least seconds of each: what others on the machine add is left out."""
    candidates = {}
    for i, run in enumerate(runs):
        model = compiled(run.text, target.name, gates=run.gates, bits="fp32").model
        ready = model.prepare(dict(run.feed))
        candidates[str(i)] = lambda model=model, ready=ready: model.run(ready)
    samples = measure(candidates, ROUNDS, thread_time, least=0.002)
    return [min(samples[str(i)]) for i in range(len(runs))]


def _normal(rows: int, width: int) -> Array:
    return np.random.default_rng(0).standard_normal((rows, width)).astype(np.float32)
