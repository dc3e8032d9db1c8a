"""Laws over the catalogue: each holds for every example of every operation."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cogseedc.ir import Attrs, Dtype, Mixing, OpSpec, Pointwise, Window
from cogseedc.ops import FAMILIES, OPS, bind, resolve
from tests.laws import harness
from tests.laws.agreeing import agree, expected
from tests.laws.harness import Array, Case

ROOT = Path(__file__).parents[2]
NO_GRADIENT = {("crop", "at")}
"""Operands that only choose a place: rounded, so that no gradient passes."""
EXAMPLES = [(s.name, i) for s in OPS.values() for i in range(len(s.examples))]
each = pytest.mark.parametrize(("op", "index"), EXAMPLES, ids=[f"{n}-{i}" for n, i in EXAMPLES])
KINDS = {"f": "f", "i": "iu", "u": "iu", "b": "b"}


@cache
def case(op: str, index: int) -> Case:
    return harness.case_of(OPS[op], OPS[op].examples[index])


@each
def test_types_are_real(op: str, index: int) -> None:
    c = case(op, index)
    for batch in (0, 1, 5):
        values = harness.data(c, batch)
        results = expected(c, values, batch)
        if results is None:
            continue
        found = harness.torch_results(c, harness.tensors(values), batch)
        assert len(results) == len(found) == len(c.types)
        for value, tensor, type in zip(results, found, c.types, strict=True):
            shape = tuple(s.evaluate(c.sizes(batch)) for s in type.shape)
            assert value.shape == tuple(tensor.shape) == shape, (value.shape, tuple(tensor.shape), str(type))
            assert tensor.dtype == harness._TORCH[type.dtype], (tensor.dtype, str(type))
            assert value.dtype.kind == ("f" if type.dtype.floating else "b" if type.dtype is Dtype.BOOL else "i")


@each
def test_torch_and_onnx_equal_the_reference(op: str, index: int) -> None:
    agree(case(op, index))


@each
def test_gradients_flow(op: str, index: int) -> None:
    c = case(op, index)
    if not c.spec.differentiable or not c.types[0].dtype.floating:
        pytest.skip("not differentiable")
    values = harness.tensors(harness.data(c, 3))
    wanted = [
        p.name for p in c.ports if p.type.dtype.floating and p.trainable and any(p.name in s.args for s in c.steps)
    ]
    wanted = [n for n in wanted if (op, n) not in NO_GRADIENT]
    for name in wanted:
        values[name].requires_grad_()
    if not wanted:
        pytest.skip("no floating operand")
    total = torch.zeros(())
    for result in harness.torch_results(c, values, 3):
        if result.is_floating_point():
            total = total + (result * torch.linspace(0.5, 1.5, result.numel()).reshape(result.shape)).sum()
    torch.autograd.backward(total)
    for name in wanted:
        grad = values[name].grad
        assert grad is not None, name
        assert torch.isfinite(grad).all(), (name, grad)


@each
def test_canonical_attributes_bind_again(op: str, index: int) -> None:
    for step in case(op, index).steps:
        r = step.resolution
        weights = {w.operand for w in r.weights}
        inputs = [None if i in weights else t for i, t in enumerate(step.inputs)]
        again = resolve(step.spec, inputs, bind(step.spec, (), dict(r.attrs.items), ()))
        assert again == r


@each
def test_demand_covers_what_is_read(op: str, index: int) -> None:
    """Changing one index of an operand's axis changes only the results that its flow admits."""
    c = case(op, index)
    if len(c.steps) != 1:
        pytest.skip("one operation at a time")
    step, batch = c.steps[0], 3
    values = harness.data(c, batch)
    base = harness.reference(c, values, batch)
    flows = step.spec.flow(step.resolution.attrs, step.inputs, c.types)
    assert not any(flows[len(step.inputs) :])  # operands that are absent at the end
    rng = np.random.default_rng(0)
    for flow, name, type in zip(flows, step.args, step.inputs, strict=False):
        assert len(flow) == (0 if type is None else type.rank)
        for axis, kind in enumerate(flow):
            if name is None or isinstance(kind, Mixing) or name not in values:
                continue
            for i in range(values[name].shape[axis]):
                changed = dict(values)
                changed[name] = _changed(rng, values[name], axis, i)
                _only_admitted(kind, i, base, harness.reference(c, changed, batch))


