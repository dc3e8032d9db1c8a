"""What is changed, area by area, and the tests that ought to see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "cogseedc"
PROGRAMS = ("tests/regress", "tests/fuzz/test_differential.py", "tests/trust/test_programs.py")


@dataclass(frozen=True)
class Area:
    """Files of the compiler, and tests of theirs (what pytest is called with); wanted is the part of mutants to be killed."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    wanted: float


def _package(folder: str, but: Sequence[str] = ()) -> tuple[str, ...]:
    """The files of a package, without some that belong to another area."""
    every = (str(path.relative_to(PACKAGE)) for path in sorted((PACKAGE / folder).rglob("*.py")))
    return tuple(file for file in every if file not in but)


_DECIDING = ("passes/simplify_gates.py", "passes/insert_exit_points.py", "passes/eliminate_dead_seeds.py")
_GUARDS = ("analysis/demand.py", "analysis/guards.py", "analysis/cuts.py")
_OWN_PROCESSES = "--deselect=tests/trust/test_faults.py::test_processes"
"""Processes that are started have no mutants."""
_NO_TYPES = tuple(
    f"--deselect=tests/laws/{test}"
    for test in ("test_ops.py::test_torch_and_onnx_equal_the_reference", "test_ops.py::test_gradients_flow",
                 "test_ops.py::test_cost_is_what_torch_counts", "test_op_values.py::test_nasty_values",
                 "test_op_values.py::test_every_dtype_has_kernels")
)  # fmt: skip
"""Laws of operations that say nothing of their types."""
_SAVING = ("tests/test_saved_work.py", "tests/backends")

AREAS = {
    "gates": Area(("ir/guards.py", "ir/transfer.py", *_GUARDS, *_DECIDING), ("tests/passes", "tests/laws/test_positions.py", "tests/backends/test_projections.py", *PROGRAMS), 0.95),
    "plan": Area(_package("backends/plan"), (*_SAVING, *PROGRAMS), 0.90),
    "backends": Area(
        (*_package("backends/onnx"), *_package("backends/pytorch"), *_package("backends/support")),
        (*_SAVING, "tests/laws/test_positions.py", "tests/laws/test_ops.py", "tests/laws/test_op_values.py", "tests/estimators",
         "tests/train", "tests/runtimes", *PROGRAMS),
        0.90,
    ),
    "passes": Area(
        (*_package("passes", _DECIDING), *_package("analysis", _GUARDS)),
        ("tests/passes", "tests/cli/test_cost_rules.py", "tests/estimators", "tests/calibrate", *_SAVING, *PROGRAMS),
        0.90,
    ),
    "shapes": Area(
        ("ir/size.py", "ir/types.py", "frontend/build/align.py", "ops/rules.py", "ops/signature.py", "ops/shape.py", "ops/layout.py"),
        ("tests/laws/test_sizes.py", "tests/laws/test_rules.py", "tests/laws/test_signature.py", "tests/laws/test_shapes.py",
         "tests/laws/test_ops.py", "tests/laws/test_op_values.py", *_NO_TYPES, "tests/frontend",
         "tests/language", "tests/test_golden.py"),
        0.95,
    ),
    "trust": Area(
        ("publish.py", "runtime/artifact.py", "runtime/checks.py", "runtime/interface.py", "backends/names.py"),
        ("tests/publish", "tests/runtimes", "tests/backends/test_names.py", "tests/trust/test_faults.py", _OWN_PROCESSES),
        0.95,
    ),
    "verifier": Area(
        ("ir/verifier.py",), ("tests/passes/test_verifier.py", "tests/passes/test_verifier_rules.py", "tests/regress"), 0.95
    ),
}  # fmt: skip
