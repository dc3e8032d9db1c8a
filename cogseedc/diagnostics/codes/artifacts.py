"""CS08: targets, weights, artifacts, running and verifying them."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS0801",
        "there is no such target",
        "A target is a folder of `targets/`; `cogseedc targets` lists them.",
        "cogseedc build net.seed --target onnx-gpu",
        "cogseedc build net.seed --target onnx-cuda",
    ),
    Code(
        "CS0802",
        "a target's file does not say what it should",
        "Each `target.toml` has the same keys, no more and no fewer, so that nothing is guessed.",
        '[costs]\nmac_ns = "fast"',
        "[costs]\nmac_ns = 0.03",
    ),
    Code(
        "CS0803",
        "a file of weights cannot be read",
        "Weights are read from safetensors files only: nothing in such a file can run code.",
        "cogseedc build net.seed --weights net.pt",
        'safetensors.torch.save_file(module.state_dict(), "net.safetensors")',
    ),
    Code(
        "CS0806",
        "the target has no such strategy",
        "A target says which ways of skipping work its runtime has: one that takes a sample at a time has nothing to compact.",
        "cogseedc build net.seed --target onnx-edge --gates compact",
        "cogseedc build net.seed --target onnx-edge --gates branch",
    ),
    Code(
        "CS0840",
        "the weights are not those of the program: names",
        "Weights load by name, strictly: a missing or a further one means that they belong to another program.",
        "cogseedc build net.seed --weights other.safetensors",
        "cogseedc build net.seed --weights net.safetensors",
    ),
    Code(
        "CS0841",
        "the weights are not those of the program: shapes",
        "A weight's shape follows from the static parameters; it must be the one with which the weights were made.",
        "cogseedc build net.seed --set width=32 --weights net-width-16.safetensors",
        "cogseedc build net.seed --set width=16 --weights net-width-16.safetensors",
    ),
    Code(
        "CS0842",
        "the weights are not those of the program: dtypes",
        "Weights are not converted silently, since that may lose digits.",
        "save_file({k: v.double() for k, v in module.state_dict().items()}, path)",
        "save_file(module.state_dict(), path)",
    ),
    Code(
        "CS0843",
        "the inputs are not those of the program",
        "Each input of the exported seed must be given by its name, and nothing else.",
        "run(graph, {'picture': x}, weights)",
        "run(graph, {'image': x}, weights)",
    ),
    Code(
        "CS0844",
        "an input has a wrong rank or size",
        "Axes of the same name, the batch's too, must have the same size in all inputs.",
        "run(graph, {'a': x[:3], 'b': y[:4]}, weights)",
        "run(graph, {'a': x[:4], 'b': y[:4]}, weights)",
    ),
    Code(
        "CS0845",
        "an input has a wrong dtype",
        "Inputs are not converted silently: float64 data is usually a slip.",
        "run(graph, {'image': np.zeros((1, 1, 28, 28))}, weights)",
        "run(graph, {'image': np.zeros((1, 1, 28, 28), 'float32')}, weights)",
    ),
    Code(
        "CS0846",
        "a knob does not exist or is out of its range",
        "A knob's range is part of the program: what lies outside was never considered.",
        "run(graph, inputs, weights, knobs={'tau': 2.0})",
        "run(graph, inputs, weights, knobs={'tau': 0.8})",
    ),
    Code(
        "CS0847",
        "decisions do not fit the gates",
        "Decisions are given by the name of a gate, over its axes; -1 leaves a decision to the program.",
        "run(graph, inputs, weights, decisions={'esay': np.ones(7, 'int64')})",
        "run(graph, inputs, weights, decisions={'easy': np.ones(7, 'int64')})",
    ),
    Code(
        "CS0848",
        "no small sizes fit the open axes",
        "Verification needs a size for each open axis with which every size in the program is a whole number above zero.",
        "cogseedc verify build/net",
        "cogseedc verify build/net --size T=300",
    ),
    Code(
        "CS0850",
        "the artifact does not mean what its source means",
        "A value, a decision or a count of rows differs from the reference. Exit status 3. Never the user's fault.",
        "cogseedc verify build/net",
        "report it, with the source and this output",
    ),
    Code(
        "CS0851",
        "an arm never ran while verifying",
        "It was neither taken nor could it be forced, so nothing is known of it; it may be dead.",
        "y = when a and not a { Block(x) } else { x }",
        "y = when a { Block(x) } else { x }",
    ),
)
