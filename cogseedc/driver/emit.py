"""Has each backend spell a plan, and records how a runtime finds its way around the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cogseedc
from cogseedc.backends.names import class_name
from cogseedc.diagnostics import InternalError
from cogseedc.driver.lower import Lowering
from cogseedc.driver.manifest import Json
from cogseedc.driver.program import Program
from cogseedc.driver.weights import Weights

Emitter = Callable[[Lowering, Program, Weights], tuple[bytes, dict[str, Json]]]


def torch_model(lowering: Lowering, program: Program, weights: Weights) -> tuple[bytes, dict[str, Json]]:
    """`model.py`, and the name of its class."""
    from cogseedc.backends.pytorch import emit

    if lowering.training is None:
        raise InternalError("a module that can train needs a plan of its dense meaning")
    text = emit(lowering.plan, lowering.training, program.name, weights.names)
    return text.encode(), {"payload": "model.py", "class": class_name(program.name)}


def onnx_model(lowering: Lowering, program: Program, weights: Weights) -> tuple[bytes, dict[str, Json]]:
    """`model.onnx`, and which operators it needs."""
    from cogseedc.backends.onnx import IR_VERSION, OPSET, emit

    metadata = {"cogseedc": cogseedc.__version__, "name": program.name, "target": lowering.target.name}
    data = emit(lowering.plan, weights.arrays, lowering.target, weights.names, metadata)
    return data, {"payload": "model.onnx", "opset": OPSET, "ir_version": IR_VERSION}


EMITTERS: Mapping[str, Emitter] = {"torch": torch_model, "onnx": onnx_model}
