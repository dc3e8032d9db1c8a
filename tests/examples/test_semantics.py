"""Examples against plain PyTorch with the same weights, written sample by sample with real control flow: values and
decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import cogseedc
from tests.examples.families import FAMILIES
from tests.examples.plain import FOLDER, Net, Outputs, Paper, Sample, inputs_of, weights_of
from tests.examples.turns import TURNS


def patience(net: Net, sample: Sample) -> Outputs:
    h, before, count, z = sample["x"], -1, 0, torch.zeros(0)
    for i in range(5):
        path = f"h.{i}.h2.Layer"
        h = F.gelu(net.layer_norm(f"{path}.layer_norm", net.linear(f"{path}.linear", h)))
        z = net.linear(f"h.{i}.z.linear", h)
        count = count + 1 if int(z.argmax()) == before else 0
        before = int(z.argmax())
        if net.decide(f"agreed.{i}", count >= 2):
            break
    return {"logits": z}


def adaptive_graph(net: Net, sample: Sample) -> Outputs:
    x = F.relu(net.norm("x.batch_norm", net.conv("x.conv2d", sample["image"])))
    for i in range(4):
        path, stride = f"x.{i}.Block", 2 if i == 2 else 1
        gate = F.relu(net.norm(f"{path}.open.Gate.batch_norm", net.linear(f"{path}.open.Gate.linear", x.mean((2, 3)))))
        short = x
        if i == 2:
            short = net.norm(f"{path}.short.else.batch_norm", net.conv(f"{path}.short.else.conv2d", x, 2, 0))
        if net.decide(f"{path}.open", int(net.linear(f"{path}.open.Gate.linear_2", gate).argmax())):
            h = net.conv(f"{path}.1.Residual.h.conv2d", x, stride)
            h = F.relu(net.norm(f"{path}.1.Residual.h.batch_norm", h))
            short = short + net.norm(f"{path}.1.Residual.batch_norm", net.conv(f"{path}.1.Residual.conv2d", h))
        x = F.relu(short)
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def recurrent_gate(net: Net, sample: Sample) -> Outputs:
    x, state = sample["image"], (torch.zeros(1, 10).double(), torch.zeros(1, 10).double())
    cell = torch.nn.LSTMCell(10, 10).double()
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            parameter.copy_(net.w[f"cell.lstm_cell.{name}"])
    for s in range(2):
        x = F.relu(net.norm(f"x.{s}.down.batch_norm", net.conv(f"x.{s}.down.conv2d", x, s + 1)))
        for i in range(3):
            state = cell(net.linear(f"x.{s}.project.linear", x.mean((2, 3))), state)
            if net.decide(f"x.{s}.y.{i}.run", bool(net.linear("decide.linear", state[0]) > 0)):
                path = f"x.{s}.y.{i}.then.Block"
                h = F.relu(net.norm(f"{path}.h.batch_norm", net.conv(f"{path}.h.conv2d", x)))
                x = F.relu(x + net.norm(f"{path}.batch_norm", net.conv(f"{path}.conv2d", h)))
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def branches(net: Net, sample: Sample) -> Outputs:
    stem = F.relu(net.norm("stem.batch_norm", net.conv("stem.conv2d", sample["image"], 2)))
    best = net.linear("pick.linear", stem.mean((2, 3)))[0].topk(2).indices
    net.decide("pick", best)
    parts = []
    for e in best.tolist():
        path = f"features.{e}.Branch"
        parts.append(F.relu(net.norm(f"{path}.batch_norm", net.conv(f"{path}.conv2d", stem, 2))).mean((2, 3)))
    return {"logits": net.linear("linear", (parts[0] + parts[1]) / 2)}


def attention_maps(net: Net, sample: Sample) -> Outputs:
    x = sample["image"]
    for name, stride in (("a", 1), ("b", 2)):
        x = F.relu(net.norm(f"{name}.batch_norm", net.conv(f"{name}.conv2d", x, stride)))
        path = f"{name}.CBAM"

        def perceptron(v: Tensor, path: str = path) -> Tensor:
            hidden = F.relu(net.linear(f"{path}.perceptron.Perceptron.linear", v))
            return net.linear(f"{path}.perceptron.Perceptron.linear_2", hidden)

        x = x * torch.sigmoid(perceptron(x.mean((2, 3))) + perceptron(x.amax((2, 3))))[..., None, None]
        both = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        x = x * torch.sigmoid(net.norm(f"{path}.batch_norm", net.conv(f"{path}.conv2d", both, 1, 3)))
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def dynamic_relu(net: Net, sample: Sample) -> Outputs:
    x = sample["image"]
    for name, stride in (("a", 1), ("b", 2)):
        x = net.norm(f"{name}.batch_norm", net.conv(f"{name}.conv2d", x, stride))
        path = f"{name}.DynamicReLU"
        hidden = F.relu(net.linear(f"{path}.hidden.linear", x.mean((2, 3))))
        theta = 2 * torch.sigmoid(net.linear(f"{path}.theta.linear", hidden)) - 1
        t = theta.view(1, x.shape[1], 4, 1, 1)
        x = torch.maximum(x * (1 + t[:, :, 0]) + 0.5 * t[:, :, 1], x * t[:, :, 2] + 0.5 * t[:, :, 3])
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def _bilinear(x: Tensor, row: float, column: float) -> Tensor:
    """The value of x [C, H, W] between pixels; zero outside."""
    r0, c0 = int(np.floor(row)), int(np.floor(column))
    total = torch.zeros(x.shape[0]).double()
    for r in (r0, r0 + 1):
        for c in (c0, c0 + 1):
            if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                total = total + x[:, r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return total


def deformable(net: Net, sample: Sample) -> Outputs:
    x = F.relu(net.conv("a.conv2d", sample["image"]))
    offsets = net.conv("a.Deformable.offsets.conv2d", x)[0]
    found = torch.zeros(8, 8, x.shape[1], 9).double()
    for i in range(8):
        for j in range(8):
            for s in range(9):
                row, column = i + s // 3 - 1 + offsets[2 * s, i, j], j + s % 3 - 1 + offsets[2 * s + 1, i, j]
                found[i, j, :, s] = _bilinear(x[0], float(row), float(column))
    y = F.relu(net.linear("a.Deformable.linear", found.flatten(2)))
    return {"logits": net.linear("linear", y.mean((0, 1))[None])}


def point_refinement(net: Net, sample: Sample) -> Outputs:
    fine = F.relu(net.conv("fine.conv2d", sample["image"], 2))
    coarse = net.conv("coarse.conv2d_2", F.relu(net.conv("coarse.conv2d", fine, 2)), 1, 0)
    mask = coarse
    for _ in range(2):
        mask = F.interpolate(mask, scale_factor=2, mode="bilinear", align_corners=False).clone()
        side = mask.shape[-1]
        best = mask[0].topk(2, dim=0).values
        lead = (best[0] - best[1]).flatten()
        for place in sorted(range(side * side), key=lambda p: float(lead[p]))[:12]:
            i, j = divmod(place, side)
            parts = []
            for source in (fine, coarse):
                scale = source.shape[-1] / side
                parts.append(_bilinear(source[0], (i + 0.5) * scale - 0.5, (j + 0.5) * scale - 0.5))
            hidden = F.relu(net.linear("head.PointHead.linear", torch.cat(parts)))
            mask[0, :, i, j] = net.linear("head.PointHead.linear_2", hidden)
    return {"mask": mask}


def partial_sums(net: Net, sample: Sample) -> Outputs:
    x = F.relu(net.norm("x.batch_norm", net.conv("x.conv2d", sample["image"])))
    for path in ("GatedConv", "GatedConv_2"):
        w, part = net.w[f"{path}.w"], x.shape[1] // 4
        partial = F.conv2d(x[:, :part], w[:, :part], padding=1)
        score = net.norm(f"{path}.s.batch_norm", partial) - net.w[f"{path}.threshold"][:, None, None]
        more = torch.sigmoid(2.0 * score) > 0.5
        net.decide(f"{path}.more", more[0].long())
        x = F.relu(net.norm(f"{path}.batch_norm", torch.where(more, F.conv2d(x, w, padding=1), partial)))
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def mixtral(net: Net, sample: Sample) -> Outputs:
    x = net.w["x.embedding.weight"][sample["tokens"]]
    earlier = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
    for i in range(2):
        path = f"x.{i}.Layer"
        normal = net.rms_norm(f"{path}.a.rms_norm", x)
        x = x + net.attend(f"{path}.a.multi_head_attention", normal, 4, earlier)
        h = net.rms_norm(f"{path}.h.rms_norm", x)
        best = torch.softmax(net.linear(f"{path}.pick.linear", h), -1).topk(2, -1)
        net.decide(f"{path}.pick", best.indices[0])
        weights = best.values / best.values.sum(-1, keepdim=True)
        x = x.clone()
        for t in range(x.shape[1]):
            for e, weight in zip(best.indices[0, t].tolist(), weights[0, t], strict=True):
                x[0, t] += weight * net.expert(f"{path}.{e}.Expert", h[0, t])
    return {"logits": net.linear("linear", net.rms_norm("rms_norm", x))}


def weight_on_input(net: Net, sample: Sample) -> Outputs:
    x = sample["x"]
    z = net.linear("z.linear", x)[0]
    y = net.expert("Expert", x)
    net.decide("pick", z.argmax(-1, keepdim=True))
    for t in range(x.shape[1]):
        e = int(z[t].argmax())
        y[0, t] += net.expert(f"{e}.Expert", x[0, t] * torch.sigmoid(z[t, e]))
    return {"y": y}


def encoder_exits(net: Net, sample: Sample) -> Outputs:
    tokens = sample["tokens"]
    x = net.layer_norm("h.layer_norm", net.w["h.embedding.weight"][tokens] + net.w["positions"])
    real = (tokens[0] != 0).expand(12, 12)

    def ramp(path: str) -> Tensor:
        return net.linear(f"{path}.linear_2", torch.tanh(net.linear(f"{path}.linear", x[:, 0])))

    for i in range(3):
        path = f"h.{i}.y.Layer"
        a = net.layer_norm(f"{path}.a.layer_norm", x + net.attend(f"{path}.a.multi_head_attention", x, 2, real))
        more = net.linear(f"{path}.linear_2", F.gelu(net.linear(f"{path}.linear", a)))
        x = net.layer_norm(f"{path}.layer_norm", a + more)
        logits = ramp(f"exits.ramp.{i}.OffRamp")
        p = torch.softmax(logits, -1)
        if net.decide(f"ramp.{i}", bool(-(p * p.log()).sum() < 0.9)):
            return {"logits": logits}
    return {"logits": ramp("OffRamp")}


def frame_exit(net: Net, sample: Sample) -> Outputs:
    z, y = torch.zeros(0), torch.zeros(0)
    for i, frame in enumerate((0, 2, 1, 3)):
        f = F.relu(net.conv("encode.Encoder.h.conv2d", sample["video"][:, frame], 2))
        f = F.relu(net.conv("encode.Encoder.conv2d", f, 2)).mean((2, 3))
        now = f if i == 0 else torch.maximum(z, f)
        y = net.linear(f"z.{i}.y.linear", now)
        if i == 0:
            stop = bool(torch.softmax(y, -1).max() > 0.4)
        else:
            path = f"z.{i}.stop.else.Gate"
            ab = [F.relu(net.linear(f"{path}.{n}.linear", v)) for n, v in (("a", now), ("b", z))]
            more = F.relu(net.linear(f"{path}.linear", torch.cat(ab, -1)))
            stop = bool(net.linear(f"{path}.linear_2", more) <= 0)
        z = now
        if net.decide(f"frame.{i}", stop):
            return {"logits": y, "seen": torch.tensor([i + 1])}
    return {"logits": y, "seen": torch.tensor([4])}


def dynamic_convolution(net: Net, sample: Sample) -> Outputs:
    x = sample["image"]
    for name in ("", "_2"):
        path = f"x.DynamicConv{name}"
        hidden = F.relu(net.linear(f"{path}.hidden.linear", x.mean((2, 3))))
        a = torch.softmax(net.linear(f"{path}.a.linear", hidden) / 30.0, -1)[0]
        w = sum(a[m] * net.w[f"{path}.weight"][m] for m in range(4))
        b = sum(a[m] * net.w[f"{path}.bias"][m] for m in range(4))
        assert isinstance(w, Tensor) and isinstance(b, Tensor)
        x = F.relu(net.norm(f"x.batch_norm{name}", F.conv2d(x, w, b, padding=1)))
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def switch(net: Net, sample: Sample) -> Outputs:
    x = sample["x"]
    p = torch.softmax(net.linear("pick.linear", x), -1)[0]
    room = [int(np.ceil(1.25 * x.shape[1] / 8))] * 8
    y, chosen = x.clone(), []
    for t in range(x.shape[1]):
        e = int(p[t].argmax())
        room[e] -= 1
        chosen.append([e if room[e] >= 0 else -1])
        if room[e] >= 0:
            hidden = F.relu(net.linear(f"{e}.Expert.linear", x[0, t]))
            y[0, t] += p[t, e] * net.linear(f"{e}.Expert.linear_2", hidden)
    net.decide("pick", torch.tensor(chosen))
    return {"y": y}


def group_limited_router(net: Net, sample: Sample) -> Outputs:
    x = sample["x"]
    s = torch.sigmoid(net.linear("s.linear", x))[0]
    choice = s + net.w["bias"]
    y, chosen = net.expert("Expert", x), []
    for t in range(x.shape[1]):
        groups = choice[t].view(4, 4).topk(2, -1).values.sum(-1).topk(2).indices
        allowed = torch.full((16,), -torch.inf).double()
        for g in groups.tolist():
            allowed[4 * g : 4 * g + 4] = choice[t, 4 * g : 4 * g + 4]
        best = allowed.topk(4).indices
        chosen.append(best)
        for e in best.tolist():
            y[0, t] += 2.5 * s[t, e] / s[t, best].sum() * net.expert(f"{e}.Expert", x[0, t])
    net.decide("pick", torch.stack(chosen))
    return {"y": y}


def neural_tree(net: Net, sample: Sample) -> Outputs:
    x, path = sample["image"].flatten(1), "Tree"
    for _ in range(4):
        right = net.decide(f"{path}.else.right", bool(torch.sigmoid(net.linear(f"{path}.else.right.linear", x)) > 0.5))
        path += ".else.then.Tree" if right else ".else.else.Tree"
    return {"y": torch.softmax(net.w[f"{path}.then.leaf"], -1)[None]}


def conditional_convolution(net: Net, sample: Sample) -> Outputs:
    x = sample["x"]
    a = torch.sigmoid(net.linear("a.linear", x.mean((2, 3))))[0]
    w = sum(a[m] * net.w["kernels"][m] for m in range(4))
    assert isinstance(w, Tensor)
    return {"y": F.conv2d(x, w, padding=1)}


REFERENCES = {
    "08_switch": Paper(switch, {}, {"x": (9, 32)}),
    "09_group_limited_router": Paper(group_limited_router, {}, {"x": (3, 64)}),
    "10_neural_tree": Paper(neural_tree, {}, {"image": (1, 8, 8)}),
    "11_conditional_convolution": Paper(conditional_convolution, {}, {"x": (8, 5, 6)}),
    "20_patience": Paper(patience, {}, {"x": (20,)}),
    "22_adaptive_graph": Paper(adaptive_graph, {}, {"image": (3, 16, 16)}),
    "23_recurrent_gate": Paper(recurrent_gate, {}, {"image": (3, 16, 16)}),
    "24_branches": Paper(branches, {}, {"image": (3, 16, 16)}),
    "25_attention_maps": Paper(attention_maps, {}, {"image": (3, 16, 16)}),
    "26_dynamic_relu": Paper(dynamic_relu, {}, {"image": (3, 16, 16)}),
    "27_deformable": Paper(deformable, {}, {"image": (3, 8, 8)}),
    "28_point_refinement": Paper(point_refinement, {}, {"image": (3, 16, 16)}),
    "31_partial_sums": Paper(partial_sums, {}, {"image": (3, 12, 12)}),
    "32_mixtral": Paper(mixtral, {}, {"tokens": (5,)}),
    "33_weight_on_input": Paper(weight_on_input, {}, {"x": (6, 16)}),
    "34_encoder_exits": Paper(encoder_exits, {"most": np.full(3, 0.9, np.float32)}, {"tokens": (12,)}),
    "35_frame_exit": Paper(frame_exit, {"sure": 0.4}, {"video": (4, 3, 16, 16)}),
    "36_dynamic_convolution": Paper(
        dynamic_convolution,
        {"x.DynamicConv.temperature": 30.0, "x.DynamicConv_2.temperature": 30.0},
        {"image": (3, 12, 12)},
    ),
}


def check(name: str, paper: Paper, target: str, folder: Path) -> None:
    """Values and decisions of every sample; some gate has to decide both ways."""
    source = FOLDER / f"{name}.seed"
    weights = weights_of(source, paper.set)
    session = cogseedc.open(cogseedc.compile(source, target, folder / "net", weights=weights, set=paper.set))
    taken: dict[str, set[bytes]] = {}
    for batch in (1, 5, 16):
        inputs = inputs_of(paper.shapes, batch)
        result = session.run(inputs, paper.knobs, True)
        for n in range(batch):
            net = Net(weights)
            rows = {k: torch.from_numpy(v[n : n + 1]) for k, v in inputs.items()}
            with torch.no_grad():
                expected = paper.reference(net, {k: v if k == "tokens" else v.double() for k, v in rows.items()})
            for output, value in expected.items():
                np.testing.assert_allclose(result[output][n], value.numpy()[0], atol=1e-5, rtol=1e-5)
            for gate, trace in result.trace.items():
                own = net.decisions.get(gate, -1)
                np.testing.assert_array_equal(trace[n], own, err_msg=f"{gate} of sample {n} of {batch}")
                taken.setdefault(gate, set()).add(np.asarray(own).tobytes())
    assert not taken or any(len(kinds) > 1 for kinds in taken.values()), "every sample decided alike"


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
@pytest.mark.parametrize("name", REFERENCES)
def test_is_what_the_paper_computes(name: str, target: str, tmp_path: Path) -> None:
    check(name, REFERENCES[name], target, tmp_path)


@pytest.mark.parametrize(("name", "paper"), FAMILIES + TURNS, ids=[name for name, _ in FAMILIES + TURNS])
def test_is_what_the_family_computes(name: str, paper: Paper, tmp_path: Path) -> None:
    """On one target: `test_examples` compares the targets."""
    check(name, paper, "torch-cpu", tmp_path)
