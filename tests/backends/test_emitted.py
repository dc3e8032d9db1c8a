"""How the plans of small programs are spelled, as it is written in `plans` beside each: the module without the functions
that are copied into it, or the nodes of the model. `pytest --bless` writes the texts anew.

That they compute what they should is asked elsewhere; here it is that nothing is computed, moved or stored in vain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx
import pytest
from onnx import helper, numpy_helper

from cogseedc.driver.emit import EMITTERS

from .test_plans import CASES, Case, made

FUNCTION = re.compile(r"^def .*?(?=^(?!\) ->)\S)", re.MULTILINE | re.DOTALL)
DEEPER = "  "
LARGE = 12


def emitted(case: Case) -> str:
    program, weights, lowering = made(case)
    payload, _ = EMITTERS[lowering.target.backend](lowering, program, weights)
    if lowering.target.backend == "torch":
        return FUNCTION.sub("", payload.decode())
    return "\n".join(nodes(onnx.ModelProto.FromString(payload).graph)) + "\n"


def nodes(graph: onnx.GraphProto, indent: str = "") -> Iterator[str]:
    """A graph in words: of tensors that are stored the numbers, of weights and large ones the shape; of values the types
    that are said; of a node the name if it is not that of its first result."""
    for kind, ports in (("in", graph.input), ("out", graph.output)):
        yield from (f"{indent}{kind} {port.name}: {typed(port.type.tensor_type)}" for port in ports)
    for stored in graph.initializer:
        values = numpy_helper.to_array(stored)
        weight = values.size > LARGE or stored.name.endswith(("weight", "bias"))
        yield f"{indent}{stored.name} = {values.dtype} {tuple(values.shape) if weight else values.tolist()}"
    said = {info.name: f": {typed(info.type.tensor_type)}" for info in graph.value_info}
    assert len(said) == len(graph.value_info)
    for node in graph.node:
        bodies = [a for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
        plain = (f"{a.name}={given(a)}" for a in node.attribute if a not in bodies)
        name = "" if node.name == node.output[0] else f"  # {node.name}"
        made = ", ".join(f"{value}{said.get(value, '')}" for value in node.output)
        yield f"{indent}{made} = {node.op_type}({', '.join([*node.input, *plain])}){name}"
        for body in bodies:
            yield f"{indent}{DEEPER}{body.name}"
            yield from nodes(body.g, indent + 2 * DEEPER)


def typed(type: onnx.TypeProto.Tensor) -> str:
    axes = ", ".join(a.dim_param or (str(a.dim_value) if a.HasField("dim_value") else "?") for a in type.shape.dim)
    return f"{onnx.TensorProto.DataType.Name(type.elem_type).lower()}{f'[{axes}]' if type.HasField('shape') else ''}"


def given(attribute: onnx.AttributeProto) -> str:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return str(numpy_helper.to_array(value).tolist())
    return str(
        [*value] if attribute.ints or attribute.floats else value.decode() if isinstance(value, bytes) else value
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_emitted(case: Case, bless: bool) -> None:
    case.agrees("code", emitted(case), bless)
