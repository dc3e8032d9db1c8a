"""CS0415, CS0416 and CS0426 to CS0446: loops, and states, which a program keeps between calls."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
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
        "CS0431",
        "a name gets another result of a loop than the carry that is called so",
        "A loop gives a tuple for each `yield`, then the last carries, in the order in which they are written. It may "
        "be meant, so it is a note.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    sum, h = for i in 0 .. 3 with sum = x, h = x { next h = relu(h)  next sum = sum + h  yield h }
    y = h
}
""",
        "each, sum, h = for i in 0 .. 3 with sum = x, h = x { next h = relu(h)  next sum = sum + h  yield h }",
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
        "CS0444",
        "an exit reads a carry as it was before `next`",
        "A note: in a loop's body the name of a carry means what it was before `next`, also behind it. An exit behind "
        "`next h` that reads `h` answers with the features of the turn before, which is seldom meant.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = for i in 0 .. 3 with h = x {
        next h = relu(linear[D](h))
        exit early { y = h } when max(h) > 0.9
    }
}
""",
        "new = relu(linear[D](h))  next h = new  exit early { y = new } when max(new) > 0.9",
    ),
    Code(
        "CS0445",
        "`until` reads a carry beside what `next` set it to",
        "A note: in `until` and in `yield` the name of a carry means what `next` set it to. So a difference between it "
        "and that value is zero, and a loop that waits for a small difference stops after its first turn.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = repeat 9 with z = x until norm(new - z) < 0.01 {
        new = tanh(linear[D](z))
        next z = new
    }
}
""",
        "y = repeat 9 with z = x until moved < 0.01 { new = tanh(linear[D](z))  moved = norm(new - z)  next z = new }",
    ),
    Code(
        "CS0446",
        "a carry that is never set",
        "A note: `h = ...` in the body of a loop names a value of that turn. What the next turn gets is set by `next`; "
        "without it the carry stays what it was, and so does the value of the loop.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = for i in 0 .. 3 with h = x { h = relu(linear[D](h)) }
}
""",
        "y = for i in 0 .. 3 with h = x { next h = relu(linear[D](h)) }",
    ),
)
