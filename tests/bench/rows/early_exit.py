"""P1, P2, P3, P13: four blocks with an exit behind each of the first three, by confidence, at several exit rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from cogseedc.bench import Bound, Cell, Figure, Samples, macs_of, ratio
from cogseedc.bench.compiled import compiled
from cogseedc.bench.runtimes import OnnxModel
from tests.bench import plain
from tests.bench.setting import Array, Feed, Setting, batches, fastest, limiting, microseconds, running, works

NAMES = ("P1", "P2", "P3", "P13")

BLOCKS = """
seed Triple[width: int] {
    in  x: f32[N, C, H, W]
    out y: f32[N, width, H, W]
    y = x |> conv2d[width, kernel=3, padding=1] |> relu
          |> conv2d[width, kernel=3, padding=1] |> relu
          |> conv2d[width, kernel=3, padding=1] |> relu
}
seed Head {
    in  x: f32[N, C, H, W]
    out logits: f32[N, K=10]
    logits = x |> mean[over=(H, W)] |> linear[10]
}
"""
PROGRAM = (
    BLOCKS
    + """
export seed EarlyExit {
    in  image: f32[N, C=3, H=32, W=32]
    out logits: f32[N, K=10]
    knob taus: f32[L=3] = 0.9 in 0 .. 1
    a = image |> Triple[32]
    exit e0 { logits = a |> Head } when confidence(logits) >= taus[L=0]
    b = a |> max_pool2d[2] |> Triple[64]
    exit e1 { logits = b |> Head } when confidence(logits) >= taus[L=1]
    c = b |> max_pool2d[2] |> Triple[128]
    exit e2 { logits = c |> Head } when confidence(logits) >= taus[L=2]
    logits = c |> max_pool2d[2] |> Triple[256] |> Head
}
"""
)
STATIC = (
    BLOCKS
    + """
export seed Static {
    in  image: f32[N, C=3, H=32, W=32]
    out logits: f32[N, K=10]
    a = image |> Triple[32]
    b = a |> max_pool2d[2] |> Triple[64]
    c = b |> max_pool2d[2] |> Triple[128]
    logits = c |> max_pool2d[2] |> Triple[256] |> Head
}
"""
)
SAMPLES = 64
CELLS = tuple((batch, rate) for batch in (1, 8, 32, 128) for rate in (0.0, 0.5, 0.9))


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """The cells of the rows that are asked for."""
    if asked & {"P1", "P2", "P3"}:
        network = _Network(1)
        for batch, rate in setting.each(CELLS):
            yield from _cells(network, setting, batch, rate, asked)
    if "P13" in asked:
        network = _Network(2)
        two = replace(setting, threads=2)
        for batch, rate in setting.each([c for c in CELLS if c[0] >= 8]):
            yield from _two_threads(network, two, batch, rate)


class _Network:
    """The program in all forms that are compared."""

    def __init__(self, threads: int) -> None:
        self.ours = compiled(PROGRAM, "onnx-cpu", threads=threads)
        weights = self.ours.weights.by_key()
        self.limit = self.ours.limit()
        self.static = compiled(STATIC, "onnx-cpu", weights, threads=threads)
        image, taus = torch.zeros(2, 3, 32, 32), torch.zeros(3)
        self.exported = OnnxModel(plain.exported(plain.StaticExit(weights), [image], ["image"]), threads)
        self.masked = OnnxModel(plain.exported(plain.MaskedExit(weights), [image, taus], ["image", "taus"]), threads)
        wrapped = compiled(PROGRAM, "onnx-cuda", weights).payload  # each part in an If, here on the CPU
        self.root = OnnxModel(plain.weights_at_root(wrapped), threads)
        self.eager = plain.StaticExit(weights).eval()
        self.loop = plain.LoopedExit(weights).eval()
        self.torch = compiled(PROGRAM, "torch-cpu", weights)
        self.weights = weights

    def cond(self) -> OnnxModel:
        """What torch's exporter makes of `torch.cond`, batch one."""
        example = [torch.zeros(1, 3, 32, 32), torch.zeros(3)]
        return OnnxModel(plain.exported(plain.CondExit(self.weights), example, ["image", "taus"], batch=False))

    def thresholds(self, pool: Array, rate: float) -> Array:
        """Thresholds at which that share of the samples that reach an exit leaves there."""
        taus = np.ones(3, np.float32)
        x = torch.from_numpy(pool)
        with torch.inference_mode():
            for i in range(3):
                x = self.eager.block(i, x)
                scores = torch.softmax(self.eager.head(i, x), -1).amax(-1)
                leave = round(rate * len(scores))
                if leave:
                    last, next = np.sort(scores.numpy())[::-1][[leave - 1, min(leave, len(scores) - 1)]]
                    taus[i] = (last + next) / 2
                x = x[scores < float(taus[i])]
        return taus


