"""References of networks with loops at run time: plain PyTorch, sample by sample, with `while` and `break`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.examples.plain import Net, Outputs, Paper, Sample


def cell(net: Net, path: str) -> Any:
    """The GRU or LSTM cell with the weights at a path."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [net.w[f"{path}.{name}"] for name in names]
    kind = torch.nn.LSTMCell if path.endswith("lstm_cell") else torch.nn.GRUCell
    made = kind(weights[0].shape[1], weights[1].shape[1]).double()
    for name, weight in zip(names, weights, strict=True):
        getattr(made, name).copy_(weight)
    return made


def zeros(*sizes: int) -> Tensor:
    return torch.zeros(1, *sizes).double()


def sure(net: Net, path: str, h: Tensor) -> Tensor:
    return torch.sigmoid(net.linear(path, h))[..., 0]


def turns(net: Net, gate: str, *sizes: int) -> Tensor:
    """The trace of a gate: -1 until a turn decides."""
    found = torch.full(sizes, -1)
    net.decisions[gate] = found.numpy()  # shares its memory
    return found


def thinking(net: Net, sample: Sample) -> Outputs:
    step, s, ponder, ys = cell(net, "cell.gru_cell"), zeros(10), 0.0, []
    last = turns(net, "h.last", sample["xs"].shape[1], 5)
    for t, x in enumerate(sample["xs"][0]):
        h, mean, left, n = s, zeros(10), 1.0, 0
        while True:
            h = step(torch.cat([x[None], torch.tensor([[float(n == 0)]]).double()], -1), h)
            p = float(sure(net, "halt.linear", h))
            last[t, n] = done = left - p <= 0.01 or n >= 4
            mean = mean + (left if done else p) * h
            n += 1
            if done:
                break
            left -= p
        s, ponder = mean, ponder + n + left
        ys.append(net.linear("linear", mean))
    return {"y": torch.stack(ys, 1), "ponder": torch.tensor([ponder])}


def universal(net: Net, sample: Sample) -> Outputs:
    h, count = sample["x"], sample["x"].shape[1]
    total, done, mixed = zeros(count), torch.zeros(1, count).bool(), torch.zeros_like(h)
    took, path = torch.zeros(1, count).long(), "h.h2.Block"
    halted = turns(net, "h.sure", 4, count)
    for turn in range(4):
        x = h + net.w["time"][took[0]]
        a = net.attend(f"{path}.a.multi_head_attention", x, 2, torch.ones(count, count).bool())
        a = net.layer_norm(f"{path}.a.layer_norm", x + a)
        b = net.linear(f"{path}.linear_2", F.relu(net.linear(f"{path}.linear", a)))
        h2 = net.layer_norm(f"{path}.layer_norm", a + b)
        p = sure(net, "h.p.linear", h2)
        halted[turn] = (total + p > 0.9)[0].long()
        w = torch.where(total + p > 0.9, 1 - total, p) * ~done
        h = torch.where(done[..., None], h, h2)
        mixed = w[..., None] * h2 + (1 - w[..., None]) * mixed
        total, took = total + w, took + ~done
        done = done | (halted[turn] == 1)
        if done.all():
            break
    return {"logits": net.linear("linear", mixed.mean(1)), "turns": took}


def skim(net: Net, sample: Sample) -> Outputs:
    large, small, h, states = cell(net, "h2.0.gru_cell"), cell(net, "h2.1.gru_cell"), zeros(12), []
    chosen = turns(net, "skim", sample["words"].shape[1])
    for t, x in enumerate(sample["words"][0]):
        chosen[t] = net.linear("skim.linear", torch.cat([x[None], h], -1)).argmax()
        h = torch.cat([small(x[None], h[:, :3]), h[:, 3:]], -1) if chosen[t] else large(x[None], h)
        states.append(h)
    return {"logits": net.linear("linear", h), "states": torch.stack(states, 1)}


def jump(net: Net, sample: Sample) -> Outputs:
    words, state, at, read = sample["words"], (zeros(10), zeros(10)), 0, 0
    step, ended, jumps = cell(net, "h.h2.lstm_cell"), turns(net, "h.ended", 6), turns(net, "h.jump", 6)
    while read < 6:
        state = step(words[:, min(at, words.shape[1] - 1)], state)
        far = int(net.linear("h.jump.linear", state[0]).argmax())
        jumps[read], ended[read] = far, far == 0 or at + far >= words.shape[1]
        at, read = at + far, read + 1
        if ended[read - 1]:
            break
    return {"logits": net.linear("linear", state[0]), "read": torch.tensor([read])}


