"""CS04: gates, regions, exits, knobs."""

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
        "CS0415",
        "a loop gives nothing",
        "A loop's value is its yields and its last carries.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = for i in 0 .. 2 { z = relu(x) }
}
""",
        "y = for i in 0 .. 2 with h = x { next h = relu(h) }",
    ),
    Code(
        "CS0416",
        "`next` fits no carry and no state",
        "`next` sets each carry at most once in a turn, directly in the loop's body, and a state in the block that "
        "declares it.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = for i in 0 .. 2 with h = x { next g = relu(h) }
}
""",
        "next h = relu(h)",
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
        "CS0440",
        "a state starts as no constant",
        "Before the first call every element of a state has one value: `zeros()`, `ones()` or `full(v)`.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    state k: f32[N, D] = normal(1.0)
    next k = x
    y = x + k
}
""",
        "state k: f32[N, D] = zeros()",
    ),
    Code(
        "CS0441",
        "a state stands where it cannot be kept",
        "A state stands directly in a seed or in the body of a `for`, not in an arm, in the block of an exit, inside "
        "`repeat` or `scan`, or beside `exits`. A seed that is called in an arm may keep one: it holds where the arm "
        "is not taken.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = when mean[over=D](x) > 0 { state k: f32[N, D] = zeros()  yield x + k } else { x }
}
""",
        "state k: f32[N, D] = zeros()\ny = when mean[over=D](x) > 0 { x + k } else { x }",
    ),
    Code(
        "CS0442",
        "a state lacks an axis of a decision that holds it",
        "Where an arm is not taken, or an exit was, a state keeps its value: index by index, so it needs their axes.",
        """\
seed Count {
    in  x: f32[N, D]
    out y: f32[N, D]
    state k: f32[] = zeros()
    next k = k + 1
    y = x + k
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = when mean[over=D](x) > 0 { Count(x) } else { x }
}
""",
        "state k: f32[N] = zeros()",
    ),
    Code(
        "CS0443",
        "`next` gives a state another type",
        "A state has one type in all calls.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    state k: f32[N] = zeros()
    next k = x
    y = x + k
}
""",
        "next k = mean[over=D](x)",
    ),
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
        "CS0426",
        "a carry changes its type",
        "A carry of `repeat` or `scan` has one type in all turns: that of its initial value, with the axes of `until`. "
        "A literal takes the type of what follows it.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = repeat 4 with h = x { next h = linear[8](h) }
}
""",
        "y = repeat 4 with h = x { next h = linear[4](h) }",
    ),
    Code(
        "CS0427",
        "this does not stand in a loop that is run",
        "The turns of `repeat` and `scan` are counted at run time, so `exit`, `exits`, `loss` and `state` have no "
        "place in their bodies, and `cost` does not count them. In a `for`, which is unrolled, they do. A gate via "
        "`reinforce` has a place if its log-probabilities add up: over the axes that stop the loop, with a baseline "
        "that is the same in all turns.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = repeat 4 with h = x {
        exit early { y = h } when confidence(h) > 0.9
        next h = linear[4](h)
    }
}
""",
        "y = repeat 4 with h = x until confidence(h) > 0.9 { next h = linear[4](h) }",
    ),
    Code(
        "CS0430",
        "only the turns of a loop know what they spend",
        "`cost(x)` is an expression of decisions. Those of a `repeat` or `scan` are made in its turns, so behind it "
        "only what does not hang on them can be told; and in a turn the whole seed is not known yet.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = repeat 4 with h = x until mean(h) > 0.5 { next h = linear[4](h) }
    loss spend = cost(y)
}
""",
        """\
y, spent = repeat 4 with h = x, spent = 0.0 until mean(h) > 0.5 {
    step = linear[4](h)
    next spent = spent + cost(step)
    next h = step
}
""",
    ),
    Code(
        "CS0428",
        "a loop has no turn",
        "`repeat` runs at least once, so its bound is at least 1.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = repeat 0 with h = x { next h = linear[4](h) }
}
""",
        "y = repeat 1 with h = x { next h = linear[4](h) }",
    ),
    Code(
        "CS0429",
        "a sequence cannot be scanned over this axis",
        "`scan` goes over an axis that all its sequences have, with the same length. Samples of the batch come in no "
        "order, so N is not scanned.",
        """\
export seed Net {
    in  xs: f32[N, T, D=4]
    out y:  f32[N, D]
    y = scan x in xs over L with h = zeros[N, D]() { next h = h + x }
}
""",
        "y = scan x in xs over T with h = zeros[N, D]() { next h = h + x }",
    ),
    Code(
        "CS0452",
        "no gradient of an estimator passes here",
        "A note: the largest of the chosen arms is no weighted sum, so a gate is not trained by what `merge max` "
        "gives. Its weights, its cost and its other uses train it as they do elsewhere.",
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
