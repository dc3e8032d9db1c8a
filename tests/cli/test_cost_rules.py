"""`cost --rule`: published costs to the unit, through the command line; what each rule counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogseedc.analysis.counting import RULES
from cogseedc.cli.inside import cost
from tests.cli.conftest import Command

EXAMPLES = Path(__file__).parents[2] / "examples"
MSDNET, RESNET, SLIMMABLE = (
    str(EXAMPLES / f"{name}.seed") for name in ("41_msdnet", "42_resnet", "43_slimmable_mobilenet")
)
FACTORS = ("growth_factors=(1, 2, 4)", "bottleneck_factors=(1, 2, 4)")
CIFAR = ("stem=cifar", "size=32", "classes=100", "channels=16", "growth=6", *FACTORS)
WIDTHS = ("depth=(3, 4, 23, 3)", "widths=(64, 128, 256, 512)")
IMAGENET = ("stem=imagenet", "size=224", "classes=1001", "bottleneck=true", *WIDTHS)


def sets(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


# For ImageNet, step 4, as published; the rest by the same arithmetic over the published layers, done apart.
PUBLISHED = {
    (): (339902824, 685456720, 1008156120, 1254472688, 1360529624),
    ("step=7", "base=7"): (615692968, 1436392016, 2283210200, 2967421456, 3253794488),
    (*CIFAR, "blocks=7", "step=2"): (15140452, 25505992, 37095980, 46331024, 57335540, 66960728, 75937724),
    (*CIFAR, "step=1", "base=1", "step_mode=lin_grow"): (6859876, 14350024, 27536684, 41714576, 58480628),
}


@pytest.mark.parametrize("settings", PUBLISHED, ids=lambda s: s[0] if s else "step=4")
def test_msdnet(command: Command, settings: tuple[str, ...]) -> None:
    record = json.loads(command("cost", MSDNET, "--rule", "msdnet", "--json", *sets(*settings)).out)
    assert [exit["macs"] for exit in record["exits"]] == list(PUBLISHED[settings])
    assert record["exits"][-1]["name"] is None


def test_msdnet_has_the_published_parameters(command: Command) -> None:
    for rule in RULES:
        outcome = command("cost", MSDNET, "--rule", rule)
        assert outcome.out.splitlines()[-1].endswith("\t23958440")


@pytest.mark.parametrize(
    ("settings", "flops"),
    [((), 505775360), (("depth=5",), 137725184), (IMAGENET, 15602814976)],
    ids=["110", "32", "101"],
)
def test_resnet(command: Command, settings: tuple[str, ...], flops: int) -> None:
    record = json.loads(command("cost", RESNET, "--rule", "macs", "--json", *sets(*settings)).out)
    assert 2 * record["macs"]["worst"] == 2 * record["macs"]["least"] == flops
    assert [(exit["name"], 2 * exit["macs"]) for exit in record["exits"]] == [(None, flops)]


def test_slimmable(command: Command) -> None:
    record = json.loads(command("cost", SLIMMABLE, "--json").out)
    assert [arm["macs"] for arm in record["arms"]] == [568740352, 325400448, 149497088, 41030272]


COUNTED = """\
export seed Net {
    in  x: f32[N, C=2, H=8, W=8]
    out y: f32[N, K=3]
    knob tau = 0.5 in 0 .. 1
    a = x |> conv2d[4, kernel=1] |> batch_norm
    unread = conv2d[4, kernel=1](x)
    exit early { y = a |> global_avg_pool |> linear[K] } when confidence(y) >= tau
    y = a |> relu |> max_pool2d[2] |> flatten |> linear[K]
}
"""


def test_what_is_counted(command: Command) -> None:
    """A convolution 4 * 2 * 64 MACs and 12 numbers, a norm 8 numbers, a head 4 * 3 MACs and 3 biases; relu and pools 256."""
    Path("net.seed").write_text(COUNTED)
    head, end = 4 * 3, 64 * 3
    assert [line.split("\t")[1:] for line in command("cost", "net.seed", "--rule", "macs").out.splitlines()[1:]] == [
        [str(512 + head), str(12 + 8 + 15)],
        [str(512 + head + end), str(12 + 8 + 15 + 195)],
    ]
    early = 2 * 512 + 256 + head + 3
    assert [line.split("\t")[1:] for line in command("cost", "net.seed", "--rule", "msdnet").out.splitlines()[1:]] == [
        [str(early), str(2 * 12 + 8 + 15)],
        [str(early + 256 + 256 + end + 3), str(2 * 12 + 8 + 15 + 195)],
    ]


def test_a_layer_without_biases(command: Command) -> None:
    """Of each of five tokens 3 * 8 MACs, and nothing is added."""
    Path("net.seed").write_text(
        "export seed Net { in x: f32[N, T, D=8]  out y: f32[N, T, K=3]  y = linear[K, bias=false](x) }"
    )
    for rule in RULES:
        (end,) = json.loads(command("cost", "net.seed", "--json", "--rule", rule, "--size", "T=5").out)["exits"]
        assert (end["macs"], end["params"]) == (5 * 3 * 8, 3 * 8)


PLACED = """\
export seed Net {
    in  x: f32[N, D=8]
    out y: f32[N, K=3]
    exits 1 at h { y = h |> linear[K] } when confidence(y) >= 0.5
    y = x |> linear[D] |> relu |> linear[D] |> relu |> linear[K]
}
"""


def test_a_placed_exit_stands_behind_what_it_reads(command: Command) -> None:
    Path("net.seed").write_text(PLACED)
    record = json.loads(command("cost", "net.seed", "--rule", "msdnet", "--json").out)
    layer, head = 8 * 8 + 8, 8 * 3 + 3
    early, end = (exit["macs"] for exit in record["exits"])
    assert early in (layer + head, layer + 8 + head)
    assert end == 2 * (layer + 8) + 2 * head


def test_the_options(command: Command) -> None:
    rule = next(p for p in cost.params if p.name == "rule")
    assert [*rule.type.choices] == [*RULES]  # type: ignore[attr-defined]
    assert command("cost", "good.seed", "--rule", "msdnet", "--rate", "g=0.5").status == 2
    assert command("cost", MSDNET, *sets("stem=imagenot")).status == 1


LOOPS = """\
export seed Net {
    in  x: f32[N, D=4]
    in  xs: f32[N, T=3, D=4]
    out y: f32[N, D]
    out z: f32[N, D]
    share f = linear[D]
    y = repeat 5 with y = x until done {
        s = f(y)
        gate done over N = mean[over=D](s) > 0
        next y = when s[D=0] > 0 { f(s) } else { s }
    }
    z = scan v in xs over T with z = f(x) { next z = linear[D](z) + v }
}
"""


def test_a_loop_counts_for_each_turn(command: Command) -> None:
    """A layer has 16 MACs; outside the loops there is one, in a turn of the first one or two, of the second one."""
    Path("net.seed").write_text(LOOPS)
    record = json.loads(command("cost", "net.seed", "--json", "--rate", "done=0.5").out)
    assert record["macs"] == {
        "least": 16 * (1 + 1 + 3),
        "worst": 16 * (1 + 2 * 5 + 3),
        "expected": 16 * (1 + 1.5 * (2 - 2**-4) + 3),
    }
    assert record["params"] == 2 * 20
    never = json.loads(command("cost", "net.seed", "--json", "--rate", "done=0").out)
    assert never["macs"]["expected"] == 16 * (1 + 1.5 * 5 + 3)
    written = json.loads(command("cost", "net.seed", "--json", "--rule", "msdnet").out)
    assert (written["macs"]["worst"], written["params"]) == (20 * (1 + 2 * 5 + 3), 2 * 20)
