"""CS10: data, training, calibrating and evaluating."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

TABLE: tuple[Code, ...] = (
    Code(
        "CS1001",
        "a data source cannot be read",
        "Data are an .npz, .csv or .jsonl file, a folder of images in folders of classes, `sklearn:digits`, or "
        "`module:function`; behind `#`, a part of them.",
        "cogseedc train net.seed --data digits.pkl -o net.safetensors",
        "cogseedc train net.seed --data 'sklearn:digits#train' -o net.safetensors",
    ),
    Code(
        "CS1002",
        "the data do not fit the program",
        "Columns feed inputs and outputs by name; a sole input takes `features`, a sole output `label`. Shapes change "
        "only where the number of elements says how.",
        'numpy.savez("x.npz", picture=images, label=digits)',
        'numpy.savez("x.npz", image=images, label=digits)',
    ),
    Code(
        "CS1003",
        "there is no target",
        "Training, calibrating and evaluating need one column with what an output should be: `label`, or one that is "
        "named as the output. Budgets of accuracy need classes.",
        'numpy.savez("x.npz", image=images)',
        'numpy.savez("x.npz", image=images, label=digits)',
    ),
    Code(
        "CS1004",
        "the checkpoint is of another run",
        "A run is resumed with the program, the data and the options that it was begun with, so that it gives what it "
        "would have given without a break.",
        "cogseedc train net.seed --data x.npz -o net.safetensors --rate 0.1 --resume",
        "cogseedc train net.seed --data x.npz -o net.safetensors --resume",
    ),
    Code(
        "CS1005",
        "an option of training does not fit the program",
        "Phases are seeds, gates and joint; weights of exits, losses and schedules of knobs name what the program has.",
        "cogseedc train net.seed --data x.npz -o net.safetensors --knob tua=1:0.1",
        "cogseedc train net.seed --data x.npz -o net.safetensors --knob tau=1:0.1",
    ),
    Code(
        "CS1006",
        "training diverged",
        "The loss became infinite or no number; the weights would be worth nothing.",
        "cogseedc train net.seed --data x.npz -o net.safetensors --rate 1e6",
        "cogseedc train net.seed --data x.npz -o net.safetensors --rate 3e-3",
    ),
    Code(
        "CS1007",
        "not a budget",
        "A budget bounds MACs or milliseconds from above (`worst` for every sample, else their mean; `x` times the "
        "full network's), or accuracy from below (`pt` are percent points beside the full network's).",
        "cogseedc calibrate build/net --data x.npz --budget macs=30%",
        'cogseedc calibrate build/net --data x.npz --budget "macs<=0.3x"',
    ),
    Code(
        "CS1008",
        "there is nothing to calibrate",
        "Calibrating chooses values of knobs on which decisions hang. Without such a knob nothing can be chosen.",
        "exit easy { y = linear[K](a) } when confidence(y) >= 0.9",
        "exit easy { y = linear[K](a) } when confidence(y) >= tau",
    ),
    Code(
        "CS1009",
        "no choice meets the budgets",
        "On these data no values of the knobs keep within all budgets; the message says what comes nearest. Status 4.",
        'cogseedc calibrate build/net --data x.npz --budget "macs<=0.01x" --budget "accuracy>=-0.1pt"',
        'cogseedc calibrate build/net --data x.npz --budget "macs<=0.3x" --budget "accuracy>=-0.5pt"',
    ),
    Code(
        "CS1010",
        "an extra package is missing",
        "Plots are drawn by matplotlib and metrics exported by prometheus-client, which are not installed by default.",
        "pip install cogseedc",
        "pip install 'cogseedc[report,prometheus]'",
    ),
)
