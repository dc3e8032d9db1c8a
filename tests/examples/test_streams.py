"""Examples with state against plain PyTorch: streams of calls, sample by sample, with real control flow and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import cogseedc
from cogseedc.runtime import Session
from tests.examples.plain import FOLDER, SEED, Array, Net, Outputs, weights_of

Given = dict[str, Tensor]
Stream = Callable[[Net, list[Given]], Iterator[Outputs]]
"""What a sample's calls give, one after another; the decisions of the call are the net's."""


def streaming(net: Net, calls: list[Given]) -> Iterator[Outputs]:
    past: dict[str, Tensor] = {}

    def causal(path: str, x: Tensor) -> Tensor:
        window = torch.cat([past.get(path, torch.zeros(2, x.shape[1]).double()), x])
        past[path] = window[1:]
        return net.linear(f"{path}.linear", window.flatten()[None])

    for given in calls:
        h = F.relu(causal("h.Causal", given["frame"]))
        if net.decide("quiet", bool(given["frame"].abs().mean() < 0.8)):
            yield {"logits": net.linear("exits.quiet.linear", h)}
            continue
        for i in range(2):
            h = h + F.relu(causal(f"h.{i}.Causal", h))
        yield {"logits": net.linear("linear", h)}


def rest(net: Net, path: str, x: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """A decoder layer behind its caches, for one token [1, D]; two heads."""
    q = net.linear(f"{path}.a.linear", net.layer_norm(f"{path}.a.layer_norm", x))
    parts = [t.reshape(-1, 2, q.shape[1] // 2).transpose(0, 1) for t in (q, torch.cat(keys), torch.cat(values))]
    heads = torch.softmax(parts[0] @ parts[1].transpose(1, 2) / parts[0].shape[-1] ** 0.5, -1) @ parts[2]
    a = x + net.linear(f"{path}.a.linear_2", heads.transpose(0, 1).reshape(1, -1))
    hidden = F.gelu(net.linear(f"{path}.linear", net.layer_norm(f"{path}.layer_norm", a)))
    return a + net.linear(f"{path}.linear_2", hidden)


def token_exit(net: Net, calls: list[Given]) -> Iterator[Outputs]:
    caches: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in range(4)]
    for pos, given in enumerate(calls):
        h, live, depth = net.w["h.embedding.weight"][given["token"]], True, 0
        tau = 0.9 * 0.15 + 0.1 * np.exp(-4.0 * pos / 12)
        for i, (keys, values) in enumerate(caches):
            n = net.layer_norm(f"h.{i}.n.layer_norm", h)
            keys.append(net.linear(f"h.{i}.keys.linear", n))
            values.append(net.linear(f"h.{i}.values.linear", n))
            if net.decide(f"h.{i}.h2.when", live):
                h, depth = rest(net, f"h.{i}.h2.then.Rest", h, keys, values), depth + 1
            best = torch.softmax(net.linear("head.linear", h)[0], -1).topk(2).values
            if i < 3:
                live = not net.decide(f"h.{i}.sure", bool(best[0] - best[1] >= tau)) and live
        yield {"logits": net.linear("head.linear", h), "depth": torch.tensor([depth])}


def frame_skipping(net: Net, calls: list[Given]) -> Iterator[Outputs]:
    cell = torch.nn.LSTMCell(8, 12).double()
    for name, parameter in cell.named_parameters():
        parameter.data.copy_(net.w[f"choice.then.Policy.h2.lstm_cell.{name}"])
    memory, rest, total, seen = (torch.zeros(1, 12).double(), torch.zeros(1, 12).double()), 0, torch.zeros(1, 6), 0
    for given in calls:
        frame, choice = given["frame"], 2
        if net.decide("awake", rest <= 0):
            f = F.relu(net.conv("choice.then.Policy.f.conv2d", F.avg_pool2d(frame, 2), 2)).mean((2, 3))
            memory = cell(f, memory)
            choice = int(net.linear("choice.then.Policy.linear", memory[0]).argmax())
            rest = 4 if choice == 3 else 1
        rest -= 1
        net.decide("scores.route", min(choice, 2))
        if choice < 2:
            path = f"scores.{choice}.Classify"
            x = F.relu(net.conv(f"{path}.x.conv2d", frame if choice == 0 else F.avg_pool2d(frame, 2), 2))
            x = F.relu(net.conv(f"{path}.x2.conv2d", x, 2)).mean((2, 3))
            total, seen = total + net.linear(f"{path}.linear", x), seen + 1
        yield {"logits": total / max(seen, 1)}


STREAMS: dict[str, tuple[Stream, dict[str, tuple[int, ...]]]] = {
    "60_streaming_state": (streaming, {"frame": (8,)}),
    "61_token_exit_caches": (token_exit, {"token": ()}),
    "62_frame_skipping_held": (frame_skipping, {"frame": (3, 16, 16)}),
}


def _call(random: np.random.Generator, shapes: dict[str, tuple[int, ...]], batch: int) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name == "token":
            found[name] = random.integers(0, 20, batch)
        else:
            scale = random.uniform(0.3, 2.5, (batch, *(1 for _ in shape)))
            found[name] = (scale * random.standard_normal((batch, *shape))).astype(np.float32)
    return found


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu", "onnx-edge"])
@pytest.mark.parametrize("name", STREAMS)
def test_is_what_the_paper_computes(name: str, target: str, tmp_path: Path) -> None:
    reference, shapes = STREAMS[name]
    weights = weights_of(FOLDER / f"{name}.seed", {})
    folder = cogseedc.compile(FOLDER / f"{name}.seed", target, tmp_path / "net", weights=weights, bits="fp32")
    session = cogseedc.open(folder)
    taken: dict[str, set[int]] = {}
    for batch in (1, 6):
        random = np.random.default_rng(SEED)
        calls = [_call(random, shapes, batch) for _ in range(8)]
        session.reset()
        results = [session.run(call, {}, True) for call in calls]
        for n in range(batch):
            net = Net(weights)
            rows = [{k: torch.from_numpy(v[n : n + 1]) for k, v in call.items()} for call in calls]
            given = [{k: v.double() if v.is_floating_point() else v for k, v in row.items()} for row in rows]
            stream = reference(net, given)
            for result in results:
                net.decisions.clear()
                with torch.no_grad():
                    expected = next(stream)
                for output, value in expected.items():
                    np.testing.assert_allclose(result[output][n], value.numpy()[0], atol=2e-5, rtol=2e-5)
                for gate, trace in result.trace.items():
                    own = net.decisions.get(gate, -1)
                    assert trace[n] == own, f"{gate} of sample {n} of {batch}"
                    taken.setdefault(gate, set()).add(int(own))
    assert any(len(kinds) > 1 for kinds in taken.values()), "every sample decided alike"


class Greedy:
    """The whole network of 63, one token after another; how far only the first layer comes with the same."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.caches: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in range(3)]

    def layer(self, i: int, x: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
        """Adds to the given lists."""
        cache, path = (("cache.Cache", "first.Rest"), ("y.0.cache.Cache", "y.0.Rest"), ("y.1.cache.Cache", "y.1.Rest"))[
            i
        ]
        n = self.net.layer_norm(f"{cache}.n.layer_norm", x)
        keys.append(self.net.linear(f"{cache}.linear", n))
        values.append(self.net.linear(f"{cache}.linear_2", n))
        return rest(self.net, path, x, keys, values)

    def start(self, token: int, at: int) -> Tensor:
        return (self.net.w["embed.embedding.weight"][token] + self.net.w["place.embedding.weight"][at])[None]

    def head(self, x: Tensor) -> Tensor:
        return self.net.linear("head.linear", x)[0]

    def token(self, token: int) -> int:
        """The token that the whole network puts behind all so far."""
        x = self.start(token, len(self.caches[0][0]))
        for i, (keys, values) in enumerate(self.caches):
            x = self.layer(i, x, keys, values)
        return int(self.head(x).argmax())

    def drafts(self, token: int, count: int, sure: float) -> list[int]:
        """What the first layer alone would put there, while it is sure."""
        keys, values = list(self.caches[0][0]), list(self.caches[0][1])
        found: list[int] = []
        for _ in range(count):
            z = self.head(self.layer(0, self.start(token, len(keys)), keys, values))
            if float(torch.softmax(z, -1).max()) < sure:
                break
            token = int(z.argmax())
            found.append(token)
        return found


def _rounds(session: Session, net: Net, first: Array, sure: float) -> set[int]:
    """Lets a session generate; all must be what greedy decoding gives. How many tokens were accepted in a round."""
    batch = len(first)
    plain, counts = [Greedy(net) for _ in range(batch)], set[int]()
    last = first
    for _ in range(5):
        result: Any = session(token=last, knobs={"sure": sure})
        for n in range(batch):
            drafts = plain[n].drafts(int(last[n]), 3, sure)
            accepted, token = 0, int(last[n])
            for draft in [*drafts, None]:
                token = plain[n].token(token)
                assert result["tokens"][n, accepted] == token
                accepted += 1
                if token != draft:
                    break
            assert result["accepted"][n] == accepted
            counts.add(accepted)
        last = np.take_along_axis(result["tokens"], result["accepted"][:, None] - 1, 1)[:, 0]
    return counts


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_drafting_gives_what_greedy_decoding_gives(target: str, tmp_path: Path) -> None:
    source = FOLDER / "63_draft_and_verify.seed"
    weights = weights_of(source, {})
    session = cogseedc.open(cogseedc.compile(source, target, tmp_path / "net", weights=weights))
    with torch.no_grad():
        for sure in (0.0, 0.35):
            session.reset()
            assert len(_rounds(session, Net(weights), np.arange(5), sure)) > 1
