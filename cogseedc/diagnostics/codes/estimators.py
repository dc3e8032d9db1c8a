"""CS045: estimators, and the scores that they train a gate by."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0450",
        "the gate has no such part",
        "`.scores`, `.weights` and `.logp` are those of the real numbers that a gate compares. A gate that only "
        "combines other gates compares none, and the mask of `in_top` does not say in which order it was drawn.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = mean[over=D](x) > 0 via reinforce
    gate h over N = not g
    loss l = mean[over=N](h.logp)
    y = when h { relu(x) } else { x }
}
""",
        "loss l = mean[over=N](g.logp)",
    ),
    Code(
        "CS0452",
        "no gradient of an estimator passes here",
        "A note: the largest of the chosen arms is no weighted sum, so a gate is not trained by what `merge max` "
        "gives. A class index has no gradient either. Weights, cost and other uses of a gate train it as elsewhere.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = top[2](linear[E=3](x)) via gumbel
    y = route g merge max { e in 0 .. 3 => linear[D](x) }
}
""",
        "y = route g merge sum { e in 0 .. 3 => linear[D](x) }",
    ),
    Code(
        "CS0457",
        "an estimator finds no score in the decision",
        "A gate is trained through the real numbers that it compares: `a > b` (and `>= < <=`), combined by `and`, "
        "`or`, `not`, or the scores of `argmax`, `top[k]`, `in_top[k]`. Integers, equality and inputs have none.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    in  t: i64[N]
    out y: f32[N, D]
    gate g over N = t == 1 via gumbel
    y = when g { relu(x) } else { x }
}
""",
        "gate g over N = linear[1](x) > 0 via gumbel",
    ),
    Code(
        "CS0458",
        "an estimator on a decision made of gates that have their own",
        "A gate made of gates is trained by their estimators. What it compares besides is a gate of its own.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = linear[1](x) > 0 via gumbel
    gate h over N = not g via gumbel
    y = when h { relu(x) } else { x }
}
""",
        "gate h over N = not g",
    ),
)