def _changed(rng: np.random.Generator, value: Array, axis: int, index: int) -> Array:
    result = value.copy()
    place = [slice(None)] * value.ndim
    place[axis] = index  # type: ignore[call-overload]
    part = result[tuple(place)]
    if value.dtype.kind == "b":
        result[tuple(place)] = ~part
    elif value.dtype.kind == "f":
        result[tuple(place)] = np.abs(part) + rng.random(part.shape).astype(np.float32) * np.float32(0.3)
    else:
        result[tuple(place)] = (part + 1) % 3
    return result


def _only_admitted(kind: Pointwise | Window, i: int, base: tuple[Array, ...], found: tuple[Array, ...]) -> None:
    for before, after in zip(base, found, strict=True):
        for o in range(before.shape[kind.to]):
            if isinstance(kind, Pointwise):
                reads = o == i
            else:
                reads = any(o * kind.stride - kind.before + kind.dilation * k == i for k in range(kind.size))
            if not reads:
                np.testing.assert_array_equal(np.take(before, o, kind.to), np.take(after, o, kind.to))


@each
def test_cost_is_what_torch_counts(op: str, index: int) -> None:
    c = case(op, index)
    if len(c.steps) != 1 or c.spec.macs is None:
        pytest.skip("costs no multiply-accumulates")
    values = harness.tensors(harness.data(c, 5))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # fused attention is not counted
        harness.torch_results(c, values, 5)
    step = c.steps[0]
    macs = step.spec.macs(step.resolution.attrs, step.inputs, c.types) if step.spec.macs else None
    counted = counter.get_total_flops()
    if macs is None or not counted:
        pytest.skip("torch's counter does not count it")
    assert macs.evaluate(c.sizes(5)) == counted / 2


@pytest.mark.parametrize("spec", OPS.values(), ids=OPS)
def test_entries_are_complete(spec: OpSpec) -> None:
    assert spec.examples
    assert spec.summary
    assert spec.group
    assert not any(o.variadic for o in spec.operands[:-1])
    for example in spec.examples:
        assert any(s.spec is spec for s in harness.case_of(spec, example).steps)


def test_names_are_sorted_and_families_distinct() -> None:
    assert list(OPS) == sorted(OPS)
    assert len({f.GROUP for f in FAMILIES}) == len(FAMILIES)


def test_support_functions_stand_alone() -> None:
    """They are copied into generated files: nothing but torch and their own arguments."""
    for name, function in harness.support().items():
        if inspect.isfunction(function):
            read = {n.id for n in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(n, ast.Name)}
            free = read & set(function.__globals__) - {"torch", "math", "F"}
            assert not free, (name, free)


def test_attributes_are_canonical() -> None:
    """Axes are positions that are not negative, so that passes need no names."""
    for op, index in EXAMPLES:
        for step in case(op, index).steps:
            attrs: Attrs = step.resolution.attrs
            if "over" in attrs and isinstance(attrs["over"], int | tuple):
                over = attrs["over"] if isinstance(attrs["over"], tuple) else (attrs["over"],)
                assert all(isinstance(o, int) and o >= 0 for o in over), (op, attrs)


# What the table says of empty batches

_CHILD = """
import os, sys
import numpy as np
from cogseedc.ops import OPS
from tests.laws import harness
from tests.laws.agreeing import agree, expected
for name in sys.argv[1:]:
    for example in OPS[name].examples:
        case = harness.case_of(OPS[name], example)
        if not any(p.type.batch is not None for p in case.ports):
            continue
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            harness.OnnxRun(case)(harness.data(case, 0))
            os._exit(0)
        os.waitpid(child, 0)
print("survived")
"""


def test_flagged_operations_and_empty_batches() -> None:
    """Operations that may end the process on zero rows do it in a child of a child, and nowhere else."""
    flagged = [s.name for s in OPS.values() if not s.zero_rows]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *flagged], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert done.stdout.strip() == "survived", done.stderr[-2000:]
