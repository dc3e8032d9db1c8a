"""CS02: names, static values, calls and ports."""

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
    Code(
        "CS0210",
        "static arguments stand twice",
        "`f[...]` is given its static arguments once.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = linear[4][bias=false](x)
}
""",
        "y = linear[4, bias=false](x)",
    ),
    Code(
        "CS0211",
        "an argument is given twice",
        "An argument comes once, by position or by name.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = linear[4, bias=true, bias=false](x)
}
""",
        "y = linear[4, bias=false](x)",
    ),
    Code(
        "CS0212",
        "what stands in [...] is not static",
        "Static arguments are known at compile time; what is computed at run time stands in (...).",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = clamp[x](x)
}
""",
        "y = clamp(x, 0, 1)",
    ),
    Code(
        "CS0213",
        "this cannot be called",
        "Operations and seeds are called; values are not.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x(x)
}
""",
        "y = relu(x)",
    ),
    Code(
        "CS0214",
        "a function of the language is given something else",
        "`len` takes a tuple, `top` takes scores, `cost` takes a name or nothing.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x * len(x)
}
""",
        "y = x * len((1, 2, 3))",
    ),
    Code(
        "CS0215",
        "there is no such operand",
        "Operands are given by position, or by the names that `cogseedc ops NAME` shows.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = linear[4](x, wieght=x)
}
""",
        "y = linear(x, weight=w)",
    ),
    Code(
        "CS0216",
        "an attribute has no effect yet",
        "`@device` and `@cache` are recorded in the graph, and nothing follows from them yet. A note, no error.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    @device(gpu)
    y = relu(x)
}
""",
        "y = relu(x)",
    ),
    Code(
        "CS0217",
        "there is no such attribute",
        "The attributes of a statement are @bits, @device and @cache.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    @bit(int8)
    y = relu(x)
}
""",
        """\
@bits(int8)
y = relu(x)""",
    ),
    Code(
        "CS0218",
        "`@bits` takes one precision",
        "One of int8, fp8, fp16, bf16, fp32.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    @bits(int4)
    y = relu(x)
}
""",
        """\
@bits(int8)
y = relu(x)""",
    ),
    Code(
        "CS0219",
        "the names do not match the values",
        "A binding has as many names as the expression has values; only a loop may give more.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    a, b = relu(x)
    y = x
}
""",
        "a = relu(x)",
    ),
    Code(
        "CS0220",
        "`share` makes one instance",
        "`share f = Stage[32]` names a seed or an operation with its static arguments; calls of `f` use its weights.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    share f = relu(x)
    y = x
}
""",
        """\
share f = linear[4]
y = f(x)""",
    ),
    Code(
        "CS0221",
        "a parameter needs an initial value",
        "kaiming(), normal(std), uniform(low, high), zeros(), ones() or full(value).",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    param w: f32[4] = gaussian()
    y = x + w
}
""",
        "param w: f32[4] = normal(0.1)",
    ),
    Code(
        "CS0222",
        "a seed takes no axis arguments",
        "`E=8` in [...] names a new axis of an operation; a seed has static parameters.",
        """\
seed F {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = relu(x)
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = F[E=8](x)
}
""",
        "y = F[width=8](x)",
    ),
    Code(
        "CS0223",
        "the static arguments do not fit",
        "A seed is given its static parameters by position or by name; those with a default may be left out.",
        """\
seed F[width: int] {
    in  x: f32[N, D]
    out y: f32[N, width]
    y = linear[width](x)
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = F(x)
}
""",
        "y = F[4](x)",
    ),
    Code(
        "CS0224",
        "there is no such static type",
        "int, float, bool, str, dtype, axis, op, seed, and these with [].",
        """\
export seed Net[n: number = 1] {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x
}
""",
        "export seed Net[n: int = 1]",
    ),
    Code(
        "CS0225",
        "a static argument has the wrong type",
        "The argument is of another type than the parameter declares.",
        """\
export seed Net[n: int = "four"] {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x
}
""",
        "export seed Net[n: int = 4]",
    ),
    Code(
        "CS0226",
        "the values do not fit the seed's inputs",
        "A seed is given one value for each of its inputs, by position or by name.",
        """\
seed F {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = relu(x)
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = F(x, x)
}
""",
        "y = F(x)",
    ),
    Code(
        "CS0227",
        "a seed has no output",
        "What a seed computes comes out of its `out` ports.",
        """\
export seed Net {
    in x: f32[N, D=4]
    y = relu(x)
}
""",
        "out y: f32[N, D]",
    ),
    Code(
        "CS0228",
        "an output is never bound",
        "Each `out` port is bound once in the body.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    z = relu(x)
}
""",
        "y = relu(x)",
    ),
    Code(
        "CS0229",
        "a word of the head is wrong",
        "`level`, `bits`, `geometry` and `scale` take the words that the reference lists, once each.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    level organ
    y = relu(x)
}
""",
        "level tissue",
    ),
    Code(
        "CS0230",
        "a size is not possible",
        "An axis has at least one element, and a kernel or slice leaves at least one.",
        """\
export seed Net {
    in  x: f32[N, D=0]
    out y: f32[N, D]
    y = x
}
""",
        "in x: f32[N, D=4]",
    ),
    Code(
        "CS0231",
        "a value is expected",
        "An operation, a seed, a file or a tuple stands where one value is needed.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x + relu
}
""",
        "y = x + relu(x)",
    ),
    Code(
        "CS0232",
        "a condition must be bool",
        "Decisions are comparisons, or `and`, `or`, `not` of them.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = where(x, x, x)
}
""",
        "y = where(x > 0, x, -x)",
    ),
    Code(
        "CS0233",
        "axes do not fit together",
        "Elementwise operations align axes by name. One side must have all axes of the other: a silent "
        "outer product is never made.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x + linear[E=3](x)
}
""",
        "expand[...](...) adds a missing axis",
    ),
    Code(
        "CS0234",
        "sizes differ",
        "Two axes meet in an elementwise operation, and their sizes are neither equal nor one.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x + linear[D=3](x)
}
""",
        "y = x + linear[D](x)",
    ),
    Code(
        "CS0235",
        "arms give different types",
        "The arms of a region, and an exit and its seed, give values of one type.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = when mean[over=D](x) > 0 { x } else { linear[3](x) }
}
""",
        "y = when g { x } else { linear[D](x) }",
    ),
    Code(
        "CS0236",
        "there is no such dtype",
        "f32, f16, bf16, i64, i32, i8, u8, bool.",
        """\
