"""CS040 to CS042: gates, regions, exits, knobs, budgets."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0401",
        "this is no decision",
        "A gate is bool, one-of-n or k-of-n: a comparison, argmax, or top[k].",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = mean[over=D](x)
    y = when g { relu(x) } else { x }
}
""",
        "gate g over N = mean[over=D](x) > 0",
    ),
    Code(
        "CS0402",
        "a k-of-n decision is no value",
        "Its parts are values: `.weights`, `.mask`, `.scores`.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = top[2](x)
    y = x * g
}
""",
        "y = x * g.weights",
    ),
    Code(
        "CS0403",
        "this takes a decision of top[k]",
        "`capacity` and `load_balance` work on k-of-n decisions.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = mean[over=D](x) > 0
    loss b = load_balance(g)
    y = when g { relu(x) } else { x }
}
""",
        "gate g over N = top[2](x)",
    ),
    Code(
        "CS0404",
        "a batch-wide gate inside a region per sample",
        "Which samples are there would change the decision, so the result would depend on how the program is run.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate a over N = mean[over=D](x) > 0
    y = when a { z = relu(x)  yield when mean[over=(N, D)](z) > 0 { z } else { x } } else { x }
}
""",
        "decide before the region",
    ),
    Code(
        "CS0405",
        "`over` names other axes than the decision has",
        "`over` names exactly the decision's axes, without those of size one.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = x > 0
    y = when g { relu(x) } else { x }
}
""",
        "gate g over N, D = x > 0",
    ),
    Code(
        "CS0406",
        "there is no such estimator",
        "gumbel[temperature], straight_through, soft, reinforce[baseline].",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = mean[over=D](x) > 0 via gumble
    y = when g { relu(x) } else { x }
}
""",
        "via gumbel[temperature=1.0]",
    ),
    Code(
        "CS0407",
        "the region does not fit the decision",
        "`when` takes yes or no; `route` takes one or several of n.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = argmax(x)
    y = when g { relu(x) } else { x }
}
""",
        "y = route g { 0 => relu(x)  else => x }",
    ),
    Code(
        "CS0408",
        "the arms do not cover every class",
        "A route has an arm for each class, or `else`.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = argmax(x)
    y = route g { 0 => relu(x)  1 => x }
}
""",
        "y = route g { 0 => relu(x)  else => x }",
    ),
    Code(
        "CS0409",
        "a class has two arms",
        "Each class has one arm, and a route has one `else`.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = argmax(x)
    y = route g { 0 => relu(x)  0 => tanh(x)  else => x }
}
""",
        "y = route g { 0 => relu(x)  1 => tanh(x)  else => x }",
    ),
    Code(
        "CS0410",
        "there is no such merge",
        "One-of-n is merged by select; k-of-n by weighted_sum, sum, mean or max.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = top[2](x)
    y = route g merge average { e in 0 .. 4 => relu(x) }
}
""",
        "y = route g merge mean { e in 0 .. 4 => relu(x) }",
    ),
    Code(
        "CS0411",
        "an arm is never taken",
        "The gate has fewer classes than the arm's number.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = argmax(x)
    y = route g { 9 => relu(x)  else => x }
}
""",
        "y = route g { 3 => relu(x)  else => x }",
    ),
    Code(
        "CS0412",
        "the arms give different numbers of values",
        "All arms of a region yield as many values.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = mean[over=D](x) > 0
    y, z = when g { yield x, x } else { yield x }
}
""",
        "y, z = when g { yield x, x } else { yield x, x }",
    ),
    Code(
        "CS0413",
        "this merge needs floating values",
        "A weighted sum or a mean of integers would round.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = top[2](x)
    z = route g { e in 0 .. 4 => argmax(x) }
    y = x
}
""",
        "cast the arms to f32",
    ),
    Code(
        "CS0414",
        "a value lacks the gate's axis",
        "A region merges values per index of its gate, so each arm's value has the gate's axes.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    param w: f32[D] = zeros()
    gate g over N = mean[over=D](x) > 0
    z = when g { w } else { w + 1 }
    y = x
}
""",
        "z = when g { expand[N](w) } else { expand[N](w + 1) }",
    ),
    Code(
        "CS0417",
        "a loss term is one number",
        "A loss has no axes.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    loss size = x ^ 2
    y = x
}
""",
        "loss size = mean[over=(N, D)](x ^ 2)",
    ),
    Code(
        "CS0418",
        "an exit decides over an axis that an output lacks",
        "An exit returns values for the indices that leave, so every output has the exit's axes.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    exit e { y = relu(x) } when linear[Q=3](x) > 0
    y = x
}
""",
        "when confidence(x) > 0.5",
    ),
    Code(
        "CS0419",
        "an exit does not set every output",
        "Who leaves at an exit takes all outputs from it.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    exit e { z = relu(x) } when confidence(z) > 0.5
    y = x
}
""",
        "exit e { y = relu(x) } when confidence(y) > 0.5",
    ),
    Code(
        "CS0420",
        "`exits` does not stand here",
        "`exits n at x` stands directly in a seed, with n from 1 to 1024.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    exits 0 at h { y = h } when confidence(y) > 0.5
    y = relu(x)
}
""",
        "exits 2 at h { y = h } when confidence(y) > 0.5",
    ),
    Code(
        "CS0422",
        "a knob does not fit its range",
        "The default lies in the range, and an integer knob has an integer range.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    knob tau = 2.0 in 0 .. 1
    y = x * tau
}
""",
        "knob tau = 0.5 in 0 .. 1",
    ),
    Code(
        "CS0423",
        "a budget is malformed",
        "`budget macs mean <= 2M, worst <= 6M`; also params, bytes and latency_ms.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    budget flops worst <= 1M
    y = relu(x)
}
""",
        "budget macs worst <= 1M",
    ),
    Code(
        "CS0424",
        "a gate depends on the whole batch",
        "A note: a sample may decide differently in another batch, so results depend on how samples are grouped.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    s = mean[over=D](x)
    gate g over N = s > mean[over=N](s)
    y = when g { relu(x) } else { x }
}
""",
        "gate g over N = s > 0",
    ),
    Code(
        "CS0425",
        "IR text is malformed",
        "What `cogseedc opt` prints is a program of its own kind: one call or join per statement, all operands "
        "named, all attributes and weights written out.",
        """\
export seed Net {
    category ir
    in  x: f32[N, D=4]
    out y: f32[N, D=4]
    z = relu(relu(x))
    y = x
}
""",
        "a = relu(x)\ny = relu(a)",
    ),
    Code(
        "CS0447",
        "a decision for each sample over an axis that is no batch",
        "A note: the axis of samples is called N. Along an axis of another name a gate is a decision like one over "
        "tokens: what it leaves out is seldom saved, and an exit saves nothing.",
        """\
export seed Net {
    in  x: f32[B, D=4]
    out y: f32[B, D]
    gate keep over B = mean[over=D](x) > 0
    y = when keep { linear[D](x) } else { x }
}
""",
        "in x: f32[N, D=4]",
    ),
    Code(
        "CS0448",
        "a gate that skips nothing",
        "A note: `where(g, a, b)` computes `a` and `b` for all and takes of them what the gate says, as `g * a` does. "
        "What a gate should spare stands in a region.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate keep over N = mean[over=D](x) > 0
    y = where(keep, linear[D](x), x)
}
""",
        "y = when keep { linear[D](x) } else { x }",
    ),
)
