"""CS023 and CS024: values that do not fit where they stand, axes, sizes, dtypes, geometries; or that nothing reads."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
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
    Code(
        "CS0248",
        "nothing reads a name",
        "A note: what is compiled is the same without it. Often something was forgotten: a mask, a length, the stage "
        "before.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    h = relu(linear[D](x))
    y = linear[D](x)
}
""",
        "y = linear[D](h)",
    ),
    Code(
        "CS0249",
        "a batch of one size only",
        "A note: the axis of samples, N, meets an axis of another size. What is compiled refuses batches with another "
        "number of samples. Mostly axes stand in another order than declared.",
        """\
export seed Net {
    in  x: f32[N, T=3, D=4]
    out y: f32[D, N, T]
    y = permute[axes=(D, T, N)](x)
}
""",
        "out y: f32[D, T, N]",
    ),
)
