"""Times compilation in this process, in CPU seconds: a shared machine's wall clock says little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import process_time

from cogseedc.driver.artifact import artifact
from cogseedc.driver.compile import Request
from cogseedc.driver.lower import lower
from cogseedc.driver.program import load
from cogseedc.driver.timing import Timing, collector_paused
from cogseedc.driver.weights import Weights
from cogseedc.runtime.onnx_session import OnnxBackend
from cogseedc.target import load as load_target


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one program."""

    nodes: int
    check: float
    """Reading, parsing, types, building the graph."""
    passes: float
    plan: float
    emit: float
    """The model, as bytes in memory."""
    rest: float
    """Weights, costs, picture and card."""
    session: float
    """Creating the ONNX Runtime session, the least of three; 0 for other targets."""

    @property
    def model(self) -> float:
        """From the text to the model."""
        return self.check + self.passes + self.plan + self.emit

    @property
    def total(self) -> float:
        """From the text to all that an artifact holds."""
        return self.model + self.rest


def measure(text: str, target: str, session: bool = False) -> Cost:
    """Compiles a program for a target and says how long each stage took."""
    clock = Timing(process_time)
    request = Request(rng=0)
    with collector_paused():
        start = process_time()
        program = load(text)
        checked = process_time()
        weights = Weights.of(program, None, request.rng)
        drawn = process_time()
        lowering = lower(program, load_target(target), weights, clock=clock)
        lowered = process_time()
        made = artifact(program, weights, lowering, clock)
        emitted = process_time()
    steps = dict(clock.steps())
    plan, emit = steps[f"plan {target}"], steps[f"emit {target}"]
    return Cost(
        nodes=len(program.elaborated.graph),
        check=checked - start,
        passes=lowered - drawn - plan,
        plan=plan,
        emit=emit,
        rest=drawn - checked + emitted - lowered - emit,
        session=_session(made.payloads) if session else 0.0,
    )


def _session(payloads: Mapping[str, bytes]) -> float:
    """As `cogseedc.open` does it, the least of three: the first one also pays for memory that the process has not had
    yet."""
    times: list[float] = []
    for _ in range(3):
        start = process_time()
        OnnxBackend(payloads["model.onnx"])
        times.append(process_time() - start)
    return min(times)
