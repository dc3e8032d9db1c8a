"""What the programs about run-time loops must compute: sample by sample, turn by turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.language.meanings import MEANINGS, Array, Weights, meaning, relu, sigmoid, softmax

__all__ = ["MEANINGS"]


def each(function: Callable[..., tuple[Any, ...]], *given: Array) -> tuple[Array, ...]:
    """A function of one sample, for all of them, its results side by side."""
    return tuple(np.array(column) for column in zip(*(function(*row) for row in zip(*given, strict=True)), strict=True))


def conv3(x: Array, weight: Array, bias: Array) -> Array:
    """A 3x3 convolution of one image [C, H, W] with a border of zeros."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.asarray(np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None])


@meaning
def loops_repeat(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    def run(x: Array) -> tuple[Any, ...]:
        h, turns, left, seen = x, 0, 1.0, 0.0
        for _ in range(5):
            p = sigmoid(w.linear("p.linear", h)[0])
            done = left - p <= 0.1
            step = np.tanh(w.linear("step.then.linear", h)) if x[0] > 0 else h + 0.5
            left, turns, h = left - (left if done else p), turns + 1, step if done else step + 0.1
            seen = step.mean() + turns
            if done:
                break
        return h, seen, turns, left

    h, seen, turns, left = each(run, i["x"])
    return {"h": h, "seen": seen, "turns": turns, "left": left}


@meaning
def loops_scan(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    def run(x: Array, u: Array) -> tuple[Any, ...]:
        h, read, states, sums = np.zeros(3), 0, [], []
        for a, b in zip(x, u, strict=True):
            if not states or np.sqrt((h * h).sum()) <= 1.2:
                h, read = np.tanh(w.linear("h2.linear", a) + b * h), read + 1
                total = h.sum() + b
            states.append(h)
            sums.append(total)
        return np.array(states), np.array(sums), h, read

    states, sums, h, read = each(run, i["x"], i["u"])
    s, rows = 0.0, []
    for t in range(i["z"].shape[2]):
        s = s * 0.5 + i["z"][:, :, t]
        rows.append(s)
    return {"states": states, "sums": sums, "h": h, "read": read, "rows": np.stack(rows, 2), "last": s}


@meaning
def loops_axes(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    y, n = i["x"], np.zeros(i["x"].shape[:2], int)
    goes = n == 0
    for _ in range(4):
        after = np.tanh(w.linear("h.linear", y)) + y.mean(1, keepdims=True) + 0.1
        y, n = np.where(goes[..., None], after, y), n + goes
        goes = goes & ~(y.mean(2) > 0.4)

    def run(image: Array) -> tuple[Any, ...]:
        h, m = image, np.zeros(image.shape[1:], int)
        going = m == 0
        for _ in range(3):
            s = h + relu(conv3(h, w["s.conv2d.weight"], w["s.conv2d.bias"]))
            h, m = np.where(going, s, h), m + going
            going = going & ~(s.mean(0) > 0.6)
        return h, m

    map, m = each(run, i["image"])
    return {"y": y, "n": n, "map": map, "m": m}


@meaning
def loops_nested(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    def step(path: str, x: Array) -> Array:
        a = np.tanh(w.linear(f"{path}.a.linear", x))
        return a if a.mean() > 0.2 else a + relu(w.linear(f"{path}.linear", x)) + 0.1

    def run(x: Array) -> tuple[Any, ...]:
        h, n, y = np.zeros(3), 0, []
        for a in x:
            h = a + h
            for _ in range(3):
                h, n = step("s.Step", h), n + 1
                if h.mean() > 0.3:
                    break
            y.append(h)
        z = h
        for _ in range(2 if n > len(x) else 0):
            z = step("then.w.Step", z) - 0.2
        return np.array(y), n, z

    y, n, z = each(run, i["x"])
    return {"y": y, "n": n, "z": z}


@meaning
def loops_carries(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    p, q, best, any = x[:, 0], np.zeros_like(x[:, 0]), np.zeros(len(x)), np.zeros(len(x), bool)
    for t in range(x.shape[1]):
        better = x[:, t].mean(1) > best
        best, any = np.where(better, x[:, t].mean(1), best), any | better
        p, q = np.tanh(w.linear("pair.linear", p)) + q, x[:, t] * 0.5
    return {"p": p, "q": q, "best": best, "any": any, "bias": 0.5, "first": 4 * p}


@meaning
def loops_many(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    def run(x: Array) -> tuple[Any, ...]:
        y = z = x
        for _ in range(3):
            scores = softmax(w.linear("pick.linear", y))
            best = np.argsort(-scores, kind="stable")[:2]
            y = y + sum(scores[e] * np.tanh(w.linear(f"h.{e}.linear", y)) for e in best)
        chosen = int(np.argmax(w.linear("chosen.linear", x)))
        for _ in range(3):
            z = 0.2 + (np.tanh(w.linear("h.0.linear_2", z)), z * 0.5, z + x)[chosen]
            if z.mean() > 0.5:
                break
        return y, z

    y, z = each(run, i["x"])
    return {"y": y, "z": z}


@meaning
def loops_together(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    y = z = i["x"]
    n = min(6, int(k["most"]))
    for _ in range(n):
        y = np.tanh(w.linear("h.linear", y)) - y.mean(0)
    for _ in range(4):
        z = z + 0.3
        if z.mean() > 0.8:
            break
    return {"y": y, "n": n, "z": z}


@meaning
def loops_cost(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    def run(x: Array) -> tuple[Any, ...]:
        h, spent = x, 0
        for _ in range(4):
            hard = h[0] > 0
            if hard:
                inner = w.linear("z.step.then.linear_2", w.linear("z.step.then.linear", h))
                h = np.tanh(inner) + 0.1
            else:
                h = np.tanh(w.linear("z.step.else.linear", h)) + 0.2
            spent += 32 if hard else 16
            if h.mean() > 0.2:
                break
        return (spent,)

    (spent,) = each(run, i["x"])
    on = (i["x"].mean(1) > 0).mean()
    return {"spent": spent, "around": 3 * (32 * on + 16 * (1 - on)), "full": 4 * (32 + 16)}
