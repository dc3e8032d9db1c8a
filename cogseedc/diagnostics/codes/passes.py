"""CS07: passes, placed exits, budgets."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0701",
        "unknown pass or pipeline",
        "`--passes` takes names of passes and pipelines, separated by commas; `cogseedc opt --list` lists them.",
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
        "`mean` is compared with the MACs that are expected for the given rates of the gates.",
        "budget macs mean <= 1k     # and: cogseedc cost net.seed --rate easy=0.5, where that costs 3k",
        "budget macs mean <= 4k",
    ),
    Code(
        "CS0706",
        "the target lacks this precision",
        "`@bits` and `--bits` ask for a precision. Each target lists those that it has; `cogseedc targets` shows them.",
        "cogseedc build model.seed --target onnx-cpu --bits bf16",
        "cogseedc build model.seed --target torch-cpu --bits bf16",
    ),
    Code(
        "CS0707",
        "the seed does not tolerate this precision",
        "A seed says in `bits` which reduced precisions its results stand. `@bits` outside of it may ask for one of "
        "these, or for fp32.",
        "seed A { bits fp16  in x: f32[N, C]  out y: f32[N, C]  y = relu(x) }\n"
        "export seed B { in x: f32[N, C=4]  out y: f32[N, C]  @bits(int8) y = A(x) }",
        "seed A { bits fp16 | int8  in x: f32[N, C]  out y: f32[N, C]  y = relu(x) }\n"
        "export seed B { in x: f32[N, C=4]  out y: f32[N, C]  @bits(int8) y = A(x) }",
    ),
    Code(
        "CS0708",
        "nothing to calibrate with",
        "The ranges of int8 values are measured on the samples of the calibration file, and it has none.",
        'numpy.savez("x.npz", x=numpy.zeros((0, 4), "float32"))',
        'numpy.savez("x.npz", x=samples[:100])',
    ),
)