def reader(net: Net, sample: Sample) -> Outputs:
    step, h, read = cell(net, "h.h2.gru_cell"), zeros(10), 0
    enough = turns(net, "h.enough", sample["words"].shape[1])
    for x in sample["words"][0]:
        h, read = step(x[None], h), read + 1
        enough[read - 1] = sure(net, "h.enough.linear", h) > 0.5
        if enough[read - 1]:
            break
    return {"logits": net.linear("linear", h), "read": torch.tensor([read])}


def looking(net: Net, sample: Sample) -> Outputs:
    h, at, looks, stop = zeros(16), zeros(2), 0, turns(net, "h.stop", 5)
    wide = F.pad(sample["image"], (20, 20, 20, 20))
    while looks < 5:
        i, j = (int(0.5 * (float(c) + 1) * 20) + 20 - 3 for c in at[0])
        patch = wide[:, :, i : i + 6, j : j + 6].flatten(1)
        seen = F.relu(net.linear("h.seen.linear", patch) + net.linear("h.seen.linear_2", at))
        h = F.relu(net.linear("h.h2.linear", seen) + net.linear("h.h2.linear_2", h))
        stop[looks] = sure(net, "h.stop.linear", h) > 0.5
        at, looks = torch.tanh(net.linear("h.at.linear", h)), looks + 1
        if stop[looks - 1]:
            break
    return {"logits": net.linear("linear", h), "looks": torch.tensor([looks])}


def frames(net: Net, sample: Sample) -> Outputs:
    video, state, at, looks = sample["video"], (zeros(12), zeros(12)), 0, 0
    cheap = net.linear("cheap.linear", video.mean((3, 4)))
    step, done, place = cell(net, "h.h2.lstm_cell"), turns(net, "h.done", 4), turns(net, "h.place", 4)
    while looks < 4:
        seen = F.relu(net.conv("h.seen.conv2d", video[:, at], 2)).mean((2, 3))
        asked = torch.softmax((cheap * net.linear("h.asked.linear", state[0])[:, None]).sum(-1), -1)
        state = step(torch.cat([seen, (asked[..., None] * cheap).sum(1)], -1), state)
        done[looks] = net.linear("h.gain.linear", state[0])[0, 0] < 0
        where_to = sure(net, "h.where_to.linear", state[0]) * (video.shape[1] - 1)
        at = place[looks] = int((torch.arange(video.shape[1]) - where_to).abs().argmin())
        looks += 1
        if done[looks - 1]:
            break
    return {"logits": net.linear("linear", state[0]), "looks": torch.tensor([looks])}


def resolutions(net: Net, sample: Sample) -> Outputs:
    video, held, h, seen = sample["video"], zeros(8), zeros(10), []
    step, size = cell(net, "seen.h2.gru_cell"), turns(net, "seen.size", video.shape[1])

    def backbone(path: str, x: Tensor) -> Tensor:
        return F.relu(net.conv(f"{path}.Backbone.conv2d", x, 2)).mean((2, 3))

    for t in range(video.shape[1]):
        frame = video[:, t]
        h = step(backbone("seen.h2", F.avg_pool2d(frame, 4)), h)
        size[t] = net.linear("seen.size.linear", h).argmax()
        if size[t] < 2:
            held = backbone(f"seen.look.{int(size[t])}", F.avg_pool2d(frame, 2) if size[t] else frame)
        seen.append(net.linear("seen.linear", held))
    return {"logits": torch.stack(seen).mean(0)}


def hierarchy(net: Net, sample: Sample) -> Outputs:
    low, high, ended = zeros(8), zeros(8), False
    lower, upper = cell(net, "low2.gru_cell"), cell(net, "high2.then.gru_cell")
    count = sample["xs"].shape[1]
    flush, end = turns(net, "flush", count), turns(net, "end", count)
    for t, x in enumerate(sample["xs"][0]):
        flush[t] = ended
        low = lower(x[None], net.linear("from_above.then.linear", high) if ended else low)
        end[t] = ended = bool(net.linear("slope.linear", low)[0, 0] > 0)
        high = upper(low, high) if ended else high
    return {"logits": net.linear("linear", torch.cat([low, high], -1)), "ends": end[None].double()}


