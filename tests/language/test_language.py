"""Each sentence of the language, as a program: its values by numpy, by the reference and by both runtimes.

`NAME.seed` beside this file is a program whose meaning is the function NAME in `meanings.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cogseedc
from cogseedc.interp import Reference
from cogseedc.ir import Dtype, Graph, Input, Knob, Weight
from cogseedc.runtime import Session
from cogseedc.verify import Settings, verify_artifact
from tests.language.cases import CASES, Case
from tests.language.meanings import Weights
from tests.language.meanings_loops import MEANINGS

Array = np.ndarray[Any, np.dtype[Any]]
FOLDER = Path(__file__).parent
PROGRAMS = sorted(FOLDER.glob("*.seed"))
TARGETS = (
    ("torch-cpu", "auto"),
    ("torch-cpu", "compact"),
    ("torch-cpu", "dense"),
    ("onnx-cpu", "auto"),
    ("onnx-edge", "auto"),
)
QUICK = Settings(batches=(0, 1, 5))


def random_weights(graph: Graph) -> dict[str, Array]:
    """Weights large enough that decisions differ among samples, biases too."""
    rng = np.random.default_rng(7)
    nodes = [n for _, n in graph.nodes() if isinstance(n, Weight)]
    return {n.path: rng.normal(0, 0.6, [s.value for s in n.type.shape]).astype(np.float32) for n in nodes}


def inputs_of(graph: Graph, case: Case, batch: int) -> dict[str, Array]:
    """Random inputs, but for those that the case gives."""
    rng = np.random.default_rng(batch)
    found: dict[str, Array] = {}
    for _, node in graph.nodes():
        if isinstance(node, Input):
            shape = [s.evaluate({**case.sizes, "N": batch}) for s in node.type.shape]
            dtype = node.type.dtype
            if dtype.floating:
                found[node.name] = rng.normal(0.2, 1.0, shape).astype(np.float32)
            elif dtype is Dtype.BOOL:
                found[node.name] = rng.random(shape) < 0.5
            else:
                found[node.name] = rng.integers(0, 7, shape).astype(
                    {"i64": "int64"}.get(dtype.value, {"i32": "int32", "u8": "uint8", "i8": "int8"}.get(dtype.value))
                )
    return {**found, **case.inputs}


def knobs_of(graph: Graph, given: Mapping[str, Any]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for _, node in graph.nodes():
        if isinstance(node, Knob):
            whole = np.array(node.default).reshape([s.value for s in node.type.shape])
            found[node.name] = np.asarray(given.get(node.name, whole))
    return found


def same(found: Array, wanted: Any, what: str) -> None:
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape, f"{what}: {found.shape}, not {wanted.shape}"
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), 1e-3, 1e-4, err_msg=what)


def run(session: Session, given: Mapping[str, Array], knobs: Mapping[str, Any]) -> dict[str, Array]:
    """What a session gives for inputs among which the states are; the states after the call are among the outputs."""
    state = {s.name: given[s.before.name] for s in session.states}
    result = session.run({p.name: given[p.name] for p in session.inputs}, knobs, state=state)
    return {**result, **{s.after.name: result.state[s.name] for s in session.states}}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program(path: Path, tmp_path: Path) -> None:
    case = CASES.get(path.stem, Case())
    program = cogseedc.load(path, set=case.set, size=case.size)
    graph = program.elaborated.graph
    arrays = random_weights(graph)
    exact = Weights({p: a.astype(np.float64) for p, a in arrays.items()})
    reference = Reference(graph, arrays)
    runs: list[tuple[dict[str, Array], dict[str, Array], dict[str, Any]]] = []
    for knobs in case.knobs:
        for batch in case.batches:
            given = inputs_of(graph, case, batch)
            values = knobs_of(graph, knobs)
            wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in given.items()}
            expected = MEANINGS[path.stem](wide, values, exact)
            result = reference.run(given, knobs)
            for name, wanted in expected.items():
                same(np.asarray(result.outputs[name]), wanted, f"reference {name}")
            assert set(result.outputs) == set(expected)
            runs.append((given, dict(knobs), expected))
    for target, gates in TARGETS:
        folder = cogseedc.compile(
            program,
            target,
            tmp_path / f"{target}-{gates}",
            weights=arrays,
            gates=gates,
            bits="fp32",
            set=case.set,
            size=case.size,
        )
        session = cogseedc.open(folder)
        for given, knobs, expected in [] if session.batch_one and program.elaborated.coupled else runs:
            found = run(session, given, knobs)
            for name, wanted in expected.items():
                same(found[name], wanted, f"{target} {gates} {name}")
        if gates == "auto":
            report = verify_artifact(folder, QUICK)
            assert report.ok, report.to_text()


def test_each_program_has_a_meaning() -> None:
    assert {p.stem for p in PROGRAMS} == set(MEANINGS)
