"""CS07: passes, placed exits, budgets."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0701",
        "unknown pass or pipeline",
        "`--passes` takes names of passes and pipelines, separated by commas; `cogseedc opt --help` lists them.",
        "cogseedc opt model.seed --passes fold-constant",
        "cogseedc opt model.seed --passes fold-constants",
    ),
    Code(
        "CS0702",
        "a pass comes too early",
        "A pass reads graphs of a certain form. Some need exits to be gates and joins: `insert-exit-points` does it.",
        "cogseedc opt model.seed --passes eliminate-dead-seeds",
        "cogseedc opt model.seed --passes insert-exit-points,eliminate-dead-seeds",
    ),
    Code(
        "CS0703",
        "too few places for exits",
        "`exits n at x` puts exits where one value alone carries everything from the inputs to the outputs. A network "
        "with branches side by side has fewer such places than it has layers.",
        "export seed A {\n    in  x: f32[N, C=4]\n    out y: f32[N, K=2]\n"
        "    exits 9 at h { y = h |> linear[2] } when confidence(y) >= 0.5\n    y = x |> linear[4] |> linear[2]\n}",
        "export seed A {\n    in  x: f32[N, C=4]\n    out y: f32[N, K=2]\n"
        "    exits 1 at h { y = h |> linear[2] } when confidence(y) >= 0.5\n    y = x |> linear[4] |> linear[2]\n}",
    ),
    Code(
        "CS0704",
        "the worst case exceeds its budget",
        "`worst` is proved over all decisions of all gates while compiling, so some path can cost this much.",
        "export seed A {\n    budget macs worst <= 10\n    in  x: f32[N, C=4]\n    out y: f32[N, K=8]\n"
        "    y = linear[8](x)\n}",
        "export seed A {\n    budget macs worst <= 32\n    in  x: f32[N, C=4]\n    out y: f32[N, K=8]\n"
        "    y = linear[8](x)\n}",
    ),
    Code(
        "CS0705",
        "the mean exceeds its budget",
        "`mean` is compared with the decisions that a profile recorded: on those samples the program costs more.",
        "budget macs mean <= 1k     # the profile says 3k",
        "budget macs mean <= 4k",
    ),
)
