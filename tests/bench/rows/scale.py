"""P11: how long compiling takes, stage by stage, and how it grows with the program. CPU seconds, the best of two runs."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from cogseedc.bench import Bound, Cell, Figure
from tests.bench.generate import SHAPES, exits, nested
from tests.bench.measure import Cost, measure
from tests.bench.setting import Setting

NAMES = ("P11",)

STATEMENTS = (1_000, 10_000)
CONTROL = {"200 exits in a row": exits(200), "40 nested when": nested(40)}
STAGES = ("check", "passes", "plan", "emit", "total", "session")
BOUNDS = {
    10_000: [Bound("total", most=4.0), Bound("x 1k", most=12.0)],
    "large": [Bound("total", most=45.0), Bound("GiB", most=2.0)],
}


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Programs of 1,000 and 10,000 statements, deep and long control flow, and one near the limit of 100,000 nodes."""
    measure(SHAPES["mixed"](100), "onnx-cpu", session=True)  # imports, caches
    repeat = 1 if setting.quick else 2
    for shape in setting.each(list(SHAPES)):
        before = 0.0
        for count in (50, 100) if setting.quick else STATEMENTS:
            cost = _best(SHAPES[shape](count), "onnx-cpu", repeat, session=False)
            figures = _figures(cost) | ({"x 1k": Figure.exact(cost.total / before)} if before else {})
            yield Cell("P11", f"{shape} {count}", figures, BOUNDS.get(count, []))
            before = cost.total
    for name, text in setting.each(list(CONTROL.items())):
        for target in ("onnx-cpu", "onnx-edge", "torch-cpu"):
            cost = _best(text, target, repeat, session=target != "torch-cpu")
            yield Cell("P11", f"{name}, {target}", _figures(cost), [Bound("session", most=1.0)])
    if not setting.quick:
        cost = _best(SHAPES["seeds"](16_000), "onnx-cpu", 1, session=False)
        memory = Figure.exact(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20))
        yield Cell("P11", "seeds 16000", {**_figures(cost), "GiB": memory}, BOUNDS["large"])


def _best(text: str, target: str, repeat: int, session: bool) -> Cost:
    """The quickest of several runs."""
    return min((measure(text, target, session) for _ in range(repeat)), key=lambda cost: cost.total)


def _figures(cost: Cost) -> dict[str, Figure]:
    seconds = {stage: Figure.exact(getattr(cost, stage)) for stage in STAGES}
    return {"nodes": Figure.exact(cost.nodes), **seconds}