def _measured(
    network: _Network, setting: Setting, batch: int, rate: float, asked: frozenset[str]
) -> tuple[Samples, Mapping[str, Figure]]:
    """Seconds of all candidates on one stream of samples, and the four figures of a cell."""
    pool = np.random.default_rng(7).standard_normal((max(SAMPLES, batch), 3, 32, 32)).astype(np.float32)
    feeds = batches({"image": pool}, batch, {"taus": network.thresholds(pool, rate)})
    plainly = batches({"image": pool}, batch)
    needed = works(network.ours, feeds)
    candidates: dict[str, Callable[[], object]] = {
        "ours": running(network.ours.model, feeds),
        "limit": limiting(network.limit, needed),
        "static": running(network.static.model, plainly),
        "static, torch": running(network.exported, plainly),
        "mask": running(network.masked, feeds),
        "root": running(network.root, feeds),
    }
    if batch == 1 and "P3" in asked:
        candidates["cond"] = running(network.cond(), feeds)
    if "P2" in asked:
        candidates |= _eager(network, feeds)
    samples = setting.measured(candidates)
    static = samples[fastest(samples, ("static", "static, torch"))]
    macs = macs_of(network.static.plan.graph, len(pool)) / sum(network.limit.macs(work) for work in needed)
    return samples, {
        "x static": ratio(static, samples["ours"]),
        "limit": ratio(static, samples["limit"]),
        "efficiency": ratio(samples["limit"], samples["ours"]),
        "x FLOPs": Figure.exact(macs),
        "us": microseconds(samples["ours"], len(pool)),
    }


def _eager(network: _Network, feeds: Sequence[Feed]) -> dict[str, Callable[[], object]]:
    """What people run in PyTorch, and what is compiled for it."""
    tensors = [(torch.from_numpy(f["image"]), torch.from_numpy(f["taus"])) for f in feeds]
    quicker = torch.compile(network.eager, dynamic=False)

    def all_of(run: Callable[..., object], taus: bool) -> Callable[[], object]:
        def call() -> None:
            with torch.inference_mode():
                for image, thresholds in tensors:
                    run(image, thresholds) if taus else run(image)

        return call

    return {
        "torch static": all_of(network.eager, False),
        "torch.compile": all_of(quicker, False),
        "torch loop": all_of(network.loop, True),
        "torch-cpu": running(network.torch.model, feeds),
    }


def _cells(network: _Network, setting: Setting, batch: int, rate: float, asked: frozenset[str]) -> Iterator[Cell]:
    samples, figures = _measured(network, setting, batch, rate, asked)
    name = f"batch {batch}, rate {rate:g}"
    if "P1" in asked:
        at_rest = [] if rate else [Bound("x static", least=1 / 1.05)]
        yield Cell("P1", name, figures, [Bound("efficiency", least=0.95), *at_rest])
    if "P2" in asked:
        static, mask = {0.5: (2.1, 2.2), 0.9: (3.7, 3.7)}.get(rate, (None, None))
        others = ("mask", "torch static", "torch.compile", "torch loop", "torch-cpu")
        against = {f"x {other}": ratio(samples[other], samples["ours"]) for other in others}
        against = {"x static": figures["x static"], "x FLOPs": figures["x FLOPs"], **against}
        yield Cell("P2", name, against, [Bound("x static", least=static), Bound("x mask", least=mask)])
    if "P3" in asked:
        against = {
            f"x {other}": ratio(samples[other], samples["ours"]) for other in ("cond", "root") if other in samples
        }
        yield Cell("P3", name, against, [Bound("x cond", least=1.1), Bound("x root", least=1.1)])


def _two_threads(network: _Network, setting: Setting, batch: int, rate: float) -> Iterator[Cell]:
    _, figures = _measured(network, setting, batch, rate, frozenset())
    yield Cell("P13", f"batch {batch}, rate {rate:g}", figures, [Bound("efficiency", least=0.92)])