def patience(net: Net, sample: Sample) -> Outputs:
    h, before, same, count, z = net.linear("h.linear", sample["x"]), -1, 0, 0, zeros(4)
    until = turns(net, "h.until", 8)
    while count < 8:
        b = net.linear("h.h2.linear_2", F.gelu(net.linear("h.h2.linear", h)))
        h = net.layer_norm("h.h2.layer_norm", h + b)
        z = net.linear("h.z.linear", h)
        same, before = (same + 1 if int(z.argmax()) == before else 0), int(z.argmax())
        until[count] = same >= 2
        count += 1
        if until[count - 1]:
            break
    return {"logits": z, "turns": torch.tensor([count])}


def equilibrium(net: Net, sample: Sample) -> Outputs:
    given, z, count, near = net.linear("given.linear", sample["x"]), zeros(16), 0, turns(net, "z.near", 20)
    while count < 20:
        before, z = z, torch.tanh(0.6 * net.linear("z.z2.linear", z) + given)
        near[count] = (z - before).norm() <= 0.01 * z.norm()
        count += 1
        if near[count - 1]:
            break
    return {"logits": net.linear("linear", z), "turns": torch.tensor([count])}


def skipping(net: Net, sample: Sample) -> Outputs:
    step, h, du, due, count = cell(net, "cell.gru_cell"), zeros(12), 1.0, 0.0, 0.0
    took = turns(net, "h.update", sample["xs"].shape[1])
    for t, x in enumerate(sample["xs"][0]):
        due = due + min(du, 1 - due)
        took[t] = update = round(due) > 0.5  # half to even, as in Python
        if update:
            h, due, count = step(x[None], h), 0.0, count + 1
            du = float(sure(net, "want.linear", h))
    return {"logits": net.linear("linear", h), "updates": torch.tensor([count])}


def fusing(net: Net, sample: Sample) -> Outputs:
    held, how, seen = zeros(12, 8, 8), turns(net, "seen.how", sample["video"].shape[1], 12), []
    for t, frame in enumerate(sample["video"][0]):
        both = torch.cat([frame.mean((1, 2)), held[0].mean((1, 2))])
        scores = net.linear("seen.scores.linear_2", F.relu(net.linear("seen.scores.linear", both)))
        how[t] = scores.reshape(12, 3).argmax(-1)
        new = F.relu(net.norm("seen.now.0.batch_norm", net.conv("seen.now.0.conv2d", frame[None])))
        held = torch.where((how[t] == 0)[:, None, None], new, torch.where((how[t] == 1)[:, None, None], held, 0))
        seen.append(F.relu(net.conv("seen.conv2d", held)).mean((2, 3)))
    return {"logits": net.linear("linear", torch.stack(seen).mean(0))}


TURNS: list[tuple[str, Paper]] = [
    ("65_adaptive_computation_time", Paper(thinking, {}, {"xs": (4, 6)})),
    ("66_universal_transformer", Paper(universal, {}, {"x": (5, 8)})),
    ("67_skim_reading", Paper(skim, {}, {"words": (6, 6)})),
    ("68_jumping_reader", Paper(jump, {}, {"words": (7, 6)})),
    ("69_early_reading", Paper(reader, {}, {"words": (6, 6)})),
    ("70_looking_again", Paper(looking, {}, {"image": (1, 20, 20)})),
    ("71_choosing_frames", Paper(frames, {}, {"video": (5, 3, 8, 8)})),
    ("72_resolution_per_frame", Paper(resolutions, {}, {"video": (4, 3, 16, 16)})),
    ("73_boundaries", Paper(hierarchy, {}, {"xs": (6, 6)})),
    ("74_shared_patience", Paper(patience, {}, {"x": (12,)})),
    ("75_equilibrium", Paper(equilibrium, {}, {"x": (8,)})),
    ("76_skip_rnn", Paper(skipping, {}, {"xs": (7, 6)})),
    ("77_fused_history", Paper(fusing, {}, {"video": (4, 3, 8, 8)})),
]