export seed Net {
    in  x: float[N, D=4]
    out y: f32[N, D]
    y = x
}
""",
        "in x: f32[N, D=4]",
    ),
    Code(
        "CS0237",
        "a value has no such axis",
        "The axis is not among the names of the value's axes.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    a = x[Q=0]
    y = x
}
""",
        "a = x[D=0]",
    ),
    Code(
        "CS0238",
        "geometries are mixed",
        "Values of hyperbolic or spherical geometry meet others only through exp_map, log_map, to_sphere "
        "and to_euclidean.",
        """\
seed F {
    geometry hyperbolic
    in  x: f32[N, D]
    out y: f32[N, D]
    y = x
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = F(x)
}
""",
        "y = log_map(F(exp_map(x)))",
    ),
    Code(
        "CS0239",
        "a weight needs a size that is not known",
        "A weight has a fixed shape, so an axis that it depends on cannot be dynamic.",
        """\
export seed Net {
    in  x: f32[N, D]
    out y: f32[N, 4]
    y = linear[4](x)
}
""",
        "in x: f32[N, D=32], or --size D=32",
    ),
    Code(
        "CS0240",
        "a shared weight has another shape",
        "A shared instance takes its sizes from its first call; later calls must fit.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    share f = linear[4]
    a = f(x)
    b = f(x[D=0 .. 2])
    y = a
}
""",
        "call it with the same sizes",
    ),
    Code(
        "CS0241",
        "a declared axis has no size",
        "The axes of `param` and `knob` have sizes.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    param w: f32[Q] = zeros()
    y = x
}
""",
        "param w: f32[Q=4] = zeros()",
    ),
    Code(
        "CS0242",
        "an axis has two sizes",
        "A name stands for one size in the ports of a seed.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    in  z: f32[N, D=5]
    out y: f32[N, D]
    y = x + z
}
""",
        "in z: f32[N, D]",
    ),
    Code(
        "CS0243",
        "this cannot name an axis",
        "Axis names begin with an upper-case letter and are not names of the file.",
        """\
const WIDTH = 4
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, WIDTH=4]
    y = x
}
""",
        "out y: f32[N, WIDTH]",
    ),
    Code(
        "CS0244",
        "a tuple of another length",
        "A port declared with `* n` takes and gives tuples of n values.",
        """\
seed F {
    in  xs: f32[N, D] * 2
    out y: f32[N, D]
    y = xs[0] + xs[1]
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = F(x)
}
""",
        "y = F((x, x))",
    ),
    Code(
        "CS0245",
        "a value has another dtype",
        "Floating dtypes convert by themselves at a port; integers and booleans are cast.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x > 0
}
""",
        "y = cast[f32](x > 0)",
    ),
    Code(
        "CS0246",
        "a value has another number of axes",
        "Ports bind axes by position, so the number of axes must agree.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = mean[over=D](x)
}
""",
        "out y: f32[N]",
    ),
    Code(
        "CS0247",
        "an axis has another size than declared",
        "The body, or the caller, gives another size than the port says. Both places are shown.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = linear[5](x)
}
""",
        "y = linear[D](x)",
    ),
)
