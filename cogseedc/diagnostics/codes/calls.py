"""CS021 and CS022: arguments, attributes, instances, and the head of a seed."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
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
)
