"""What the programs beside this file must compute, written with numpy alone: one function per program.

A function takes the inputs, the knobs and the weights (float64 where they were f32) and gives the outputs by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]
Meaning = Callable[[Any, Any, "Weights"], dict[str, Any]]
MEANINGS: dict[str, Meaning] = {}


class Weights(dict[str, Array]):
    """Weights by path, and what layers make of them."""

    def linear(self, path: str, x: Array) -> Array:
        """`linear` at a path (the op's name included)."""
        bias = self.get(f"{path}.bias")
        out = x @ self[f"{path}.weight"].T
        return out if bias is None else out + bias


def meaning(function: Meaning) -> Meaning:
    MEANINGS[function.__name__] = function
    return function


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def rows(c: Array, x: Array) -> Array:
    """A decision per row, shaped to select among rows."""
    return c.reshape(c.shape + (1,) * (x.ndim - c.ndim))


def pick(c: Array, a: Any, b: Any) -> Array:
    """`where` over leading axes."""
    a, b = np.asarray(a), np.asarray(b)
    return np.where(rows(c, a if a.ndim >= b.ndim else b), a, b)


def top(scores: Array, k: int) -> Array:
    """The mask of the k largest of the last axis, ties to the lowest index."""
    order = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    mask = np.zeros(scores.shape, bool)
    np.put_along_axis(mask, order, True, -1)
    return mask


@meaning
def axes_renamed(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    t = x.transpose(0, 2, 1) * 2
    return {"y": t + 1, "z": t.sum(1), "t": (t + 1).sum(2) - x.mean(1)}


@meaning
def axes_aligned(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, s = i["x"], i["s"]
    return {
        "y": x * s[..., None] + i["t"].T[:, None],
        "z": s[..., None] - x,
        "v": x + i["u"],
        "w": x * sigmoid(w.linear("linear", x.mean(2)))[..., None],
    }


@meaning
def axes_in_order(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"y": (x + 1).reshape(-1, 24), "z": np.concatenate([x, np.zeros_like(x[:, :3])], 1)}


@meaning
def axes_sizes(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {
        "y": w.linear("linear", x),
        "k": w.linear("linear_2", x),
        "d": x * 4 + 6,
        "e": w.linear("linear_3", x).sum(1),
        "h": w.linear("Half.linear", x),
    }


@meaning
def axes_over_unnamed(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    y = w.linear("linear", x).mean(2) + (relu(w.linear("linear_2", x)) * 2).mean(2)
    return {"y": y, "z": softmax(w.linear("linear_3", x))}


@meaning
def axes_dynamic(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, b = i["x"], i["b"]
    n, _, h, wide = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((n, 2, h, wide)) + w["conv2d.bias"][:, None, None]
    for a in range(3):
        for c in range(3):
            out += np.einsum("nchw,oc->nohw", padded[:, :, a : a + h, c : c + wide], w["conv2d.weight"][:, :, a, c])
    out = relu(out)[:, :, : h // 2 * 2, : wide // 2 * 2]
    y = out.reshape(n, 2, h // 2, 2, wide // 2, 2).max((3, 5))
    return {"y": y, "s": (x * b).mean((1, 3)) + h, "q": x.sum((1, 2, 3)) / (h * wide)}


@meaning
def axes_requirement(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    return {"y": i["x"] + i["z"].reshape(i["x"].shape)}


@meaning
def batch_none(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    on = x.sum() > 0
    return {"y": w.linear("then.linear", x) if on else x * 2, "g": 3 if on else 1}


@meaning
def batch_fixed(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"y": pick(x.mean(1) > 0, w.linear("then.linear", x), x)}


@meaning
def batch_second(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    g, m = x.mean((0, 2)) > 0, x.mean(0)
    y = np.where(g[None, :, None], w.linear("then.linear", x), x * 3)
    return {
        "y": y,
        "z": pick(
            g,
            relu(w.linear("z.then.linear", m))
            if "z.then.linear.weight" in w
            else relu(w.linear("then_2.linear" if "then_2.linear.weight" in w else "then.linear_2", m)),
            m,
        ).T,
    }


@meaning
def batch_values_without(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, c = i["x"], i["c"]
    s = x.mean(1)
    d = w.linear("then.d.linear", c) * w["w"]
    return {"y": pick(s > 0, x * d + k["k"], x + relu(c)), "z": pick(s > 0.2, np.broadcast_to(w["w"] * 2, x.shape), x)}


@meaning
def dtypes_inputs(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    e = w["e.embedding.weight"][i["ids"]]
    return {
        "y": (e * i["mask"][..., None]).sum(1) + i["img"] / 255 + i["half"],
        "n": np.where(i["mask"], i["ids"], 0).sum(1),
        "m": ~i["mask"],
        "u": i["img"].astype(np.int64) + 1,
    }


@meaning
def outputs_plain(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"x1": x, "y": relu(x), "z": relu(x), "c": np.full(x.shape, 1.5), "m": i["n"]}


@meaning
def tuples_ports(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    a, b = relu(i["xs_0"]), i["xs_1"] * 2
    y = w.linear("Many.parts.0.linear", w.linear("linear", a)) + w.linear(
        "Many.parts.1.linear", w.linear("linear_2", a)
    )
    return {"ys_0": a, "ys_1": b, "y": y, "l": 2}


@meaning
def tuples_outputs(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = np.where(x.sum(1, keepdims=True) > 0, x * 2, -x)
    return {"y": relu(x) + relu(x * 2) + relu(s), "z": x.sum(1) + x.sum(1) * 3 + s.sum(1)}


@meaning
def loops_static(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    h, maps = x, []
    for t in range(3):
        h = w.linear(f"maps.{t}.h.linear" if f"maps.{t}.h.linear.weight" in w else f"maps.{t}.linear", h)
        maps.append(h + t)
    a, b = x, x * 2
    for t in range(3):
        a, b = b + t, a
    wide = np.concatenate([x, x], 1)
    (path,) = [p.removesuffix(".weight") for p in w if "keep." in p and p.endswith("weight")]
    wide = w.linear(path, np.concatenate([wide, wide], 1))
    c, first, second = x, [], []
    for t in (1, 2):
        s = c * t
        c = s + 1
        first.append(s)
        second.append(c)
    e = first[0] + first[1] + second[1] + c + x
    return {"y": h, "z": maps[0] + maps[1] * 2 + maps[2] * 3, "w": wide, "a2": a, "b2": b, "e": e}


@meaning
def loops_hold(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"y": x + x * 2 + x * 2 + x * 2, "z": pick(x.mean(1) > 0, x * 2 + 1, x * 2)}


@meaning
def exits_plain(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    a = relu(w.linear("a.linear", x))
    y1, s1 = w.linear("exits.one.linear", a), w.linear("exits.one.linear_2", a).sum(1)
    b = relu(w.linear("b.linear", a))
    y2, s2 = w.linear("exits.two.linear", b), w.linear("exits.two.linear_2", b).mean(1)
    y3 = w.linear("linear", relu(w.linear("linear_2", b))) if w["linear.weight"].shape[0] == 3 else None
    if y3 is None:
        y3 = w.linear("linear_2", relu(w.linear("linear", b)))
    one, two = s1 > k["tau"], (y2.max(1) > 0) & (s2 < 1)
    return {"y": pick(one, y1, pick(two, y2, y3)), "s": pick(one, s1, pick(two, s2, b.mean(1)))}


def _block(w: Weights, path: str, x: Array, tau: Any) -> Array:
    a = w.linear(f"{path}.a.linear", x)
    return pick(a.mean(1) > tau, a * 2, w.linear(f"{path}.linear", relu(a)))


@meaning
def exits_nested(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    knobs = list(k.values())
    assert len(knobs) == 4
    a = _block(w, "a.Block", x, knobs[0])
    h = pick(a.mean(1) > 0, _block(w, "h.then.Block", a, knobs[1]), a)
    g = _block(w, "f.Block", _block(w, "f.Block", h, knobs[2]), knobs[3])
    return {"y": pick(g.mean(1) > 0.2, g, g + w.linear("linear", g))}


@meaning
def exits_arm(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = x.mean(1) > 0
    a = w.linear("h.then.a.linear", x)
    arm = x.argmax(1)
    b = pick(arm == 0, x, pick(arm == 1, x * 3, x * 2))
    h = pick(s, a, b)
    e, f = s & (a.mean(1) > 0), ~s & (arm == 1) & ((x * 3).sum(1) < 0)
    kk, turns = h, []
    for t in range(2):
        (path,) = [p.removesuffix(".weight") for p in w if p.startswith(f"for_.{t}.") and p.endswith("weight")]
        turns.append(kk)  # an exit reads a carry as it was before `next`
        kk = kk + w.linear(path, h)
    y = pick(turns[0].mean(1) > 0.5, turns[0], pick(turns[1].mean(1) > 1.5, turns[1], kk))
    return {"y": pick(e, a * 10, pick(f, x * 3, y))}


@meaning
def exits_tau(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    h, done, y = i["x"], np.zeros(len(i["x"]), bool), np.zeros((len(i["x"]), 3))
    for t in range(3):
        (path,) = [p.removesuffix(".weight") for p in w if p.startswith(f"ys.{t}.h.linear.w")]
        z = w.linear(f"exits.at.{t}.linear", h)
        h = relu(w.linear(path, h))
        now = (softmax(z).max(1) > k["taus"][t]) & ~done
        y = pick(now, z, y)
        done |= now
    return {"y": pick(done, y, w.linear("ys.2.linear", h))}


@meaning
def exits_same(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    c = x.mean(1) > 0
    return {"y": pick(c, x, w.linear("exits.always.linear", x)), "z": pick(c, x * 2, x)}


@meaning
def shares(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]

    def f(v: Array) -> Array:
        return relu(w.linear("f.Stage.linear", v))

    def g(v: Array) -> Array:
        return w.linear("g.linear", v)

    h = pick(x.mean(1) > 0, f(x), g(f(x)))
    for _ in range(2):
        h = f(h) + g(h)
    return {"y": h + f(x) + 1 + f(x)}


@meaning
def recursion(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    gates = [p for p in w if "left" in p and p.endswith("weight")]
    assert len(gates) == 3
    assert len(w) == 2 * (3 + 4)

    def tree(path: str, x: Array, depth: int) -> Array:
        if depth == 0:
            return w.linear(f"{path}.then.linear", x)
        inside = f"{path}.else"
        left = w.linear(f"{inside}.left.linear", x)[:, 0] > 0
        return pick(left, tree(f"{inside}.then.Tree", x, depth - 1), tree(f"{inside}.else.Tree", relu(x), depth - 1))

    return {"y": tree("Tree", i["x"], 2)}


@meaning
def static_arguments(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    h = x
    for t, f in enumerate((lambda v: relu(v) * 2, lambda v: sigmoid(v) * 2, lambda v: v * 0.5)):
        inside = [p.removesuffix(".weight") for p in w if p.startswith(f"Chain.y.{t}.") and p.endswith("weight")]
        if not inside:
            inside = [p.removesuffix(".weight") for p in w if f".{t}." in p and p.endswith("weight")]
        first, second = sorted(inside, key=lambda p: w[p + ".weight"].shape[1] != 4 or w[p + ".weight"].shape[0] == 4)
        h = w.linear(second, w.linear(first, f(h)))
    return {"y": relu(x) * 2 + np.tanh(x) * 3 + np.where(x > 0, x, x * 0.5) * 2 + h}


@meaning
def static_axis(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"y": sum(x / (1 + np.sqrt((x * x).sum(a, keepdims=True))) for a in (1, 2))}


@meaning
def static_values(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    t = w.linear("t.then.linear", i["x"])
    u = w.linear("u.linear_3", w.linear("u.linear_2", w.linear("u.linear", t)))
    return {"y": u * 0.5 - 3 + 3 + 1, "b": 3 + 7 + 1 + -4, "c": 3.5}


@meaning
def static_texts(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    return {"y": i["x"] * 2 + i["x"]}


@meaning
def axes_labelled(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    h = i["x"].reshape(len(i["x"]), 3, 4, 4)
    y = (h * np.arange(4)[:, None] / 4 * 2).sum(2)
    e = w.linear("e.linear", i["x"][:, 0])
    return {"y": y, "z": w.linear("linear_2", w.linear("linear", e) / 6) + y.sum(1) / 3}


@meaning
def states_leaving(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, count, seen = i["x"], i["state.count"], i["state.seen"]
    first, then = x[:, 0] > 0.8, x[:, 1] > 0
    arm = then & (x[:, 2] > 0)
    h = pick(then, x + 1, x)
    plain = x[:, 3] > 0.5

    def by_exit(*values: Array) -> Array:
        at_first, at_arm, at_plain, end = values
        return pick(first, at_first, pick(arm, at_arm, pick(plain, at_plain, end)))

    return {
        "y": by_exit(x, seen, h, w.linear("linear", h) + seen),
        "next.count": by_exit(count + 10, np.full_like(count, 7), count, count + 1),
        "next.seen": by_exit(seen, x * 2, x, x),
    }


@meaning
def route_else_alone(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    return {"y": np.maximum(i["x"], 0), "z": -i["x"]}


@meaning
def static_require(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    h = w.linear("Layers.0.h.linear", np.maximum(i["x"] + 1, 0)) * 0.5
    return {"y": w.linear("Layers.1.h.linear", h) * 2.0}


@meaning
def static_set(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    return _static_set(w, i["x"], 1, np.tanh, 0.5, lambda t: t * 2, (lambda t: t * 5, lambda t: t * 2), 1)


def _static_set(w: Weights, x: Array, *how: Any) -> dict[str, Any]:
    _, act, r, block, parts, plus = how
    h = x
    for t in range(2):
        h = w.linear(f"h.{t}.linear", h)
    t = w.linear("t.linear_2", act(w.linear("t.linear", h))) * r
    u = block(t)
    for part in parts:
        u = part(u)
    return {"y": u + plus}


@meaning
def knobs(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    (tau,) = [v for n, v in k.items() if n.endswith(".tau")]
    y = x * tau * k["scale"] + k["vec"] + k["width"]
    (path,) = [p.removesuffix(".weight") for p in w if p.endswith("weight")]
    v = x * (1 + min(int(k["width"]), 3)) + (x if k["ratio"] > 0.5 else w.linear(path, x))
    return {"y": y, "k": k["width"] * 2 + k["steps"][1], "v": v}


@meaning
def uniform(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, tau = i["x"], k["tau"]
    s = x.mean(1) > 0
    if tau > 0.5:
        y = pick(s, w.linear("then.then.linear", x), x)
    else:
        y = pick(s, x, w.linear("else.else.then.linear", x) if tau > 0.2 else x * 5)
    return {"y": y, "z": w["p"] * 2 if tau > 0.5 else w["p"]}


@meaning
def gates_logic(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    a, b = x.mean(1) > 0, w.linear("b.linear", x)[:, 0] > 0
    y = pick(a & b, w.linear("then.linear", x), pick(~(a | b), x * 2, x * 3))
    return {"y": y, "z": pick(~a, x, x * 4), "w": pick(a | (x.max(1) > 1), relu(x), x) + a[:, None]}


@meaning
def gates_arithmetic(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    g, arm = x.mean(1) > 0, w.linear("arm.linear", x).argmax(1)
    return {"y": pick(g, x, 2.0), "k": arm * 10 + 1, "m": 2 * g + arm}


@meaning
def gates_indexed(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    use, p = w.linear("use.linear", x) > 0, w.linear("pick.linear", x).reshape(-1, 2, 3).argmax(2)[:, 1]
    h = x
    for t in range(3):
        (path,) = [n.removesuffix(".weight") for n in w if n.startswith(f"h.{t}.") and n.endswith("weight")]
        h = pick(use[:, t], w.linear(path, h), h)
    return {"y": h + x * (p + 1)[:, None] + use[:, :1]}


@meaning
def gates_same(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    g = x.mean(1) > 0
    a = pick(g, w.linear("a.then.linear", x), x)
    b = pick(g, w.linear("b.then.linear", a), a * 2)
    c = x.sum(1) > 1
    return {"y": pick(g, b + a, w.linear("else.linear", b)), "z": pick(c, x * 4, x)}


@meaning
def gates_constant(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"y": w.linear("then.linear", x), "z": x * 2, "r": x * 3}


@meaning
def gates_nested(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = x.mean(1)

    def at(*parts: str) -> str:
        (found,) = [p.removesuffix(".weight") for p in w if p.endswith("weight") and all(q in p for q in parts)]
        return found

    arm = w.linear(next(p for p in ("then.linear",) if f"{p}.weight" in w), x).argmax(1)
    one = x
    for t in range(2):
        one = pick(one.mean(1) > 0.3, w.linear(at(f"h.{t}."), one), one + 1)
    zero = pick(x.max(1) > 1, w.linear(at("then.0."), x), x * 2)
    then = pick(arm == 0, zero, pick(arm == 1, one, x))
    return {"y": pick(s > 0, then, pick(s > -0.3, x * 3, w.linear(at("else.else"), x)))}


@meaning
def gates_many_axes(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    y = pick(x.mean(2) > 0, w.linear("then.linear", x), x)
    return {"y": y, "z": x * 2 * top(x.mean(1), 2)[:, None], "w": pick(x.argmax(2) == 0, x, x * 5)}


@meaning
def tokens_attention(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    keys = w.linear("k.linear", x)

    def attend(query: Any, key: Any, value: Any) -> Any:
        return softmax(query @ key.swapaxes(1, 2) / 2) @ value

    z = x + attend(w.linear("then.z.linear", x), keys, x)
    more = z + attend(z, x, keys)
    return {"y": pick(x.mean(2) > 0, pick(x[..., 0] > 0, more, z), x)}


@meaning
def route_ranges(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, c = i["x"], i["c"]
    arm = w.linear("arm.linear", x).argmax(1)
    y = x * 100
    for e in (0, 1, 2):
        y = pick(arm == e, x if e == 0 else w.linear(f"{e}.linear", x) * e, y)
    z = x * np.where(np.isin(c, (2, 4, 5)), c, 1)[:, None]
    return {"y": y, "z": z, "w": np.where(c == 0, 10, np.where(c == 1, 11, c))}


@meaning
def route_twice(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, c = i["x"], i["c"]
    z = pick(c == 0, x, pick(c == 1, x * 3, pick(c == 2, w.linear("2.linear", x), x * 4)))
    return {"y": pick(c == 0, x, x * 2), "z": z}


@meaning
def many_merges(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    scores = softmax(w.linear("pick.linear", x))
    m = top(scores, 2)
    p, e = scores * m, np.arange(4)
    a = sum(p[:, [t]] * w.linear(f"{t}.linear", x) for t in range(4))
    arms = np.where(m[..., None], x[:, None] * (e - 2)[:, None], -np.inf)
    return {
        "a": a,
        "b": x * (m * e).sum(1, keepdims=True),
        "c": x * (m * e).sum(1, keepdims=True) / 2,
        "d": arms.max(1),
        "e": x * (p * e).sum(1, keepdims=True),
    }


@meaning
def many_weights(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    scores = w.linear("scores.linear", x)
    m, q = top(scores, 2), softmax(scores)
    q = q * top(q, 3)
    q = q / q.sum(1, keepdims=True)
    b = sum(q[:, [t]] * w.linear(f"{t}.linear", x) for t in range(4))
    return {"a": x * (m * sigmoid(scores) * np.arange(4)).sum(1, keepdims=True), "b": b, "s": scores, "w": q, "m": m}


@meaning
def many_else(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    scores = w.linear("scores.linear", x)
    best = scores.argmax(1)
    q = softmax(scores) * top(scores, 2)
    left = top(scores, 2)[:, :2].any(1)
    b = x * (q[:, [0]] + 2 * q[:, [1]])
    return {
        "a": pick(best == 0, x, pick(best == 1, x * 2, x * 7)),
        "b": pick(left, b, w.linear("else.linear", x)),
    }


@meaning
def many_capacity(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = softmax(w.linear("pick.linear", x))
    m = top(s, 1)
    m &= np.cumsum(m, 1) <= 2
    y = sum((s * m)[..., [t]] * w.linear(f"{t}.linear", x) for t in range(3))
    z = x * (m * np.arange(1, 4)).sum(2, keepdims=True)
    return {"y": y, "z": pick(m.any(2), z, x * 100)}


@meaning
def many_identity(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = softmax(w.linear("s.linear", x))
    m = top(s, 2)
    p = s * m
    y = (
        p[..., [0]] * w.linear("0.linear", x)
        + p[..., [1]] * w.linear("1.linear", x)
        + x * p[..., 2:].sum(-1)[..., None]
    )
    few = m & (np.cumsum(m, 1) <= 1)
    return {"y": y, "z": pick(few.any(2), x * (few * np.arange(1, 5)).sum(2, keepdims=True), x)}


@meaning
def many_capacity_merges(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = softmax(w.linear("s.linear", x))
    m = top(s, 2)
    s = s * m / (s * m).sum(2, keepdims=True)
    m = m & (np.cumsum(m, 1) <= 3)
    e, left, count = np.arange(3), m.any(2), np.maximum(m.sum(2, keepdims=True), 1)
    best = np.where(m[..., None], x[:, :, None] * (e - 1)[:, None], -np.inf).max(2, where=m[..., None], initial=-np.inf)
    return {
        "a": x * (s * m * (e + 1)).sum(2, keepdims=True),
        "b": x * (m * (e + 1)).sum(2, keepdims=True) / count,
        "c": np.where(left[..., None], best, 0),
        "w": s * m,
    }


@meaning
def many_nested(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]

    def inner(path: str) -> Array:
        s = softmax(w.linear(f"{path}.pick.linear", x))
        s = s * top(s, 2)
        return sum(s[:, [e]] * w.linear(f"{path}.{e}.linear", x) for e in range(3)) / s.sum(1, keepdims=True)

    p = softmax(w.linear("1.pick.linear", x))
    p = p * top(p, 2)
    y = p[:, [0]] * x + p[:, [1]] * inner("1.1.Inner") + p[:, [2]] * inner("1.2.Inner")
    return {"y": pick(w.linear("side.linear", x).argmax(1) == 1, y, x)}


@meaning
def many_soft(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = softmax(w.linear("s.linear", x))
    arms = [w.linear(f"{name}.linear", x) for name in "fgh"]
    mixed = sum(s[:, [e]] * arms[e] for e in range(3))
    own = w["own"] * top(w["own"], 2)
    return {"a": mixed, "b": mixed, "c": sum(own[e] * arms[e] for e in range(3))}


@meaning
def many_tuples(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    g = x.mean(1) > 0
    p = softmax(w.linear("p.linear", x))
    p = p * top(p, 2)
    (one,) = [n.removesuffix(".weight") for n in w if n.endswith("then.linear.weight")]
    (two,) = [n.removesuffix(".weight") for n in w if n.endswith("else.linear.weight")]
    b = pick(g, x * 2, w.linear(two, x)) + x * (p * np.arange(3)).sum(1, keepdims=True) - x * p.sum(1, keepdims=True)
    return {"y": pick(g, w.linear(one, x), x), "z": np.where(g, x.sum(1), 0), "a": pick(g, x, x * 3), "b": b}


@meaning
def arms_literals(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, n, c = i["x"], i["n"], i["c"]
    s = x.mean(1)
    return {
        "a": pick(s > 0, 0.0, x),
        "b": np.where(c, n, 7),
        "d": np.where(s > 0, c, True),
        "e": np.where(c, 1, 2),
        "f": np.where(c, 1.0, 2.0),
        "g": c & (s > 0.1),
        "h": np.where(c, n, 0.5),
        "i": np.where(c, s, n),
        "j": np.full(len(x), 0.25),
    }


@meaning
def nan_never(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    a, b = i["a"], i["b"]
    both = ~(np.isnan(a) | np.isnan(b))
    return {
        "lt": (a < b) * 1,
        "ne": (both & (a != b)) * 1,
        "no": (both & ~(a < b)) * 1,
        "both": (both & (a < 1) & ~(b > 1)) * 1,
        "any": (both & ((a < 1) | (b < 1))) * 1,
        "named": (both & (~(a > 0) | (b != 0))) * 1,
        "arg": (np.nan_to_num(b, nan=-np.inf) > np.nan_to_num(a, nan=-np.inf)) * 1,
    }


@meaning
def nan_exit(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    bad = np.isnan(x).any(1)
    with np.errstate(invalid="ignore"):
        leaves = ~bad & ~(softmax(x).max(1) < 0.5)
    return {"y": pick(leaves, x * 2, x * 3)}


@meaning
def ties(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"a": x.argmax(1), "b": x.argmin(1), "m": top(x, 2), "k": top(x, 2)}


@meaning
def arithmetic(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, n, j = i["x"], i["n"], i["i"].astype(np.int64)
    return {
        "a": n / 2,
        "b": n * 0.5 + 1,
        "c": n + j * 2,
        "d": np.round(x * 2) + np.round(x),
        "e": np.maximum(np.maximum(x, 0.5), n) + np.minimum(x, n),
        "f": x.max(1) * 2 - x.min(1),
        "g": np.maximum(n, 2) - np.minimum(n, 1),
        "h": x**2 + 2**x + x,
        "j": n % 3 + x % 2,
        "k": (n == j) | (x > n),
        "l": -(x - 1) * 2 / (1 + x * x),
        "o": n % 3 + (-n) % 3,
        "p": np.concatenate([n, x, x > n], 1),
        "q": np.stack([n, j, x > n], -1),
    }


@meaning
def selection(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"a": x[:, 2] + x[:, 4], "b": x[:, 1:3], "c": x[:, 0, 1], "d": x + 5}


@meaning
def selection_open(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, z = i["x"], i["z"]
    far = x[:, -1].max(1, keepdims=True) > x[:, 0].max(1, keepdims=True)
    return {
        "last": np.where(far, x[:, -1], x[:, -2]),
        "rest": x[:, 1:],
        "half": x[:, 3:],
        "turned": np.roll(x, -1, 1),
        "windows": x.reshape(len(x), 3, 2, 4),
        "mixed": z @ x,
    }


@meaning
def einsum(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    y = np.einsum("ntd,nsd->nts", i["x"], i["z"])
    return {"y": y, "s": y.sum(2)}


@meaning
def dynamic_weights(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, v = i["x"], i["v"]
    a = softmax(w.linear("a.linear", v))
    kernel = np.einsum("nm,moihw->noihw", a, w["bank"])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((len(x), 3, 5, 5))
    for r in range(3):
        for c in range(3):
            y += np.einsum("nchw,noc->nohw", padded[:, :, r : r + 5, c : c + 5], kernel[..., r, c])
    z = np.einsum("noi,ni->no", w.linear("w.linear", v).reshape(-1, 3, 4), v)
    return {"y": y, "z": z, "u": v @ w["full"][:2].T}


@meaning
def dynamic_kernels(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, t = i["x"], i["t"]
    v, n = x.mean((2, 3)), len(x)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    k4 = w.linear("k.linear", v).reshape(n, 4, 3, 3)
    s2 = w.linear("s.linear", v).reshape(n, 2, 2, 3, 3)
    a, b = np.zeros((n, 4, 6, 6)), np.zeros((n, 2, 2, 2)) + v[:, :2, None, None]
    for r in range(3):
        for c in range(3):
            a += k4[:, :, r, c, None, None] * padded[:, :, r : r + 6, c : c + 6]
            near = padded[:, :, 2 * r : 2 * r + 3 : 2, 2 * c : 2 * c + 3 : 2].reshape(n, 2, 2, 2, 2)
            b += np.einsum("ngi,ngihw->nghw", s2[..., r, c], near)
    kernel = w.linear("w.linear", t).reshape(n, 3, 2, 4)
    at = np.tanh(w.linear("at.linear", v))
    column, row = ((at[:, j] + 1) * 3 / 2 - 0.5 for j in range(2))
    grid = np.pad(w["grid"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    moved = np.zeros((n, 2, 4))
    for dr in range(2):
        for dc in range(2):
            y, z = np.floor(row).astype(int) + dr, np.floor(column).astype(int) + dc
            share = np.maximum(1 - abs(row - y), 0) * np.maximum(1 - abs(column - z), 0)
            moved += share[:, None, None] * grid[:, :, y + 1, z + 1].transpose(2, 0, 1)
    d = np.zeros((n, 2, 4, 4))
    for r in range(3):
        for c in range(3):
            d += np.einsum("noi,nihw->nohw", moved, x[:, :, r : r + 4, c : c + 4])
    return {"a": a, "b": b, "c": np.einsum("ntoi,nti->nto", kernel, t), "d": d}


@meaning
def exits_experts(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    def mixture(path: str, x: Array) -> Array:
        p = softmax(w.linear(f"{path}.pick.linear", x))
        m = top(p, 2)
        y = np.zeros_like(x)
        for e in range(2):
            a = w.linear(f"{path}.h.{e}.Expert.a.linear", x)
            end = w.linear(f"{path}.h.{e}.Expert.linear", relu(a))
            y += (p * m)[:, [e]] * pick(a.mean(1) > 0.1 * e, a, end)
        b = w.linear(f"{path}.h.2.b.linear", x)
        sure = m[:, 2] & (b.max(1) > 0.5)
        return pick(sure, b * 5, y + (p * m)[:, [2]] * b + 1)

    return {"y": mixture("1.h.Mixture", mixture("0.h.Mixture", i["x"]))}


@meaning
def golden_act(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    """The vectors of SACT's own test, at epsilon 0.01."""
    assert i["p"].shape == (3, 5)
    return {"y": [0, 1.48, 3.9], "ponder": [2.0, 3.49, 5.96], "units": [1, 3, 5]}


@meaning
def golden_sact(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    assert i["p"].shape == (1, 3, 1, 2)
    return {"y": [[[1.2, 5.4]]], "ponder": [[[2.1, 3.8]]], "units": [[[2, 3]]]}


@meaning
def marks(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    return {"y": w.linear("Small.linear", relu(w.linear("a.Small.linear", i["x"])))}


@meaning
def geometry(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    return {"y": i["x"] * 1.1}


@meaning
def training(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    s = softmax(w.linear("pick.linear", x))
    s = s * top(s, 1)
    h = sum(s[:, [t]] * w.linear(f"h.{t}.linear", x) for t in range(2))
    paths = [p.removesuffix(".weight") for p in w if p.startswith("k.then.linear") and p.endswith("weight")]
    c = pick(w.linear("keep.linear", x)[:, 0] > 0, w.linear(paths[1], w.linear(paths[0], h)), h)
    easy = w.linear("exits.easy.linear", h)
    return {"y": pick(softmax(easy).max(1) > 0.5, easy, w.linear("linear", c))}


@meaning
def functions(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    p, q = np.sort(softmax(x)), softmax(x * 200)
    logs = np.log(np.where(q > 0, q, 1))
    return {"c": p[:, -1], "m": p[:, -1] - p[:, -2], "e": -(q * logs).sum(1), "n": np.sqrt((x * x).sum(1))}


@meaning
def pipes(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    return {"y": w.linear("linear", x * 2 + relu(x)) * 3 + x}


@meaning
def axes_callee_sizes(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, t = i["x"], i["t"]
    return {"y": w.linear("p.Mix.linear", x), "z": (x + t.transpose(0, 2, 1)).sum(1) * 2 + 3}


def _deep(w: Weights, path: str, x: Array, k: int) -> tuple[Array, Array]:
    s = x.mean(1)
    h = w.linear(f"{path}.t.then.h.linear", x)
    t = pick(s > 0, h * 3, x)
    y = t if k == 0 else _deep(w, f"{path}.else.u.Deep", t, k - 1)[0] + 1
    one, two = s > 0.4, (s > 0) & (h.max(1) > 0.5)
    return pick(one, x * 2, pick(two, h, y)), pick(one, s, pick(two, np.ones_like(s), s * 10))


@meaning
def exits_in_callee_arm(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    a, c = _deep(w, "h.then.a.Deep", x, 1)
    other, _ = _deep(w, "h.else.1.Deep", x, 0)
    first = x[:, 0] > 0
    h = pick(first, a + 100, pick(x.argmax(1) == 1, other, x))
    return {"y": h * 2, "c": np.where(first, c, 0)}


@meaning
def exits_uniform(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, stop = i["x"], k["stop"]
    h = w.linear("h.linear", x)
    y = pick((stop >= 2) & (h.mean(1) > 0), h, w.linear("linear", h))
    return {"y": x if stop == 1 else y}


@meaning
def exits_tokens(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    h = w.linear("h.linear", i["x"])
    return {"y": pick(h.mean(2) > 0, h * 2, w.linear("linear", relu(h)))}


@meaning
def gates_of_gates(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    a = x[:, 0] > 0
    b, arm = ~a & (x[:, 1] > 0), x.argmax(1)
    n = a + b * 2 + np.where(arm == 2, 1.5, 0) + np.where((arm >= 2) | a, x[:, 3], 0)
    g = a[:, None].astype(float)
    return {"y": pick(b, x * g + 1, x - g), "n": n}


@meaning
def merge_static(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    c = np.concatenate([w.linear("0.linear", x), w.linear("2.linear", x)], 1)
    m = (w.linear("1.linear", x) * 2 + w.linear("0.linear_3", x) + w.linear("2.linear_3", x) * 3) / 3
    s = w.linear("0.linear_2", x) + w.linear("2.linear_2", x)
    return {"c": c, "s": s, "m": m, "h": np.maximum(w.linear("0.linear_4", x), w.linear("else.linear", -x))}


@meaning
def merge_options(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, s = i["x"], i["s"].T
    a = x * (s * top(s, 2) * np.arange(1, 4)).sum(1, keepdims=True)
    b = (x + w.linear("1.linear", x) + w.linear("2.linear", x)) / 3
    best = s.argmax(1)
    return {"a": a, "b": b, "c": np.where(best == 0, 5, best)}


@meaning
def numbers(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, n = i["x"], i["n"]
    return {
        "a": -(x**2) + 0.1 * x - 8 + 3 - 2 * x,
        "b": n * 3 - n**2 + (-n) % 4,
        "c": ~((n > 2) & (n <= 4) | (n == 0)),
        "d": np.maximum(n, 1.5) + np.minimum(2, n) + abs(n - 3),
        "e": 2 - 2 + 2 + 3 + 4 + 6 + n * 0,
    }


@meaning
def tuples_reduced(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    t = np.stack([-x, x * 0, x], 1)
    return {
        "a": x * 0,
        "b": x,
        "c": t.max(1) - t.min(1),
        "d": t.reshape(len(x), 12),
        "e": x,
        "f": t,
    }


@meaning
def widths(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, wide = i["x"], int(k["wide"])
    if wide == 2:
        return {"y": x * k["w"]}
    h = relu(x @ w["a"][: (2, 4)[wide]].T)
    return {"y": w.linear(f"{wide}.linear", h)}


@meaning
def masks(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, mask = i["x"], i["mask"]
    a = softmax(np.where(mask, x.mean(2), -1000.0))
    return {"y": pick(mask, w.linear("then.linear", x), 0.0), "z": np.where(i["skip"], 0, (a * x.sum(2)).sum(1))}


@meaning
def gates_as_values(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x = i["x"]
    g, h = x[:, :, 0] > 0, x[:, 0, 1] > 0
    some = g.any(1)
    return {
        "keep": g,
        "some": pick(h, h, some),
        "y": pick(h, x, x * rows(some, x)),
        "late": pick(h, g, ~g),
    }


# States: `state.<path>` is what it was before the call, `next.<path>` what it is after it.


@meaning
def states_plain(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, was = i["x"], {name: i[f"state.{name}"] for name in ("total", "count", "on", "calls", "still")}
    return {
        "y": was["total"] * np.where(was["on"], 2.0, 1.0)[:, None] + was["still"][:, [0]],
        "n": was["count"] + was["calls"],
        "next.total": was["total"] + x,
        "next.count": was["count"] + 1,
        "next.on": x[:, 0] > 0,
        "next.calls": was["calls"] + 1,
        "next.still": was["still"],
    }


@meaning
def states_arms(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, after = i["x"], dict[str, Any]()

    def kept(path: str, x: Array, here: Array) -> Array:
        last, count = i[f"state.{path}.last"], i[f"state.{path}.count"]
        after[f"next.{path}.last"] = pick(here, x, last)
        after[f"next.{path}.count"] = np.where(here, count + 1, count)
        return np.asarray(x + last * count[:, None])

    always = np.ones(len(x), bool)
    keep, arm, chosen = x.mean(1) > 0, x.argmax(1), top(w.linear("pick.linear", x), 2)
    a = kept("then.Twice.a.f.Kept", x, keep)
    big = x.max(1) > 1
    then = pick(big, kept("then.Twice.then.f.Kept", a, keep & big), a)
    other = kept("else.Kept", x, ~keep) * 2
    b = pick(arm == 0, kept("0.Kept", x, arm == 0), pick(arm == 1, x, kept("else.Kept_2", -x, arm > 1)))
    none = ~chosen[:, :3].any(1)
    parts = (kept("0.Kept_2", x, chosen[:, 0]), x, x * 3)
    summed = sum(pick(chosen[:, e], part, 0) for e, part in enumerate(parts))
    c = pick(none, kept("else.Kept_3", -x, none & always), summed)
    return {"a": pick(keep, then, other), "b": b, "c": c, **after}


@meaning
def states_exits(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, after = i["x"], dict[str, Any]()

    def inner(path: str, x: Array, here: Array) -> Array:
        a, b = i[f"state.{path}.a"], i[f"state.{path}.b"]
        half = x[:, 1] > 0.5
        after[f"next.{path}.a"], after[f"next.{path}.b"] = pick(here, x, a), pick(here & ~half, x * 2, b)
        return pick(half, x + a, x + b)

    first = x[:, 0] > 0.8
    h = inner("h.Inner", x, ~first)
    then = h[:, 2] > 0
    arm = then & (h[:, 3] > 0)
    g = pick(then, inner("g.then.Inner", h * 0.5, ~first & then & ~arm), h)
    block = x[:, 3] < -0.8
    last = inner("exits.block.Inner", g, ~first & ~arm)
    left = first | arm | block
    was, late = i["state.early"], i["state.late"]
    return {
        "y": pick(first, x, pick(arm, h, pick(block, last, w.linear("linear", g)))),
        "next.early": x[:, 0],
        "next.late": np.where(left, late, was + late),
        **after,
    }


@meaning
def states_loops(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    h, live, n, after = i["x"], np.ones(len(i["x"]), bool), 0, dict[str, Any]()
    for turn in range(2):
        path = f"h.{turn}"
        was, count = i[f"state.{path}.k"], i[f"state.{path}.n.then.Count.k"]
        after[f"next.{path}.k"] = was * 0.5 + h
        after[f"next.{path}.n.then.Count.k"] = np.where(live, count + 1, count)
        h, n = pick(live, h + was, h), n + np.where(live, count, 0)
        live = live & (i["x"][:, turn] > 0)
    return {"y": h, "n": n, **after}


@meaning
def states_repeat(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    x, bias = i["x"], i["state.bias"]
    h, turns = i["state.h"].copy(), i["state.turns"].copy()
    y = x.copy()
    for n in range(len(x)):
        if x[n].max() < 0.5:
            continue
        for _ in range(4):
            h[n] = h[n] * 0.5 + x[n] + bias[n]
            turns[n] += 1
            if h[n].sum() > 1:
                break
        y[n] = h[n] - bias[n]
    return {"y": y, "next.h": h, "next.turns": turns, "next.bias": bias}


@meaning
def scan_hoisted(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    g, ys = relu(w.linear("w.linear", i["c"])), []
    for t in range(i["xs"].shape[1]):
        e = relu(w.linear("e.linear", i["xs"][:, t])) + relu(w.linear("e.linear_2", i["c"]))
        g = np.tanh(w.linear("g.linear", g) + e)
        ys.append(g)
    return {"ys": np.stack(ys, 1), "g": g}


@meaning
def scan_packed(i: Any, k: Any, w: Weights) -> dict[str, Any]:
    hidden = np.zeros((len(i["xs"]), 16))
    h, c, g = hidden, hidden, relu(w.linear("more.g.linear", i["c"]))
    states, more = [], []
    for t in range(i["xs"].shape[2]):
        x = i["xs"][:, :, t]
        both = x @ w["cell.lstm_cell.weight_ih"].T + w["cell.lstm_cell.bias_ih"]
        both = both + h @ w["cell.lstm_cell.weight_hh"].T + w["cell.lstm_cell.bias_hh"]
        a, f, n, o = np.split(both, 4, 1)
        c2 = sigmoid(f) * c + sigmoid(a) * np.tanh(n)
        go = x.mean(1) > 0
        h, c = pick(go, sigmoid(o) * np.tanh(c2), h), pick(go, c2, c)
        states.append(h)
        a = w.linear("more.a.linear", g) + w.linear("more.a.linear_2", x) + w.linear("more.a.linear_3", i["c"])
        g = pick(i["on"][:, t], np.tanh(a), g)
        more.append(g)
    y = w.linear("linear", h + g)
    return {"y": y, "ys": np.stack(states, 2), "zs": np.stack(more, 2), "cells": c}
