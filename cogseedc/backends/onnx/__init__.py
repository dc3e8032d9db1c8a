"""Emits a plan as an ONNX model: opset 21, IR 10, standard operators only, weights inside. The only user of `onnx`.

Decides nothing of substance: what runs where is the plan's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, ValueInfoProto

from cogseedc.backends.names import Names
from cogseedc.backends.onnx.blocks import emit_blocks
from cogseedc.backends.onnx.builder import Place, Region, Shared
from cogseedc.backends.onnx.calls import Folding
from cogseedc.backends.onnx.channels import emit_picked
from cogseedc.backends.onnx.loops import emit_loop
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.onnx.tensors import NUMPY, info
from cogseedc.backends.onnx.trace import TRACED, emit_trace
from cogseedc.backends.onnx.weights import Weights
from cogseedc.backends.plan.model import ROOT, Plan
from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.ir import Input, Knob, NodeId, OpSpec, Output
from cogseedc.ops import OPS
from cogseedc.target import Target

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

OPSET = 21
IR_VERSION = 10
LARGEST = (1 << 31) - 1
"""Bytes of the largest message that protobuf reads."""


def emit(
    plan: Plan,
    weights: Mapping[str, Array],
    target: Target,
    names: Names,
    metadata: Mapping[str, str],
    *,
    trace: bool = True,
    ops: Mapping[str, OpSpec] = OPS,
) -> bytes:
    """The model of `plan`, byte-identical for equal arguments.

    `weights` are arrays by weight path, `names` their state-dict keys, `metadata`
    goes into the model. With `trace` it has an input `cogseed.trace` (bool, false by default); where that is true, its
    output `cogseed.traced` holds `trace.<gate>` (i64, -1 where the gate was not reached) and `rows.<space>` (how many
    rows a space held), else nothing. Raises UserError CS0820 when the model would pass 2 GiB.
    """
    store, *inner = (Weights(p, weights, names.keys, Folding(p.graph, ops, weights)) for p in plan.nested())
    _check_size(store.bytes() + sum(body.bytes() for body in inner))
    traces = trace and (len(plan.spaces) > 1 or bool(plan.loops) or bool(plan.gates))
    sources = [(id, plan.graph[id]) for id in (*plan.inputs, *plan.knobs)]
    inputs_by_id = {id: node.name for id, node in sources if isinstance(node, Input | Knob)}
    steps = Steps(
        plan,
        ops,
        store,
        emit_loop,
        emit_picked,
        batch_one=target.batch_one,
        waits=target.device == "cuda",
        traces=traces,
        inputs=inputs_by_id,
        root="N",
    )
    model = ModelProto(ir_version=IR_VERSION, producer_name="cogseedc")
    model.opset_import.add(domain="", version=OPSET)
    root = Region(Shared(), graph=model.graph)
    inputs = _inputs(steps, root, target)
    for id, _ in plan.outputs:
        root.shared.names.unique(_output(plan, id).name)
    emit_blocks(steps, root)
    outputs = _outputs(steps, root)
    recorded = emit_trace(steps, root) if traces else None
    if recorded is not None:
        switch, traced, held = recorded
        inputs.append(switch)
        outputs.append(traced)
        metadata = {**metadata, TRACED: held}
    root.finish(metadata.get("name", "cogseed"), inputs, outputs)
    for key in sorted(metadata):
        model.metadata_props.add(key=key, value=metadata[key])
    _check_size(model.ByteSize())
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _inputs(steps: Steps, root: Region, target: Target) -> list[ValueInfoProto]:
    """Inputs, then knobs, which are inputs with a literal of the same name as default."""
    found: list[ValueInfoProto] = []
    for id in (*steps.plan.inputs, *steps.plan.knobs):
        node = steps.plan.graph[id]
        assert isinstance(node, Input | Knob)
        root.shared.names.unique(node.name)
        found.append(info(node.name, node.type.dtype, steps.dims(node.type, ROOT)))
        if isinstance(node, Knob):
            shape = [s.evaluate({}) for s in node.type.shape]
            root.initializer(node.name, np.array(node.default, NUMPY[node.type.dtype]).reshape(shape))
    return found


def _outputs(steps: Steps, root: Region) -> list[ValueInfoProto]:
    found: list[ValueInfoProto] = []
    for id, slot in steps.plan.outputs:
        node = _output(steps.plan, id)
        root.shared.place = Place(f"/{node.name}")
        root.node("Identity", [steps.value(root, slot)], name=node.name)
        found.append(info(node.name, node.type.dtype, steps.dims(node.type, ROOT)))
    return found


def _output(plan: Plan, id: NodeId) -> Output:
    node = plan.graph[id]
    assert isinstance(node, Output)
    return node


def _check_size(size: int) -> None:
    if size > LARGEST:
        message = f"the model would take {size} bytes; an ONNX file with its weights inside holds {LARGEST}"
        raise UserError(Diagnostic("CS0820", message, help="use a torch target, or a smaller network"))
