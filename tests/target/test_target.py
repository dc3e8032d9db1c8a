"""Targets load from their files, and mistakes in them are told."""

from __future__ import annotations

import pytest

from cogseedc import target
from cogseedc.diagnostics import UserError
from cogseedc.resources import folder

GOOD = (folder("targets") / "onnx-cpu" / "target.toml").read_text()


def test_all_load() -> None:
    assert target.names() == ("onnx-cpu", "onnx-cuda", "onnx-edge", "torch-cpu", "torch-cuda")
    for name in target.names():
        found = target.load(name)
        assert found.name == name
        assert found.backend == name.partition("-")[0]
        assert "fp32" in found.precisions
        assert found.gates
        assert (found.default_bits == "auto") == (name == "onnx-edge") == found.batch_one


def test_unknown_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(UserError) as caught:
        target.load("onnx-gpu")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "CS0801"
    assert diagnostic.help.startswith("did you mean `onnx-cuda`?")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('backend    = "onnx"', 'backend = "jax"'),
        ('backend    = "onnx"', "backend = 3"),
        ("batch_one  = false", "batch_one = 0"),
        ("batch_one  = false", ""),
        ("mac_ns    = 0.03", 'mac_ns = "fast"'),
        ("mac_ns    = 0.03", "mac_ns = -1"),
        ("mac_ns    = 0.03", "mac_ns = nan"),
        ("mac_ns    = 0.03", ""),
        ("[costs]", "[cost]"),
        ("wrap_us   = 1.5", "wrap_us = 1.5\nspeed = 3"),
        ('"dense", ', '"sparse", '),
        ('gates      = ["dense", "compact", "branch"]', "gates = 3"),
        ("batch_one", "= batch_one"),
    ],
)
def test_malformed_files_are_refused(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        target.parse("mine", GOOD.replace(old, new, 1))
    assert caught.value.diagnostics[0].code == "CS0802"


def test_precisions_have_their_costs() -> None:
    for name in target.names():
        found = target.load(name)
        assert {row for row, _ in found.widths} >= set(found.precisions)
        assert found.width("fp32").mac_ns == found.costs.mac_ns


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fp16      = {", "fp17      = {"),
        ("{ mac_ns = 0.06, ", "{ "),
        ("int8_weight = 64", "int8_weight = 128"),
        ("int8_weight = 64", 'int8_weight = "64"'),
    ],
)
def test_a_wrong_table_of_precisions_is_refused(old: str, new: str) -> None:
    text = (folder("targets") / "torch-cpu" / "target.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(UserError, match="CS0802"):
        target.parse("torch-cpu", text.replace(old, new))
