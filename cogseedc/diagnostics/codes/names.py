"""CS020: names, static values and selections."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0201",
        "a name is not known",
        "Nothing binds the name where it is read. A name is seen below the statement that binds it, in "
        "its block and in inner ones.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(z)
}
""",
        "y = relu(x)",
    ),
    Code(
        "CS0202",
        "a name is bound twice",
        "A name has one meaning in a block, so that reading it needs no order in mind.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    a = relu(x)
    a = tanh(x)
    y = a
}
""",
        """\
a = relu(x)
b = tanh(a)""",
    ),
    Code(
        "CS0203",
        "an axis has no size here",
        "A size is needed, and the axis name that stands for it has none in this seed.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = for i in 0 .. Q with h = x { next h = relu(h) }
}
""",
        "y = for i in 0 .. D with h = x { next h = relu(h) }",
    ),
    Code(
        "CS0204",
        "a static value has the wrong kind",
        "A static argument or a loop bound needs a number, an integer, or a condition that is known at compile time.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = for i in 0 .. 1.5 with h = x { next h = relu(h) }
}
""",
        "y = for i in 0 .. 2 with h = x { next h = relu(h) }",
    ),
    Code(
        "CS0205",
        "a size must be known at compile time",
        "The number of turns, arms or classes decides how the program looks, so it cannot wait for the inputs.",
        """\
export seed Net {
    in  x: f32[N, T]
    out y: f32[N, T]
    y = for i in 0 .. T with h = x { next h = relu(h) }
}
""",
        "in x: f32[N, T=8]",
    ),
    Code(
        "CS0206",
        "a static expression has no value",
        "A division by zero, a root of a negative number, a power beyond all bounds.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x + 1 / 0
}
""",
        "y = x + 1 / 2.0",
    ),
    Code(
        "CS0207",
        "a value has no parts, or cannot be indexed",
        "Only tuples, values and gates are indexed; only calls with several outputs, gates and files have named parts.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x.left
}
""",
        "y = x[D=0 .. 2]",
    ),
    Code(
        "CS0208",
        "a selection is malformed",
        "A tuple is selected by one integer, a value by the names of its axes.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x[0]
}
""",
        "y = x[D=0 .. 4]",
    ),
    Code(
        "CS0209",
        "an index is outside",
        "Static selections are checked at compile time.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    a = x[D=7]
    y = x
}
""",
        "a = x[D=3]",
    ),
)
