"""How the programs of `test_language.py` are run, where a batch of five random samples is not enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NAN = float("nan")


@dataclass(frozen=True)
class Case:
    """Settings of one program."""

    set: Mapping[str, Any] = field(default_factory=dict)
    size: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Sizes of symbols at run time."""
    batches: tuple[int, ...] = (5, 16)
    knobs: tuple[Mapping[str, Any], ...] = ({},)
    inputs: Mapping[str, Any] = field(default_factory=dict)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


CASES = {
    "scan_hoisted": Case(sizes={"T": 4}),
    "scan_packed": Case(sizes={"T": 5}),
    "axes_dynamic": Case(sizes={"H": 5, "W": 4}),
    "selection_open": Case(sizes={"T": 6, "U": 6}),
    "axes_requirement": Case(sizes={"T": 6, "A": 2, "B": 3}),
    "static_set": Case(
        set={
            "w": 3,
            "r": 0.5,
            "on": True,
            "widths": (5, 2),
            "act": "tanh",
            "block": "Double",
            "parts": "(Triple[5], Double)",
            "name": '"b"',
        }
    ),
    "static_texts": Case(set={"mode": "twice", "act": '"other"'}),
    "knobs": Case(
        knobs=(
            {},
            {"width": 0, "scale": 0.5, "ratio": 0.25},
            {"width": 3, "vec": floats(0, 1, -1, 0.5), "steps": np.array([1, 7])},
            {"width": 1},
        )
    ),
    "uniform": Case(knobs=({}, {"tau": 0.5}, {"tau": 0.1})),
    "exits_plain": Case(knobs=({}, {"tau": -5}, {"tau": 5})),
    "exits_uniform": Case(knobs=({}, {"stop": 1}, {"stop": 2})),
    "widths": Case(knobs=({}, {"wide": 1}, {"wide": 2})),
    "exits_tau": Case(knobs=({}, {"taus": floats(0.9, 0.5, 0.34)})),
    "nan_never": Case(
        batches=(9,),
        inputs={
            "a": floats(NAN, NAN, NAN, 0, 0, 2, 1, -1, 0),
            "b": floats(NAN, 0, 2, NAN, 0, 0.5, 1, 3, 5),
        },
    ),
    "nan_exit": Case(batches=(3,), inputs={"x": np.array([[NAN, 0, 0, 0], [9, 0, 0, 0], [0, 0, 0, 0.1]], np.float32)}),
    "ties": Case(
        batches=(5,),
        inputs={"x": np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 2, 2, 2], [3, 1, 3, 3], [0, 0, 1, 0]], np.float32)},
    ),
    "golden_act": Case(
        batches=(3,),
        inputs={"p": np.array([[0.999] * 5, [0.01, 0.5, 0.6, 0.7, 0.8], [0.01] * 5], np.float32)},
    ),
    "golden_sact": Case(
        batches=(1,),
        sizes={"H": 1},
        inputs={
            "unit": np.array([1, 2, 3, 4, 5, 6], np.float32).reshape(1, 3, 1, 2),
            "p": np.array([0.9, 0.1, 0.5, 0.1, 0.0, 0.0], np.float32).reshape(1, 3, 1, 2),
        },
    ),
    "arithmetic": Case(
        batches=(4,), inputs={"n": np.array([[-4, -3, -1, 0], [1, 2, 3, 4], [5, 6, 7, 8], [-9, 9, 10, 3]])}
    ),
    "loops_scan": Case(sizes={"T": 5}),
    "loops_axes": Case(sizes={"T": 5}),
    "loops_nested": Case(sizes={"T": 4}),
    "loops_carries": Case(sizes={"T": 4}),
    "loops_together": Case(knobs=({}, {"most": 1}, {"most": 6})),
}
"""By program."""
