"""CS06: limits, each checked before work is done."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0601",
        "the source is too long",
        "A file of more than a mebibyte was not written by hand; reading it could take any time.",
        "a generated file of 2 MiB",
        "several files with imports, a static `for`, or --limit source_bytes=4194304",
    ),
    Code(
        "CS0602",
        "brackets or expressions nest too deeply",
        "Blocks, gates and calls nest at most 64 deep: neither a reader nor a runtime can follow further.",
        "y = f(f(f(...)))  # 65 deep",
        "a = f(f(x))\nb = f(f(a))",
    ),
    Code(
        "CS0603",
        "a string is too long",
        "Strings name files and modes; none needs more than 4 KiB.",
        'import "<5,000 characters>" as blocks',
        'import "./blocks.seed" as blocks',
    ),
    Code(
        "CS0604",
        "too many files are imported",
        "Each import is read from disk; a program of more than 256 files is most likely a slip.",
        "a program of 300 imported files",
        "fewer files, or --limit imported_files=512",
    ),
    Code(
        "CS0605",
        "a seed uses itself too often",
        "A seed may use itself with other static arguments, at most 64 deep, so that expansion ends.",
        """\
seed A[n: int] {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = A[n + 1](x)
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = A[0](x)
}
""",
        "seed A[n: int] { ...  y = when n == 0 { x } else { A[n - 1](x) } }",
    ),
    Code(
        "CS0606",
        "the program is too large",
        "Nodes are counted before seeds and loops are expanded: a few lines can describe billions.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = for i in 0 .. 1000000 with h = x { next h = relu(h) }
}
""",
        "fewer turns, or --limit nodes=1000000",
    ),
    Code(
        "CS0607",
        "a tensor has too many axes",
        "Runtimes take at most eight axes.",
        """\
export seed Net {
    in  x: f32[N, A=1, B=2, C=3, E=4, F=5, G=6, H=7, I=8]
    out y: f32[N]
    y = mean[over=(A, B, C, E, F, G, H, I)](x)
}
""",
        "join axes that are never told apart: in x: f32[A, B, C, D]",
    ),
    Code(
        "CS0608",
        "an axis is too long",
        "Runtimes count the indices of an axis in 31 bits; a size is at least 1.",
        """\
export seed Net {
    in  x: f32[N, D=9999999999]
    out y: f32[N, D]
    y = x
}
""",
        "in x: f32[N, D=1024]",
    ),
    Code(
        "CS0609",
        "a tensor has too many elements",
        "Elements and bytes are counted in 63 bits; a larger tensor fits no machine.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    param w: f32[A=2000000000, B=2000000000, C=2000000000] = zeros()
    y = x
}
""",
        "param w: f32[A=2000, B=2000] = zeros()",
    ),
    Code(
        "CS0610",
        "there are too many messages",
        "After a hundred messages the rest is not shown: the first ones are most likely the cause.",
        "a file of another language",
        "a .seed file, or --limit diagnostics=1000",
    ),
    Code(
        "CS0611",
        "a gate has too many arms",
        "A k-of-n gate has an arm for each class, computed or not; with thousands of them it is a lookup, no gate.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate pick over N = top[2](linear[E=100000](x))
    y = route pick { 0 => x  else => x * 2 }
}
""",
        "gate pick over N = top[2](linear[E=64](x))",
    ),
    Code(
        "CS0612",
        "seeds are called too often",
        "Every call of a seed is expanded in place; one that uses itself twice soon asks for billions.",
        """\
seed Twice[n: int] {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = when n == 0 { x } else { Twice[n - 1](Twice[n - 1](x)) }
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = Twice[20](x)
}
""",
        """\
seed Once[n: int] {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = when n == 0 { x } else { Once[n - 1](relu(x)) }
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = Once[20](x)
}
""",
    ),
    Code(
        "CS0613",
        "the weights are too large",
        "All weights together have at most 8 GiB, so that a slip in a size is found before memory is asked for.",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x |> linear[1000000000] |> linear[D]
}
""",
        """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = x |> linear[1000] |> linear[D]
}
""",
    ),
)
