"""CS05: seeds, levels, imports."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0501",
        "a seed uses itself",
        "With the same static arguments it would never end. With others, under a static `when`, it is recursion.",
        """\
seed F {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = F(x)
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = F(x)
}
""",
        "seed F[depth: int] { ... y = when depth == 0 { x } else { F[depth - 1](x) } }",
    ),
    Code(
        "CS0502",
        "a seed uses one of a higher level",
        "atomic < molecular < cellular < tissue: a seed uses its own level or lower ones.",
        """\
seed F {
    level tissue
    in  x: f32[N, D]
    out y: f32[N, D]
    y = relu(x)
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    level atomic
    y = F(x)
}
""",
        "level tissue",
    ),
    Code(
        "CS0503",
        "it is not clear what to compile",
        "A file exports one seed, or `--seed NAME` chooses one.",
        """\
seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(x)
}
""",
        "export seed Net { ... }",
    ),
    Code(
        "CS0504",
        "imports form a cycle",
        "A file cannot need, through others, itself.",
        """\
import "./CS0504.seed" as me
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(x)
}
""",
        "move what both need into a third file",
    ),
    Code(
        "CS0505",
        "the imported file has no such name",
        "Seeds, constants and imports of a file can be imported.",
        """\
from std.vision import Haed
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(x)
}
""",
        "from std.vision import Head",
    ),
    Code(
        "CS0506",
        "there is no such package",
        "Packages are those of the standard library.",
        """\
from std.visoin import Head
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(x)
}
""",
        "from std.vision import Head",
    ),
    Code(
        "CS0507",
        "the package has another version",
        "`1.2.3` is exactly that; `^1.2.3` any compatible later one; `~1.2.3` later patches.",
        """\
from std.vision @^2.0.0 import Head
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(x)
}
""",
        "from std.vision @^1.0.0 import Head",
    ),
    Code(
        "CS0508",
        "a file cannot be imported from there",
        "An import reaches no path outside the folder of the program, and only `.seed` files.",
        """\
import "../../etc/passwd.seed" as p
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(x)
}
""",
        'import "./blocks.seed" as blocks',
    ),
    Code(
        "CS0509",
        "an imported file cannot be read",
        "It is missing, a link, or no regular file.",
        """\
import "./nowhere.seed" as n
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = relu(x)
}
""",
        'import "./blocks.seed" as blocks',
    ),
    Code(
        "CS0510",
        "a requirement of a seed does not hold",
        "A seed says with `require` what its static arguments have to be: a condition that is known while "
        "compiling, and why.",
        """\
seed Mlp[widths: int[], drops: float[]] {
    in  x: f32[N, D]
    out y: f32[N, D2]
    require len(widths) == len(drops), "each width has a dropout rate of its own"
    y = for i in 0 .. len(widths) with h = x { next h = h |> linear[widths[i]] |> dropout[drops[i]] }
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, K]
    y = Mlp[(8, 8, 2), (0.1, 0.1)](x)
}
""",
        "y = Mlp[(8, 8, 2), (0.1, 0.1, 0.0)](x)",
    ),
)
