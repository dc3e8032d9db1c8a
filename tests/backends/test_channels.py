"""Gates over channels: the filters that a sample chose, and no others, are computed; values and decisions are those of
the dense meaning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import cogseedc
from cogseedc.backends.plan import Picked, plan
from cogseedc.backends.support.channels import chosen_channels, kept_channels
from cogseedc.driver.program import load
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.limits import Limits
from cogseedc.passes import PIPELINES
from cogseedc.target import load as target
from cogseedc.verify import Settings, verify_artifact

FOLDERS = Path(__file__).parents[2] / "examples", Path(__file__).parents[1] / "tour"
FORMS = """\
export seed Forms {
    in  x: f32[N, 6, H=7, W=5]
    in  d: f32[N, D=4]
    in  s: f32[N, C=9]
    out y: f32[N, C=9, H, W]
    out u: f32[N, C=9]
    out t: f32[N, T=3, C=9]
    out v: f32[N, C=9, H, W]
    param beta: f32[C=9] = normal(1)
    gate on over N, C = s > 0
    a = conv2d[C=9, kernel=3, padding=1](x)
    y = when on { tanh(beta * batch_norm(conv2d[C=9, kernel=(3, 1), padding=(1, 0)](x)) + s) } else { a }
    u = when on { 0.5 } else { sigmoid(linear[C=9](d)) + linear[C=9](d) }
    gate easy over N = mean[over=C](s) > 0
    v = when easy { when on { relu(conv2d[C=9, kernel=1, bias=false](x)) } else { 0 } } else {
        gate more over N, C = u > 0.7
        b = conv2d[C=9, kernel=5, padding=2](x)
        yield when more { b * conv2d[C=9, kernel=3, dilation=2, padding=2](x) + a } else { b }
    }
    q = stack[axis=1, into=T](d, d + 1, d * 2)
    t = when on { relu(linear[C=9](q)) } else { -1 }
}
"""
"""Filters of several kinds; arms taken where a gate is false; a base that is computed; in regions of a batch."""
WIDE = """\
export seed Wide {
    in  x: f32[N, 6, H=7, W=7]
    in  s: f32[N, C=12]
    out y: f32[N, C=12, H, W]
    gate on over N, C = s > 0
    y = when on { relu(batch_norm(conv2d[C=12, kernel=3, padding=1](x))) } else { 0 }
}
"""


def verified(source: Path, folder: Path, gates: Any) -> str:
    artifact = cogseedc.compile(source, "torch-cpu", folder / gates, rng=0, gates=gates)
    report = verify_artifact(artifact, Settings(batches=(0, 1, 2, 7, 16)))
    assert report.ok, report.to_text()
    return next(artifact.rglob("model.py")).read_text()


def watched(patch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Sizes of operand and weight of each convolution from here on."""
    seen: list[tuple[int, ...]] = []
    conv2d: Callable[..., torch.Tensor] = F.conv2d

    def watch(value: torch.Tensor, weight: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        seen.append((*value.shape, *weight.shape))
        return conv2d(value, weight, *rest, **more)

    patch.setattr(F, "conv2d", watch)
    return seen


@pytest.mark.parametrize("gates", ["auto", "compact", "dense"])
def test_forms_verify(gates: str, tmp_path: Path) -> None:
    source = tmp_path / "forms.seed"
    source.write_text(FORMS)
    count = verified(source, tmp_path, gates).count(" in chosen_channels(rows_")
    assert count == {"auto": 0, "compact": 5, "dense": 0}[gates], "so little work is computed densely, unless forced"


@pytest.mark.parametrize("name", ["14_channel_gating", "fbs"])
def test_examples_verify(name: str, tmp_path: Path) -> None:
    source = next(path for folder in FOLDERS if (path := folder / f"{name}.seed").exists())
    text = verified(source, tmp_path, "compact")
    assert text.count(" in chosen_channels(rows_") == 2
    assert text.count(" = kept_channels(rows_") == 1, "the second layer reads what the first one kept"


def test_as_many_filters_are_computed_as_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    module = cogseedc.build(load(WIDE), rng=0, gates="compact").eval()
    generator = torch.Generator().manual_seed(0)
    x, s = torch.randn(5, 6, 7, 7, generator=generator), torch.randn(5, 12, generator=generator)
    s[2] = -1
    counts = [int(count) for count in (s > 0).sum(1)]
    seen = watched(monkeypatch)
    with torch.inference_mode():
        result = module(x, s, trace=True)
    assert seen == [(1, 6, 7, 7, count, 6, 3, 3) for count in counts if count]
    assert len(set(counts)) > 2
    assert result.rows == {"on": sum(counts)}


def test_what_another_gate_left_out_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter reads the channels that its operand's gate kept, if the others are zero; one, which is zero, if it kept
    none."""
    source = WIDE.replace("out y", "in  t: f32[N, C=12]\n    out y").replace("    y = when", "    h = when")
    second = "    gate more over N, C = t > 0\n    y = when more { conv2d[C, kernel=3, padding=1](h) } else { 1 }\n}\n"
    source = source.rstrip().removesuffix("}") + second
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 6, 7, 7, generator=generator)
    s, t = torch.randn(4, 12, generator=generator), torch.randn(4, 12, generator=generator)
    s[2], t[1] = -1, -1
    for text, narrow in ((source, True), (source.replace("else { 0 }", "else { 0.5 }"), False)):
        module = cogseedc.build(load(text), rng=0, gates="compact").eval()
        dense = cogseedc.build(load(text), rng=0, gates="dense").eval()
        with torch.inference_mode():
            torch.testing.assert_close(module(x, s, t).y, dense(x, s, t).y)
            with monkeypatch.context() as patch:
                seen = watched(patch)
                module(x, s, t)
        kept, chosen = [int(c) for c in (s > 0).sum(1)], [int(c) for c in (t > 0).sum(1)]
        expected = [(k if narrow and k else 1 if narrow else 12, c) for k, c in zip(kept, chosen, strict=True) if c]
        assert [(channels, filters) for _, channels, _, _, filters, *_ in seen[-len(expected) :]] == expected


def test_filters_are_picked_where_that_pays() -> None:
    def picked(source: str, name: str) -> int:
        graph = passed(load(source).elaborated.graph, Limits(), PIPELINES["inference"], target(name), True, Timing())
        return sum(isinstance(step, Picked) for block in plan(graph, target(name)).blocks for step in block.steps)

    wide = WIDE.replace("6, H=7, W=7", "128, H=28, W=28").replace("C=12", "C=128")
    assert (picked(wide, "torch-cpu"), picked(WIDE, "torch-cpu"), picked(wide, "onnx-cpu")) == (1, 0, 0)


def test_what_is_not_read_channel_by_channel_is_dense() -> None:
    """Filters in groups, and what somebody else reads."""
    grouped = WIDE.replace("padding=1]", "padding=1, groups=3]")
    read = WIDE.replace("    y = when", "    c = conv2d[C=12, kernel=3, padding=1](x)\n    y = when").replace(
        "{ 0 }", "{ c * 2 }"
    )
    read = read.replace("relu(batch_norm(conv2d[C=12, kernel=3, padding=1](x)))", "relu(c)")
    for source in (grouped, read):
        graph = passed(
            load(source).elaborated.graph, Limits(), PIPELINES["inference"], target("torch-cpu"), True, Timing()
        )
        steps = [step for block in plan(graph, target("torch-cpu"), "compact").blocks for step in block.steps]
        assert not any(isinstance(step, Picked) for step in steps)


def test_channels_of_samples() -> None:
    found = chosen_channels(torch.tensor([1, 3, 9, 10, 11]), 4, 4)
    assert [(i, channels.tolist()) for i, channels in found] == [(0, [1, 3]), (2, [1, 2, 3])]
    kept = kept_channels(torch.tensor([1, 3, 9, 10, 11]), 4, 4)
    assert [channels.tolist() for channels in kept] == [[1, 3], [0], [1, 2, 3], [0]]
    nothing = torch.tensor([], dtype=torch.int64)
    assert chosen_channels(nothing, 4, 0) == kept_channels(nothing, 4, 0) == []
