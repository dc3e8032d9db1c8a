"""Programs with much control flow compile for every kind of target, and ONNX Runtime takes them quickly."""

from __future__ import annotations

import pytest

from tests.bench.generate import SHAPES, exits, nested
from tests.bench.measure import measure

# CPU seconds; several times what is measured (`make bench`), so that only a change of order fails.
COMPILE, SESSION = 8.0, 3.0


@pytest.mark.parametrize("target", ["onnx-cpu", "onnx-edge", "torch-cpu"])
@pytest.mark.parametrize("program", [exits(200), nested(40)], ids=["200-exits", "40-nested"])
def test_control_flow_compiles_and_loads(program: str, target: str) -> None:
    cost = measure(program, target, session=target != "torch-cpu")
    assert cost.total < COMPILE
    assert cost.session < SESSION


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_compile_time_grows_linearly(shape: str) -> None:
    measure(SHAPES[shape](100), "onnx-cpu")
    small = min(measure(SHAPES[shape](200), "onnx-cpu").total for _ in range(2))
    assert measure(SHAPES[shape](2000), "onnx-cpu").total < 20 * small  # 10 is linear, 100 is quadratic


def test_programs_are_the_same_each_time() -> None:
    assert all(generate(50) == generate(50) for generate in SHAPES.values())
